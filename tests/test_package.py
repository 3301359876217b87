"""What a wheel carries: the example with its data and licence, whole and as the README of the data says."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
VOICE = ROOT / "src" / "hone" / "examples" / "voice"
VOICE_FILES = {"LICENSE", "README.md", "hone.yaml", "test.jsonl.gz", "train.jsonl.gz"}


def _rows(split: str) -> list[dict[str, Any]]:
    with gzip.open(VOICE / f"{split}.jsonl.gz", "rt", encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


def _fold(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


def test_the_wheel_carries_the_voice_example(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="building a wheel needs the build backend")
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    code = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=tree, capture_output=True, text=True, check=False, timeout=120
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("hone_lm-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"hone/examples/voice/{name}" for name in VOICE_FILES} <= names
    assert {"hone/__init__.py", "hone/cli/__init__.py", "hone/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "tools"))]


def test_the_voice_example_is_what_its_readme_says() -> None:
    train, test = _rows("train"), _rows("test")
    folded = {"train": [_fold(row["text"]) for row in train], "test": [_fold(row["text"]) for row in test]}
    assert (len(train), len(test)) == (13_784, 700)
    assert len(train) - len(set(folded["train"])) == 251
    assert len(test) - len(set(folded["test"])) == 5
    assert sum(text in set(folded["train"]) for text in folded["test"]) == 18
    assert sum(any(isinstance(value, list) for value in row["slots"].values()) for row in train) == 61
    assert set(Counter(row["intent"] for row in test).values()) == {100}


def test_every_value_of_the_voice_example_stands_in_its_sentence() -> None:
    for row in _rows("train") + _rows("test"):
        for value in row["slots"].values():
            for part in value if isinstance(value, list) else [value]:
                assert part
                assert part in row["text"]


def test_the_surrogate_pair_of_the_source_became_one_character() -> None:
    beyond = [row for row in _rows("train") if any(ord(character) > 0xFFFF for character in row["text"])]
    assert [row["slots"]["playlist"] for row in beyond] == ["Pop Punk Perfection \N{SLICE OF PIZZA}"]


def test_the_data_files_carry_no_time_and_no_name() -> None:
    for split in ("train", "test"):
        head = (VOICE / f"{split}.jsonl.gz").read_bytes()[:10]
        assert head[3] == 0, "no name in the gzip header"
        assert head[4:8] == bytes(4), "no time in the gzip header"


@pytest.mark.parametrize("folder", [VOICE, *sorted(p.parent for p in (ROOT / "tests/data").glob("*/hone.yaml"))])
def test_every_shipped_task_loads(folder: Path) -> None:
    from hone.task.load import load_task

    task = load_task(folder)
    assert task.name == folder.name
    for name in (task.data.train, task.data.test):
        assert name is not None
        assert (folder / name).exists()
