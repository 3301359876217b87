"""Weights that a model computes with, beside those that are trained.

Quantization-aware training is the case in point: every matrix is rounded, the gradient is taken at the rounded values
and applied to the values they were rounded from (a straight-through estimator: Y. Bengio et al., arXiv:1308.3432;
M. Courbariaux et al., "BinaryConnect", arXiv:1511.00363). Here the parameters themselves carry what the model computes
with, from the first forward pass to the last evaluation, and the trained values lie beside them but for the moment of
an update. So every forward pass stays what it is, the fused one too, and names, states and folders stay the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn


class Transform(Protocol):
    """What is made of trained values before a model computes with them."""

    @property
    def params(self) -> Sequence[nn.Parameter]:
        """The parameters whose values it changes."""
        ...

    def apply(self) -> None:
        """Change them in place, the same way on every call; what was changed already stays as it is."""
        ...


MakeTransform = Callable[[nn.Module], Transform]
"""The transform of a model; it is asked once the model lies on its device and in its shards."""


class Underneath:
    """The trained values of a transform's parameters, which carry transformed ones from here on."""

    def __init__(self, transform: Transform) -> None:
        self._transform = transform
        self._trained = [param.detach().clone() for param in transform.params]
        with torch.no_grad():
            transform.apply()

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Inside the block the parameters carry their trained values, which may change there."""
        params = list(self._transform.params)
        self._copy(self._trained, params)
        try:
            yield
        finally:
            self._copy(params, self._trained)
            self.transform_again()

    @torch.no_grad()
    def transform_again(self) -> None:
        """Transform what the parameters carry now."""
        self._transform.apply()

    def tensors(self) -> list[Tensor]:
        """The trained values."""
        return list(self._trained)

    @staticmethod
    @torch.no_grad()
    def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        for source, target in zip(sources, targets, strict=True):
            target.copy_(source)
