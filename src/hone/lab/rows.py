"""From files to rows of the index: what each run, artifact and reading contributes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hone.files import read_json
from hone.lab import artifacts as artifact_files
from hone.lab.index import Rows
from hone.lab.readings import Readings
from hone.lab.run import TRUTH_FILES, Run

ARTIFACTS, READINGS = "artifacts", "readings"


def run_owner(number: int) -> str:
    """Owner of a run's rows."""
    return f"run:{number}"


def fingerprint(files: Iterable[Path]) -> str:
    """Sizes and modification times (ns) of files; another text when any of them was written."""
    parts = []
    for file in files:
        try:
            stat = file.stat()
            parts.append(f"{stat.st_size}@{stat.st_mtime_ns}")
        except FileNotFoundError:
            parts.append("-")
    return " ".join(parts)


def run_fingerprint(folder: Path) -> str:
    """Fingerprint of the files that a run's rows are made of."""
    return fingerprint(folder / name for name in TRUTH_FILES)


def run_rows(run: Run) -> Rows:
    """Rows of one run: itself, its scores, and its edges from the data version and the parent."""
    # The fingerprint is taken first: a file written while the others are read makes these rows stale, not wrong.
    mark = run_fingerprint(run.folder)
    header, owner = run.header, run_owner(run.number)
    path = run.folder / "verdict.json"
    verdict: dict[str, Any] = read_json(path) if path.exists() else {}
    effect = tuple(verdict.get(key) for key in ("mean", "low", "high", "verdict"))
    edges = [(owner, "data", header.data_id, "run", str(header.number))]
    if header.parent is not None:
        edges.append((owner, "run", str(header.parent), "run", str(header.number)))
    return {
        "runs": [
            (
                owner, header.number, header.name, header.created, run.recorded_status, run.reason, header.task_id,
                header.data_id, header.recipe_id, header.metric, header.parent, header.hypothesis, header.change,
                header.predicted, *effect,
            )
        ],
        "scores": [
            (owner, run.number, item.split, item.step, item.final, item.score.name, item.score.mean, item.score.low,
             item.score.high, item.score.n, item.score.higher_is_better)
            for item in run.score_records()
        ],
        "edges": edges,
        "sources": [(owner, mark)],
    }  # fmt: skip


def artifact_rows(ledger: Path) -> Rows:
    """Rows of all artifacts, and the edges run -> checkpoint -> artifact (run -> artifact without a checkpoint)."""
    mark = fingerprint([ledger])
    found, _ = artifact_files.read(ledger)
    edges: dict[tuple[str, ...], None] = {}
    for item in found:
        source = ("run", str(item.run))
        if item.checkpoint:
            checkpoint = f"{item.run}/{item.checkpoint}"
            edges[(ARTIFACTS, *source, "checkpoint", checkpoint)] = None
            source = ("checkpoint", checkpoint)
        edges[(ARTIFACTS, *source, "artifact", item.id)] = None
    return {
        "artifacts": [
            (ARTIFACTS, item.id, item.path, item.content_hash, item.size_bytes, item.run, item.checkpoint, item.status,
             json.dumps(item.certificate, sort_keys=True, ensure_ascii=False), item.recorded)
            for item in found
        ],
        "edges": list(edges),
        "sources": [(ARTIFACTS, mark)],
    }  # fmt: skip


def reading_rows(ledger: Path) -> Rows:
    """Rows of all readings of the test split, numbered from 1 in order."""
    mark = fingerprint([ledger])
    found, _ = Readings(ledger).all()
    return {
        "test_readings": [
            (READINGS, number, item.reason, item.data_id, item.artifact, item.run, item.read)
            for number, item in enumerate(found, start=1)
        ],
        "sources": [(READINGS, mark)],
    }
