"""The order of the data: a pure function of (seed, epoch), read through a cursor of two counters.

A resumed run needs no buffered state to see exactly the batches that it would have seen: the cursor says the
epoch and the step within it, and the plan of an epoch (:mod:`hone.train.plans`) is made again from the seed. It
knows nothing of processes and micro-batches, so a run keeps its order on another number of them; :func:`share_of`
deals the rows of a step out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hone.errors import InputError
from hone.task.recipe import Recipe
from hone.task.render import Example
from hone.train.batches import PackedRow
from hone.train.guards import check_examples
from hone.train.plans import Ints, Plan, plan_epoch
from hone.wording import counted

ExamplesForEpoch = Callable[[int, int], Sequence[Example]]
"""``(seed, epoch) -> examples``: augmentation, deterministic in its two numbers."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where in the data a run is: the next step is ``index`` of ``epoch``."""

    epoch: int = 0
    index: int = 0


class _Content(NamedTuple):
    """Examples that have been checked, and their lengths."""

    examples: Sequence[Example]
    lengths: Ints


class _Epoch(NamedTuple):
    """The plan of one epoch over its examples."""

    number: int
    content: _Content
    plan: Plan

    def step(self, index: int) -> list[PackedRow]:
        return [self.row(row) for row in self.plan.rows_of(index)]

    def row(self, index: int) -> PackedRow:
        examples, plan = self.content.examples, self.plan
        return tuple(examples[item] for item in plan.items[plan.row_starts[index] : plan.row_ends[index]].tolist())

    def steps(self) -> Iterator[list[PackedRow]]:
        return map(self.step, range(len(self.plan.step_ends)))


def identity(data_id: str, **made_with: str | None) -> str:
    """``d1; base: 12ab; tokenizer: 34cd``: a data version, and what made ids of it, where that is known."""
    parts = [f"{name.replace('_', ' ')}: {content}" for name, content in made_with.items() if content]
    return "; ".join([data_id, *parts])


def other_identity(before: str, now: str) -> list[str]:
    """Each difference between two of :func:`identity`, as a sentence; what only one of them knows is none."""
    (first, *parts), (this, *others) = before.split("; "), now.split("; ")
    known = {name: content for name, _, content in (part.partition(": ") for part in parts)}
    found = [f"the data is {first!r} in the checkpoint and {this!r} now"] if first != this else []
    for name, _, content in (part.partition(": ") for part in others):
        if known.get(name, content) != content:
            found.append(f"the {name} had the content {known[name]} at the checkpoint and {content} now")
    return found


class BatchSource:
    """Steps of rows, addressed by :class:`Cursor`.

    Args:
        examples: the training examples, or a function that makes them for each epoch.
        batch_size: rows of one optimizer step over all processes; packed sequences where ``packing``.
        batch_tokens: tokens of one optimizer step at most, padding included, over all processes, instead of
            ``batch_size``. A micro-batch gets its share of the step's rows (rows over processes times
            ``accumulate``, rounded up), each padded to at most the step's longest.
        context: longest row in tokens.
        seed: decides the order, with the epoch.
        packing: put several examples in one row.
        data_id: identity of the data (:func:`identity`), kept in checkpoints so that other data is refused.
    """

    def __init__(
        self,
        examples: Sequence[Example] | ExamplesForEpoch,
        *,
        batch_size: int,
        context: int,
        batch_tokens: int | None = None,
        seed: int = 0,
        packing: bool = False,
        data_id: str = "",
    ) -> None:
        self._examples = examples
        self.batch_size = batch_size
        self.batch_tokens = batch_tokens
        self.context = context
        self.seed = seed
        self.packing = packing
        self.data_id = data_id
        self._content: _Content | None = None
        self._planned: _Epoch | None = None

    @classmethod
    def of_recipe(
        cls, examples: Sequence[Example] | ExamplesForEpoch, recipe: Recipe, *, data_id: str | None = None
    ) -> BatchSource:
        """The source that a recipe describes; ``data_id`` defaults to the recipe's data version."""
        return cls(
            examples,
            batch_size=recipe.batch_size,
            batch_tokens=recipe.batch_tokens,
            context=recipe.context,
            seed=recipe.seed,
            packing=recipe.packing,
            data_id=recipe.data if data_id is None else data_id,
        )

    def steps(self, epoch: int) -> list[list[PackedRow]]:
        """All steps of an epoch in order, each a list of rows; :meth:`read` makes only the one that is asked for."""
        return list(self._epoch(epoch).steps())

    def num_steps(self, epoch: int) -> int:
        """Steps of an epoch."""
        return len(self._epoch(epoch).plan.step_ends)

    def read(self, cursor: Cursor) -> tuple[list[PackedRow], Cursor]:
        """The rows of the step at ``cursor``, and the cursor behind it."""
        epoch, steps = self._epoch(cursor.epoch), self.num_steps(cursor.epoch)
        if cursor.index >= steps:
            raise InputError(f"epoch {cursor.epoch} has {counted(steps, 'step')}; there is no step {cursor.index:,}")
        last = cursor.index + 1 == steps
        return epoch.step(cursor.index), Cursor(cursor.epoch + 1, 0) if last else Cursor(cursor.epoch, cursor.index + 1)

    def largest_step(self, epoch: int = 0) -> list[PackedRow]:
        """The step of an epoch that computes on the most tokens, padding included: its first one."""
        return self._epoch(epoch).step(0)

    def num_rows(self, epoch: int = 0) -> int:
        """Rows of an epoch: packed ones where it packs."""
        return len(self._epoch(epoch).plan.row_lengths)

    def longest_rows(self, count: int, epoch: int = 0) -> list[PackedRow]:
        """The longest rows of an epoch, longest first, from the start again where it has fewer."""
        planned = self._epoch(epoch)
        longest = np.argsort(-planned.plan.row_lengths, kind="stable")
        return [planned.row(int(longest[index % len(longest)])) for index in range(count)]

    def tokens_per_step(self, epoch: int = 0) -> float:
        """Mean tokens that a step of an epoch computes on, padding included."""
        return float(self._epoch(epoch).plan.slots().mean())

    def tokens_of(self, steps: int) -> int:
        """Tokens that so many steps from the start compute on, padding included; later epochs as large as the first.

        Exact within the first epoch; behind it another order brings a little more or less padding.
        """
        slots = self._epoch(0).plan.slots()
        epochs, rest = divmod(steps, len(slots))
        return int(epochs * slots.sum() + slots[:rest].sum())

    def supervised_tokens(self, epoch: int = 0) -> int:
        """Tokens of an epoch that carry loss."""
        return sum(int(example.supervised.sum()) for example in self._epoch(epoch).content.examples)

    def padding_share(self, epoch: int = 0) -> float:
        """Share of an epoch's computed tokens that is padding, each step taken as one batch.

        Micro-batches are padded each to its own longest row, so the real share is this or a little less.
        """
        plan = self._epoch(epoch).plan
        return 1.0 - float(plan.row_lengths.sum() / plan.slots().sum())

    def padding_line(self, epoch: int = 0) -> str:
        """What an epoch consists of and how much of it is padding, in one sentence."""
        plan = self._epoch(epoch).plan
        rows, slots = len(plan.row_ends), int(plan.slots().sum())
        packed = f" in {counted(rows, 'sequence')}" if self.packing else ""
        size = counted(self.batch_size, "row") if self.batch_tokens is None else counted(self.batch_tokens, "token")
        items, steps = counted(len(plan.items), "example"), counted(len(plan.step_ends), "step")
        return (
            f"an epoch: {items}{packed}, {steps} of at most {size}, {plan.row_lengths.sum():,} tokens in {slots:,} "
            f"slots: {self.padding_share(epoch):.1%} padding"
        )

    def _epoch(self, number: int) -> _Epoch:
        if self._planned is None or self._planned.number != number:
            content = self._checked(number)
            plan = plan_epoch(
                content.lengths,
                seed=self.seed,
                epoch=number,
                batch_size=self.batch_size,
                batch_tokens=self.batch_tokens,
                pack_to=min(self.context, self.batch_tokens or self.context) if self.packing else None,
            )
            self._planned = _Epoch(number, content, plan)
        return self._planned

    def _checked(self, epoch: int) -> _Content:
        """The examples of an epoch, checked once for as long as they are the same object."""
        examples = self._examples(self.seed, epoch) if callable(self._examples) else self._examples
        if self._content is None or self._content.examples is not examples:
            if not examples:
                raise InputError(f"epoch {epoch} has no examples to train on")
            check_examples(examples)
            lengths = np.fromiter((len(example.ids) for example in examples), dtype=np.int64, count=len(examples))
            self._check_lengths(examples, lengths)
            self._content = _Content(examples, lengths)
        return self._content

    def _check_lengths(self, examples: Sequence[Example], lengths: Ints) -> None:
        problems = []
        if named := _longer(examples, lengths, self.context):
            problems.append(
                f"{named[0]} the context of {self.context:,} tokens, the longest: {named[1]}; nothing is cut silently: "
                "set overlong, or raise the context"
            )
        if self.batch_tokens is not None and (named := _longer(examples, lengths, self.batch_tokens)):
            problems.append(
                f"{named[0]} a step of batch_tokens {self.batch_tokens:,}, the longest: {named[1]}; raise batch_tokens "
                f"to {int(lengths.max()):,} at least"
            )
        if problems:
            raise InputError(problems)


def _longer(examples: Sequence[Example], lengths: Ints, limit: int) -> tuple[str, str] | None:
    """How many rows are longer than a limit, and the three longest by name."""
    long = np.flatnonzero(lengths > limit)
    if not len(long):
        return None
    worst = long[np.argsort(-lengths[long], kind="stable")][:3]
    named = ", ".join(f"{examples[index].row} ({lengths[index]:,})" for index in worst)
    return f"{len(long):,} of {len(lengths):,} rows are longer than", named


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
