"""The model in floats that a run which trained for a grid began from, where it still lies at its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hone.data.tokenizer import TextTokenizer
from hone.deploy.artifact.describing import base_name
from hone.deploy.certificate.original import encoder_original_of, original_of
from hone.deploy.certificate.witness import FloatModel
from hone.model.folder import HONE_FILE, ModelFolder
from hone.task.encoding import EncoderRenderer
from hone.task.render import Renderer

Thresholds = Callable[[Mapping[str, Any], Renderer], Mapping[str, float]]


def float_model_of(model: ModelFolder, thresholds: Thresholds) -> tuple[FloatModel | None, str]:
    """The base of a model that was trained for a grid, and why there is none; neither for other models.

    Args:
        model: a run's model folder.
        thresholds: of several labels, from a model's ``hone.json`` and its renderer: by a row's id.
    """
    if not model.hone.get("aware"):
        return None, ""
    base = str(model.hone.get("base", ""))
    # As the recipe names it: from the folder of the command, which is mostly that of the task.
    places = [Path(base).expanduser(), model.path.absolute().parents[2] / base]
    found = next((place for place in places if (place / HONE_FILE).is_file()), None)
    if found is None:
        return None, f"it began from {base_name(base) or 'nothing that is known'}, and no model of this task is there"
    floats = ModelFolder(found, TextTokenizer)
    if floats.hone.get("aware"):
        return None, f"it began from {_name(found)}, which was trained for a grid itself"
    if floats.hone.get("task") != model.hone.get("task"):
        return None, f"it began from {_name(found)}, which was not trained for this task"
    renderer = floats.renderer()
    if any(renderer.example(one["row"], one["fields"]).ids.tolist() != one["ids"] for one in model.hone["examples"]):
        return None, f"it began from {_name(found)}, which reads the rows as other tokens"
    module = floats.load()
    original = encoder_original_of(module) if isinstance(renderer, EncoderRenderer) else original_of(module)
    return (
        FloatModel(
            name=_name(found), renderer=renderer, original=original, thresholds=thresholds(floats.hone, renderer)
        ),
        "",
    )


def _name(folder: Path) -> str:
    """What people call a model folder: of a run that run."""
    return folder.parent.name if folder.name == "model" else folder.name
