"""Mirror to MLflow's local file store under ``mlruns/``.

MLflow 3 keeps the file store behind ``MLFLOW_ALLOW_FILE_STORE``; to look at it, start ``mlflow ui`` with that variable.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.files import content_hash
from hone.lab.record import Header
from hone.lab.trackers import flat_scores, numbers, quiet_environment

QUIET = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_EXPERIMENT = "hone"
_TAG = "hone.run"


class MlflowTracker:
    """One MLflow run per run, found again by its tag when the run is resumed."""

    name = "mlflow"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._client: Any = None
        self._id = ""
        self._last_step = 0

    def start(self, run: Header, config: Mapping[str, Any]) -> None:
        """Open the run, or go on with it, and write the recipe as parameters."""
        quiet_environment(QUIET)
        from mlflow.tracking import MlflowClient

        self._folder.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(tracking_uri=self._folder.resolve().as_uri())
        experiment = self._client.get_experiment_by_name(_EXPERIMENT)
        number = experiment.experiment_id if experiment else self._client.create_experiment(_EXPERIMENT)
        key = content_hash(run.to_json())
        found = self._client.search_runs([number], filter_string=f"tags.`{_TAG}` = '{key}'", max_results=1)
        if found:
            self._id = found[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            return
        self._id = self._client.create_run(number, run_name=run.folder_name, tags={_TAG: key}).info.run_id
        for name, value in config.items():
            self._client.log_param(self._id, name, value)

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Log the numbers after a step; MLflow's metrics take no texts, which stay in the run's own files."""
        from mlflow.entities import Metric

        self._last_step = max(self._last_step, step)
        moment_ms = int(time.time() * 1000)
        metrics = [Metric(key, value, moment_ms, step) for key, value in numbers(values).items()]
        if metrics:
            self._client.log_batch(self._id, metrics=metrics)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Log the final scores and close the run with its status."""
        for key, value in flat_scores(result).items():
            self._client.log_metric(self._id, f"final/{key}", value, step=self._last_step)
        ended = {"failed": "FAILED", "interrupted": "KILLED", "paused": "SCHEDULED"}
        self._client.set_terminated(self._id, status=ended.get(str(result.get("status", "")), "FINISHED"))


def open_tracker(folder: Path) -> MlflowTracker:
    """The tracker, writing to ``folder/mlruns``."""
    return MlflowTracker(folder / "mlruns")
