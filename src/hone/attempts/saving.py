"""A trained model as a folder, with the renderer and eight rendered rows that prove it is understood (law 4)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hone.attempts.bench import Bench

if TYPE_CHECKING:
    from torch import nn

STORED_EXAMPLES = 8


def save_model(bench: Bench, model: nn.Module, path: Path) -> Path:
    """Write the model folder ``path``, whole or not at all.

    Raises:
        FailedError: when a row does not render as stored, or the disk refuses; nothing is left under ``path``.
    """
    from hone.model.folder import save_model_folder

    renderer = bench.renderer
    # A dev row whose label no training row has cannot be rendered.
    known = [
        row
        for row in bench.data.dev
        if bench.task.kind != "classify" or renderer.reference(row.fields) in renderer.labels
    ]
    rows = (known or bench.train_rows)[:STORED_EXAMPLES]
    stored = [renderer.stored_example(row.id, row.fields) for row in rows]
    identity = {"task": bench.task.name, "recipe": bench.recipe.id, "data": bench.data.id, "base": bench.recipe.base}
    return save_model_folder(path, model, bench.tokenizer, renderer, stored, identity)
