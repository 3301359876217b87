"""The complete state of a run: what must be equal for ten steps to be five, a kill, and five.

Weights, optimizers, averaged weights, every generator of every process, the data cursor, counters, and the
identity of recipe and data. The schedule has no state of its own: it is a function of the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hone.errors import InputError
from hone.files import content_hash
from hone.task.recipe import Recipe
from hone.train.averaging import Average
from hone.train.checkpoints import Saved
from hone.train.generators import generator_states, set_generator_states
from hone.train.optimizers import Part
from hone.train.source import Cursor
from hone.train.stepping import StepSums
from hone.train.tensors import load_model_tensors, model_tensors

FORMAT = 1
Tensors = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Counters of a run."""

    step: int = 0
    """Optimizer steps done."""
    cursor: Cursor = field(default_factory=Cursor)
    """Where the next step reads."""
    tokens: int = 0
    supervised_tokens: int = 0
    seconds: float = 0.0

    def advanced(self, cursor: Cursor, sums: StepSums, seconds: float) -> Progress:
        """The counters one step later."""
        return Progress(
            step=self.step + 1,
            cursor=cursor,
            tokens=self.tokens + sums.computed_tokens,
            supervised_tokens=self.supervised_tokens + sums.num_tokens,
            seconds=self.seconds + seconds,
        )


def state_tensors(model: nn.Module, parts: list[Part], average: Average | None, generators: Tensors) -> Tensors:
    """Everything of a run that is a tensor. ``generators`` are those of all processes, under ``random/RANK/NAME``."""
    tensors = {f"weights/{name}": value for name, value in model_tensors(model).items()}
    for part in parts:
        tensors |= part.tensors()
    if average is not None:
        tensors |= average.tensors()
    return {**tensors, **generators}


def load_state(saved: Saved, model: nn.Module, parts: list[Part], average: Average | None, rank: int) -> Progress:
    """Put a run back into the state that was saved; its counters."""
    tensors = saved.tensors
    load_model_tensors(model, _under(tensors, "weights/"))
    names = {part.name for part in parts}
    optimizer_tensors = {name: value for name, value in tensors.items() if name.split("/", 1)[0] in names}
    for part in parts:
        part.load(optimizer_tensors)
    if average is not None:
        average.load(tensors, saved.header["average_updates"])
    set_generator_states(_under(tensors, f"random/{rank}/"))
    counters = dict(saved.header["progress"])
    return Progress(**{**counters, "cursor": Cursor(**counters["cursor"])})


def header(progress: Progress, recipe: Recipe, data_id: str, average: Average | None) -> dict[str, Any]:
    """The part of the state that is not tensors."""
    recipe_values = recipe.model_dump(mode="json")
    return {
        "format": FORMAT,
        "progress": asdict(progress),
        "recipe": recipe_values,
        "recipe_hash": content_hash(recipe_values),
        "data": data_id,
        "average_updates": 0 if average is None else average.updates,
        "torch": torch.__version__,
    }


def check_same_run(saved: Saved, recipe: Recipe, data_id: str) -> None:
    """Refuse to go on with a checkpoint of another recipe or of other data.

    Raises:
        InputError: with one sentence per difference.
    """
    before, now = saved.header["recipe"], recipe.model_dump(mode="json")
    problems = [
        f"{key} is {before.get(key, 'absent')!r} in the checkpoint and {now.get(key, 'absent')!r} in the recipe"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if saved.header["data"] != data_id:
        problems.append(f"the data is {saved.header['data']!r} in the checkpoint and {data_id!r} now")
    if saved.header["format"] != FORMAT:
        problems.append(f"the checkpoint has format {saved.header['format']}, this version reads {FORMAT}")
    if problems:
        raise InputError(
            [f"{saved.folder}: {problem}" for problem in problems]
            + ["a run goes on only as it was started: take the old recipe and data, or start a new run"]
        )


def own_generators(rank: int) -> Tensors:
    """This process's generators under their names in the state."""
    return {f"random/{rank}/{name}": value for name, value in generator_states().items()}


def _under(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
