"""Twenty healthy runs: different tasks, shapes, seeds, optimizers and rates, four of them encoders; 100 steps each.

Every guard that is worth having has to leave all of them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from small_encoders import CLASSES, encoder
from small_encoders import VOCAB as ENCODER_VOCAB
from small_runs import END, SHAPE, VOCAB

from hone.model.presets import from_scratch
from hone.task.recipe import Recipe
from hone.task.render import Example
from hone.train.engine import fit
from hone.train.guards.standard import standard_watchers
from hone.train.objectives import AtPositions, NextToken, Objective, SeveralLabels
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


def rows_of(task: str, count: int, seed: int) -> list[Example]:
    """Rows of a task: a decoder's, or an encoder's."""
    rng = np.random.default_rng(seed)
    if task in HEADS:
        return [_read_both_ways(task, rng, index) for index in range(count)]
    made = []
    for index in range(count):
        ids, prompt = TASKS[task](rng)
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


HEADS = {
    "class": "SequenceClassification",
    "several": "SequenceClassification",
    "tags": "TokenClassification",
    "masked": "MaskedLM",
}
"""What stands on an encoder for each of its tasks."""
_MASK = 4


def _read_both_ways(task: str, rng: np.random.Generator, index: int) -> Example:
    """Words of an encoder: their families are its classes, its labels or its tags; or a counted word is missing."""
    length = int(rng.integers(6, 16))
    ids = rng.integers(5, ENCODER_VOCAB, length).astype(np.int32)
    supervised, targets = np.arange(length) == 0, np.zeros(length, np.int32)
    label, labels = None, None
    if task == "class":
        targets[0] = label = int(ids[0]) % CLASSES
    elif task == "several":
        labels = np.isin(np.arange(CLASSES), ids[:3] % CLASSES).astype(np.float32)
    elif task == "tags":
        supervised, targets = np.ones(length, np.bool_), (ids % CLASSES).astype(np.int32)
    else:
        ids = np.arange(length, dtype=np.int32) + int(rng.integers(5, 20))
        targets, supervised = ids.copy(), rng.random(length) < 0.2
        supervised[length // 2] = True
        ids[supervised] = _MASK
    row = f"r:{index}"
    return Example(
        ids=ids, supervised=supervised, prompt_len=length, label=label, row=row, targets=targets, labels=labels
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One run."""

    task: str
    seed: int
    changes: dict[str, Any]
    layers: int = 2
    init_std: float = 0.02
    rows: int = 200
    family: str = ""
    """Of an encoder; a decoder without it."""

    def model(self) -> Any:
        """The untrained model."""
        if self.family:
            made = encoder(self.family, HEADS[self.task], seed=self.seed)
            if self.task == "several":
                made.config.problem_type = "multi_label_classification"
            return made
        return from_scratch(replace(SHAPE, layers=self.layers), self.seed, init_std=self.init_std)

    @property
    def objective(self) -> Objective:
        """What is minimised."""
        if not self.family:
            return NextToken(self.changes.get("label_smoothing", 0.0))
        return SeveralLabels() if self.task == "several" else AtPositions()


_ADAM: dict[str, Any] = {"optimizer": "adamw"}
_MUON: dict[str, Any] = {"optimizer": "muon", "learning_rate": 5e-3, "matrix_learning_rate": 0.02}
_PLANS: tuple[tuple[dict[str, Any], int, float], ...] = (
    ({**_ADAM, "learning_rate": 3e-3, "schedule": "constant"}, 2, 0.02),
    ({**_ADAM, "learning_rate": 1e-2, "schedule": "warmup-cosine", "packing": True}, 1, 0.05),
    ({**_MUON, "schedule": "warmup-stable-decay", "average": 0.9}, 2, 0.08),
    ({**_ADAM, "learning_rate": 1e-3, "schedule": "constant", "batch_size": 4, "clip_norm": 0.5}, 3, 0.02),
    ({**_MUON, "schedule": "constant", "batch_size": 2, "accumulate": 2, "label_smoothing": 0.1}, 2, 0.04),
)
_ENCODERS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("class", "bert", {**_ADAM, "learning_rate": 1e-3, "schedule": "warmup-linear", "objective": "classify-sequence"}),
    ("several", "distilbert", {**_ADAM, "learning_rate": 3e-3, "objective": "classify-sequence"}),
    ("tags", "roberta", {**_MUON, "schedule": "warmup-cosine", "objective": "tag-tokens"}),
    ("masked", "bert", {**_ADAM, "learning_rate": 3e-3, "packing": True, "objective": "masked-tokens"}),
)
_DECODERS = tuple(
    Setting(task=task, seed=seed, changes=changes, layers=layers, init_std=std)
    for seed, (task, (changes, layers, std)) in enumerate((task, plan) for task in TASKS for plan in _PLANS)
    # Each task misses another plan.
    if seed % len(_PLANS) != list(TASKS).index(task) + 1
)
SETTINGS = _DECODERS + tuple(
    Setting(task=task, seed=20 + index, changes=changes, family=family)
    for index, (task, family, changes) in enumerate(_ENCODERS)
)
assert len(SETTINGS) == 20


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
    model = setting.model()
    change(model)
    told: list[Mapping[str, Any]] = []
    steps: list[StepRecord] = []
    source = BatchSource.of_recipe(rows_of(setting.task, setting.rows, setting.seed), recipe)
    given = standard_watchers(recipe, told.append) if watchers is None else watchers
    arguments = {"objective": setting.objective, **arguments}
    result = fit(model, source, recipe, folder, on_step=steps.append, watchers=given, **arguments)
    return told, steps, result
