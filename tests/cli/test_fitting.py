"""``hone data fit-toxicity``: the lines that it prints work as they are pasted."""

from __future__ import annotations

import json
import random
import shlex
from pathlib import Path

import pytest

from hone.cli import main

TASK = "task: t\nkind: classify\ndata: {train: rows.jsonl, dev: dev.jsonl, test: test.jsonl}\n"
TASK += 'input: "{text}"\noutput: "{label}"\ntarget: 0.9\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Labelled rows in which two words are toxic, and a task with forty rows, of which two have such words."""
    random.seed(3)
    words = ["table", "paint", "garden", "river", "music", "letter", "window", "green"]

    def text(toxic: bool) -> str:
        return " ".join([*random.choices(words, k=8), *(["zorg", "blick"] if toxic else [])])

    labelled = [{"said": text(n % 2 == 0), "kind": ["bad", "fine"][n % 2]} for n in range(600)]
    labelled += [{"said": "garden table"}, {"said": " ", "kind": "bad"}]
    place = tmp_path / "a task, moved"
    place.mkdir()
    rows = [{"text": f"{text(n in (7, 19))} {n}", "label": ["a", "b"][n % 2]} for n in range(60)]
    for name, part in (("labelled", labelled), ("rows", rows[:40]), ("dev", rows[40:50]), ("test", rows[50:])):
        (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    (place / "hone.yaml").write_text(TASK)
    monkeypatch.chdir(place)
    return place


def test_the_lines_to_use_a_model_work_as_pasted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--text", "said", "--label", "kind", "--toxic", "bad", "--out", "models/toxic"]
    assert main(["data", "fit-toxicity", "labelled.jsonl", *options, "--json"]) == 0
    captured = capsys.readouterr()
    about, lines = json.loads(captured.out.splitlines()[-1]), captured.err.splitlines()
    assert "2 of 602 rows have no text or no label and are left out" in lines
    struck = about["recall"]
    assert any(f"{struck['count']:,} of {struck['n']:,} toxic rows are struck" in line for line in lines)
    assert about["false_positive_rate_allowed"] == 0.01

    (section,) = [line for line in lines if "clean: {" in line]
    assert "model: models/toxic}" in section
    (folder / "hone.yaml").write_text(f"{TASK}{section.strip()}\n")
    assert main(["clean", ".", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["left_out"] == {"toxic-score": 2}

    command = shlex.split(next(line for line in lines if line.startswith("or on bare files")).partition(": ")[2])
    assert command[:3] == ["hone", "look", "FILE"]
    assert main(["clean", "rows.jsonl", "--dry-run", *command[3:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["left_out"] == {"toxicity.score": 2}


def test_a_model_elsewhere_is_named_whole_and_a_file_without_rows_is_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--text", "said", "--label", "kind", "--toxic", "bad", "--out", str(tmp_path / "toxic")]
    assert main(["data", "fit-toxicity", "labelled.jsonl", str(folder), *options]) == 0
    out = capsys.readouterr().out
    assert f"use it in {folder / 'hone.yaml'}:" in out
    assert f"model: {tmp_path / 'toxic'}}}" in out
    (folder / "none.jsonl").write_text("")
    assert main(["data", "fit-toxicity", "none.jsonl", *options]) == 2
    assert "none.jsonl" in capsys.readouterr().err
