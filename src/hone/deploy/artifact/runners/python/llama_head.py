"""The head of an encoder that llama.cpp has no place for."""

from __future__ import annotations

import array
import base64
import functools


class Model:
    @functools.cached_property
    def head(self):
        """Weights of each label, and the biases."""
        weight, bias = (array.array("f", base64.b64decode(self.hone["head"][one])) for one in ("weight", "bias"))
        width = len(weight) // len(bias)
        return [weight[at * width : (at + 1) * width] for at in range(len(bias))], bias

    def head_logits(self, state):
        """Logits of the labels behind a state."""
        labels = zip(*self.head, strict=True)
        return [sum(x * y for x, y in zip(weight, state, strict=True)) + bias for weight, bias in labels]
