"""Weight formats by runtime: bits, the row length they need, and the gates that an artifact in them must pass.

Block formats are those of the GGUF specification (32 or 256 weights to a block, fixed by each format) and of ONNX
Runtime's MatMulNBits (32, or a group of 16, 64 or 128 that the format's name says).
The length of a row (its input dimension) must divide by the block. A row that does not is refused, never stored as
something else (llama.cpp's own converter substitutes silently, its issue 6614).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.errors import InputError, nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What an artifact may differ from its original, over positions of answers."""

    kld_mean: float
    """Largest mean Kullback-Leibler divergence per position, in nats; the upper end of its 95 % interval decides."""
    same_top: float
    """Smallest share of positions with the same most likely token, ties counted as same."""
    tie_nats: float
    """Two tokens whose log-probabilities differ by less than this in the original are a tie."""
    greedy: float
    """Smallest share of prompts whose greedy answer is the same, or leaves it at a tie."""
    perplexity_ratio: float
    """Largest ratio of perplexities, artifact by original; broken when the low end of its interval is over it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightFormat:
    """How matrices are stored. Vectors (norms) always stay in 32 bits."""

    name: str
    runtime: str
    bits: float
    """Bits per weight, scales included. Of a mixture about what a large model has; :func:`stored_bytes` knows each."""
    block: int
    """Weights that share a scale or a super-block; a row's length must divide by it."""
    bounds: Bounds
    calibrated_bounds: Bounds | None = None
    """Gates where the weights were calibrated or trained for the format; None: the same."""

    def gates(self, calibrated: bool) -> Bounds:
        """The gates of an artifact in this format."""
        return self.calibrated_bounds if calibrated and self.calibrated_bounds is not None else self.bounds


@dataclass(frozen=True, kw_only=True, slots=True)
class Codes:
    """A matrix that lies on a symmetric grid already: value = scale * code, one scale to ``block`` weights of a row."""

    codes: NDArray[np.int8]
    """(rows, columns): -8 to 7 of 4 bits, -127 to 127 of 8."""
    scales: NDArray[np.float16]
    """(rows, columns / block)."""
    bits: int
    block: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What was decided about a model's matrices before they are written; keys are names of the model folder's tensors.

    A writer that cannot honour an entry refuses it.
    """

    kinds: Mapping[str, str] = field(default_factory=dict)
    """How this one matrix is stored (``q6_k``, ``int8``), instead of what the format says."""
    importance: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """(columns,) mean squares of a matrix's input over calibration rows: errors there weigh so much when rounding."""
    codes: Mapping[str, Codes] = field(default_factory=dict)
    """Matrices that were rounded already; they are packed as they are."""
    how: str = ""
    """How, for the certificate: "" (plain rounding), "importance", "gptq", "aware"."""
    rows: int = 0
    """Calibration rows that were read."""


_EXACT = Bounds(kld_mean=1e-6, same_top=1.0, tie_nats=0.001, greedy=1.0, perplexity_ratio=1.001)
_HALF = Bounds(kld_mean=1e-4, same_top=0.999, tie_nats=0.02, greedy=1.0, perplexity_ratio=1.002)
_EIGHT = Bounds(kld_mean=0.002, same_top=0.99, tie_nats=0.1, greedy=0.95, perplexity_ratio=1.002)
_SIX = Bounds(kld_mean=0.01, same_top=0.98, tie_nats=0.15, greedy=0.9, perplexity_ratio=1.01)
_FIVE = Bounds(kld_mean=0.02, same_top=0.97, tie_nats=0.2, greedy=0.9, perplexity_ratio=1.015)
_FOUR = Bounds(kld_mean=0.08, same_top=0.92, tie_nats=0.3, greedy=0.8, perplexity_ratio=1.05)
_FOUR_CALIBRATED = Bounds(kld_mean=0.03, same_top=0.95, tie_nats=0.3, greedy=0.8, perplexity_ratio=1.02)


def _gguf(name: str, bits: float, block: int, bounds: Bounds, calibrated: Bounds | None = None) -> WeightFormat:
    return WeightFormat(name=name, runtime="gguf", bits=bits, block=block, bounds=bounds, calibrated_bounds=calibrated)


def _onnx(name: str, bits: float, block: int, bounds: Bounds, calibrated: Bounds | None = None) -> WeightFormat:
    return WeightFormat(name=name, runtime="onnx", bits=bits, block=block, bounds=bounds, calibrated_bounds=calibrated)


GROUPS = (16, 32, 64, 128)
"""Weights that share a scale in an ONNX file: smaller groups lose less and take more bytes."""
USUAL_GROUP = 32
SCALE_BITS = 16


def int_kind(bits: int, group: int = USUAL_GROUP) -> str:
    """The name of a kind of ONNX: ``int4`` has the usual group, ``int4-g64`` one of 64."""
    return f"int{bits}" if group == USUAL_GROUP else f"int{bits}-g{group}"


def _int4(group: int) -> WeightFormat:
    return _onnx(int_kind(4, group), 4 + SCALE_BITS / group, group, _FOUR, _FOUR_CALIBRATED)


FORMATS: dict[str, WeightFormat] = {
    one.name: one
    for one in (
        _gguf("f32", 32.0, 1, _EXACT),
        _gguf("f16", 16.0, 1, _HALF),
        _gguf("q8_0", 8.5, 32, _EIGHT),
        _gguf("q6_k", 6.5625, 256, _SIX),
        _gguf("q5_k_m", 5.7, 256, _FIVE),
        _gguf("q5_0", 5.5, 32, _FIVE),
        _gguf("q4_k_m", 4.9, 256, _FOUR, _FOUR_CALIBRATED),
        _gguf("q4_0", 4.5, 32, _FOUR, _FOUR_CALIBRATED),
        _onnx("fp32", 32.0, 1, _EXACT),
        _onnx("fp16", 16.0, 1, _HALF),
        _onnx("int8", 8.5, 32, _EIGHT),
        *map(_int4, GROUPS),
    )
}


KEPT_IN_FLOATS = ("position_embeddings.weight", "token_type_embeddings.weight", "classifier.weight")
"""Matrices of encoders that no format rounds to blocks: small tables, and the last matrix of a head."""


def weight_format(name: str) -> WeightFormat:
    """One format by its name, in any case.

    Raises:
        InputError: for an unknown name, with the nearest known one.
    """
    found = FORMATS.get(name.lower())
    if found is None:
        raise InputError(f'weight format "{name}" is not known; {nearest(name.lower(), list(FORMATS))}')
    return found


SMALLER_BLOCKS = {
    "gguf": ((32, "q8_0 or q4_0 (blocks of 32)"), (1, "f16")),
    "onnx": ((32, "int8 or int4 (groups of 32)"), (16, "int4-g16"), (1, "fp16")),
}
"""By runtime: what to use where rows divide by so much and not by more."""


def row_problems(
    shapes: Mapping[str, Sequence[int]], weights: WeightFormat, prepared: Prepared | None = None
) -> list[str]:
    """Sentences on matrices whose rows do not divide by the block of the kind that they have in this format.

    One for each width and kind, which names the first matrix and counts the others: layers repeat them.
    """
    room = _room(weights)
    kinds = room.stored_kinds(shapes, weights.name, prepared or Prepared())
    found: dict[tuple[int, str], list[str]] = {}
    for name, shape in shapes.items():
        block = room.KIND_BLOCK.get(kinds[name], 1)
        if len(shape) == 2 and shape[-1] % block:
            found.setdefault((shape[-1], kinds[name]), []).append(name)
    problems = []
    for (width, kind), names in found.items():
        part = kind if kind == weights.name else f"{kind}, a part of {weights.name}"
        other = next(said for block, said in SMALLER_BLOCKS[weights.runtime] if width % block == 0)
        others = f" (nor do those of {len(names) - 1:,} more)" if len(names) > 1 else ""
        problems.append(
            f"{names[0]}: rows of {width} weights do not divide by the {room.KIND_BLOCK[kind]} of {part}{others}; use "
            f"{other}, or a width and a feed-forward width that do"
        )
    return problems


def stored_bytes(shapes: Mapping[str, Sequence[int]], weights: WeightFormat, prepared: Prepared | None = None) -> int:
    """Bytes of all tensors in this format, each as the kind that it has there, without the metadata."""
    room = _room(weights)
    kinds = room.stored_kinds(shapes, weights.name, prepared or Prepared())
    return int(sum(prod(shape) * room.KIND_BITS[kinds[name]] / 8 for name, shape in shapes.items()))


def kind_bits(weights: WeightFormat) -> Mapping[str, float]:
    """Bits per weight of every kind that the format's runtime stores a matrix in, scales included."""
    bits: Mapping[str, float] = _room(weights).KIND_BITS
    return bits


def kinds_of(shapes: Mapping[str, Sequence[int]], weights: WeightFormat, prepared: Prepared) -> dict[str, str]:
    """The kind that each tensor has in a file of this format."""
    kinds: dict[str, str] = _room(weights).stored_kinds(shapes, weights.name, prepared)
    return kinds


def _room(weights: WeightFormat) -> Any:
    """The module that knows what a runtime's formats store each tensor as."""
    return import_module(f"hone.deploy.{'gguf.mixtures' if weights.runtime == 'gguf' else 'onnx.kinds'}")


def formats_of(runtime: str) -> list[WeightFormat]:
    """The formats of one runtime, most bits first."""
    return sorted((one for one in FORMATS.values() if one.runtime == runtime), key=lambda one: -one.bits)


def formats_within(
    shapes: Mapping[str, Sequence[int]], size_mb: float | None, overhead_bytes: int = 0, runtime: str = "gguf"
) -> list[WeightFormat]:
    """Formats of a runtime to try, best first: those that can store the model and are expected to keep the size budget.

    Q8_0 comes first because it is the smallest that costs next to nothing; without a size budget so too. Empty
    when nothing fits: then only a smaller model helps.
    """
    limit = float("inf") if size_mb is None else size_mb * 1e6
    usable = [one for one in formats_of(runtime) if one.bits <= 16 and not row_problems(shapes, one)]
    order = sorted(usable, key=lambda one: (one.bits > 8.5, -one.bits if one.bits <= 8.5 else one.bits))
    return [one for one in order if stored_bytes(shapes, one) + overhead_bytes <= limit]


def next_smaller(name: str) -> WeightFormat | None:
    """The next format of the same runtime with fewer bits, or None after the smallest."""
    chosen = weight_format(name)
    smaller = [one for one in formats_of(chosen.runtime) if one.bits < chosen.bits]
    return max(smaller, key=lambda one: one.bits) if smaller else None
