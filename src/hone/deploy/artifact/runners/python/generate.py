"""Written answers that are texts behind a space."""

from __future__ import annotations


class Model:
    def parse(self, ids):
        """The text that was written."""
        return self.tokenizer.decode(ids).removeprefix(" ")
