"""The largest micro-batch that fits, and the smallest that keeps the device busy: found by doubling its rows."""

from __future__ import annotations

import itertools
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
"""Steps that are timed; the fastest counts, for others may use the machine."""
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
    tokens_per_second: float
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
    """The smallest rows whose double gives less than 5 % more tokens a second; None while it was still growing."""
    suggestion: dict[str, int]
    """Keys of the recipe with the values to set."""

    def lines(self) -> list[str]:
        """What follows from the trials, for a person; they themselves were said as they were made."""
        if not self.largest_rows:
            return [f"not one row fits: {self.stopped}; lower the context, or take a smaller model"]
        lines = [f"{counted(self.largest_rows, 'row fits', 'rows fit')} in one micro-batch; {self.stopped}"]
        if self.enough_rows is None:
            lines.append(f"tokens/s were still growing at {counted(self.largest_rows, 'row')}")
        else:
            lines.append(f"from {counted(self.enough_rows, 'row')} on, twice as many give less than 5 % more tokens/s")
        return [*lines, "suggested: " + " ".join(f"{key}={value}" for key, value in self.suggestion.items())]

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
        most_rows: no trial is larger.
        say: takes a line for each trial.
        clock: seconds that pass.
    """
    trials: list[BatchTrial] = []
    began = clock()
    with tried(model, recipe, objective) as trial:
        # Optimizers make their state in the first step, which belongs to no number of rows.
        memory = Memory(trial.device)
        rows, stopped, limited = 1, "", False
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
            elif (spent := clock() - began) > seconds or spent + 2 * (REPEATS + 1) * trials[-1].seconds > 2 * seconds:
                stopped = f"more were not tried in {seconds:g} s"
    largest = trials[-1].rows if trials else 0
    enough = next((a.rows for a, b in itertools.pairwise(trials) if _saturated(a, b)), None)
    return FoundBatch(
        trials=tuple(trials),
        largest_rows=largest,
        stopped=stopped,
        limited_by_memory=limited,
        enough_rows=enough,
        suggestion=_suggestion(recipe, trials, enough or largest),
    )


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
        tokens_per_second=tokens / fastest if fastest > 0 else float("inf"),
        peak_bytes=memory.peak_bytes(),
    )


def _foreseen(trials: list[BatchTrial]) -> float:
    """Memory that twice the rows of the last trial will take: what rows added so far, they add again."""
    last = trials[-1]
    before = trials[-2].peak_bytes if len(trials) > 1 else 0
    return last.peak_bytes + 2 * max(0, last.peak_bytes - before)


def _saturated(trial: BatchTrial, twice: BatchTrial) -> bool:
    return twice.tokens_per_second < GROWTH * trial.tokens_per_second
