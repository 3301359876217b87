"""Text that is continued."""

from __future__ import annotations


class Model:
    def parse(self, ids):
        """The text that follows."""
        return self.tokenizer.decode(ids)
