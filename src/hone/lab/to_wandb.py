"""Mirror to Weights & Biases, offline: files under ``wandb/`` that ``wandb sync`` can send later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.files import content_hash
from hone.lab.record import Header
from hone.lab.trackers import flat_scores, quiet_environment

QUIET = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}


class WandbTracker:
    """One offline run per run; a resumed run keeps its id, so that syncing joins the parts."""

    name = "wandb"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run: Any = None

    def start(self, run: Header, config: Mapping[str, Any]) -> None:
        """Open an offline run. Console, code and machine statistics are not captured."""
        quiet_environment(QUIET)
        import wandb

        self._folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            mode="offline",
            dir=str(self._folder),
            project="hone",
            id=content_hash(run.to_json()),
            name=run.folder_name,
            config={**config, "hone": run.to_json()},
            settings=wandb.Settings(console="off", disable_git=True, save_code=False, x_disable_stats=True),
        )
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Log numbers and texts. The step is a value of its own: W&B refuses to go back to an earlier one."""
        self._run.log({**values, "step": step})

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the final scores as summary and close the files."""
        self._run.summary.update({f"final/{key}": value for key, value in flat_scores(result).items()})
        self._run.finish()


def open_tracker(folder: Path) -> WandbTracker:
    """The tracker, writing to ``folder/wandb``."""
    return WandbTracker(folder)
