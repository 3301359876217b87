"""Weight formats: bits, the row length they need, and the bounds that an artifact in them must keep.

Block formats are those of the GGUF specification: 32 weights and one 16-bit scale to a block, so that the
length of a row (its input dimension) must divide by 32. A row that does not is refused, never stored as
something else (llama.cpp's own converter substitutes silently, its issue 6614).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hone.errors import InputError, nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What an artifact may differ from its original, over positions of answers.

    The 8-bit and 4-bit figures are goals drawn from llama.cpp's published table (q8_0 on an 8B model: mean
    0.00136); 5 bits lie between them.
    """

    kld_mean: float
    """Largest mean Kullback-Leibler divergence per position, in nats."""
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
    """How matrices are stored. Vectors (norms) always stay F32."""

    name: str
    bits: float
    """Bits per weight, scales included."""
    block: int
    """Weights that share a scale; a row's length must divide by it."""
    bounds: Bounds


_EXACT = Bounds(kld_mean=1e-4, same_top=0.999, tie_nats=0.01, greedy=1.0, perplexity_ratio=1.001)
_HALF = Bounds(kld_mean=1e-3, same_top=0.995, tie_nats=0.05, greedy=1.0, perplexity_ratio=1.002)
_EIGHT = Bounds(kld_mean=0.002, same_top=0.99, tie_nats=0.1, greedy=0.95, perplexity_ratio=1.002)
_FIVE = Bounds(kld_mean=0.01, same_top=0.97, tie_nats=0.2, greedy=0.9, perplexity_ratio=1.01)
_FOUR = Bounds(kld_mean=0.03, same_top=0.95, tie_nats=0.3, greedy=0.8, perplexity_ratio=1.02)

FORMATS: dict[str, WeightFormat] = {
    one.name: one
    for one in (
        WeightFormat(name="f32", bits=32.0, block=1, bounds=_EXACT),
        WeightFormat(name="f16", bits=16.0, block=1, bounds=_HALF),
        WeightFormat(name="q8_0", bits=8.5, block=32, bounds=_EIGHT),
        WeightFormat(name="q5_0", bits=5.5, block=32, bounds=_FIVE),
        WeightFormat(name="q4_0", bits=4.5, block=32, bounds=_FOUR),
    )
}


def weight_format(name: str) -> WeightFormat:
    """One format by its name, in any case.

    Raises:
        InputError: for an unknown name, with the nearest known one.
    """
    found = FORMATS.get(name.lower())
    if found is None:
        raise InputError(f'weight format "{name}" is not known; {nearest(name.lower(), list(FORMATS))}')
    return found


def row_problems(shapes: Mapping[str, Sequence[int]], weights: WeightFormat) -> list[str]:
    """Sentences on matrices whose rows this format cannot store."""
    return [
        f"{name}: rows of {shape[-1]} weights do not divide by the {weights.block} of {weights.name}; "
        "use f16, or a width and a feed-forward width that do"
        for name, shape in shapes.items()
        if len(shape) == 2 and shape[-1] % weights.block
    ]


def stored_bytes(shapes: Mapping[str, Sequence[int]], weights: WeightFormat) -> int:
    """Bytes of all tensors in this format, without the metadata."""
    total = 0.0
    for shape in shapes.values():
        count = 1
        for size in shape:
            count *= size
        total += count * (weights.bits / 8 if len(shape) == 2 else 4)
    return int(total)


def formats_within(
    shapes: Mapping[str, Sequence[int]], size_mb: float | None, overhead_bytes: int = 0
) -> list[WeightFormat]:
    """Formats to try, best first: those that can store the model and are expected to keep the size budget.

    Q8_0 comes first because it is the smallest that costs next to nothing; without a size budget so too. Empty
    when nothing fits: then only a smaller model helps.
    """
    limit = float("inf") if size_mb is None else size_mb * 1e6
    usable = [one for one in FORMATS.values() if one.bits <= 16 and not row_problems(shapes, one)]
    order = sorted(usable, key=lambda one: (one.bits > 8.5, -one.bits if one.bits <= 8.5 else one.bits))
    return [one for one in order if stored_bytes(shapes, one) + overhead_bytes <= limit]


def next_smaller(name: str) -> WeightFormat | None:
    """The next format with fewer bits, or None after the smallest."""
    bits = weight_format(name).bits
    smaller = [one for one in FORMATS.values() if one.bits < bits]
    return max(smaller, key=lambda one: one.bits) if smaller else None
