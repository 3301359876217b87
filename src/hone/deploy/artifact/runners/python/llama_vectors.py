"""The vector of a text by an encoder in llama.cpp."""

from __future__ import annotations


class Model:
    def answer(self, ids):
        """The text's vector, pooled and of the length that the model gives it."""
        return self.rows(ids, 2 if self.hone["renderer"]["normalised"] else -1)[0]
