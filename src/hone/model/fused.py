"""Two halves of a decoder layer as one differentiable function each: attention, and the gated feed-forward.

Written out by hand, forward and backward, from the formulas of the architecture (A. Vaswani et al., arXiv:1706.03762;
B. Zhang, R. Sennrich, arXiv:1910.07467 for the norm; J. Su et al., arXiv:2104.09864 for the rotation; N. Shazeer,
arXiv:2002.05202 for the gate). On a CPU a small model spends more time between its matrix products than in them: in
dozens of small operations, in the memory that each of them takes, and in the records that differentiation keeps. Here
queries, keys and values are one product, gate and up are one, a residual is added inside the product before it, and
what the backward pass can cheaply make again is not kept.

Shapes: ``N`` tokens of the batch in one row, ``H`` width of the residual stream, ``A`` heads, ``K`` heads of keys and
values, ``D`` width of a head, ``F`` width of the feed-forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_ATTEND = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_ATTEND_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class Group(NamedTuple):
    """Documents that attend side by side in one rectangle (documents, length), shorter ones padded on the right.

    Attention is causal, so no token sees the padding behind its document.
    """

    documents: int
    length: int
    members: Tensor | None
    """(M,) the tokens of these documents among all N; None for all of them in order."""
    place: Tensor | None
    """(M,) where each of them stands in the rectangle; None where it has no padding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionPlan:
    """What every layer's attention of one forward pass shares."""

    heads: int
    kv_heads: int
    head_width: int
    eps: float
    scale: float
    """Of the products of queries and keys."""
    pairs: Tensor
    """((A + K) * D,) rows of the query and key matrices such that the two numbers of a rotated pair are neighbours."""
    turn: Tensor
    """(T or N, A + K, D / 2) complex: how each pair is turned. Products of queries and keys don't see their order."""
    turn_back: Tensor
    """Its conjugate."""
    groups: Sequence[Group]


def attention_half(x_NH: Tensor, layer: Any, plan: AttentionPlan, going_on_S: Tensor | None = None) -> Tensor:
    """``x + attention(norm(x))`` of a Llama- or Qwen3-shaped layer, (N, H).

    With ``going_on`` the rows of these tokens alone, (S, H): the others give their keys and values, and end here.
    """
    attention = layer.self_attn
    q_norm, k_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
    out: Tensor = _AttentionHalf.apply(  # type: ignore[no-untyped-call]
        x_NH,
        layer.input_layernorm.weight,
        attention.q_proj.weight,
        attention.k_proj.weight,
        attention.v_proj.weight,
        attention.o_proj.weight,
        None if q_norm is None else q_norm.weight,
        None if k_norm is None else k_norm.weight,
        plan,
        going_on_S,
    )
    return out


def feed_forward_half(x_NH: Tensor, layer: Any, eps: float) -> Tensor:
    """``x + down(silu(gate(norm(x))) * up(norm(x)))``, (N, H)."""
    mlp = layer.mlp
    out: Tensor = _FeedForwardHalf.apply(  # type: ignore[no-untyped-call]
        x_NH,
        layer.post_attention_layernorm.weight,
        mlp.gate_proj.weight,
        mlp.up_proj.weight,
        mlp.down_proj.weight,
        eps,
    )
    return out


def rms_norm(x_NH: Tensor, norm: Any, eps: float) -> Tensor:
    """The last norm of a decoder, (N, H)."""
    out: Tensor = _RootMeanSquareNorm.apply(x_NH, norm.weight, eps)  # type: ignore[no-untyped-call]
    return out


class _RootMeanSquareNorm(torch.autograd.Function):
    """``x / sqrt(mean(x^2) + eps) * gain``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, eps: float) -> Tensor:
        rstd = _rstd(x, eps)
        ctx.save_for_backward(x, gain, rstd)
        return (x * rstd).mul_(gain)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, rstd = ctx.saved_tensors
        dx, dgain = _norm_backward(dy.clone(), x * rstd, gain)
        return dx.mul_(rstd), dgain, None


class _AttentionHalf(torch.autograd.Function):
    """See :func:`attention_half`."""

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917  (the tensors of one layer)
        ctx: Any,
        x: Tensor,
        gain: Tensor,
        wq: Tensor,
        wk: Tensor,
        wv: Tensor,
        wo: Tensor,
        q_gain: Tensor | None,
        k_gain: Tensor | None,
        plan: AttentionPlan,
        going_on: Tensor | None,
    ) -> Tensor:
        rstd = _rstd(x, plan.eps)
        weight = _paired_weight(wq, wk, wv, plan)
        qkv = (x * rstd).mul_(gain) @ weight.T
        qk, v = _split(qkv, plan)
        head_rstd = head_gain = None
        if q_gain is not None and k_gain is not None:
            head_rstd, head_gain = _rstd(qk, plan.eps), _head_gains(q_gain, k_gain, plan)
            qk = qk * head_rstd
        turned = _turn(qk if head_gain is None else qk * head_gain, plan.turn)
        attended, kept = _attend(turned, v, plan)
        residual = x
        if going_on is not None:
            residual, attended = x.index_select(0, going_on), attended.index_select(0, going_on)
        ctx.save_for_backward(
            x, gain, wq, wk, wv, wo, rstd, attended,
            head_rstd, head_gain, None if head_gain is None else qk, going_on, *kept,
        )  # fmt: skip
        ctx.plan = plan
        return torch.addmm(residual, attended, wo.T)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        plan: AttentionPlan = ctx.plan
        x, gain, wq, wk, wv, wo, rstd, attended, head_rstd, head_gain, qk, going_on, *kept = ctx.saved_tensors
        dwo = dy.T @ attended if ctx.needs_input_grad[5] else None
        d_attended = dy @ wo
        if going_on is not None:
            dy, d_attended = (t.new_zeros(len(x), t.size(1)).index_copy_(0, going_on, t) for t in (dy, d_attended))
        dqkv = _attend_backward(d_attended, kept, plan)
        dq_gain = dk_gain = None
        if head_gain is not None:
            dq_gain, dk_gain = _head_norm_backward(_split(dqkv, plan)[0], qk, head_gain, head_rstd, plan)
        xhat = x * rstd
        dwq = dwk = dwv = None
        if any(ctx.needs_input_grad[2:5]):
            dwq, dwk, dwv = _unpaired_weight(dqkv.T @ (xhat * gain), plan)
        weight = _paired_weight(wq, wk, wv, plan)
        dx, dgain = _norm_backward(dqkv @ weight, xhat, gain)
        return torch.addcmul(dy, dx, rstd), dgain, dwq, dwk, dwv, dwo, dq_gain, dk_gain, None, None


class _FeedForwardHalf(torch.autograd.Function):
    """See :func:`feed_forward_half`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, w_gate: Tensor, w_up: Tensor, w_down: Tensor, eps: float) -> Tensor:
        rstd = _rstd(x, eps)
        both = (x * rstd).mul_(gain) @ torch.cat((w_gate, w_up)).T
        gate, up = both.chunk(2, dim=1)
        ctx.save_for_backward(x, gain, w_gate, w_up, w_down, rstd, both)
        return torch.addmm(x, torch.nn.functional.silu(gate).mul_(up), w_down.T)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, w_gate, w_up, w_down, rstd, both = ctx.saved_tensors
        gate, up = both.chunk(2, dim=1)
        through = torch.nn.functional.silu(gate)
        d_inner = dy @ w_down
        dw_down = dy.T @ (through * up) if ctx.needs_input_grad[4] else None
        dboth = torch.empty_like(both)
        dgate, dup = dboth.chunk(2, dim=1)
        torch.mul(d_inner, through, out=dup)
        torch.ops.aten.silu_backward.grad_input(d_inner.mul_(up), gate, grad_input=dgate)
        xhat = x * rstd
        dw_gate = dw_up = None
        if any(ctx.needs_input_grad[2:4]):
            dw_gate, dw_up = (dboth.T @ (xhat * gain)).chunk(2)
        dx, dgain = _norm_backward(dboth @ torch.cat((w_gate, w_up)), xhat, gain)
        return torch.addcmul(dy, dx, rstd), dgain, dw_gate, dw_up, dw_down, None


def _rstd(x: Tensor, eps: float) -> Tensor:
    """One over the root mean square of the last dimension, kept as a dimension of one."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    rstd: Tensor = norm.square_().mul_(1.0 / x.size(-1)).add_(eps).rsqrt_()
    return rstd


def _norm_backward(dh: Tensor, xhat: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of a norm: that of its input, still to be multiplied by rstd, made in ``dh``; and that of its gain."""
    weighted = dh * xhat
    inner = (weighted @ gain).mul_(1.0 / gain.numel()).unsqueeze(-1)
    return dh.mul_(gain).addcmul_(xhat, inner, value=-1.0), weighted.sum(0)


def _head_norm_backward(
    dqk: Tensor, qk: Tensor, head_gain: Tensor, head_rstd: Tensor, plan: AttentionPlan
) -> tuple[Tensor, Tensor]:
    """Turn the gradient of normalised queries and keys (N, A + K, D) into that of plain ones; those of both gains."""
    weighted = dqk * qk
    dgain = weighted.sum(0)
    inner = weighted.mul_(head_gain).sum(-1, keepdim=True).mul_(1.0 / plan.head_width)
    dqk.mul_(head_gain).addcmul_(qk, inner, value=-1.0).mul_(head_rstd)
    back = torch.argsort(plan.pairs[: plan.head_width])
    return dgain[: plan.heads].sum(0)[back], dgain[plan.heads :].sum(0)[back]


def _head_gains(q_gain: Tensor, k_gain: Tensor, plan: AttentionPlan) -> Tensor:
    """(A + K, D) the gain of each head, in the order of pairs."""
    order = plan.pairs[: plan.head_width]
    return torch.cat(
        (q_gain[order].expand(plan.heads, plan.head_width), k_gain[order].expand(plan.kv_heads, plan.head_width))
    )


def _paired_weight(wq: Tensor, wk: Tensor, wv: Tensor, plan: AttentionPlan) -> Tensor:
    """Queries, keys and values as one matrix ((A + 2K) * D, H), rotated pairs side by side."""
    return torch.cat((torch.cat((wq, wk)).index_select(0, plan.pairs), wv))


def _unpaired_weight(dw: Tensor, plan: AttentionPlan) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the three matrices from that of :func:`_paired_weight`."""
    turned = plan.pairs.numel()
    dqk = torch.empty_like(dw[:turned]).index_copy_(0, plan.pairs, dw[:turned])
    edge = plan.heads * plan.head_width
    return dqk[:edge], dqk[edge:], dw[turned:]


def _split(qkv: Tensor, plan: AttentionPlan) -> tuple[Tensor, Tensor]:
    """Views (N, A + K, D) of queries and keys and (N, K, D) of values."""
    heads = qkv.view(len(qkv), -1, plan.head_width)
    edge = plan.heads + plan.kv_heads
    return heads[:, :edge], heads[:, edge:]


def _turn(qk: Tensor, turn: Tensor) -> Tensor:
    """Rotate the pairs of (N, A + K, D); a new tensor of the same shape."""
    pairs = torch.view_as_complex(qk.view(-1, *turn.shape, 2))
    turned: Tensor = torch.view_as_real(pairs * turn)
    return turned.view(qk.shape)


def _attend(turned: Tensor, v: Tensor, plan: AttentionPlan) -> tuple[Tensor, list[Tensor]]:
    """Causal attention in each document: (N, A * D), and what the backward pass needs."""
    out = None if len(plan.groups) == 1 else turned.new_empty(turned.size(0), plan.heads * plan.head_width)
    kept: list[Tensor] = []
    for group in plan.groups:
        q, k = _rectangle(turned[:, : plan.heads], group), _rectangle(turned[:, plan.heads :], group)
        values = _rectangle(v, group)
        if plan.kv_heads != plan.heads:
            k, values = (t.repeat_interleave(plan.heads // plan.kv_heads, dim=1) for t in (k, values))
        attended, logsumexp = _ATTEND(q, k, values, 0.0, True, scale=plan.scale)
        kept += [q, k, values, attended, logsumexp]
        tokens = _row(attended, group).flatten(1)
        if out is None:
            return tokens, kept
        assert group.members is not None
        out.index_copy_(0, group.members, tokens)
    assert out is not None
    return out, kept


def _attend_backward(d_attended: Tensor, kept: Sequence[Tensor], plan: AttentionPlan) -> Tensor:
    """(N, (A + 2K) * D) gradient of queries, keys (before their rotation) and values."""
    heads = d_attended.view(-1, plan.heads, plan.head_width)
    dqkv = heads.new_empty(heads.size(0), plan.heads + 2 * plan.kv_heads, plan.head_width)
    for index, group in enumerate(plan.groups):
        q, k, v, attended, logsumexp = kept[5 * index : 5 * index + 5]
        d_out = _rectangle(heads, group)
        dq, dk, dv = _ATTEND_BACKWARD(d_out, q, k, v, attended, logsumexp, 0.0, True, scale=plan.scale)
        if plan.kv_heads != plan.heads:
            dk, dv = (t.view(len(t), plan.kv_heads, -1, *t.shape[2:]).sum(2) for t in (dk, dv))
        begin = 0
        for part in (dq, dk, dv):
            tokens, end = _row(part, group), begin + part.size(1)
            if group.members is None:
                dqkv[:, begin:end] = tokens
            else:
                dqkv[:, begin:end].index_copy_(0, group.members, tokens)
            begin = end
    turned = dqkv[:, : plan.heads + plan.kv_heads]
    torch.view_as_complex(turned.view(-1, *plan.turn_back.shape, 2)).mul_(plan.turn_back)
    return dqkv.flatten(1)


def _rectangle(tokens: Tensor, group: Group) -> Tensor:
    """(documents, heads, length, D) from tokens (N, heads, D); zeros where a document is over."""
    if group.members is not None:
        tokens = tokens.index_select(0, group.members)
    if group.place is not None:
        padded = tokens.new_zeros(group.documents * group.length, *tokens.shape[1:])
        tokens = padded.index_copy_(0, group.place, tokens)
    return tokens.view(group.documents, group.length, *tokens.shape[1:]).transpose(1, 2)


def _row(rectangle: Tensor, group: Group) -> Tensor:
    """Back from a rectangle to its tokens (M, heads, D)."""
    tokens = rectangle.transpose(1, 2).flatten(0, 1)
    return tokens if group.place is None else tokens.index_select(0, group.place)
