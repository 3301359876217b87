"""The same run on one and two processes, with and without accumulation and packing, disturbed in several ways.

One process (or one pair) carries out all of its combinations, one after the other: that is what makes them cheap.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from small_runs import (
    RECIPE,
    SHAPE,
    VOCAB,
    Rank,
    examples,
    fresh_each_epoch,
    gradient,
    judge,
    model,
    packed_rows,
    weights_hash,
)

from hone.errors import FailedError
from hone.model import faster
from hone.model.presets import from_scratch
from hone.task.recipe import Recipe
from hone.train import fabric, launch
from hone.train.checkpoints import Checkpoints
from hone.train.engine import fit
from hone.train.source import BatchSource, Cursor
from hone.train.watching import Rewind, StepView, Verdict, Watcher

BAD_STEP = 8
"""Its rows are those that a rewind passes over; the fixed state before it is that of step 5."""
COMBINATIONS = [(accumulate, packing) for accumulate in (1, 2) for packing in (False, True)]


class CrashError(Exception):
    """The run of a test ends in the middle."""


class Crash(Watcher):
    """Ends the process's run behind a step, in all processes."""

    name = "crash"

    def __init__(self, step: int, passes: int = 1) -> None:
        self.step, self.passes = step, passes

    def after_step(self, view: StepView) -> Verdict | None:
        self.passes -= view.record.step == self.step
        if self.passes == 0:
            raise CrashError
        return None


class Planted(Watcher):
    """Asks for a rewind at the step that reads from one place of the data; remembers how many steps it saw."""

    name = "planted"

    def __init__(self, cursor: Cursor, *, after: bool = False) -> None:
        self.cursor, self.after = cursor, after
        self.seen = 0

    def before_update(self, view: StepView) -> Verdict | None:
        self.seen += 1
        return Rewind("planted") if view.cursor == self.cursor and not self.after else None

    def after_step(self, view: StepView) -> Verdict | None:
        return Rewind("planted") if view.cursor == self.cursor and self.after else None

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load(self, state: Mapping[str, Any]) -> None:
        self.seen = state["seen"]


class WithoutRows(BatchSource):
    """A source in which some steps' rows were never there."""

    gap: tuple[Cursor, Cursor]

    def read(self, cursor: Cursor) -> Any:
        rows, behind = super().read(cursor)
        return rows, self.gap[1] if behind == self.gap[0] else behind


def cursor_of(step: int, recipe: Recipe) -> Cursor:
    """Where a step reads."""
    source, cursor = BatchSource.of_recipe(fresh_each_epoch, recipe), Cursor()
    for _ in range(step - 1):
        _, cursor = source.read(cursor)
    return cursor


def takes_the_faster_way(recipe: Recipe) -> bool:
    """Half of the combinations; the others have dropout, which goes through the modules and draws random numbers."""
    return recipe.packing != (recipe.accumulate == 2)


def run(folder: Path, recipe: Recipe, *watchers: Watcher, source: BatchSource | None = None, **more: Any) -> Any:
    """A run to its end, or to its crash: the hash of the weights, the evaluations, the result."""
    module = model(dropout=0.0 if takes_the_faster_way(recipe) else 0.2).train()
    assert (faster.obstacle(module) is None) == takes_the_faster_way(recipe)
    source = source or BatchSource.of_recipe(fresh_each_epoch, recipe)
    try:
        result = fit(module, source, recipe, folder, evaluate=judge, watchers=watchers, **more)
    except CrashError:
        return None
    assert result.used["forward"] == ("fused" if takes_the_faster_way(recipe) else "modules")
    return weights_hash(module), [(item.step, item.score.mean) for item in result.evaluations], result


def same(one: Any, other: Any) -> bool:
    """Whether two runs came to the same weights by the same evaluations."""
    return bool(one[:2] == other[:2])


def combined(rank: int, processes: int, folder: str) -> dict[str, dict[str, Any]]:
    """What each combination came to, by ``accumulate x packing``."""
    found = {}
    for accumulate, packing in COMBINATIONS:
        recipe = RECIPE.child(processes=processes, accumulate=accumulate, packing=packing, on_spike="rewind")
        here = Path(folder) / f"{accumulate}-{packing}"
        found[f"{accumulate} {packing}"] = {
            "gradient": gradient(rank, processes, accumulate, packed_rows()[packing]),
            "crash": crashed(here / "crash", recipe),
            "rewind": rewound(here / "rewind", recipe),
        }
    return found


def crashed(folder: Path, recipe: Recipe) -> bool:
    """Whether ten steps are seven, a crash, and five behind the state of step 5."""
    whole = run(folder / "whole", recipe)
    assert run(folder / "crashed", recipe, Crash(7)) is None
    return same(run(folder / "crashed", recipe), whole)


def rewound(folder: Path, recipe: Recipe) -> dict[str, bool]:
    """A rewind against a run that never had the rows, and a crash behind the rewind against none."""
    bad, fixed = cursor_of(BAD_STEP, recipe), cursor_of(6, recipe)
    source = WithoutRows.of_recipe(fresh_each_epoch, recipe)
    _, behind = BatchSource.of_recipe(fresh_each_epoch, recipe).read(bad)
    source.gap = (fixed, behind)
    without = run(folder / "without", recipe, source=source)
    before = run(folder / "before", recipe, Planted(bad))
    after = run(folder / "after", recipe, Planted(bad, after=True), save_every=2)
    assert run(folder / "crashed", recipe, Planted(bad), Crash(7, passes=2)) is None
    again = run(folder / "crashed", recipe, Planted(bad), Crash(99))
    passed = before[2].passed_over[0]
    return {
        "as if the rows had not been there": same(before, without),
        "found behind the step": same(after, without),
        "crashed behind the rewind": same(again, without),
        "named": (passed.step, passed.back_to, Cursor(*passed.first), Cursor(*passed.behind))
        == (BAD_STEP, 5, fixed, behind),
        "once": len(before[2].passed_over) == len(again[2].passed_over) == 1,
    }


def combined_two(folder: str) -> list[dict[str, dict[str, Any]]]:
    """:func:`combined` on two processes."""
    return launch.run(Rank(combined, 2, folder), 2, start="fork")


def combined_one(folder: str) -> list[dict[str, dict[str, Any]]]:
    """:func:`combined` on one."""
    return [combined(0, 1, folder)]


# Other processes, shards.


class RowsSeen(Watcher):
    """Keeps the rows of each step that this process computed on, and the losses."""

    name = "rows-seen"

    def __init__(self) -> None:
        self.rows: dict[int, list[str]] = {}
        self.losses: dict[int, float] = {}

    def after_step(self, view: StepView) -> Verdict | None:
        self.rows[view.record.step] = [row for batch in view.batches for row in batch.rows]
        self.losses[view.record.step] = view.record.loss
        return None


STILL = RECIPE.child(optimizer="adamw", learning_rate=1e-3, accumulate=1)
"""A recipe whose runs draw no random numbers in the model."""


def still(rank: int, folder: str, changes: Mapping[str, Any], until_step: int | None = None) -> dict[str, Any]:
    """A run without dropout: rows and losses by step, the weights it came to, what it said."""
    del rank
    seen, said = RowsSeen(), []
    recipe = STILL.child(**changes)
    module = model()
    source = BatchSource.of_recipe(fresh_each_epoch, recipe)
    result = fit(
        module, source, recipe, Path(folder), until_step=until_step, evaluate=judge, watchers=[seen], say=said.append
    )
    weights = {name: np.asarray(value.detach()) for name, value in module.named_parameters()}
    return {"rows": seen.rows, "losses": seen.losses, "weights": weights, "said": said, "result": replace(result)}


def still_two(folder: str, changes: Mapping[str, Any], until_step: int | None = None) -> list[dict[str, Any]]:
    """:func:`still` on two processes."""
    return launch.run(Rank(still, folder, {**changes, "processes": 2}, until_step), 2, start="fork")


def still_several(plan: list[tuple[str, dict[str, Any], int | None]]) -> list[list[dict[str, Any]]]:
    """Several runs on two processes one after the other in the same pair; by rank, by run."""
    return launch.run(Rank(_still_each, plan), 2, start="fork")


def _still_each(rank: int, plan: list[tuple[str, dict[str, Any], int | None]]) -> list[dict[str, Any]]:
    return [still(rank, folder, {**changes, "processes": 2}, until) for folder, changes, until in plan]


# What is not finite.


def fit_overflowing(rank: int, folder: str, strategy: str) -> str:
    """A run whose second row has no finite loss; what stopped it. Of three rows one process has two."""
    del rank
    recipe = STILL.child(processes=2, strategy=strategy)
    module = from_scratch(replace(SHAPE, tied=False), 0)
    rare = VOCAB - 1
    with torch.no_grad():
        module.get_input_embeddings().weight[rare] = float("inf")  # type: ignore[operator,union-attr,index]
    rows = examples(3, longest=12)
    for row in rows:
        row.ids[row.ids == rare] = 4
    rows[1].ids[1] = rare
    try:
        fit(module, BatchSource.of_recipe(rows, recipe), recipe, Path(folder))
    except FailedError as error:
        return str(error)
    return "it went on"


def fit_overflowing_two(folder: str, strategy: str) -> list[str]:
    """:func:`fit_overflowing` on two processes."""
    return launch.run(Rank(fit_overflowing, folder, strategy), 2, start="fork")


# Waiting for the first process.


def fit_slowly_judged(rank: int, folder: str) -> list[int]:
    """A run whose judging and saving take longer than a process waits inside a step; the steps judged."""
    fabric.TIMEOUT = timedelta(seconds=4)

    def slowly(module: Any, step: int) -> Any:
        if step == 5:
            time.sleep(5)
        return judge(module, step)

    save = Checkpoints.save

    def slow_save(self: Checkpoints, step: int, *arguments: Any) -> Path:
        if step == 10:
            time.sleep(5)
        return save(self, step, *arguments)

    Checkpoints.save = slow_save  # type: ignore[method-assign]
    recipe = STILL.child(processes=2)
    result = fit(model(), BatchSource.of_recipe(fresh_each_epoch, recipe), recipe, Path(folder), evaluate=slowly)
    return [item.step for item in result.evaluations]


def fit_slowly_judged_two(folder: str) -> list[list[int]]:
    """:func:`fit_slowly_judged` on two processes."""
    return launch.run(Rank(fit_slowly_judged, folder), 2, start="fork")
