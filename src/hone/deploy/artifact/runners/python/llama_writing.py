"""Answers that a decoder writes in llama.cpp."""

from __future__ import annotations


class Model:
    def likeliest(self, ids, limit):
        """Ids of the likeliest continuation."""
        return self.complete(ids, n_predict=limit, return_tokens=True)["tokens"]
