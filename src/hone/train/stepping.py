"""One optimizer step: losses are summed over micro-batches and processes, and divided once.

With ``G`` the sum over all supervised tokens of the step, the gradient is that of ``total loss / G`` however the
rows were cut into micro-batches or dealt to processes (law 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hone.train.batches import Batch
from hone.train.objectives import Objective, TokenLoss

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class LossModule(nn.Module):
    """A model with its objective as one module, so that data-parallel wrappers see the whole forward pass."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, batch: Batch) -> TokenLoss:
        """The summed loss of a batch."""
        return self.objective.loss(self.model, batch)


@dataclass(frozen=True, slots=True)
class StepSums:
    """Sums over all processes of one step."""

    loss_total: float
    num_tokens: int
    """Supervised tokens."""
    computed_tokens: int
    """Tokens that went through the model, padding included."""
    stop: bool
    """Whether the first process asked to stop after this step."""


def accumulate_gradients(
    fabric: Fabric, module: nn.Module, batches: Sequence[Batch], *, stop: bool = False
) -> StepSums:
    """Add up the gradients of summed losses over micro-batches; the sums over all processes.

    Behind it ``param.grad`` holds the *mean over processes* of the summed gradient (that is what data-parallel
    wrappers leave); :func:`normalise` turns it into the gradient of the mean loss per token.
    """
    total: Tensor | None = None
    num_tokens = computed = 0
    for index, batch in enumerate(batches):
        last = index + 1 == len(batches)
        with fabric.no_backward_sync(module, enabled=not last and fabric.world_size > 1):
            loss = module(batch.to(fabric.device))
            fabric.backward(loss.total)
        detached = loss.total.detach()
        total = detached if total is None else total + detached
        num_tokens += int(loss.num_tokens)
        computed += batch.num_tokens
    assert total is not None, "a step has at least one micro-batch"
    if fabric.world_size == 1:
        return StepSums(float(total), num_tokens, computed, stop)
    # Float64 holds counts exactly up to 2^53.
    counts = torch.tensor([num_tokens, computed, stop], dtype=torch.float64, device=total.device)
    sums = fabric.all_reduce(torch.cat([total.double().reshape(1), counts]), reduce_op="sum")
    assert isinstance(sums, Tensor)
    loss_total, *others = sums.tolist()
    return StepSums(loss_total, int(others[0]), int(others[1]), others[2] > 0)


def normalise(params: Sequence[nn.Parameter], *, num_tokens: int, processes: int, clip_norm: float) -> float:
    """Divide the summed gradient by the tokens of the step and clip it; the norm before clipping.

    Division and clipping are one multiplication. A norm that is not finite leaves the gradient as it is.
    """
    grads = [param.grad for param in params if param.grad is not None]
    scale = processes / max(1, num_tokens)
    norm = float(torch.nn.utils.get_total_norm(grads, foreach=True)) * scale
    if norm - norm == 0.0:
        torch._foreach_mul_(grads, scale * min(1.0, clip_norm / (norm + 1e-6)))
    return norm
