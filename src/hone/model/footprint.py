"""What a model takes on a device, counted from its shapes: stored bytes, bytes read per token, cache, arithmetic.

Nothing is opened and nothing is measured here; :mod:`hone.model.machine_fit` makes megabytes and milliseconds of it.

Legend: L layers, h width, f feed-forward width, V vocabulary, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

from hone.model.encoders import EncoderShape
from hone.model.presets import Shape
from hone.model.sizes import LOOKUPS, Size, Tensors, count, size_of

if TYPE_CHECKING:
    from hone.model.weights import Use

MEGABYTE = 1e6
VECTOR_BITS = 32.0
"""Norms and biases stay in 32 bits in every format."""
CACHE_BYTES = 2
"""Of one value of the key-value cache, as llama.cpp keeps it (16 bits)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blueprint:
    """What predictions need to know of a model, decoder or encoder."""

    tensors: Tensors
    """Shape of each tensor by its name in a model folder, tied ones once."""
    layers: int
    hidden: int
    """Width of the residual stream."""
    ffn: int
    heads: int
    kv_heads: int
    head_size: int
    vocab: int
    context: int
    """Longest sequence in tokens."""
    tied: bool
    """Whether the output matrix is the embedding."""
    writes: bool = True
    """A decoder, which writes one token after another; an encoder reads a sequence once."""

    @property
    def parameters(self) -> int:
        """Exact number of parameters."""
        return count(self.tensors.values())

    @property
    def body_parameters(self) -> int:
        """Parameters outside embeddings and output matrix: what a model computes with."""
        outer = (shape for name, shape in self.tensors.items() if _is_outer(name))
        return self.parameters - count(outer)

    @property
    def matrices(self) -> dict[str, tuple[int, ...]]:
        """Tensors of two dimensions."""
        return {name: shape for name, shape in self.tensors.items() if len(shape) == 2}

    def with_context(self, context: int) -> Blueprint:
        """The same for another longest sequence."""
        return replace(self, context=context)


@cache
def _is_looked_up(name: str) -> bool:
    return bool(LOOKUPS.search(name))


def _is_outer(name: str) -> bool:
    return _is_looked_up(name) or name.endswith("lm_head.weight")


def blueprint(shape: Shape | EncoderShape, use: Use | None = None, labels: int = 0) -> Blueprint:
    """The blueprint of a shape; ``use`` and ``labels`` are those of an encoder's head."""
    decoder = isinstance(shape, Shape)
    size = size_of(shape, use or ("next-token" if decoder else "classify-sequence"), labels)
    return Blueprint(
        tensors=size.tensors,
        layers=shape.layers,
        hidden=shape.hidden,
        ffn=shape.ffn,
        heads=shape.heads,
        kv_heads=shape.kv_heads if isinstance(shape, Shape) else shape.heads,
        head_size=shape.hidden // shape.heads,
        vocab=shape.vocab,
        context=shape.context,
        tied=size.tied,
        writes=decoder,
    )


def blueprint_of_base(config: Mapping[str, Any], size: Size, context: int, *, writes: bool = True) -> Blueprint:
    """The blueprint of an opened base: its ``config.json``, and its tensors as :func:`hone.model.sizes.size_of` counts.

    Args:
        config: says heads of keys and values, and the size of a head where it is not ``hidden / heads``.
        size: of the base.
        context: longest sequence that the device asks for.
        writes: whether it is a decoder.
    """
    kv_heads = config.get("num_key_value_heads") or size.heads
    return Blueprint(
        tensors=size.tensors,
        layers=size.layers,
        hidden=size.hidden,
        ffn=size.ffn,
        heads=size.heads,
        kv_heads=int(kv_heads),
        head_size=int(config.get("head_dim") or size.hidden // size.heads),
        vocab=int(config.get("vocab_size") or size.outputs),
        context=context,
        tied=size.tied,
        writes=writes,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """One matrix as a file holds it."""

    name: str
    kind: str
    """How it is stored, such as ``q8_0``: kinds differ in speed and memory."""
    bits: float
    """Per weight, scales included."""
    values: int
    row: int
    """Weights in a row, which have to divide by ``block``."""
    block: int = 1
    is_read: bool = True
    """Whether each token reads all of it; of a matrix that is looked up a token reads a row."""

    @property
    def bytes(self) -> float:
        """Of the matrix in the file."""
        return self.values * self.bits / 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """A weight format as the room above describes it, and as the planner takes it."""

    name: str
    runtime: str
    bits: float
    """Of most matrices, for the order in which formats are tried."""
    cache_value_bytes: int = CACHE_BYTES
    """Of one value of the key-value cache."""
    layout: Callable[[Blueprint], tuple[Stored, ...]]
    """Every matrix that the file holds, a second copy of a tied one too."""


def uniform(name: str, runtime: str, bits: float, block: int, cache_value_bytes: int = CACHE_BYTES) -> Storage:
    """A format that stores every matrix in one kind, which is named like it."""

    def layout(model: Blueprint) -> tuple[Stored, ...]:
        return stored_as(model, lambda _: (name, bits, block))

    return Storage(name=name, runtime=runtime, bits=bits, cache_value_bytes=cache_value_bytes, layout=layout)


def stored_as(model: Blueprint, kind_of: Callable[[str], tuple[str, float, int]]) -> tuple[Stored, ...]:
    """Each matrix once, by what ``kind_of`` says of its name: kind, bits per weight, block."""
    found = []
    for name, shape in model.matrices.items():
        kind, bits, block = kind_of(name)
        looked_up = _is_looked_up(name) and not (model.writes and model.tied and "position" not in name)
        found.append(
            Stored(
                name=name,
                kind=kind,
                bits=bits,
                values=prod(shape),
                row=shape[-1],
                block=block,
                is_read=not looked_up,
            )
        )
    return tuple(found)


def refusal(stored: Iterable[Stored], weights: str = "") -> str | None:
    """Why matrices cannot be stored so, or None: rows must divide by their block (nothing falls back in silence).

    ``weights`` names the format, of which a matrix's kind may be a part.
    """
    for one in stored:
        if one.row % one.block:
            part = "" if weights in ("", one.kind) else f", a part of {weights}"
            return f"rows of {one.row} do not divide by the {one.block} of {one.kind}{part}"
    return None


def weight_bytes(model: Blueprint, stored: Iterable[Stored]) -> float:
    """Bytes of all tensors in the file: matrices in their kinds, vectors in 32 bits."""
    vectors = sum(prod(shape) for shape in model.tensors.values() if len(shape) != 2)
    return sum(one.bytes for one in stored) + vectors * VECTOR_BITS / 8


def cache_bytes(model: Blueprint, context: int | None = None, value_bytes: int = CACHE_BYTES) -> int:
    """Bytes of the key-value cache, ``2 * L * kv_heads * head_size * context * bytes``; 0 for an encoder."""
    if not model.writes:
        return 0
    tokens = model.context if context is None else context
    return 2 * model.layers * model.kv_heads * model.head_size * tokens * value_bytes


def activation_bytes_of(model: Blueprint, tokens: int) -> int:
    """Bytes of what one layer makes of ``tokens`` tokens in 32 bits, and the logits of one of them.

    Input and its norm, queries, keys and values, the attention's output, gate, up and their product:
    ``4 * (T * (4h + 2 kv + 3f) + heads * T * T + V)``.
    """
    kv_width = model.kv_heads * model.head_size
    per_token = 4 * model.hidden + 2 * kv_width + 3 * model.ffn + model.heads * tokens
    return 4 * (tokens * per_token + model.vocab)


def prompt_operations(model: Blueprint, stored: Iterable[Stored], tokens: int) -> dict[str, float]:
    """Floating-point operations of a pass over ``tokens`` tokens, by the kind of the matrices.

    2 per weight and token, of the output matrix for the last token alone; ``attention`` holds ``4 * L * h * T * T / 2``
    of a decoder's scores and sums, and all ``T * T`` of an encoder's.
    """
    found: dict[str, float] = {}
    for one in stored:
        if one.is_read:
            times = 1 if model.writes and _is_outer(one.name) else tokens
            found[one.kind] = found.get(one.kind, 0.0) + 2.0 * one.values * times
    pairs = tokens * tokens / 2 if model.writes else tokens * tokens
    found["attention"] = 4.0 * model.layers * model.heads * model.head_size * pairs
    return found


def read_bytes(stored: Iterable[Stored]) -> float:
    """Bytes of matrices that each generated token reads."""
    return sum(one.bytes for one in stored if one.is_read)


def rows_multiplied(stored: Iterable[Stored]) -> dict[str, float]:
    """Rows of the matrices that each generated token is multiplied by, by kind."""
    found: dict[str, float] = {}
    for one in stored:
        if one.is_read:
            found[one.kind] = found.get(one.kind, 0.0) + one.values / one.row
    return found


def multiplied(stored: Iterable[Stored]) -> dict[str, float]:
    """Weights that each generated token is multiplied by, by kind."""
    found: dict[str, float] = {}
    for one in stored:
        if one.is_read:
            found[one.kind] = found.get(one.kind, 0.0) + one.values
    return found
