"""Where a run's model comes from, for the card of its artifacts: licences of base and data, the answers' schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.data.prepare import DataVersion
from hone.deploy.artifact.describing import Origin
from hone.deploy.artifact.folder import HONE_FILE
from hone.files import read_json
from hone.model.licence import CARD, licence_in, stated_licence
from hone.solving.result import RESULT_FILE
from hone.task.render import task_reference
from hone.task.schema import infer_schema
from hone.task.spec import Task


def origin_of(task: Task, folder: Path, data: DataVersion, *, model: Path, run: str) -> Origin:
    """The origin of a run's model.

    Args:
        task: what it was trained on.
        folder: the task's, where a schema of its own is found.
        data: the data version that the run was trained on.
        model: the run's model folder.
        run: name of the run's folder.
    """
    licences: Counter[str] = Counter()
    for source in data.making.sources:
        licences.update(source.licences)
    licence = stated_licence(str(read_json(model / "hone.json").get("base", "")))
    return Origin(
        run=run,
        base={"licence": licence} if licence else {},
        data_licences=dict(licences),
        schema=_schema(task, folder, data),
        tested=_tested(folder, model),
    )


def bare_origin_of(model: Path) -> Origin:
    """The origin of a model without its task: what its own files state."""
    licence = licence_in(model / CARD) or stated_licence(str(read_json(model / "hone.json").get("base", "")))
    return Origin(base={"licence": licence} if licence else {})


def tested(result: Mapping[str, Any], artifact: str) -> dict[str, Any]:
    """What a solve's result says of the sealed test, for the card of an artifact.

    Args:
        result: of :func:`hone.solving.result.result_of`.
        artifact: name of the artifact that was scored.
    """
    score = result["test_scores"][result["metric"]]
    return {"score": score, "readings": result["test_readings"], "artifact": artifact}


def _tested(folder: Path, model: Path) -> dict[str, Any] | None:
    """What this very model scored on the sealed test, as an artifact of the last solve; None where none was of it."""
    result = read_json(folder / RESULT_FILE) if (folder / RESULT_FILE).is_file() else {}
    artifact = folder / str(result.get("artifact"))
    if "test_scores" not in result or not (artifact / HONE_FILE).is_file():
        return None
    of, own = (read_json(path / HONE_FILE) for path in (artifact, model))
    return tested(result, artifact.name) if of["lineage"]["model"] == own.get("hashes") else None


def _schema(task: Task, folder: Path, data: DataVersion) -> dict[str, object] | None:
    """The task's own schema of answers, else one that every training answer satisfies; None where answers are text."""
    if task.kind != "extract":
        return None
    if task.output_schema:
        found: dict[str, object] = read_json(folder / task.output_schema)
        return found
    return infer_schema(task_reference(task, row.fields) for row in data.train)
