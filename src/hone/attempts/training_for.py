"""What a recipe hands to the engine beside its batches: what is minimised, and what the weights are rounded to."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from hone.deploy.quantization.offered import lies_on
from hone.files import read_json
from hone.model.folder import HONE_FILE, files_id
from hone.task.recipe import Recipe
from hone.task.spec import Task

if TYPE_CHECKING:
    from torch import nn

    from hone.attempts.bench import Bench
    from hone.train.objectives import Objective
    from hone.train.transforms import MakeTransform

GRIDS_TRAINED_FOR = tuple(name for name in get_args(Recipe.model_fields["aware"].annotation) if name != "none")
"""Formats that a recipe can train for."""


def grid_to_train(weights: str) -> str:
    """The format whose grid a model can be trained on for another one, such as q4_0 for int4; empty without one."""
    return next((aware for aware in GRIDS_TRAINED_FOR if lies_on(aware, weights)), "")


def is_taught_by_its_base(recipe: Recipe, task: Task) -> bool:
    """Whether a run learns its base's own answers again: it trains for rounded weights, and the base does this task.

    A base that was not trained for the task by hone has no answers that are worth keeping; the rows are learned then.
    """
    described = Path(recipe.base).expanduser() / HONE_FILE
    if recipe.aware == "none" or not described.is_file():
        return False
    hone = read_json(described)
    return bool(hone.get("task") == task.name and hone.get("objective", "next-token") == recipe.objective)


def minimised(bench: Bench, model: nn.Module) -> Objective:
    """What a run minimises; ``model`` is the module before its first step, of which a base that teaches is copied."""
    if not is_taught_by_its_base(bench.recipe, bench.task):
        from hone.attempts.encoding import objective_of

        return objective_of(bench, model)
    from hone.deploy.quantization.aware import OwnAnswers

    return OwnAnswers(model)


def rounded_to(bench: Bench) -> MakeTransform | None:
    """The transform of a recipe that trains for a weight format; None for others."""
    if bench.recipe.aware == "none":
        return None
    from hone.deploy.quantization.aware import OnGrid, calibrated_grid

    if is_taught_by_its_base(bench.recipe, bench.task):
        return partial(calibrated_grid, weights=bench.recipe.aware, examples=bench.train)
    return partial(OnGrid, weights=bench.recipe.aware)


def rounding_lines(recipe: Recipe, task: Task) -> list[str]:
    """What training for a weight format does, for people; none where a recipe does not."""
    if recipe.aware == "none":
        return []
    what = "the answers that its base gives in floats" if is_taught_by_its_base(recipe, task) else "the rows"
    how = f"the model computes with matrices rounded to {recipe.aware}, and is judged and kept so"
    return [f"aware: {how}; it learns {what}, and the loss on dev is of the rows"]


def grid_of(recipe: Recipe) -> dict[str, str]:
    """What a model's ``hone.json`` says of the weight format it was trained for, and of its base's files, if hone's."""
    if recipe.aware == "none":
        return {}
    base = files_id(Path(recipe.base).expanduser())
    return {"aware": recipe.aware, **({"base_files": base} if base else {})}
