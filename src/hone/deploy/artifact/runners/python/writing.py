"""Answers that are written, up to their end."""

from __future__ import annotations

from itertools import takewhile


class Model:
    def generate(self, ids, limit):
        """Ids of the answer, without its end."""
        room = min(limit or self.hone["context"], self.hone["context"] - len(ids))
        return list(takewhile(lambda one: one not in self.hone["stop_ids"], self.likeliest(ids, room)))

    def answer(self, ids):
        """The answer to a prompt's ids, in the task's terms."""
        return self.parse(self.generate(ids, (self.hone["renderer"] or {}).get("longest_answer")))
