"""Answers that a decoder writes in ONNX Runtime."""

from __future__ import annotations


class Model:
    def likeliest(self, ids, limit):
        """Ids of the likeliest continuation, one at a time."""
        seen, cache = 0, None
        for _ in range(limit):
            logits, cache = self.logits(ids, seen, cache)
            seen, ids = seen + len(ids), [int(logits.argmax())]
            yield ids[0]
