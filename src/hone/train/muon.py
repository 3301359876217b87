"""Muon: momentum whose matrices are made orthogonal before they are applied.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024),
https://kellerjordan.github.io/posts/muon/. The gradient's momentum M = U S V^T is replaced by about U V^T, so all
directions of a matrix move by the same amount, the rare ones too.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from hone.train.sharding import sharded_like, whole

Polynomial = tuple[float, float, float]
"""(a, b, c) of the odd quintic a*x + b*x^3 + c*x^5."""
LEVEL = 0.87
"""Around which singular values are left: the mean of the authors' five steps, so that rates stay what they are."""
REACHES: tuple[tuple[float, tuple[Polynomial, ...]], ...] = (
    (0.01, (
        (8.013236, -22.925757, 16.599415),
        (3.600580, -2.641875, 0.510505),
        (2.315331, -1.720124, 0.393776),
    )),
    (0.003, (
        (8.300667, -24.037544, 17.466134),
        (4.003387, -2.922840, 0.541871),
        (3.470862, -2.549404, 0.500204),
        (2.166401, -1.595819, 0.380046),
    )),
    (0.001, (
        (8.386464, -24.369650, 17.725117),
        (4.141420, -3.017275, 0.552427),
        (3.922631, -2.867185, 0.535652),
        (3.254046, -2.392233, 0.482733),
        (1.978162, -1.430855, 0.362086),
    )),
)  # fmt: skip
"""Polynomials by the smallest singular value that they bring to ``LEVEL``, within 28, 21 and 13 %.

Each is the best for the interval that the one before it leaves, the least largest error of all odd quintics (N. Amsel
et al., "The Polar Express", arXiv:2505.16932), where the authors' five steps are all the same: fewer do as much. As in
that paper all but the last expect values larger by 1 % than there are: rounding may lift one over the edge.
"""
PART_OF_MEAN = 8.0
"""Singular values down to this part of their root mean square are reached; what lies lower is mostly noise."""

_Owned = tuple[Tensor, dict[str, Any]]
"""A parameter and the group that it is in."""


def orthogonalise(matrices_NRC: Tensor) -> Tensor:
    """The nearest orthogonal matrices times ``LEVEL``, approximately, to a stack (N, rows, columns).

    Newton-Schulz iteration in the dtype given, on CUDA in bfloat16. The larger the matrices, the smaller their singular
    values beside the norm, and the more steps: 3 up to 156 rows or columns, whichever are fewer, 4 up to 1,736, then 5.
    Equal shapes go in one batched product: at a million parameters the number of calls costs more than the arithmetic.
    """
    tall = matrices_NRC.size(-2) > matrices_NRC.size(-1)
    x = matrices_NRC.mT if tall else matrices_NRC  # the Gram matrix is then the smaller one
    if x.is_cuda:
        x = x.bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    wide = x.size(-1) >= 2 * x.size(-2)
    # In half precision the products of Gram matrices alone lose the small singular values.
    polynomials = polynomials_for(x.size(-2))
    by_gram = wide and x.dtype in (torch.float32, torch.float64)
    x = _by_gram(x, polynomials) if by_gram else _directly(x, polynomials)
    return (x.mT if tall else x).to(matrices_NRC.dtype)


def polynomials_for(side: int) -> tuple[Polynomial, ...]:
    """The fewest steps that reach singular values of matrices of rank ``side`` (see ``PART_OF_MEAN``)."""
    lowest = 1.0 / (PART_OF_MEAN * side**0.5)
    return next((steps for reach, steps in REACHES if reach <= lowest), REACHES[-1][1])


def _directly(x: Tensor, polynomials: Sequence[Polynomial]) -> Tensor:
    """The steps on the matrices."""
    for a, b, c in polynomials:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _by_gram(x: Tensor, polynomials: Sequence[Polynomial]) -> Tensor:
    """The same steps on the Gram matrices, and one product with the matrices at the end.

    With ``q`` the polynomial of a step, x becomes ``q x`` and its Gram matrix ``q gram q = gram q q``: they commute.
    For matrices three times as wide as high three steps are 30 products of the small side where :func:`_directly`
    needs 42.
    """
    gram = x @ x.mT
    whole_q: Tensor | None = None
    for step, (a, b, c) in enumerate(polynomials):
        q = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        q.diagonal(dim1=-2, dim2=-1).add_(a)
        whole_q = q if whole_q is None else q @ whole_q
        if step + 1 < len(polynomials):
            gram = gram @ q @ q
    assert whole_q is not None
    return whole_q @ x


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum and decoupled weight decay, for matrices only.

    The update is ``learning_rate * max(1, rows / columns)^0.5 * orthogonalise(momentum)``. Parameters of one shape go
    together whatever group they are in, so rates by layer cost nothing.
    """

    def __init__(self, params: Iterable[Any], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        wrong = [tuple(p.shape) for group in self.param_groups for p in group["params"] if p.ndim != 2]
        if wrong:
            raise ValueError(f"Muon takes matrices; got {len(wrong)} parameters of other shapes, the first {wrong[0]}")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Apply one update to every parameter that has a gradient."""
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        by_shape: defaultdict[torch.Size, list[_Owned]] = defaultdict(list)
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    by_shape[param.shape].append((param, group))
        for pairs in by_shape.values():
            self._update(pairs)
        return result

    def _update(self, pairs: list[_Owned]) -> None:
        """One update of parameters of one shape, each with its group."""
        nesterov: list[Tensor] = []
        for params, group in _by_group(pairs):
            grads = [param.grad for param in params if param.grad is not None]
            moments = [self._momentum(param) for param in params]
            torch._foreach_lerp_(moments, grads, 1 - group["momentum"])
            nesterov += torch._foreach_lerp(grads, moments, group["momentum"])
        updates = list(orthogonalise(torch.stack([whole(moment) for moment in nesterov])).unbind(0))
        rows, columns = pairs[0][0].shape
        scale = max(1.0, rows / columns) ** 0.5
        for params, group in _by_group(pairs):
            own, updates = updates[: len(params)], updates[len(params) :]
            if group["weight_decay"]:
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            own = [sharded_like(update, param) for update, param in zip(own, params, strict=True)]
            torch._foreach_add_(params, own, alpha=-group["lr"] * scale)

    def _momentum(self, param: Tensor) -> Tensor:
        state = self.state[param]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(param)
        moment: Tensor = state["momentum"]
        return moment


def _by_group(pairs: list[_Owned]) -> list[tuple[list[Tensor], dict[str, Any]]]:
    """Neighbours of one group together."""
    return [
        ([param for param, _ in run], group)
        for run in (list(found) for _, found in itertools.groupby(pairs, key=lambda pair: id(pair[1])))
        for group in (run[0][1],)
    ]
