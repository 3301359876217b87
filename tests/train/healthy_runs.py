"""Twenty healthy runs: different tasks, shapes, seeds, optimizers and rates, a few dozen steps each.

Every guard that is worth having has to leave all of them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from small_runs import END, SHAPE, VOCAB

from hone.model.presets import from_scratch
from hone.task.recipe import Recipe
from hone.task.render import Example
from hone.train.engine import fit
from hone.train.guards.standard import standard_watchers
from hone.train.records import FitResult, StepRecord
from hone.train.source import BatchSource
from hone.train.watching import Watcher

Row = Callable[[np.random.Generator], tuple[list[int], int]]
"""Ids without the end, and how many of them are not supervised."""


def counting(rng: np.random.Generator) -> tuple[list[int], int]:
    """Numbers in order, from anywhere."""
    start, length = int(rng.integers(4, 30)), int(rng.integers(6, 24))
    return list(range(start, start + length)), 1


def doubling(rng: np.random.Generator) -> tuple[list[int], int]:
    """Each id twice."""
    return [int(one) for one in np.repeat(rng.integers(4, VOCAB, 8), 2)], 2


def naming(rng: np.random.Generator) -> tuple[list[int], int]:
    """Words, then one id out of five: which family the first word belongs to."""
    words = rng.integers(4, 54, int(rng.integers(4, 12)))
    return [*map(int, words), 55 + int(words[0]) % 5], len(words)


def babbling(rng: np.random.Generator) -> tuple[list[int], int]:
    """A few ids often and many seldom, as in language; nothing more than their frequencies can be learned."""
    return [int(min(VOCAB - 1, 4 + rng.zipf(1.7))) for _ in range(20)], 1


TASKS: dict[str, Row] = {"counting": counting, "doubling": doubling, "naming": naming, "babbling": babbling}


def rows_of(task: Row, count: int, seed: int) -> list[Example]:
    """Rows of a task."""
    rng, made = np.random.default_rng(seed), []
    for index in range(count):
        ids, prompt = task(rng)
        supervised = np.arange(len(ids) + 1) >= prompt
        made.append(
            Example(
                ids=np.array([*ids, END], np.int32),
                supervised=supervised,
                prompt_len=prompt,
                label=None,
                row=f"r:{index}",
            )
        )
    return made


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One run."""

    task: str
    seed: int
    changes: dict[str, Any]
    layers: int = 2
    init_std: float = 0.02
    rows: int = 200


_MUON: dict[str, Any] = {"optimizer": "muon", "learning_rate": 5e-3, "matrix_learning_rate": 0.02}
_PLANS: tuple[tuple[dict[str, Any], int, float], ...] = (
    ({"optimizer": "adamw", "learning_rate": 3e-3, "schedule": "constant"}, 2, 0.02),
    ({"optimizer": "adamw", "learning_rate": 1e-2, "schedule": "warmup-cosine", "packing": True}, 1, 0.05),
    ({**_MUON, "schedule": "warmup-stable-decay", "average": 0.9}, 2, 0.08),
    ({"optimizer": "adamw", "learning_rate": 1e-3, "schedule": "constant", "batch_size": 4, "clip_norm": 0.5}, 4, 0.02),
    ({**_MUON, "schedule": "constant", "batch_size": 2, "accumulate": 2, "label_smoothing": 0.1}, 3, 0.04),
)
SETTINGS = tuple(
    Setting(task=task, seed=seed, changes=changes, layers=layers, init_std=std)
    for seed, (task, (changes, layers, std)) in enumerate((task, plan) for task in TASKS for plan in _PLANS)
)


def recipe_of(setting: Setting, steps: int = 40) -> Recipe:
    """The recipe of a setting."""
    base = Recipe(
        base="scratch:tiny",
        data="d",
        steps=steps,
        warmup_steps=5,
        batch_size=8,
        context=64,
        eval_every=steps,
        seed=setting.seed,
    )
    return base.child(**setting.changes)


def carried_out(
    setting: Setting,
    folder: Path,
    *,
    recipe: Recipe | None = None,
    change: Callable[[Any], None] = lambda model: None,
    watchers: list[Watcher] | None = None,
    **arguments: Any,
) -> tuple[list[Mapping[str, Any]], list[StepRecord], FitResult]:
    """Train; what the guards told, each step, and how it ended."""
    recipe = recipe or recipe_of(setting)
    model = from_scratch(replace(SHAPE, layers=setting.layers), setting.seed, init_std=setting.init_std)
    change(model)
    told: list[Mapping[str, Any]] = []
    steps: list[StepRecord] = []
    source = BatchSource.of_recipe(rows_of(TASKS[setting.task], setting.rows, setting.seed), recipe)
    given = standard_watchers(recipe, told.append) if watchers is None else watchers
    result = fit(model, source, recipe, folder, on_step=steps.append, watchers=given, **arguments)
    return told, steps, result
