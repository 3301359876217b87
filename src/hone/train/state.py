"""The complete state of a run: what must be equal for ten steps to be five, a kill, and five.

Weights, optimizers, averaged weights, every generator of every process, the data cursor, counters, what watchers
remember, and the identity of recipe, data and base. The schedule has no state of its own: it is a function of the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hone.errors import InputError
from hone.files import content_hash
from hone.task.recipe import HOW, KEPT, Recipe
from hone.train.averaging import Average
from hone.train.checkpoints import Saved
from hone.train.generators import generator_states, seed_generators, set_generator_states
from hone.train.optimizers import Part
from hone.train.records import PassedOver
from hone.train.sharding import is_sharded, sharded_like, whole
from hone.train.source import Cursor, other_identity
from hone.train.stepping import StepSums
from hone.train.tensors import load_model_tensors, model_tensors

FORMAT = 1
Tensors = dict[str, Tensor]
SAMPLED = 64
"""Values of each tensor that identify a base."""


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
    passed_over: tuple[PassedOver, ...] = ()
    """Rows that were left out by rewinds, oldest first."""

    def advanced(self, cursor: Cursor, sums: StepSums, seconds: float) -> Progress:
        """The counters one step later."""
        return Progress(
            step=self.step + 1,
            cursor=cursor,
            tokens=self.tokens + sums.computed_tokens,
            supervised_tokens=self.supervised_tokens + sums.num_tokens,
            seconds=self.seconds + seconds,
            passed_over=self.passed_over,
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Progress:
        """The counters as a header has them."""
        passed = tuple(PassedOver.from_json(item) for item in data.get("passed_over", ()))
        return cls(**{**data, "cursor": Cursor(**data["cursor"]), "passed_over": passed})


def state_tensors(model: nn.Module, parts: list[Part], average: Average | None, generators: Tensors) -> Tensors:
    """Everything of a run that is a tensor. ``generators`` are those of all processes, under ``random/RANK/NAME``.

    Of a sharded model all processes call it together; the tensors are whole.
    """
    tensors = {f"weights/{name}": value for name, value in model_tensors(model).items()}
    for part in parts:
        tensors |= part.tensors()
    if average is not None:
        tensors |= average.tensors()
    return {**{name: _whole_off_the_device(value) for name, value in tensors.items()}, **generators}


def _whole_off_the_device(tensor: Tensor) -> Tensor:
    """A shard as the whole tensor on the CPU at once: all of them together may not fit on one device."""
    return whole(tensor).cpu() if is_sharded(tensor) else tensor


def load_state(
    saved: Saved, model: nn.Module, parts: list[Part], average: Average | None, *, rank: int, seed: int
) -> Progress:
    """Put a run back into the state that was saved; its counters.

    A process that the state knows nothing of gets generators of its own, seeded by ``seed``, rank and step.
    """
    tensors = saved.tensors
    progress = Progress.from_json(saved.header["progress"])
    load_model_tensors(model, _under(tensors, "weights/"))
    for part in parts:
        part.optimizer.state.clear()
        part.load(_laid_out(tensors, part.name, {name: param for param, name in part.names.items()}))
    if average is not None:
        laid_out = _laid_out(tensors, "average", dict(model.named_parameters()))
        average.load(laid_out, saved.header["average_updates"])
    if mine := _under(tensors, f"random/{rank}/"):
        set_generator_states(mine)
    else:
        seed_generators(seed, rank, progress.step)
    return progress


def header(
    progress: Progress,
    recipe: Recipe,
    *,
    data_id: str,
    base_id: str,
    average: Average | None,
    watchers: Mapping[str, Any],
    seconds_by_part: Mapping[str, float],
    peak_bytes: Mapping[str, int],
    precision: str,
) -> dict[str, Any]:
    """The part of the state that is not tensors."""
    recipe_values = recipe.model_dump(mode="json")
    return {
        "format": FORMAT,
        "progress": asdict(progress),
        "recipe": recipe_values,
        "recipe_hash": content_hash(recipe_values),
        "data": data_id,
        "base": base_id,
        "average_updates": 0 if average is None else average.updates,
        "watchers": dict(watchers),
        "seconds_by_part": dict(seconds_by_part),
        "peak_bytes": dict(peak_bytes),
        "precision": precision,
        "torch": torch.__version__,
    }


def check_same_run(saved: Saved, recipe: Recipe, data_id: str, base_id: str) -> list[str]:
    """Refuse to go on with a checkpoint of another recipe, other data or another base; what may differ, as lines.

    Raises:
        InputError: with one sentence per difference.
    """
    now = recipe.model_dump(mode="json")
    # A key that came with a later version stood at its default before.
    before = {**Recipe().model_dump(mode="json"), **saved.header["recipe"]}
    changed = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    problems = [
        f"{key} is {before.get(key, 'absent')!r} in the checkpoint and {now.get(key, 'absent')!r} in the recipe"
        for key in changed
        if key not in HOW + KEPT
    ]
    problems += other_identity(saved.header["data"], data_id)
    if (base := saved.header.get("base", "")) and base_id and base != base_id:
        problems.append(f"the base's weights have the id {base} in the checkpoint and {base_id} now")
    if saved.header["format"] != FORMAT:
        problems.append(f"the checkpoint has format {saved.header['format']}, this version reads {FORMAT}")
    if problems:
        raise InputError(
            [f"{saved.folder}: {problem}" for problem in problems]
            + ["a run goes on only as it was started: take the old recipe and data, or start a new run"]
        )
    how = [f"{key} {now[key]!r} (it was {before[key]!r})" for key in changed if key in HOW]
    rows = "the same rows in the same order, and sums that may differ in their last bits"
    return [f"the run goes on with {', '.join(how)}: {rows}"] if how else []


def base_identity(model: nn.Module, recipe: Recipe) -> str:
    """A hash over names, shapes and some values of a base's weights; empty from scratch, where the recipe says all."""
    if recipe.base.startswith("scratch"):
        return ""
    seen = {}
    for name, value in model_tensors(model).items():
        flat = value.detach().reshape(-1)
        seen[name] = [list(value.shape), flat[:: max(1, flat.numel() // SAMPLED)].tolist()]
    return content_hash(seen)


def own_generators(rank: int) -> Tensors:
    """This process's generators under their names in the state."""
    return {f"random/{rank}/{name}": value for name, value in generator_states().items()}


def _under(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _laid_out(tensors: Mapping[str, Tensor], owner: str, params: Mapping[str, Tensor]) -> Tensors:
    """The tensors of an owner, ``OWNER/.../PARAMETER``, on the devices and in the shards of their parameters."""
    laid_out = {}
    for full, value in tensors.items():
        if full.startswith(f"{owner}/"):
            param = params.get(full.rsplit("/", 1)[1])
            laid_out[full] = value if param is None else sharded_like(value.to(param.device), param)
    return laid_out
