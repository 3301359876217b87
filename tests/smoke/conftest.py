"""Task folders for walking: cuts of real tasks, and a small one that turns two words around."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hone.data.prepare import DataVersion, prepare
from hone.task.load import load_task
from hone.task.spec import Task

FIXTURES = Path(__file__).parents[1] / "data"
WORDS = ["red", "green", "blue", "small", "large", "old", "new", "round", "flat", "warm", "cold", "bright"]
BACKWARDS = """task: backwards
kind: generate
data: {train: train.jsonl, dev: 0.2}
input: "{question}"
output: "{answer}"
metric: rouge_l
target: 0.5
"""

CITIES = """task: cities
kind: tag
data: {train: train.jsonl, dev: 0.2}
input: "{text}"
output: "{found}"
metric: span_f1
target: 0.5
base: scratch:bert-tiny
"""
TOPICS = """task: topics
kind: multi-label
data: {train: train.jsonl, dev: 0.2}
input: "{text}"
output: "{topics}"
metric: micro_f1
target: 0.5
base: scratch:bert-tiny
"""

Prepared = tuple[Path, Task, DataVersion]


def write_for_an_encoder(folder: Path, name: str) -> None:
    """A task whose answers lie in its texts: the colours of a row as entities (cities), or as its labels (topics)."""
    folder.mkdir()
    rows = []
    for first in WORDS:
        for second in WORDS:
            text = f"from {first} to {second}"
            found = [{"start": 5, "end": 5 + len(first), "type": "place"}]
            rows.append({"text": text, "found": found, "topics": sorted({first[0], second[0]})})
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "hone.yaml").write_text(CITIES if name == "cities" else TOPICS)


@pytest.fixture(scope="session")
def task_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Prepared]:
    """Makes a fresh task folder by name; the folder, its task and its data."""

    def make(name: str) -> Prepared:
        folder = tmp_path_factory.mktemp("tasks") / name
        if name == "backwards":
            folder.mkdir()
            rows = [{"question": f"turn {a} {b} around", "answer": f"{b} {a}"} for a in WORDS for b in WORDS]
            (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
            (folder / "hone.yaml").write_text(BACKWARDS)
        elif name in ("cities", "topics"):
            write_for_an_encoder(folder, name)
        else:
            shutil.copytree(FIXTURES / name, folder)
        task = load_task(folder)
        return folder, task, prepare(task, folder, folder / ".hone" / "cache", lambda line: None)

    return make
