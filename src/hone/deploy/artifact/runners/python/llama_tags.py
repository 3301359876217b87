"""Tags of each id by its state."""

from __future__ import annotations


class Model:
    def label_logits(self, ids):
        """For each id the logits of its tags."""
        return [self.head_logits(state) for state in self.rows(ids)]
