"""The order of the data: a pure function of (seed, epoch), read through a cursor of two counters.

A resumed run needs no buffered state to see exactly the batches that it would have seen: the cursor says the
epoch and the step within it, and the plan of an epoch is made again from the seed.

Rows of similar length go together (sorted inside chunks of :data:`CHUNK_STEPS` batches, then the batches are
shuffled), so little is padding and the order stays random on the scale that matters. Every row is seen once
in each epoch: where the last chunk does not divide, its batches are a little smaller, and since the loss is
normalised per token nothing is weighted wrongly.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hone.errors import InputError
from hone.task.recipe import Recipe
from hone.task.render import Example
from hone.train.batches import PackedRow
from hone.train.guards import check_examples
from hone.train.packing import pack

CHUNK_STEPS = 24
"""Batches in one chunk of length-sorted rows."""
PACK_CHUNK = 4096
"""Examples that are packed together."""

ExamplesForEpoch = Callable[[int, int], Sequence[Example]]
"""``(seed, epoch) -> examples``: augmentation, deterministic in its two numbers."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where in the data a run is: the next step is ``index`` of ``epoch``."""

    epoch: int = 0
    index: int = 0


class BatchSource:
    """Steps of rows, addressed by :class:`Cursor`.

    Args:
        examples: the training examples, or a function that makes them for each epoch.
        batch_size: rows of one optimizer step over all processes; packed sequences where ``packing``.
        context: longest row in tokens.
        seed: decides the order, with the epoch.
        packing: put several examples in one row.
        data_id: identity of the data, kept in checkpoints so that other data is refused.
    """

    def __init__(
        self,
        examples: Sequence[Example] | ExamplesForEpoch,
        *,
        batch_size: int,
        context: int,
        seed: int = 0,
        packing: bool = False,
        data_id: str = "",
    ) -> None:
        self._examples = examples
        self.batch_size = batch_size
        self.context = context
        self.seed = seed
        self.packing = packing
        self.data_id = data_id
        self._planned: tuple[int, list[list[PackedRow]]] | None = None

    @classmethod
    def of_recipe(
        cls, examples: Sequence[Example] | ExamplesForEpoch, recipe: Recipe, *, data_id: str | None = None
    ) -> BatchSource:
        """The source that a recipe describes; ``data_id`` defaults to the recipe's data version."""
        return cls(
            examples,
            batch_size=recipe.batch_size,
            context=recipe.context,
            seed=recipe.seed,
            packing=recipe.packing,
            data_id=recipe.data if data_id is None else data_id,
        )

    def steps(self, epoch: int) -> list[list[PackedRow]]:
        """All steps of an epoch in order, each a list of rows (kept for the current epoch)."""
        if self._planned is None or self._planned[0] != epoch:
            self._planned = (epoch, self._plan(epoch))
        return self._planned[1]

    def read(self, cursor: Cursor) -> tuple[list[PackedRow], Cursor]:
        """The rows of the step at ``cursor``, and the cursor behind it."""
        steps = self.steps(cursor.epoch)
        if cursor.index >= len(steps):
            raise InputError(f"epoch {cursor.epoch} has {len(steps):,} steps; there is no step {cursor.index:,}")
        rows = steps[cursor.index]
        last = cursor.index + 1 == len(steps)
        return rows, Cursor(cursor.epoch + 1, 0) if last else Cursor(cursor.epoch, cursor.index + 1)

    def largest_step(self) -> list[PackedRow]:
        """The step of the first epoch that computes on the most tokens, padding included."""
        return max(self.steps(0), key=lambda rows: len(rows) * max(map(row_length, rows)))

    def _plan(self, epoch: int) -> list[list[PackedRow]]:
        examples = self._examples(self.seed, epoch) if callable(self._examples) else self._examples
        if not examples:
            raise InputError(f"epoch {epoch} has no examples to train on")
        check_examples(examples)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(examples))
        rows: list[PackedRow] = self._packed(examples, order) if self.packing else [(examples[i],) for i in order]
        self._check_lengths(rows)
        return self._bucketed(rows, np.random.default_rng([self.seed, epoch, 1]))

    def _packed(self, examples: Sequence[Example], order: NDArray[np.int64]) -> list[PackedRow]:
        rows: list[PackedRow] = []
        for start in range(0, len(order), PACK_CHUNK):
            part = order[start : start + PACK_CHUNK]
            groups = pack([len(examples[i].ids) for i in part], self.context)
            rows += [tuple(examples[part[i]] for i in group) for group in groups]
        # Packing puts the longest first; the batches must not keep that order.
        shuffle = np.random.default_rng([self.seed, len(rows), 2]).permutation(len(rows))
        return [rows[i] for i in shuffle]

    def _bucketed(self, rows: list[PackedRow], generator: np.random.Generator) -> list[list[PackedRow]]:
        steps: list[list[PackedRow]] = []
        for start in range(0, len(rows), self.batch_size * CHUNK_STEPS):
            chunk = sorted(rows[start : start + self.batch_size * CHUNK_STEPS], key=row_length)
            steps += cut(chunk, -(-len(chunk) // self.batch_size))
        return [steps[i] for i in generator.permutation(len(steps))]

    def _check_lengths(self, rows: Sequence[PackedRow]) -> None:
        long = sorted((row for row in rows if row_length(row) > self.context), key=row_length, reverse=True)
        if long:
            named = ", ".join(f"{row[0].row} ({row_length(row):,})" for row in long[:3])
            raise InputError(
                f"{len(long):,} of {len(rows):,} rows are longer than the context of {self.context:,} tokens, "
                f"the longest: {named}; nothing is cut silently: set overlong, or raise the context"
            )


def row_length(row: PackedRow) -> int:
    """Real tokens of a row."""
    return sum(len(example.ids) for example in row)


def share_of(rows: Sequence[PackedRow], *, rank: int, processes: int, accumulate: int) -> list[list[PackedRow]]:
    """The micro-batches of one process: its part of the step's rows, cut into ``accumulate`` parts.

    Every row of the step falls to exactly one process and one micro-batch. Neighbours in length are dealt out in
    turn, so processes get equal work. A part may be empty when the step has fewer rows than parts.
    """
    return cut(list(rows[rank::processes]), accumulate)


def cut(rows: Sequence[PackedRow], parts: int) -> list[list[PackedRow]]:
    """Rows in order as ``parts`` lists whose sizes differ by at most one."""
    edges = [len(rows) * i // parts for i in range(parts + 1)]
    return [list(rows[low:high]) for low, high in itertools.pairwise(edges)]
