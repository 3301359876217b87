"""A trained model as a folder, with the renderer and eight rendered rows that prove it is understood (law 4)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.attempts.bench import Bench
from hone.attempts.training_for import grid_of
from hone.model.folder import save_model_folder

if TYPE_CHECKING:
    from torch import nn

    from hone.evaluate.calibration import Calibration

STORED_EXAMPLES = 8


def save_model(bench: Bench, model: nn.Module, path: Path, calibration: Calibration | None = None) -> Path:
    """Write the model folder ``path``, whole or not at all; ``calibration`` says what the renderer was given on dev.

    Raises:
        FailedError: when a row does not render as stored, or the disk refuses; nothing is left under ``path``.
    """
    renderer = bench.renderer
    # A dev row whose label no training row has cannot be rendered.
    known = [
        row
        for row in bench.data.dev
        if bench.task.kind != "classify" or renderer.reference(row.fields) in renderer.labels
    ]
    if bench.recipe.objective == "classify-sequence":
        # What Transformers' own loss and pipelines ask for.
        several = bench.task.kind == "multi-label"
        config: Any = model.config
        config.problem_type = "multi_label_classification" if several else "single_label_classification"
    rows = (known or bench.train_rows)[:STORED_EXAMPLES]
    stored = [renderer.stored_example(row.id, row.fields) for row in rows]
    identity = {
        "task": bench.task.name,
        "recipe": bench.recipe.id,
        "data": bench.data.id,
        "base": bench.recipe.base,
        "objective": bench.recipe.objective,
        **grid_of(bench.recipe),
        **({"calibration": calibration.to_json()} if calibration is not None else {}),
    }
    return save_model_folder(path, model, bench.tokenizer, renderer, stored, identity)
