"""The head of an encoder that llama.cpp has no place for."""

from __future__ import annotations

import array
import base64
import functools
from operator import mul


class Model:
    @functools.cached_property
    def head(self):
        """Weights of each label, and the biases."""
        weight, bias = (array.array("f", base64.b64decode(self.hone["head"][one])) for one in ("weight", "bias"))
        width = len(weight) // len(bias)
        return [weight[at * width : (at + 1) * width] for at in range(len(bias))], bias

    def head_logits(self, state):
        """Logits of the labels behind a state."""
        return [sum(map(mul, weight, state)) + bias for weight, bias in zip(*self.head, strict=True)]
