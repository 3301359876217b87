"""Precision by layer: each matrix in the format that its divergence is worth, within a budget of bytes.

How much a matrix matters is measured: the divergence of the model when that one alone is rounded. These add up well
enough while they are small, so the best mixture is a knapsack with several kinds to choose from for each matrix, and
it is solved exactly. Imports torch inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from hone.deploy.quantization.calibration import batches_of, places
from hone.deploy.quantization.grids import GRIDS, grid_of, searched, values_of
from hone.deploy.quantization.offered import divergence, original_logits
from hone.deploy.quantization.sequence import matrix_of
from hone.deploy.weights import GROUPS, int_kind, weight_format
from hone.errors import InputError
from hone.task.render import Example

if TYPE_CHECKING:
    from torch import nn

LADDERS = {
    "q4_0": ("q4_0", "q8_0", "f16"),
    "q8_0": ("q8_0", "f16"),
    **{int_kind(4, group): (int_kind(4, group), "int8", "fp16") for group in GROUPS},
    "int8": ("int8", "fp16"),
}
"""Kinds that a matrix may have in a file of a format: that format's own and larger ones."""
PROBED_ROWS = 64
"""Rows that the divergence of each matrix is measured on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One kind of one matrix."""

    kind: str
    size_bytes: int
    cost: float
    """Divergence, in nats."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """What each matrix is stored as."""

    kinds: Mapping[str, str]
    size_bytes: int
    """Of the matrices."""
    cost: float
    """Sum of the single divergences, in nats."""


def best_mixture(choices: Mapping[str, Sequence[Choice]], budget_bytes: int) -> Mixture:
    """The mixture of least cost whose matrices take at most so many bytes; of equal cost the smallest.

    Exact: of the partial mixtures only those are taken further that no other one beats in both bytes and cost. Matrices
    of a few shapes give few different sums, so there are few of them.

    Raises:
        InputError: when even the smallest kinds are over the budget.
    """
    least = sum(min(one.size_bytes for one in kinds) for kinds in choices.values())
    if least > budget_bytes:
        raise InputError(
            f"the matrices take {least:,} bytes at least, and {budget_bytes:,} are left for them; "
            "a smaller model or another format is needed"
        )
    front: list[tuple[int, float, tuple[str, ...]]] = [(0, 0.0, ())]
    left = least
    for kinds in choices.values():
        left -= min(one.size_bytes for one in kinds)
        grown = sorted(
            (size + one.size_bytes, cost + one.cost, (*taken, one.kind))
            for size, cost, taken in front
            for one in kinds
            if size + one.size_bytes + left <= budget_bytes
        )
        front = []
        for size, cost, taken in grown:
            if not front or cost < front[-1][1]:
                front.append((size, cost, taken))
    size, cost, taken = front[-1]
    return Mixture(kinds=dict(zip(choices, taken, strict=True)), size_bytes=size, cost=cost)


def mixed_kinds(
    module: nn.Module, weights: str, calibration: Sequence[Example], budget_bytes: int
) -> tuple[Mixture, dict[str, dict[str, float]]]:
    """The best mixture for a model within so many bytes of matrices, and the divergence of each matrix by kind.

    Args:
        module: the model in floats.
        weights: the format of the file; a matrix takes this or a larger kind.
        calibration: rendered training rows.
        budget_bytes: for the matrices alone; vectors, tokenizer and metadata come on top.

    Raises:
        InputError: for a format without larger kinds, or a budget that even this format breaks.
    """
    if weights not in LADDERS:
        raise InputError(f"weights {weights} are not mixed by layer; these are: {', '.join(sorted(LADDERS))}")
    found = sensitivities(module, LADDERS[weights], calibration)
    choices = {
        name: [
            Choice(kind=kind, size_bytes=matrix_bytes(module.get_parameter(name).shape, kind), cost=cost)
            for kind, cost in by_kind.items()
        ]
        for name, by_kind in found.items()
    }
    return best_mixture(choices, budget_bytes), found


def sensitivities(
    module: nn.Module, kinds: Sequence[str], calibration: Sequence[Example]
) -> dict[str, dict[str, float]]:
    """Divergence of the model in nats when one matrix alone is stored in a kind, by matrix and kind; 0 for floats."""
    batches = batches_of(calibration, PROBED_ROWS)
    original = original_logits(module, batches)
    found: dict[str, dict[str, float]] = {}
    for name in places(module):
        found[name] = {}
        for kind in kinds:
            if kind not in GRIDS:
                found[name][kind] = 0.0
                continue
            bits, block = grid_of(kind)
            values = {name: values_of(searched(matrix_of(module, name), bits, block=block))}
            found[name][kind] = divergence(original, module, batches, values)[0]
    return found


def matrix_bytes(shape: Sequence[int], kind: str) -> int:
    """Bytes of one matrix, scales included."""
    return int(prod(shape) * weight_format(kind).bits / 8)
