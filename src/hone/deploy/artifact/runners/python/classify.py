"""One label of several."""

from __future__ import annotations

import math


class Model:
    def shares(self, ids):
        """The probability of each label."""
        logits = [float(one) / self.hone.get("temperature", 1) for one in self.label_logits(ids)]
        powers = [math.exp(one - max(logits)) for one in logits]
        return [one / sum(powers) for one in powers]

    def answer(self, ids):
        """The likeliest label."""
        shares = self.shares(ids)
        return self.hone["labels"][shares.index(max(shares))]
