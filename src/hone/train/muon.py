"""Muon: momentum whose matrices are made orthogonal before they are applied.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024),
https://kellerjordan.github.io/posts/muon/. The gradient's momentum M = U S V^T is replaced by about U V^T, so all
directions of a matrix move by the same amount, the rare ones too.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from hone.train.sharding import sharded_like, whole

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd quintic a*x + b*x^3 + c*x^5 that takes singular values in (0, 1] to about 0.7..1.2 in five steps."""
STEPS = 5

_Owned = tuple[Tensor, dict[str, Any]]
"""A parameter and the group that it is in."""


def orthogonalise(matrices_NRC: Tensor) -> Tensor:
    """The nearest orthogonal matrices, approximately, to a stack (N, rows, columns).

    Newton-Schulz iteration in the dtype given, on CUDA in bfloat16. Equal shapes go in one batched product: at a
    million parameters the number of calls costs more than the arithmetic.
    """
    tall = matrices_NRC.size(-2) > matrices_NRC.size(-1)
    x = matrices_NRC.mT if tall else matrices_NRC  # the Gram matrix is then the smaller one
    if x.is_cuda:
        x = x.bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    wide = x.size(-1) >= 2 * x.size(-2)
    # In half precision the products of Gram matrices alone lose the small singular values.
    x = _by_gram(x) if wide and x.dtype in (torch.float32, torch.float64) else _directly(x)
    return (x.mT if tall else x).to(matrices_NRC.dtype)


def _directly(x: Tensor) -> Tensor:
    """The steps on the matrices."""
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _by_gram(x: Tensor) -> Tensor:
    """The same steps on the Gram matrices, and one product with the matrices at the end.

    With ``q`` the polynomial of a step, x becomes ``q x`` and its Gram matrix ``q gram q = gram q q``: they commute.
    For matrices three times as wide as high that is 46 products of the small side where :func:`_directly` needs 70.
    """
    a, b, c = COEFFICIENTS
    gram = x @ x.mT
    whole_q: Tensor | None = None
    for step in range(STEPS):
        q = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        q.diagonal(dim1=-2, dim2=-1).add_(a)
        whole_q = q if whole_q is None else q @ whole_q
        if step + 1 < STEPS:
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
