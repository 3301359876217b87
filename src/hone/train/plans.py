"""The plan of an epoch as arrays: which examples share a row, which rows share a step, in which order.

A pure function of lengths, seed and epoch, in numpy: a million examples take about a second.

Rows of similar length go together (sorted inside chunks of about :data:`CHUNK_STEPS` steps, then the steps are
shuffled), so little is padding and the order stays random on the scale that matters. The step that computes on the
most tokens comes first in each epoch, so that what does not fit in memory fails at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hone.train.packing import pack

CHUNK_STEPS = 50
"""Steps in one chunk of length-sorted rows, as in Transformers' ``group_by_length``."""

Ints = NDArray[np.int64]


class Plan(NamedTuple):
    """An epoch. ``N`` examples in ``R`` rows in ``S`` steps."""

    items: Ints
    """(N,) examples, row after row; each exactly once."""
    row_starts: Ints
    """(R,) where each row begins in ``items``."""
    row_ends: Ints
    """(R,) where it ends."""
    row_lengths: Ints
    """(R,) its real tokens."""
    row_order: Ints
    """(R,) rows, step after step; each exactly once."""
    step_starts: Ints
    """(S,) where each step begins in ``row_order``."""
    step_ends: Ints
    """(S,) where it ends."""

    def rows_of(self, step: int) -> list[int]:
        """The rows of a step."""
        rows: list[int] = self.row_order[self.step_starts[step] : self.step_ends[step]].tolist()
        return rows

    def slots(self) -> Ints:
        """(S,) tokens that each step computes on when it is one batch: rows times the longest of them."""
        longest = self.row_lengths[self.row_order[self.step_ends - 1]]  # rows of a step are sorted by length
        return (self.step_ends - self.step_starts) * longest


def plan_epoch(
    lengths: Ints,
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    batch_tokens: int | None = None,
    pack_to: int | None = None,
) -> Plan:
    """Plan an epoch of examples that have these lengths.

    Args:
        lengths: (N,) tokens of each example, N at least 1.
        seed: decides the order, with the epoch.
        epoch: see ``seed``.
        batch_size: rows of a step at most. Where they do not divide, the steps of the last chunk are a little
            smaller: the loss is normalised per token, so nothing is weighted wrongly.
        batch_tokens: tokens of a step at most, padding included, instead of ``batch_size``; no row may be longer.
        pack_to: width of packed rows; None puts each example in a row of its own.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
    items, ends, row_lengths = order, np.arange(1, len(order) + 1), lengths[order]
    arrangement = np.arange(len(order))
    if pack_to is not None:
        packing = pack(lengths[order], pack_to)
        items, ends = order[packing.items], packing.ends
        row_lengths = np.diff(np.cumsum(lengths[items])[ends - 1], prepend=0)
        # Packing puts the longest first; the chunks must not keep that order.
        arrangement = np.random.default_rng([seed, epoch, 2]).permutation(len(ends))
    row_order, bounds = _steps(row_lengths, arrangement, batch_size, batch_tokens)
    plan = Plan(
        items=items,
        row_starts=np.concatenate([[0], ends[:-1]]),
        row_ends=ends,
        row_lengths=row_lengths,
        row_order=row_order,
        step_starts=bounds[:-1],
        step_ends=bounds[1:],
    )
    return _shuffled(plan, np.random.default_rng([seed, epoch, 1]))


def _shuffled(plan: Plan, generator: np.random.Generator) -> Plan:
    """The steps in random order, but the largest one (the longest rows where several are equal) first."""
    steps = generator.permutation(len(plan.step_starts))
    plan = plan._replace(step_starts=plan.step_starts[steps], step_ends=plan.step_ends[steps])
    longest = plan.row_lengths[plan.row_order[plan.step_ends - 1]]
    largest = int(np.lexsort((longest, plan.slots()))[-1])
    swapped = np.arange(len(steps))
    swapped[[0, largest]] = [largest, 0]
    return plan._replace(step_starts=plan.step_starts[swapped], step_ends=plan.step_ends[swapped])


def _steps(lengths: Ints, arrangement: Ints, batch_size: int, batch_tokens: int | None) -> tuple[Ints, Ints]:
    """Rows in an order that puts like beside like, chunk by chunk, and the bounds of the steps in it."""
    if batch_tokens is None:
        chunk_rows = batch_size * CHUNK_STEPS
    else:
        chunk_rows = CHUNK_STEPS * max(1, int(batch_tokens // lengths.mean()))
    # What is left over joins the last whole chunk, where it makes many steps a little smaller instead of one tiny.
    num_chunks = max(1, len(lengths) // chunk_rows)
    chunks = np.minimum(np.arange(len(lengths)) // chunk_rows, num_chunks - 1)
    row_order = arrangement[np.lexsort((lengths[arrangement], chunks))]
    edges = [0]
    for chunk in range(num_chunks):
        start = chunk * chunk_rows
        stop = start + chunk_rows if chunk + 1 < num_chunks else len(lengths)
        ascending = lengths[row_order[start:stop]]
        if batch_tokens is None:
            inner = _even_edges(len(ascending), batch_size)
        else:
            inner = _token_edges(ascending, batch_tokens)
        edges += [start + edge for edge in inner]
    return row_order, np.array(edges)


def _even_edges(rows: int, batch_size: int) -> list[int]:
    """Where the steps of a chunk end: as few as ``batch_size`` allows, their sizes differing by at most one."""
    steps = -(-rows // batch_size)
    return [rows * (step + 1) // steps for step in range(steps)]


def _token_edges(ascending: Ints, budget: int) -> list[int]:
    """Where the steps of a chunk end: as few as the budget allows, cut from the longest rows downward.

    What is left over at the short end would be a step of a few rows that counts as much as the others; it shares
    with the step before it where the two can be made more equal.
    """
    lengths = ascending.tolist()
    edges = [len(lengths)]
    while edges[-1]:
        edges.append(max(0, edges[-1] - budget // lengths[edges[-1] - 1]))
    edges.reverse()
    if len(edges) > 2:
        low, high = edges[1], edges[2]
        both = low * lengths[low - 1] + (high - low) * lengths[high - 1]
        middle = high - max(1, both // 2 // lengths[high - 1])
        if low < middle and middle * lengths[middle - 1] <= budget:
            edges[1] = middle
    return edges[1:]
