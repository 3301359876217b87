"""Precision by layer: each matrix in the format that its divergence is worth, within a budget of bytes.

How much a matrix matters is measured: the divergence of the model when that one alone is rounded to the format's own
kind. A small divergence grows with the square of what moves it, so in a larger kind it is the share of the squared
error that this kind leaves. These add up well enough while they are small, so the best mixture is a knapsack with
several kinds to choose from for each matrix, and it is solved exactly. Imports torch inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hone.deploy.gguf import mixtures
from hone.deploy.onnx import kinds as onnx_kinds
from hone.deploy.quantization.calibration import batches_of, places
from hone.deploy.quantization.grids import GRIDS, grid_of, searched, values_of
from hone.deploy.quantization.offered import FLOATS, as_written, divergence, original_logits, telling
from hone.deploy.quantization.sequence import importance_of, matrix_of
from hone.deploy.weights import GROUPS, int_kind, kind_bits, weight_format
from hone.errors import InputError
from hone.task.render import Example

if TYPE_CHECKING:
    from torch import nn

LADDERS = {
    "q4_0": ("q4_0", "q4_k", "q5_0", "q5_k", "q6_k", "q8_0", "f16"),
    "q4_k_m": ("q4_k", "q5_k", "q6_k", "q8_0", "f16"),
    "q5_0": ("q5_0", "q5_k", "q6_k", "q8_0", "f16"),
    "q5_k_m": ("q5_k", "q6_k", "q8_0", "f16"),
    "q6_k": ("q6_k", "q8_0", "f16"),
    "q8_0": ("q8_0", "f16"),
    **{int_kind(4, group): (int_kind(4, group), "int8", "fp16") for group in GROUPS},
    "int8": ("int8", "fp16"),
}
"""Kinds that a matrix may have in a file of a format, smallest first: those that divide its rows, from its own on."""
PROBED_ROWS = 64
"""Rows that the divergence of each matrix is measured on."""
TRIED_ROWS = 64
"""Rows of a matrix that the squared error of each kind is taken from."""


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
    module: nn.Module,
    weights: str,
    calibration: Sequence[Example],
    budget_bytes: int,
    *,
    fixed: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Mixture, dict[str, dict[str, float]]]:
    """The best mixture for a model within so many bytes of matrices, and the divergence of each matrix by kind.

    Args:
        module: the model in floats.
        weights: the format of the file; a matrix takes its own or a larger kind.
        calibration: rendered training rows.
        budget_bytes: for the matrices alone; vectors, tokenizer and metadata come on top.
        fixed: matrices whose kind is decided already.
        say: takes a line on how long it still takes, where that is long.

    Raises:
        InputError: for a format without larger kinds, or a budget that even this format breaks.
    """
    if weights not in LADDERS:
        raise InputError(f"weights {weights} are not mixed by layer; these are: {', '.join(sorted(LADDERS))}")
    decided, bits = fixed or {}, kind_bits(weight_format(weights))
    shapes = {name: tuple(module.get_parameter(name).shape) for name in {**decided, **dict.fromkeys(places(module))}}
    ladders = {name: one for name, one in ladders_of(shapes, weights).items() if name not in decided}
    found = sensitivities(module, ladders, calibration, telling(say, f"{weights}, mixture"))
    choices = {
        name: [
            Choice(kind=kind, size_bytes=int(prod(shapes[name]) * bits[kind] / 8), cost=cost)
            for kind, cost in by_kind.items()
        ]
        for name, by_kind in (*found.items(), *((name, {kind: 0.0}) for name, kind in decided.items()))
    }
    return best_mixture(choices, budget_bytes), found


def ladders_of(shapes: Mapping[str, Sequence[int]], weights: str) -> dict[str, tuple[str, ...]]:
    """Kinds that each matrix may have, smallest first: its own in this format, which some give more bits, and larger.

    Args:
        shapes: of all matrices that are stored in few bits, by the model folder's names.
        weights: a format of :data:`LADDERS`.
    """
    ladder = LADDERS[weights]
    own = mixtures.matrix_kinds(shapes, weights) if weights in mixtures.MIXTURES else dict.fromkeys(shapes, ladder[0])
    return {name: ladder[ladder.index(own[name]) :] for name in shapes}


def sensitivities(
    module: nn.Module,
    ladders: Mapping[str, Sequence[str]],
    calibration: Sequence[Example],
    done: Callable[[float], None] = lambda share: None,
) -> dict[str, dict[str, float]]:
    """Divergence of the model in nats when one matrix alone is stored in a kind, by matrix and kind; 0 for floats.

    Args:
        module: the model in floats.
        ladders: kinds by matrix, the smallest first; those that do not divide its rows are left out.
        calibration: rendered training rows.
        done: is told the share of them that is done.
    """
    batches = batches_of(calibration, PROBED_ROWS)
    original = original_logits(module, batches)
    worth = importance_of(module, batches)
    found: dict[str, dict[str, float]] = {}
    for number, (name, kinds) in enumerate(ladders.items(), 1):
        matrix = matrix_of(module, name)
        own, *larger = fitting(kinds, matrix.shape[-1])
        cost = divergence(original, module, batches, {name: rounded_to(own, matrix)})[0]
        errors = {kind: _squared_error(matrix, kind, worth.get(name)) for kind in (own, *larger)}
        found[name] = {
            kind: cost * error / errors[own] if errors[own] and kind not in FLOATS else 0.0
            for kind, error in errors.items()
        }
        done(number / len(ladders))
    return found


def rounded_to(kind: str, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a matrix says in a kind, with scales of least squared error where it has a grid."""
    if kind not in GRIDS:
        return as_written(matrix, kind)
    bits, block = grid_of(kind)
    return values_of(searched(matrix, bits, block=block))


def fitting(kinds: Sequence[str], columns: int) -> list[str]:
    """Those of the kinds, of either runtime, whose blocks divide a row."""
    blocks = {**mixtures.KIND_BLOCK, **onnx_kinds.KIND_BLOCK}
    return [kind for kind in kinds if columns % blocks[kind] == 0]


def _squared_error(matrix: NDArray[np.float32], kind: str, worth: NDArray[np.float32] | None) -> float:
    """Weighted by what the inputs are worth, over rows that are spread evenly."""
    rows = matrix[:: max(1, len(matrix) // TRIED_ROWS)]
    lost = np.square(rows - rounded_to(kind, rows))
    return float((lost if worth is None else lost * worth).sum())
