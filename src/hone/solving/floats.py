"""The model in floats that a run which trained for a grid began from, where it still lies at its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hone.data.tokenizer import TextTokenizer
from hone.deploy.artifact.describing import base_name
from hone.deploy.certificate.original import encoder_original_of, original_of
from hone.deploy.certificate.witness import FloatModel
from hone.errors import HoneError
from hone.model.folder import HONE_FILE, ModelFolder, files_id
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
    # As the recipe names it: from the task's folder, or from where the command is.
    task = list(model.path.absolute().parents)[:3][-1]
    places = [place for place in (task / base, Path(base).expanduser()) if (place / HONE_FILE).is_file()]
    if not places:
        return None, f"it began from {base_name(base) or 'nothing that is known'}, and no model of this task is there"
    said = f"it began from {_name(places[0])}"
    try:
        known = str(model.hone.get("base_files", ""))
        found = next((place for place in places if known and files_id(place) == known), None)
        if found is None:
            other = "the model there has other files than that had" if known else "which files that had is not recorded"
            return None, f"{said}, and {other}"
        floats, why_not = _opened(found, model, thresholds)
    # What no gate asks for fails no export.
    except (HoneError, OSError, LookupError) as error:
        return None, f"{said}, which cannot be read ({type(error).__name__}: {error})"
    return floats, f"it began from {_name(found)}, {why_not}" if why_not else ""


def _opened(found: Path, model: ModelFolder, thresholds: Thresholds) -> tuple[FloatModel | None, str]:
    """The model in a folder, or why it is none to compare with."""
    floats = ModelFolder(found, TextTokenizer)
    if floats.hone.get("aware"):
        return None, "which was trained for a grid itself"
    if floats.hone.get("task") != model.hone.get("task"):
        return None, "which was not trained for this task"
    renderer = floats.renderer()
    if any(renderer.example(one["row"], one["fields"]).ids.tolist() != one["ids"] for one in model.hone["examples"]):
        return None, "which reads the rows as other tokens"
    module = floats.load()
    original = encoder_original_of(module) if isinstance(renderer, EncoderRenderer) else original_of(module)
    known = thresholds(floats.hone, renderer)
    return FloatModel(name=_name(found), renderer=renderer, original=original, thresholds=known), ""


def _name(folder: Path) -> str:
    """What people call a model folder: of a run that run."""
    return folder.parent.name if folder.name == "model" else folder.name
