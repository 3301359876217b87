"""A model from scratch that can copy before its first step: induction heads placed by hand.

Copying a name from the request into the answer needs two attention heads in series (Elhage et al. 2021, *A
Mathematical Framework for Transformer Circuits*; Olsson et al. 2022, *In-context Learning and Induction Heads*): one
that notes at each position which token came before it, and one that looks for the position whose noted token is the
current one and writes the token found there. Random weights find this circuit in one sudden drop of the loss,
early or late by luck; that luck decided how good a small model became. Here the circuit is there from the start, as
ordinary weights of an ordinary Llama- or Qwen3-shaped model, and training is free to keep, bend or drop it.

Layout, with h the normalised residual stream and R_d the rotation of rotary position embedding over distance d:

* every embedding has the same large value in coordinate 0, so that a head can ask for positions alone;
* layer 0, head 0 (previous token): query and key read coordinate 0 only and lie in the fastest-turning pairs, the
  query turned back by one position, so that their product is largest at distance 1. Its output writes
  ``A^T B h(previous)``, A and B random with orthonormal rows;
* layer 1, first heads (induction): query ``B h(current)``, key ``A h(there)``, both in the pairs that turn so slowly
  that content survives the distance; value and output ``C^T C h(there)``, the token found, in the residual stream
  where the tied output matrix reads it;
* all other output matrices start at zero, so that the embeddings are not drowned in noise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hone.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

CONSTANT = 4.0
"""Size of coordinate 0 of each embedding, in standard deviations of the others."""
FAST_PAIRS = 3
"""Fastest-turning pairs that the previous-token head uses."""
SLOW_ANGLE = 0.03
"""Largest angle per position, in radians, of pairs that carry content: about two radians over 64 tokens."""
POSITION_LOGIT = 20.0
"""Attention logit of the previous token; its neighbours have about a fifth less."""
MATCH_GAIN = 3.0
"""Factor on the product of query and key in induction heads; a match then has a logit of about 10."""
NOTE_GAIN = 1.5
"""How large the noted token stands in the residual stream, in standard deviations of an embedding."""
COPY_GAIN = 4.0
"""How large the token found is written, in the same unit."""
INDUCTION_HEADS = 2


def place_induction_heads(model: nn.Module, *, seed: int, std: float) -> None:
    """Write the circuit into a freshly initialised model, in place.

    Args:
        model: Llama- or Qwen3-shaped, with tied embeddings, at least 2 layers.
        seed: of the random directions.
        std: the standard deviation that the embeddings were drawn with.

    Raises:
        InputError: when the shape has no room for the circuit, with the numbers.
    """
    import torch

    config: Any = model.config
    room = _Room(config)
    generator = torch.Generator().manual_seed(seed + 1)
    layers: Any = model.get_submodule("model.layers")
    with torch.no_grad():
        for layer in layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.get_parameter("model.embed_tokens.weight")[:, 0] = std * CONSTANT
        read, note = (_directions(room.hidden, len(room.slow), generator) for _ in range(2))
        _previous_token_head(layers[0].self_attn, room, read, note, std)
        for head in range(min(INDUCTION_HEADS, room.kv_heads)):
            copy = _directions(room.hidden, room.width, generator)
            _induction_head(layers[1].self_attn, room, head, (read, note, copy), std)


def check_room(model: nn.Module) -> None:
    """Check that a model's shape has room for the circuit.

    Raises:
        InputError: with the numbers.
    """
    _Room(model.config)


class _Room:
    """Where in the heads of this shape the circuit goes."""

    def __init__(self, config: Any) -> None:
        self.hidden = int(config.hidden_size)
        self.kv_heads = int(config.num_key_value_heads)
        self.group = int(config.num_attention_heads) // self.kv_heads
        self.width = int(getattr(config, "head_dim", None) or self.hidden // int(config.num_attention_heads))
        self.normalised = config.model_type == "qwen3"
        half = self.width // 2
        theta = float(config.rope_parameters["rope_theta"])
        self.angles = [theta ** (-2 * pair / self.width) for pair in range(half)]
        self.fast = [(pair, pair + half) for pair in range(min(FAST_PAIRS, half))]
        slow = [pair for pair in range(half) if self.angles[pair] < SLOW_ANGLE]
        self.slow = slow + [pair + half for pair in slow]
        if int(config.num_hidden_layers) < 2 or len(self.slow) < 4:
            raise InputError(
                f"induction heads need 2 layers and 4 slowly turning coordinates; this shape has "
                f"{config.num_hidden_layers} layers and {len(self.slow)} (head width {self.width}, rope_theta "
                f"{theta:g}); use `initial: random`, a wider head or a larger rope_theta"
            )


def _directions(hidden: int, count: int, generator: Any) -> Tensor:
    """(count, hidden) random orthonormal rows that leave coordinate 0 out."""
    import torch

    square = torch.linalg.qr(torch.randn(hidden, hidden, generator=generator))[0]
    rows = square[:count].clone()
    rows[:, 0] = 0.0
    return torch.as_tensor(rows)


def _previous_token_head(attention: Any, room: _Room, read: Tensor, note: Tensor, std: float) -> None:
    query, key = attention.q_proj.weight[: room.width], attention.k_proj.weight[: room.width]
    query.mul_(0.02)
    key.mul_(0.02)
    # Logit = size^2 * pairs / sqrt(width) for Llama; Qwen3 sets the length of both by its own gains.
    size = math.sqrt(POSITION_LOGIT * math.sqrt(room.width) / len(room.fast)) / CONSTANT
    gain = math.sqrt(POSITION_LOGIT / math.sqrt(room.width))
    for pair, (first, second) in enumerate(room.fast):
        scale = 1.0 if room.normalised else size
        query[first, 0] = scale * math.cos(room.angles[pair])
        query[second, 0] = -scale * math.sin(room.angles[pair])
        key[first, 0], key[second, 0] = scale, 0.0
        if room.normalised:
            for norm in (attention.q_norm, attention.k_norm):
                norm.weight[[first, second]] = gain
    value = attention.v_proj.weight[: room.width]
    value.zero_()
    value[: len(read)] = read
    attention.o_proj.weight[:, : len(note)] = note.T * (NOTE_GAIN * std)


def _induction_head(attention: Any, room: _Room, head: int, ways: tuple[Tensor, Tensor, Tensor], std: float) -> None:
    read, note, copy = ways
    own = slice(head * room.group * room.width, head * room.group * room.width + room.width)
    shared = slice(head * room.width, (head + 1) * room.width)
    gain = math.sqrt(MATCH_GAIN)
    for matrix, rows, place in ((attention.q_proj, read, own), (attention.k_proj, note, shared)):
        part = matrix.weight[place]
        part.zero_()
        part[room.slow] = rows * (1.0 if room.normalised else gain)
    if room.normalised:
        # Normalised to length sqrt(width), a match reaches about sqrt(width) by itself: less gain is needed.
        attention.q_norm.weight.fill_(math.sqrt(gain * 1.15))
        attention.k_norm.weight.fill_(math.sqrt(gain * 1.15))
    attention.v_proj.weight[shared] = copy
    attention.o_proj.weight[:, own] = copy.T * (COPY_GAIN * std)
