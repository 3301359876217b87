"""One optimizer step: losses are summed over micro-batches and processes, and divided once.

With ``G`` the sum over all supervised tokens of the step, the gradient is that of ``total loss / G`` however the
rows were cut into micro-batches or dealt to processes (law 2). Sums stay on the device until the whole step has been
handed to it, and are read once: a GPU never waits for Python in the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from hone.train.batches import Batch
from hone.train.sharding import local, whole

if TYPE_CHECKING:
    from lightning_fabric import Fabric


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
    wish: int
    """The new end that the first process's horizon wishes for, or 0."""
    grad_norm: float
    """Norm of the whole gradient of the mean loss, before clipping."""


class Sums:
    """Sums of a step that still lie on the device.

    Attributes:
        values: (5,) loss, supervised tokens, computed tokens, stop, wish; over all processes.
    """

    def __init__(self, values: Tensor) -> None:
        self.values = values

    @property
    def num_tokens(self) -> Tensor:
        """() supervised tokens of the step, at least 1."""
        return self.values[1].clamp_min(1)

    def read(self, grad_norm: Tensor) -> StepSums:
        """The numbers themselves; waits for the device."""
        numbers = torch.cat([self.values, grad_norm.detach().to(self.values).reshape(1)]).tolist()
        loss_total, num_tokens, computed, stop, wish, norm = numbers
        return StepSums(loss_total, int(num_tokens), int(computed), stop > 0, int(wish), norm)


def accumulate_gradients(
    fabric: Fabric, module: nn.Module, batches: Sequence[Batch], *, stop: bool = False, wish: int = 0
) -> Sums:
    """Add up the gradients of summed losses over micro-batches; the sums over all processes.

    Behind it ``param.grad`` holds the *mean over processes* of the summed gradient (that is what data-parallel
    wrappers leave); :func:`normalise` turns it into the gradient of the mean loss per token.

    Args:
        fabric: the connected processes.
        module: ``batch -> TokenLoss``, as :class:`hone.train.trainable.Trainable` wraps it.
        batches: this process's micro-batches, at least one.
        stop: a wish of this process that all processes are to know behind the step.
        wish: the same, a number; the first process alone may give one.
    """
    total: Tensor | None = None
    num_tokens: Tensor | None = None
    for index, batch in enumerate(batches):
        last = index + 1 == len(batches)
        with fabric.no_backward_sync(module, enabled=not last and fabric.world_size > 1):
            loss = module(batch.to(fabric.device))
            fabric.backward(loss.total)
        detached = loss.total.detach()
        total = detached if total is None else total + detached
        num_tokens = loss.num_tokens if num_tokens is None else num_tokens + loss.num_tokens
    assert total is not None, "a step has at least one micro-batch"
    assert num_tokens is not None
    # Float64 holds counts exactly up to 2^53; Apple's GPU has float32 alone, exact up to 2^24.
    kind = torch.float32 if total.device.type == "mps" else torch.float64
    computed = sum(batch.num_tokens for batch in batches)
    counts = torch.tensor([computed, stop, wish], dtype=kind, device=total.device)
    values = torch.cat([total.reshape(1).to(kind), num_tokens.reshape(1).to(counts), counts])
    if fabric.world_size > 1:
        values = cast(Tensor, fabric.all_reduce(values, reduce_op="sum"))
    return Sums(values)


def normalise(params: Sequence[nn.Parameter], *, num_tokens: Tensor, processes: int, clip_norm: float) -> Tensor:
    """Divide the summed gradient by the tokens of the step and clip it; () the norm before clipping.

    Division and clipping are one multiplication. A norm that is not finite leaves the gradient as it is.
    """
    grads = [param.grad for param in params if param.grad is not None]
    total_norm = whole(torch.nn.utils.get_total_norm(grads, foreach=True))
    scale = processes / num_tokens.to(total_norm.device)
    norm = total_norm * scale
    factor = scale * (clip_norm / (norm + 1e-6)).clamp_max(1.0)
    factor = torch.where(norm.isfinite(), factor, torch.ones_like(factor))
    torch._foreach_mul_([local(grad) for grad in grads], factor.to(grads[0].dtype))
    return norm
