"""The first value that is no number: which tensor, which rows, and a folder that gives it again.

::

    runs/0003-x/non-finite-step-118/
      failure.json          step, tensors, rows, recipe, the model's class and config, what the loss was made of
      weights.safetensors   the weights before the step      batches.safetensors   what the step read

``python -m hone.train.guards FOLDER`` reads it in a fresh process and says what is not finite again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hone.errors import FailedError, InputError
from hone.files import atomic_folder, read_json, write_json
from hone.task.recipe import Recipe
from hone.train.batches import Batch
from hone.train.compiling import LossModule
from hone.train.fabric import precision_of
from hone.train.objectives import AtPositions, NextToken, Objective, SeveralLabels
from hone.train.sharding import whole
from hone.train.tensors import load_model_tensors, model_tensors

_OBJECTIVES: dict[str, Any] = {made.__name__: made for made in (NextToken, AtPositions, SeveralLabels)}


@dataclass(frozen=True, kw_only=True, slots=True)
class NonFinite:
    """What is not finite in one step."""

    losses: tuple[float, ...]
    """Summed loss of each micro-batch."""
    tensors: tuple[str, ...]
    """Weights, then gradients."""
    rows: tuple[str, ...]
    """Rows whose own loss is not finite."""

    @property
    def found(self) -> bool:
        """Whether anything is not finite."""
        return bool(self.tensors or self.rows or not all(map(_is_finite, self.losses)))


def stop_non_finite(
    model: nn.Module, objective: Objective, batches: Sequence[Batch], folder: Path, *, step: int, recipe: Recipe
) -> None:
    """Raise for the first step whose loss or gradient is not finite, after writing what reproduces it.

    The weights have not been changed by the step, so the folder holds the very model and batches that failed.

    Raises:
        FailedError: always; it names the tensors and the rows, and the command that runs the step again.
    """
    tensors = _non_finite_tensors(model)
    mixed = precision_of(recipe)[0] == "bf16-mixed"
    rows = _non_finite_rows(LossModule(model, objective, mixed=mixed), batches)
    weights = {name: whole(value.detach()).cpu().contiguous() for name, value in model_tensors(model).items()}
    failure = {
        "step": step,
        "tensors": tensors,
        "rows": rows,
        "batches": [{"rows": list(batch.rows), "bidirectional": batch.bidirectional} for batch in batches],
        "model": type(model).__name__,
        "config": _config(model),
        "objective": _described(objective),
        "mixed": mixed,
        "recipe": recipe.model_dump(mode="json"),
    }
    with atomic_folder(folder) as part:
        save_file(weights, part / "weights.safetensors")
        save_file(_batch_tensors(batches), part / "batches.safetensors")
        write_json(part / "failure.json", failure)
    first = tensors[0] if tensors else "the loss"
    named = ", ".join(rows[:3]) if rows else "none by itself, only the whole batch"
    raise FailedError(
        f"step {step:,}: the first value that is not finite is in {first} ({len(tensors)} tensors in all); rows whose "
        f"loss is not finite: {named}. The weights before the step and the batches are in {folder}; "
        f"python -m hone.train.guards {folder} runs the step again. "
        f"Try a learning rate below {recipe.learning_rate:g}, or look at these rows"
    )


def reproduce(folder: Path, objective: Objective | None = None, model: nn.Module | None = None) -> NonFinite:
    """Run the step of a folder again, forward and backward, on the CPU.

    Args:
        folder: what :func:`stop_non_finite` wrote.
        objective: what was minimised, where it is not one of this package's.
        model: an empty model of the right shape, where its class is not one of Transformers'.

    Raises:
        InputError: when the folder is none of these, or model or objective are of a class that is not known here.
    """
    if not (folder / "failure.json").is_file():
        raise InputError(f"{folder} has no failure.json: it is not the folder of a step that was not finite")
    failure = read_json(folder / "failure.json")
    module = _model_of(failure) if model is None else model
    load_model_tensors(module, load_file(folder / "weights.safetensors"))
    minimised = _objective_of(failure["objective"]) if objective is None else objective
    batches = _batches_of(failure["batches"], load_file(folder / "batches.safetensors"))
    forward = LossModule(module, minimised, mixed=failure["mixed"])
    module.train()
    module.zero_grad()
    losses = []
    for batch in batches:
        loss = forward(batch)
        loss.total.backward()
        losses.append(float(loss.total.detach()))
    rows = _non_finite_rows(forward, batches)
    return NonFinite(losses=tuple(losses), tensors=tuple(_non_finite_tensors(module)), rows=tuple(rows))


def _non_finite_tensors(model: nn.Module) -> list[str]:
    named = list(model.named_parameters())
    weights = [f"weight {name}" for name, param in named if not whole(param).isfinite().all()]
    return weights + [
        f"gradient of {name}" for name, p in named if p.grad is not None and not whole(p.grad).isfinite().all()
    ]


@torch.no_grad()
def _non_finite_rows(forward: nn.Module, batches: Sequence[Batch]) -> list[str]:
    bad: list[str] = []
    for batch in batches:
        for index in range(len(batch.lengths)):
            row = batch.one_row(index)
            if not torch.isfinite(forward(row).total):
                bad.extend(row.rows)
    return bad


def _is_finite(value: float) -> bool:
    return value - value == 0.0


def _config(model: nn.Module) -> dict[str, Any]:
    config: Any = getattr(model, "config", None)
    values: dict[str, Any] = config.to_diff_dict() if config is not None else {}
    # The kind of attention decides how scores are computed, and lies outside of what a config tells of itself.
    return {"model_type": getattr(config, "model_type", ""), **values, "attention": _attention(config)}


def _attention(config: Any) -> str | None:
    return getattr(config, "_attn_implementation", None)


def _described(objective: Objective) -> dict[str, Any]:
    """The objective's class and what it was made with: plain numbers and vectors."""
    made = {key: value for key, value in vars(objective).items() if not key.startswith("_")}
    plain = {key: value.tolist() if isinstance(value, Tensor) else value for key, value in made.items()}
    return {"class": type(objective).__name__, "made_with": plain if type(objective).__name__ in _OBJECTIVES else {}}


def _objective_of(described: Mapping[str, Any]) -> Objective:
    if described["class"] not in _OBJECTIVES:
        raise InputError(f"the objective was {described['class']}, none of {', '.join(_OBJECTIVES)}: hand it in")
    objective: Objective = _OBJECTIVES[described["class"]](**described["made_with"])
    return objective


def _model_of(failure: Mapping[str, Any]) -> nn.Module:
    """An empty model of the class and shape that failed; code of a model repository is never run."""
    import transformers

    cls = getattr(transformers, failure["model"], None)
    if cls is None or not issubclass(cls, transformers.PreTrainedModel):
        raise InputError(f"the model was of class {failure['model']}, which Transformers does not have: hand it in")
    values = dict(failure["config"])
    attention = values.pop("attention")
    config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
    if attention is not None:
        config._attn_implementation = attention
    model: nn.Module = cls(config)
    return model.float()


def _batch_tensors(batches: Sequence[Batch]) -> dict[str, Tensor]:
    return {
        f"{index}/{name}": value.cpu().contiguous()
        for index, batch in enumerate(batches)
        for name, value in batch._asdict().items()
        if isinstance(value, Tensor)
    }


def _batches_of(described: Sequence[Mapping[str, Any]], tensors: Mapping[str, Tensor]) -> list[Batch]:
    made = []
    for index, one in enumerate(described):
        own = {name.split("/", 1)[1]: value for name, value in tensors.items() if name.startswith(f"{index}/")}
        known = {"position_ids": None, **own, "rows": tuple(one["rows"]), "bidirectional": one["bidirectional"]}
        made.append(Batch(**known))
    return made
