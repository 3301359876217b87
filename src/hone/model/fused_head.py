"""The output matrix and its cross entropy as one function that never holds all logits at once.

A few hundred rows of logits fit a core's cache; all of a batch do not. So rows are taken in pieces: logits, loss,
gradient of the logits in the same memory, and that gradient's two products, before the next piece. This is the idea of
fused linear cross entropy (P.-L. Hsu et al., "Liger Kernel", arXiv:2410.10989).

Shapes: ``N`` tokens, ``S`` supervised ones, ``H`` width, ``V`` vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hone.model.fused_sizes import piece_rows


def head_loss(
    hidden_NH: Tensor, weight_VH: Tensor, rows_S: Tensor, targets_S: Tensor, smoothing: float = 0.0
) -> Tensor:
    """() sum of the cross entropies of ``hidden[rows] @ weight.T`` against ``targets``, in nats.

    Args:
        hidden_NH: last hidden states.
        weight_VH: the output matrix, without a bias.
        rows_S: positions in ``hidden`` that predict something, each at most once.
        targets_S: the ids that they predict.
        smoothing: share of the target spread evenly over the vocabulary, as in torch's ``label_smoothing``.
    """
    differentiate = torch.is_grad_enabled()
    total: Tensor = _HeadLoss.apply(  # type: ignore[no-untyped-call]
        hidden_NH, weight_VH, rows_S, targets_S, smoothing, differentiate
    )
    return total


class _HeadLoss(torch.autograd.Function):
    """See :func:`head_loss`; gradients are made on the way forward, while a piece's logits are in the cache."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, rows: Tensor, targets: Tensor, smoothing: float, differentiate: bool
    ) -> Tensor:
        need_hidden, need_weight = (need and differentiate for need in ctx.needs_input_grad[:2])
        d_hidden = torch.zeros_like(hidden) if need_hidden else None
        d_weight = torch.zeros_like(weight) if need_weight else None
        total = hidden.new_zeros(())
        most = piece_rows(weight.size(0))
        for begin in range(0, len(rows), most):
            piece, answers = rows[begin : begin + most], targets[begin : begin + most]
            states = hidden.index_select(0, piece)
            logits = states @ weight.T
            total += _cross_entropy_in_place(logits, answers, smoothing, differentiate)
            if d_weight is not None:
                d_weight.addmm_(logits.T, states)
            if d_hidden is not None:
                d_hidden.index_copy_(0, piece, logits @ weight)
            del logits  # or the next piece's stand beside them
        ctx.save_for_backward(d_hidden, d_weight)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_total: Tensor) -> tuple[Tensor | None, ...]:
        scale = float(d_total)
        grads = tuple(None if grad is None else grad if scale == 1.0 else grad * scale for grad in ctx.saved_tensors)
        return *grads, None, None, None, None


def _cross_entropy_in_place(logits: Tensor, answers: Tensor, smoothing: float, differentiate: bool) -> Tensor:
    """Sum of the losses of a piece; the logits become their own gradient."""
    index = answers.unsqueeze(1)
    largest = logits.amax(1, keepdim=True)
    reached = logits.gather(1, index)
    spread = logits.mean(1, keepdim=True) if smoothing else None
    sums = logits.sub_(largest).exp_().sum(1, keepdim=True)
    loss = sums.log().add_(largest).sub_(reached, alpha=1.0 - smoothing)
    if spread is not None:
        loss.sub_(spread, alpha=smoothing)
    if differentiate:
        logits.div_(sums)
        if smoothing:
            logits.sub_(smoothing / logits.size(1))
        logits.scatter_add_(1, index, torch.full_like(reached, smoothing - 1.0))
    return loss.sum()
