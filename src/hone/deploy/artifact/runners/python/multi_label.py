"""Any number of labels."""

from __future__ import annotations

import math


class Model:
    def shares(self, ids):
        """The probability of each label."""
        return [1 / (1 + math.exp(-float(one) / self.hone["temperature"])) for one in self.label_logits(ids)]

    def answer(self, ids):
        """The labels that are probable enough."""
        found = zip(self.hone["labels"], self.shares(ids), strict=True)
        return sorted(label for label, share in found if share >= self.hone["threshold"])
