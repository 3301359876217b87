"""An exponential average of the weights, evaluated and kept instead of the weights of the last step.

The decay warms up as ``min(decay, (1 + n) / (10 + n))`` after ``n`` updates, so the average forgets the random
start; it is the rule of TensorFlow's ExponentialMovingAverage.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


class Average:
    """Average of a model's trainable parameters.

    Args:
        model: the model whose weights are followed; it is never changed but inside :meth:`applied`.
        decay: share of the old average that an update keeps, below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._params = {name: param for name, param in model.named_parameters() if param.requires_grad}
        self._mean = {name: param.detach().clone() for name, param in self._params.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the current weights in."""
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self._mean.values()), list(self._params.values()), 1 - keep)
        self.updates += 1

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the model carries the average; behind it its own weights again, bit for bit."""
        own = {name: param.detach().clone() for name, param in self._params.items()}
        self._copy(self._mean)
        try:
            yield
        finally:
            self._copy(own)

    def tensors(self) -> dict[str, Tensor]:
        """The average under ``average/PARAMETER``."""
        return {f"average/{name}": value for name, value in self._mean.items()}

    def load(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Put back what :meth:`tensors` gave."""
        for name, value in self._mean.items():
            value.copy_(tensors[f"average/{name}"])
        self.updates = updates

    @torch.no_grad()
    def _copy(self, values: Mapping[str, Tensor]) -> None:
        for name, param in self._params.items():
            param.copy_(values[name])
