"""The largest micro-batch that fits, and the smallest that keeps the device busy: found by doubling its rows."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from hone.task.recipe import Recipe
from hone.train.batches import PackedRow
from hone.train.finders.trial import Memory, Trial, tried
from hone.train.objectives import Objective
from hone.train.rehearsal import is_out_of_memory
from hone.train.source import BatchSource
from hone.wording import counted

GROWTH = 1.05
"""Twice the rows have to give this times the tokens a second, else they are not worth it."""
REPEATS = 3
"""Steps that are timed: others may use the machine, so the middle one of a larger trial is held against the fastest of
a smaller one."""
MEMORY_SHARE = 0.8
"""Share of the free memory that a trial may be expected to need: a CPU's system kills who takes more than all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchTrial:
    """Whole optimizer steps of one micro-batch."""

    rows: int
    tokens: int
    """Tokens of the micro-batch, padding included."""
    seconds: float
    """Of the fastest step."""
    middle_seconds: float
    """Of the middle one: with noise it is longer."""
    tokens_per_second: float
    """By the fastest step."""
    peak_bytes: int
    """Memory on top of model and optimizer as they were before."""

    def line(self) -> str:
        """What it took, for a person."""
        return (
            f"{counted(self.rows, 'row')} ({counted(self.tokens, 'token')}): {self.tokens_per_second:,.0f} tokens/s, "
            f"{self.peak_bytes / 1e6:,.0f} MB"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundBatch:
    """What was tried and what it says."""

    trials: tuple[BatchTrial, ...]
    largest_rows: int
    """Rows of the largest micro-batch that was computed; 0 where a single row does not fit."""
    stopped: str
    """Why no larger one was tried."""
    limited_by_memory: bool
    enough_rows: int | None
    """The smallest rows behind which no doubling gives 5 % more tokens a second; None while it was still growing."""
    own_rows: int
    """Rows of a micro-batch of the recipe as it is."""
    suggestion: dict[str, int]
    """Keys of the recipe with the values to set; empty where its own rows fit and are as fast."""

    def lines(self) -> list[str]:
        """What follows from the trials, for a person; they themselves were said as they were made."""
        if not self.largest_rows:
            return [f"not one row fits: {self.stopped}; lower the context, or take a smaller model"]
        lines = [f"{counted(self.largest_rows, 'row fits', 'rows fit')} in one micro-batch; {self.stopped}"]
        if self.enough_rows is None:
            lines.append(f"tokens/s were still growing at {counted(self.largest_rows, 'row')}")
        else:
            lines.append(
                f"from {counted(self.enough_rows, 'row')} on, a doubling gives less than 5 % more tokens/s beyond noise"
            )
        own = f"the recipe's own {counted(self.own_rows, 'row')} in a micro-batch"
        if not self.suggestion:
            return [*lines, f"{own} fit and are as fast: nothing to change"]
        suggested = "suggested: " + " ".join(f"{key}={value}" for key, value in self.suggestion.items())
        return [*lines, f"{suggested} (instead of {own}); another batch wants another rate: --find rate with it set"]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def find_batch(
    model: nn.Module,
    source: BatchSource,
    recipe: Recipe,
    *,
    objective: Objective | None = None,
    seconds: float = 60.0,
    most_rows: int = 4096,
    say: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> FoundBatch:
    """Take steps of 1, 2, 4, ... of the longest rows on a throw-away copy, until memory or time says stop.

    Memory that does not suffice is foreseen from the trials before, since a CPU's system ends a process that takes
    too much; what is not foreseen and raises is caught.

    Args:
        model: stays as it is.
        source: its first epoch's longest rows (packed ones where it packs) are used, again where they are too few.
        recipe: optimizer, precision and frozen parameters.
        objective: what fits the model's outputs by default.
        seconds: no larger trial begins after these, nor one that would end after twice as many.
        most_rows: no trial is larger, nor larger than an epoch.
        say: takes a line for each trial.
        clock: seconds that pass.
    """
    trials: list[BatchTrial] = []
    began = clock()
    with tried(model, recipe, objective) as trial:
        # Optimizers make their state in the first step, which belongs to no number of rows.
        memory = Memory(trial.device)
        rows, stopped, limited = 1, "", False
        in_epoch = source.num_rows() // recipe.processes
        side_by_side = recipe.processes if trial.device.type == "cpu" else 1  # in the same memory
        while not stopped:
            try:
                trials.append(_measure(trial, source.longest_rows(rows), memory, clock))
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                stopped, limited = f"{rows:,} ran out of memory", True
                break
            if say is not None:
                say(trials[-1].line())
            rows *= 2
            if (needed := side_by_side * _foreseen(trials)) > MEMORY_SHARE * memory.room_bytes():
                stopped, limited = f"{rows:,} would need about {needed / 1e9:,.1f} GB, more than is free", True
            elif rows > most_rows:
                stopped = f"more than {most_rows:,} were not tried"
            elif rows > in_epoch:
                each = f" for each of {recipe.processes} processes" if recipe.processes > 1 else ""
                stopped = f"the next, {rows:,}, is more than the {counted(in_epoch, 'row')} of an epoch{each}"
            elif (spent := clock() - began) > seconds or spent + 2 * (REPEATS + 1) * trials[-1].seconds > 2 * seconds:
                stopped = f"no larger one was begun after {spent:,.0f} s (the search has about {seconds:g} s)"
    return _found(recipe, trials, stopped, limited=limited)


def _found(recipe: Recipe, trials: list[BatchTrial], stopped: str, *, limited: bool) -> FoundBatch:
    """What the trials say."""
    largest = trials[-1].rows if trials else 0
    enough = next((trial.rows for at, trial in enumerate(trials[:-1]) if _is_enough(trial, trials[at + 1 :])), None)
    own = _own_rows(recipe, trials)
    return FoundBatch(
        trials=tuple(trials),
        largest_rows=largest,
        stopped=stopped,
        limited_by_memory=limited,
        enough_rows=enough,
        own_rows=own,
        suggestion={} if (enough or largest) <= own <= largest else _suggestion(recipe, trials, enough or largest),
    )


def _own_rows(recipe: Recipe, trials: list[BatchTrial]) -> int:
    """Rows of a micro-batch of the recipe: of so many tokens, as many of the longest rows as they hold."""
    parts = recipe.processes * recipe.accumulate
    if recipe.batch_tokens is None:
        return max(1, recipe.batch_size // parts)
    return max(1, recipe.batch_tokens // parts // trials[0].tokens) if trials else 0


def _suggestion(recipe: Recipe, trials: list[BatchTrial], rows: int) -> dict[str, int]:
    """The settings that give each process micro-batches of so many rows."""
    if not rows:
        return {}
    if recipe.batch_tokens is None:
        return {"batch_size": rows * recipe.processes, "accumulate": 1}
    tokens = next(trial.tokens for trial in trials if trial.rows == rows)
    return {"batch_tokens": tokens * recipe.processes, "accumulate": 1}


def _measure(trial: Trial, rows: list[PackedRow], memory: Memory, clock: Callable[[], float]) -> BatchTrial:
    batches = trial.batches(rows, accumulate=1)
    memory.reset()
    trial.step(batches, 0.0)
    times = []
    for _ in range(REPEATS):
        begin = clock()
        # A rate of nought: the step does all its work and the weights stay, so each trial computes on the same ones.
        trial.step(batches, 0.0)
        if trial.device.type == "cuda":
            torch.cuda.synchronize(trial.device)
        times.append(clock() - begin)
    tokens, fastest = sum(batch.num_tokens for batch in batches), min(times)
    return BatchTrial(
        rows=len(rows),
        tokens=tokens,
        seconds=fastest,
        middle_seconds=statistics.median(times),
        tokens_per_second=tokens / fastest if fastest > 0 else float("inf"),
        peak_bytes=memory.peak_bytes(),
    )


def _foreseen(trials: list[BatchTrial]) -> float:
    """Memory that twice the rows of the last trial will take: what rows added so far, they add again."""
    last = trials[-1]
    before = trials[-2].peak_bytes if len(trials) > 1 else 0
    return last.peak_bytes + 2 * max(0, last.peak_bytes - before)


def _is_enough(trial: BatchTrial, larger: list[BatchTrial]) -> bool:
    """Whether no larger trial computes beyond noise 5 % more tokens a second for each doubling."""
    return not any(
        other.tokens / max(1e-9, other.middle_seconds)
        >= trial.tokens_per_second * GROWTH ** math.log2(other.rows / trial.rows)
        for other in larger
    )
