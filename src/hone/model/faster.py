"""The decoder's last hidden states by a faster way on the CPU: the same weights, the same numbers to rounding.

To whose rounding: the norms of Transformers compute in float32 inside, in a float64 model too. So gradients in float64
are those of the plain way to 2e-6 of each tensor's largest entry, and not to float64's digits. Cut into other
micro-batches or processes, this way's own gradients hold to 1e-6 (law 2) as those of the plain way do.

Nothing of the model is replaced: its modules, state dict and saved folder stay those of the Transformers class. This
way reads the parameters out of the modules and computes with :mod:`hone.model.fused`. It also leaves out what nobody
reads: padding is dropped before the first layer; in the last one only the tokens that predict something go on; and
documents that share a row attend only to themselves by standing apart, not by a mask of T x T.

:func:`obstacle` says when the plain way has to be taken: another architecture, another device or precision, adapters,
hooks, dropout, recomputed activations, a compiler.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hone.model.fused import AttentionPlan, Group, attention_half, feed_forward_half, rms_norm
from hone.model.fused_sizes import MOST_WANTED

ARCHITECTURES = frozenset({"llama", "qwen3"})
KNOWN_CLASSES = (
    "torch.nn.",
    "transformers.activations",
    "transformers.models.llama.modeling_llama",
    "transformers.models.qwen3.modeling_qwen3",
)
"""Where the classes of a decoder's parts may come from."""
WASTE = 0.02
"""Share of padding from which a batch is computed without it: below, the moving costs more."""
FITS = 0.6
"""Documents attend side by side when the shortest has at least this share of the longest one's tokens."""


class Hidden(NamedTuple):
    """What :func:`hidden_states` gives."""

    states: Tensor
    """(N, H) last hidden states of the tokens that were computed on to the end."""
    row_of: Tensor | None
    """(B * T,) row in ``states`` of each position of the batch that has one; None where they are the same."""

    def rows(self, positions: Tensor) -> Tensor:
        """Rows in ``states`` of flat positions of the batch."""
        return positions if self.row_of is None else self.row_of.index_select(0, positions)


def obstacle(model: Any) -> str | None:
    """Why a model cannot be computed the faster way, as half a sentence; None when it can.

    It is asked before each forward pass, because hooks and adapters come and go. The whole walk is made once for a
    model; from then on it is only seen that nothing is different, in about a microsecond a layer.
    """
    if torch.compiler.is_compiling():
        return "the model is compiled"
    seen = _UNHINDERED.get(model)
    if seen is None and getattr(getattr(model, "config", None), "model_type", None) not in ARCHITECTURES:
        return "only Llama- and Qwen3-shaped decoders have it"
    weight = (model.get_input_embeddings() if seen is None else seen.embedding).weight
    if weight.device.type != "cpu":
        return f"it is for the CPU, and the model is on {weight.device}"
    if weight.dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled("cpu"):
        return "it computes in full precision only"
    if seen is not None and seen.is_as_it_was():
        return None
    return _walked(model)


def _walked(model: Any) -> str | None:
    """What stands in the way in the modules themselves; where nothing does, how they look is kept."""
    _UNHINDERED.pop(model, None)
    decoder, head = model.base_model, model.get_output_embeddings()
    if decoder.gradient_checkpointing:
        return "activations are recomputed"
    if not _is_bare(head) or any(map(_is_hooked, decoder.modules())):
        return "something looks into the model's modules, or its output layer is not a plain one"
    if not all(_layer_is_plain(layer, model.config) for layer in decoder.layers):
        return "a layer has adapters, biases, dropout or a sliding window"
    if not all(map(_is_known, decoder.modules())):
        return "a part of the model is of a class, or has a forward method, of somebody else's"
    if len({norm.variance_epsilon for norm in decoder.modules() if hasattr(norm, "variance_epsilon")}) > 1:
        return "its norms differ in their epsilon"
    if len({(layer.self_attn.scaling, layer.self_attn.head_dim) for layer in decoder.layers}) > 1:
        return "its layers differ in their attention"
    if not any(layer.self_attn.attention_dropout for layer in decoder.layers):
        _UNHINDERED[model] = _Look(model, decoder, head)
    return None


class _Look:
    """How an unhindered model looks: its modules, their classes and hooks, and the switches that matter."""

    def __init__(self, model: Any, decoder: Any, head: nn.Module) -> None:
        modules = [*decoder.modules(), head]
        self.embedding = decoder.embed_tokens
        self._parents = [module._modules for module in (model, *modules) if module._modules]
        self._children = self._children_now()
        self._modules, self._classes = modules, list(map(type, modules))
        self._hooks = [hooks for module in modules for hooks in _hooks_of(module)]
        self._switches = [(decoder.__dict__, "gradient_checkpointing"), (model.config.__dict__, "hidden_act")]
        for layer in decoder.layers:
            attention, own = layer.self_attn.__dict__, layer.__dict__
            self._switches += [(own, "gradient_checkpointing"), (attention, "attention_dropout")]
            self._switches += [(attention, name) for name in ("sliding_window", "is_causal", "scaling")]
        self._switches += [(module._parameters, "bias") for module in modules if type(module) is nn.Linear]
        self._switches += [(norm.__dict__, "variance_epsilon") for norm in modules if hasattr(norm, "variance_epsilon")]
        self._switches += [(module.__dict__, "forward") for module in modules]
        self._values = self._values_now()

    def is_as_it_was(self) -> bool:
        """Whether nothing is different."""
        return (
            not any(self._hooks)
            and self._children_now() == self._children
            and list(map(type, self._modules)) == self._classes
            and self._values_now() == self._values
        )

    def _children_now(self) -> list[nn.Module | None]:
        return list(chain.from_iterable([parent.values() for parent in self._parents]))

    def _values_now(self) -> list[Any]:
        return [values.get(name) for values, name in self._switches]


_UNHINDERED: WeakKeyDictionary[nn.Module, _Look] = WeakKeyDictionary()
"""Models without an obstacle, as they looked when that was found out."""


def _is_bare(linear: nn.Module) -> bool:
    return type(linear) is nn.Linear and getattr(linear, "bias", None) is None and not _is_hooked(linear)


def _is_known(module: nn.Module) -> bool:
    """Whether a module computes what its class in torch or Transformers does: another one's would be passed by."""
    return type(module).__module__.startswith(KNOWN_CLASSES) and "forward" not in vars(module)


def _is_hooked(module: nn.Module) -> bool:
    return any(_hooks_of(module))


def _hooks_of(module: nn.Module) -> tuple[Mapping[int, Any], ...]:
    return module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks


def _layer_is_plain(layer: Any, config: Any) -> bool:
    attention, mlp = layer.self_attn, layer.mlp
    linears = (
        attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj,
        mlp.gate_proj, mlp.up_proj, mlp.down_proj,
    )  # fmt: skip
    return (
        all(map(_is_bare, linears))
        and not layer.gradient_checkpointing
        and not (layer.training and attention.attention_dropout)
        and getattr(attention, "sliding_window", None) is None
        and attention.is_causal
        and config.hidden_act == "silu"
        and type(mlp.act_fn).__name__ in ("SiLUActivation", "SiLU")  # it may have been exchanged since
    )


def hidden_states(
    model: Any,
    ids_BT: Tensor,
    position_ids_BT: Tensor | None,
    lengths_B: Tensor,
    wanted_S: Tensor | None = None,
) -> Hidden:
    """The last hidden states of a decoder without an :func:`obstacle`.

    Args:
        model: a causal language model.
        ids_BT: token ids, padded on the right.
        position_ids_BT: positions that start again at 0 with each document of a row; None where a row is one.
        lengths_B: real tokens of each row.
        wanted_S: flat positions of the batch, each once, whose states alone will be asked for. Of the last layer the
            others need their keys and values only: with half of the tokens supervised, as in a voice request and its
            answer, a tenth of the arithmetic of four layers is left out.
    """
    decoder, config = model.base_model, model.config
    kept, groups, positions = _arrangement(ids_BT.shape, position_ids_BT, lengths_B)
    ids = ids_BT.flatten() if kept is None else ids_BT.flatten().index_select(0, kept)
    x = decoder.embed_tokens(ids)
    plan = _plan(decoder, config, x, positions, groups)
    row_of = None if kept is None else _inverse(kept, ids_BT.numel())
    going_on = None
    if wanted_S is not None and wanted_S.numel() < MOST_WANTED * len(x):
        going_on = wanted_S if row_of is None else row_of.index_select(0, wanted_S)
        row_of = _inverse(wanted_S, ids_BT.numel())
    for layer in decoder.layers[:-1]:
        x = feed_forward_half(attention_half(x, layer, plan), layer, plan.eps)
    last = decoder.layers[-1]
    x = feed_forward_half(attention_half(x, last, plan, going_on), last, plan.eps)
    return Hidden(rms_norm(x, decoder.norm, plan.eps), row_of)


def _inverse(positions: Tensor, size: int) -> Tensor:
    """(size,) where each position stands among ``positions``; 0 for those that do not."""
    return torch.zeros(size, dtype=torch.int64).index_copy_(0, positions, torch.arange(positions.numel()))


def slots(shape: torch.Size, position_ids_BT: Tensor | None, lengths_B: Tensor) -> int:
    """Tokens of a batch that go through the matrices in :func:`hidden_states`, what is left of padding included."""
    kept, _, _ = _arrangement(shape, position_ids_BT, lengths_B)
    return shape.numel() if kept is None else kept.numel()


def _plan(decoder: Any, config: Any, x: Tensor, positions: Tensor, groups: list[Group]) -> AttentionPlan:
    attention = decoder.layers[0].self_attn
    heads, kv_heads, width = config.num_attention_heads, config.num_key_value_heads, attention.head_dim
    cos, sin = decoder.rotary_emb(x, positions.unsqueeze(0))
    half = torch.complex(cos[0, :, : width // 2], sin[0, :, : width // 2])
    turn = half.unsqueeze(1).expand(-1, heads + kv_heads, -1).contiguous()
    pair = torch.arange(width).view(2, -1).T.flatten()
    return AttentionPlan(
        heads=heads,
        kv_heads=kv_heads,
        head_width=width,
        eps=decoder.norm.variance_epsilon,
        scale=attention.scaling,
        pairs=(torch.arange(heads + kv_heads).unsqueeze(1) * width + pair).flatten(),
        turn=turn,
        turn_back=turn.conj_physical(),
        groups=groups,
    )


def _arrangement(
    shape: torch.Size, position_ids: Tensor | None, lengths: Tensor
) -> tuple[Tensor | None, list[Group], Tensor]:
    """Which flat positions are computed on (None for all), the groups of documents, and each token's position.

    Where all rows are whole, positions are those of one row (T,), else those of each token (N,).
    """
    rows, width = shape
    real = int(lengths.sum())
    if position_ids is None and real >= (1.0 - WASTE) * rows * width:
        return None, [Group(rows, width, None, None)], torch.arange(width)
    in_row: NDArray[np.bool_] = np.arange(width) < lengths.numpy()[:, None]
    kept = np.flatnonzero(in_row)
    if position_ids is None:
        positions = np.broadcast_to(np.arange(width), (rows, width))[in_row]
    else:
        positions = position_ids.numpy()[in_row]
    groups = _groups(np.flatnonzero(positions == 0), len(kept))
    everything = real == rows * width
    return None if everything else torch.from_numpy(kept), groups, torch.from_numpy(positions)


def _groups(starts: NDArray[np.int64], tokens: int) -> list[Group]:
    """Documents of similar length together, so that few of the attention's places are empty."""
    sizes = np.diff(starts, append=tokens)
    order = np.argsort(-sizes, kind="stable")
    groups: list[Group] = []
    begin = 0
    while begin < len(order):
        longest = int(sizes[order[begin]])
        end = int(np.searchsorted(-sizes[order], -FITS * longest, side="right"))
        groups.append(_group(np.sort(order[begin:end]), starts, sizes, longest))
        begin = end
    if len(groups) == 1:
        return [groups[0]._replace(members=None)]
    return groups


def _group(documents: NDArray[np.int64], starts: NDArray[np.int64], sizes: NDArray[np.int64], length: int) -> Group:
    lengths = sizes[documents]
    before = np.cumsum(lengths) - lengths
    within = np.arange(lengths.sum()) - np.repeat(before, lengths)
    members = np.repeat(starts[documents], lengths) + within
    place = None if (lengths == length).all() else np.repeat(np.arange(len(documents)) * length, lengths) + within
    return Group(len(documents), length, torch.from_numpy(members), None if place is None else torch.from_numpy(place))
