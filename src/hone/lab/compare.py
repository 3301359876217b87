"""Runs side by side: what differs in their recipes, their scores with intervals, the effect against the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hone.errors import InputError
from hone.lab.artifacts import Artifact
from hone.lab.hypothesis import Effect, effect_between
from hone.lab.run import Run
from hone.task.scores import Score


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two or more runs; every tuple is aligned with ``runs``."""

    runs: tuple[Run, ...]
    recipe: Mapping[str, tuple[Any, ...]]
    """Fields of the recipe in which any two differ."""
    scores: Mapping[str, tuple[Score | None, ...]]
    """Scores on dev by metric."""
    effects: Mapping[str, tuple[Effect | None, ...]]
    """By metric, the difference to the first run; ``None`` for the first itself and where a score is missing."""
    notes: tuple[str, ...]
    """What makes the comparison less than it seems."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "runs": [run.header.to_json() for run in self.runs],
            "recipe": {key: list(values) for key, values in self.recipe.items()},
            "scores": {key: [score.to_json() if score else None for score in row] for key, row in self.scores.items()},
            "effects": {
                key: [effect.to_json() if effect else None for effect in row] for key, row in self.effects.items()
            },
            "notes": list(self.notes),
        }


def compare(runs: Sequence[Run]) -> Comparison:
    """Put runs side by side; the first is the one that the others are measured against.

    Raises:
        InputError: for fewer than two runs, or the same one twice.
    """
    numbers = [run.number for run in runs]
    if len(set(numbers)) < 2 or len(set(numbers)) < len(numbers):
        raise InputError(f"compare needs two or more different runs; got {', '.join(map(str, numbers)) or 'none'}")
    scores = [run.scores() for run in runs]
    metrics = list(dict.fromkeys(name for found in scores for name in found))
    effects = {
        metric: (None, *(effect_between(found, scores[0], metric) for found in scores[1:])) for metric in metrics
    }
    return Comparison(
        runs=tuple(runs),
        recipe=recipe_differences([run.recipe for run in runs]),
        scores={metric: tuple(found.get(metric) for found in scores) for metric in metrics},
        effects=effects,
        notes=tuple(_notes(runs)),
    )


def recipe_differences(recipes: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Fields in which any two recipes differ, with each one's value (``None`` where it has none)."""
    keys = dict.fromkeys(key for recipe in recipes for key in recipe)
    rows = {key: tuple(recipe.get(key) for recipe in recipes) for key in keys}
    return {key: values for key, values in rows.items() if any(value != values[0] for value in values)}


def _notes(runs: Sequence[Run]) -> list[str]:
    notes = []
    data = dict.fromkeys(run.header.data_id for run in runs)
    if len(data) > 1:
        notes.append(f"the runs have {len(data)} data versions ({', '.join(data)}): their dev rows may differ")
    tasks = dict.fromkeys(run.header.task_id for run in runs)
    if len(tasks) > 1:
        notes.append(f"the runs have {len(tasks)} versions of the task ({', '.join(tasks)})")
    for run in runs:
        if run.status != "finished":
            notes.append(f"run {run.number} is {run.status}: its scores are of step {run.last_step():,}, not final")
    notes.append("intervals take the scores as independent; on the same dev rows they are wider than need be")
    return notes


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """A run in the tree of lineage, with its children and the artifacts made from it."""

    run: Run
    children: tuple[Branch, ...]
    artifacts: tuple[Artifact, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, nested."""
        return {
            "number": self.run.number,
            "name": self.run.name,
            "children": [child.to_json() for child in self.children],
            "artifacts": [
                {"id": item.id, "path": item.path, "checkpoint": item.checkpoint, "status": item.status}
                for item in self.artifacts
            ],
        }


def trees(runs: Sequence[Run], artifacts: Sequence[Artifact]) -> dict[str, tuple[Branch, ...]]:
    """Lineage by data version: the runs without a parent (or whose parent's folder is gone), each with what follows."""
    known = {run.number for run in runs}
    children: dict[int, list[Run]] = {}
    roots: dict[str, list[Run]] = {}
    for run in runs:
        parent = run.header.parent
        # A parent is older than its child; anything else was edited by hand and would make a circle.
        if parent is not None and parent in known and parent < run.number:
            children.setdefault(parent, []).append(run)
        else:
            roots.setdefault(run.header.data_id, []).append(run)

    def branch(run: Run) -> Branch:
        return Branch(
            run=run,
            children=tuple(branch(child) for child in children.get(run.number, ())),
            artifacts=tuple(item for item in artifacts if item.run == run.number),
        )

    return {data_id: tuple(branch(run) for run in found) for data_id, found in roots.items()}
