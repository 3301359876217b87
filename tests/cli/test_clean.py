"""``hone clean`` and ``hone data`` as a person uses them: killed and repeated, undone, compared, traced, refused."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hone.cli import main
from hone.data import cleaned_files
from hone.data.ledger import Ledger

BANKING = Path(__file__).resolve().parent.parent / "data" / "banking"


def hone(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, dict[str, Any]]:
    """Exit status, what people read, and the document of the last line."""
    status = main([*arguments, "--json"])
    captured = capsys.readouterr()
    return status, captured.err, json.loads(captured.out.splitlines()[-1])


def corpus(path: Path, count: int) -> None:
    words = [f"word{n}" for n in range(17)]
    with path.open("w", encoding="utf-8") as file:
        for row in range(count):
            n = row % (count * 9 // 10)
            text = " ".join(words[(n * k) % len(words)] for k in range(1, 9)) + f" {n}"
            file.write(json.dumps({"text": text, "licence": "CC0-1.0"}) + "\n")


def content(folder: Path) -> dict[str, bytes]:
    """The files of a folder's newest version, but for the time at which it was made."""
    place = folder / "versions" / json.loads((folder / "versions" / "head.json").read_text())["id"]
    files = {path.name: path.read_bytes() for path in place.iterdir()}
    record = json.loads(files.pop("version.json"))
    del record["made"]
    return {**files, "version.json": json.dumps(record).encode()}


def test_a_killed_clean_leaves_nothing_half_made_and_goes_on(tmp_path: Path) -> None:
    corpus(tmp_path / "rows.jsonl", 24_000)
    command = [sys.executable, "-m", "hone", "clean", "rows.jsonl", "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "whole"], cwd=tmp_path, check=True, capture_output=True, env=environment)
    for files in (1, 3, 5):
        child = subprocess.Popen(
            [*command, "killed", "--workers", "1"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        # Killed when so many files more are there: in the middle of reading, measuring or writing, not at a time.
        before = len(list((tmp_path / "killed").rglob("*.*")))
        while child.poll() is None and len(list((tmp_path / "killed").rglob("*.*"))) < before + files:
            time.sleep(0.002)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    subprocess.run([*command, "killed"], cwd=tmp_path, check=True, capture_output=True, env=environment)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    version = json.loads(content(tmp_path / "whole")["version.json"])
    assert version["counts"] == {"read": 24_000, "kept": 21_600, "left_out": 2_400}
    assert version["sources"][0]["licences"] == {"CC0-1.0": 24_000}


def test_files_are_cleaned_into_a_version_whose_books_add_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus(tmp_path / "rows.jsonl", 200)
    (tmp_path / "test.jsonl").write_text((tmp_path / "rows.jsonl").read_text().splitlines()[3] + "\n")
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write("{broken\n")
    arguments = ["clean", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "out")]
    status, _, document = hone(capsys, *arguments)
    assert status == 2
    assert "rows.jsonl:201" in document["error"]["problems"][0]
    assert not (tmp_path / "out" / "versions").exists()
    status, _, document = hone(capsys, *arguments, "--bad-rows", "drop", "--test", str(tmp_path / "test.jsonl"))
    assert status == 0
    assert (document["read"], document["kept"]) == (201, 179)
    assert document["left_out"] == {"duplicate": 20, "equals-test-row": 2, "bad": 1}
    ledger = Ledger.load(Path(document["place"]) / "ledger.jsonl")
    assert ledger.reasons_of("rows.jsonl:4")[0].evidence == "leak.test test.jsonl:1"
    again = hone(capsys, *arguments, "--bad-rows", "drop", "--dry-run")[2]
    assert (again["version"], again["kept"]) == (None, 180)
    # A second clean of what was kept removes nothing.
    kept = str(Path(document["place"]) / "kept.jsonl.gz")
    assert hone(capsys, "clean", kept, "--out", str(tmp_path / "twice"))[2]["left_out"] == {}


def test_kept_rows_are_packed_alike_and_their_books_are_made_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    real = cleaned_files.reasons_by_position
    monkeypatch.setattr(cleaned_files, "reasons_by_position", lambda *given: made.append(given) or real(*given))
    corpus(tmp_path / "rows.jsonl", 50)
    packed = []
    for out in ("a", "b"):
        place = Path(hone(capsys, "clean", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / out))[2]["place"])
        packed.append((place / "kept.jsonl.gz").read_bytes())
    assert len(made) == 2
    assert packed[0] == packed[1]
    # RFC 1952: the magic, deflate, no flag (so no name), no time, and not 2 ("slowest algorithm").
    assert packed[0][:9] == bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0])
    rows = [json.loads(line) for line in gzip.decompress(packed[0]).splitlines()]
    assert rows == [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()[:45]]


def test_a_task_is_cleaned_edited_compared_traced_and_undone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(shutil.copytree(BANKING, tmp_path / "banking"))
    first = hone(capsys, "clean", folder)[2]
    assert first["left_out"] == {"duplicate": 1}
    hone(capsys, "data", "edit", folder, "train.csv:5", "category=card_linking", "--why", "read by hand")
    hone(capsys, "data", "drop", folder, "train.csv:7")
    second = hone(capsys, "clean", folder)[2]
    assert second["parent"] == first["version"]
    _, said, found = hone(capsys, "data", "diff", first["version"], second["version"], folder)
    assert (found["rows_in"], found["rows_out"], found["rows_changed"], found["rows_moved"]) == (0, 1, 1, 0)
    assert found["groups"]["out"][0]["samples"][0]["row"] == "train.csv:7"
    assert '"card_linking"' in said
    story = hone(capsys, "data", "lineage", "train.csv:5", folder)[2]
    assert [event["step"] for event in story["events"]] == ["source", "edit", "version", "version"]
    hone(capsys, "clean", folder, "--undo")
    listed = hone(capsys, "data", "list", folder)[2]
    assert listed["head"] == first["version"]
    assert f'clean: {{version: "{first["version"]}"}}' in (tmp_path / "banking" / "hone.yaml").read_text()


def test_wrong_words_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(shutil.copytree(BANKING, tmp_path / "banking"))
    problems = {
        ("clean", folder, "--preset", "web"): "a task folder says this in hone.yaml",
        ("clean", folder, "--undo"): 'there is no data version "head"',
        ("clean", str(tmp_path / "banking" / "train.csv")): "files need --out DIR",
        ("data", "lineage", "train.csv:99999", folder): "has a row train.csv:99999",
        ("data", "diff", "a", folder): "diff takes two VERSIONs; got 1: a",
        ("data", "edit", "train.csv:5", "category", folder): "edit takes ROW COLUMN=VALUE",
        ("data", "edit", "test.csv:5", "category=x", folder): "rows of the test are not shown",
        ("ablate", folder): f"such as: hone ablate duplicate {folder} (hone look shows",
        ("data", "fit-toxicity"): "missing: --text, --label, --toxic, --out, FILE",
    }
    for words, sentence in problems.items():
        assert main(list(words)) == 2, words
        assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("clean", "bankin"), "no folder bankin; expected a task folder (with a hone.yaml), or files of rows; did you"),
        (("clean", "bankin", "--undo"), 'did you mean "banking"?'),
        (("clean", "trian.csv", "--dry-run"), 'no file trian.csv; expected a file of rows; did you mean "train.csv"?'),
        (("clean", "elsewhere/rows.csv", "bankin", "--out", "out"), "and no folder elsewhere"),
        (("clean", "elsewhere/rows.csv", "bankin", "--out", "out"), 'did you mean "banking"?'),
        (("look", "bankin"), 'did you mean "banking"?'),
        (("look", "bankin", "--dropped", "duplicate"), 'did you mean "banking"?'),
        (("data", "list", "bankin"), 'there is no folder bankin; did you mean "banking"?'),
        (("ablate", "duplicate", "bankin"), 'there is no folder bankin; did you mean "banking"?'),
    ],
)
def test_a_folder_that_is_not_there_is_named_with_the_nearest_one(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    sentence: str,
) -> None:
    shutil.copytree(BANKING, tmp_path / "banking")
    shutil.copy(BANKING / "train.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(list(words)) == 2
    assert sentence in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["banking", "train.csv"]
