"""Mirror to TensorBoard: one event folder per run under ``tensorboard/``."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.lab.record import Header
from hone.lab.trackers import flat_scores, numbers


class TensorBoardTracker:
    """Scalars, and the recipe as text. Texts among logged values go in as text."""

    name = "tensorboard"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._last_step = 0

    def start(self, run: Header, config: Mapping[str, Any]) -> None:
        """Open an event file; a resumed run gets a second one in the same folder, which TensorBoard joins."""
        self._writer = _summary_writer(self._folder / run.folder_name)
        self._writer.add_text("recipe", "\n".join(f"    {key}: {value}" for key, value in config.items()))

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Add scalars and texts after a step."""
        self._last_step = max(self._last_step, step)
        for key, value in numbers(values).items():
            self._writer.add_scalar(key, value, step)
        for key, value in values.items():
            if isinstance(value, str):
                self._writer.add_text(key, value, step)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Add the final scores at the last step and close the file."""
        for key, value in flat_scores(result).items():
            self._writer.add_scalar(f"final/{key}", value, self._last_step)
        self._writer.close()


def _summary_writer(folder: Path) -> Any:
    """The writer of torch where the ``tensorboard`` package is there, else that of tensorboardX, which is alike."""
    if importlib.util.find_spec("tensorboard"):
        from torch.utils.tensorboard import SummaryWriter
    else:
        from tensorboardX import SummaryWriter
    return SummaryWriter(log_dir=str(folder))


def open_tracker(folder: Path) -> TensorBoardTracker:
    """The tracker, writing to ``folder/tensorboard``."""
    return TensorBoardTracker(folder / "tensorboard")
