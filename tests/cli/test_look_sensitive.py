"""``hone look --sensitive`` leaves no text anywhere: a word planted in rows is in no file and in no line."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hone.cli import look_sensitive, main
from hone.data import measure
from hone.files import locked

WORD = "zorblax"
YAML = """
task: requests
kind: classify
input: "{text}"
output: "{label}"
target: 0.8
data: {train: train.jsonl, dev: 0.2, bad_rows: drop}
clean:
  rules:
    label-conflict: true
    polite: {column: "own:checks:manner", one_of: [polite]}
    boilerplate: {column: boilerplate.lines, max: 0.9}
"""
OWN = f"""
def manner(text: str) -> str:
    return "{WORD} " + text[:5]
"""


def _lines() -> list[str]:
    texts = [f"please set the alarm {WORD}{at % 7} of room {at}\nyours {WORD}" for at in range(40)]
    texts += [texts[1].upper(), texts[2], f"call {WORD}.me@example.org", ""]
    rows: list[Any] = [
        {"text": text, "label": f"{WORD}-{at % 3}", "from": f"{WORD} desk", "licence": f"{WORD}-2"}
        for at, text in enumerate(texts)
    ]
    rows += [{"text": [WORD], "label": f"{WORD}-1"}, {"text": texts[5], "label": f"{WORD}-0"}]
    return [json.dumps(row) for row in rows]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task folder whose rows, labels, columns, bad rows, edits and own signals hold the word."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    made = tmp_path / "task"
    made.mkdir()
    (made / "train.jsonl").write_text("\n".join(_lines()) + "\n", encoding="utf-8")
    (made / "hone.yaml").write_text(YAML, encoding="utf-8")
    (made / "checks.py").write_text(OWN, encoding="utf-8")
    return made


def _with_the_word(folder: Path) -> list[str]:
    """Files made since that hold the word, under any folder that the command could write to."""
    sources = {"train.jsonl", "checks.py", "patches.jsonl"}
    made = (path for path in folder.parent.rglob("*") if path.is_file() and path.name not in sources)
    return [str(path) for path in made if WORD.encode() in path.read_bytes().lower()]


def _told(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(["look", *map(str, words), "--sensitive"]) == 0
    captured = capsys.readouterr()
    return captured.out + captured.err


def _commands(document: Any) -> list[list[str]]:
    commands = [shlex.split(alert["command"]) for alert in document["alerts"] if alert["command"]]
    return [command for command in commands if command[:2] == ["hone", "look"]]


@pytest.mark.parametrize("bare", [False, True])
def test_a_planted_word_is_in_no_file_and_no_line(
    folder: Path, capsys: pytest.CaptureFixture[str], *, bare: bool
) -> None:
    where: list[str | Path] = [folder]
    with (folder / "train.jsonl").open("a", encoding="utf-8") as rows:
        rows.write(f'"{WORD} alone"\n')
    if bare:
        where = [folder / "train.jsonl", "--bad-rows", "drop", "--out", folder / "look"]
    else:
        assert main(["data", "drop", "train.jsonl:9", str(folder), "--why", f"it says {WORD}"]) == 0
    capsys.readouterr()
    told = _told(capsys, *where) + _told(capsys, *where, "--json")
    for rule in ("duplicate", "empty", *(() if bare else ("label-conflict", "polite", "by-hand"))):
        told += _told(capsys, *where, "--dropped", rule)
    assert WORD not in told.lower()
    assert _with_the_word(folder) == []
    assert list((folder.parent / "tmp").iterdir()) == []
    assert not (folder / ".hone" / "cache").exists()
    assert not (folder / "look" / ".hone").exists()
    document = json.loads(next((folder / "look").glob("*.json")).read_text(encoding="utf-8"))
    assert document["rows"] > 40
    assert _commands(document)
    assert all("--sensitive" in command for command in _commands(document))


@pytest.mark.parametrize("bare", [False, True])
def test_rows_that_cannot_be_used_are_refused_without_what_they_hold(
    folder: Path, capsys: pytest.CaptureFixture[str], *, bare: bool
) -> None:
    with (folder / "train.jsonl").open("a", encoding="utf-8") as rows:
        rows.write(f'"{WORD} alone"\n')
    (folder / "hone.yaml").write_text(YAML.replace(", bad_rows: drop", ""), encoding="utf-8")
    where = [folder / "train.jsonl", "--out", folder / "look"] if bare else [folder]
    assert main(["look", *map(str, where), "--sensitive"]) == 2
    captured = capsys.readouterr()
    assert WORD not in captured.out + captured.err
    assert "train.jsonl:47, with content that is not shown" in captured.err


def test_an_edit_of_a_row_that_changed_since_is_refused_without_both_values(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "edit", "train.jsonl:3", f"label={WORD}-0", str(folder)]) == 0
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").replace(f'"{WORD}-2", "from"', f'"{WORD}-3", "from"')
    (folder / "train.jsonl").write_text(lines, encoding="utf-8")
    capsys.readouterr()
    assert main(["look", str(folder), "--sensitive"]) == 2
    captured = capsys.readouterr()
    assert WORD not in captured.out + captured.err
    assert 'row train.jsonl:3 was edited when "label" had another value than now' in captured.err


def test_the_proof_of_a_duplicate_is_the_row_that_it_repeats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = _told(capsys, folder, "--dropped", "duplicate")
    assert "exact.survivor train.jsonl:2; exact.size 2" in told
    assert "is absent" not in told.split("train.jsonl:41", 1)[1]


@pytest.mark.parametrize("how", ["error", "interrupt", "ended"])
def test_nothing_stays_when_a_look_does_not_come_to_its_end(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def stop(*_: object, **__: object) -> int:
        assert any((folder.parent / "tmp").rglob("*.arrow")), "texts are laid out by now"
        if how == "interrupt":
            raise KeyboardInterrupt
        if how == "error":
            raise OSError("no space left on device")
        os.kill(os.getpid(), signal.SIGTERM)
        return 0

    monkeypatch.setattr(measure, "_measure_part", stop)
    before = signal.getsignal(signal.SIGTERM)
    status = main(["look", str(folder), "--sensitive"])
    assert status == {"error": 3, "interrupt": 130, "ended": 128 + signal.SIGTERM}[how]
    assert signal.getsignal(signal.SIGTERM) == before
    assert list((folder.parent / "tmp").iterdir()) == []
    assert not (folder / "look").exists()


def test_what_a_killed_look_left_is_removed_by_the_next_and_what_a_running_one_holds_is_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed, running = (folder.parent / "tmp" / f"hone-sensitive-{name}" for name in ("killed", "running"))
    for left in (killed, running):
        (left / "text").mkdir(parents=True)
        (left / "text" / "part.arrow").write_text(WORD)
        (left / ".lock").touch()
    with locked(running / ".lock", "this look"):
        assert "removed what 1 look" in _told(capsys, folder)
        assert list((folder.parent / "tmp").iterdir()) == [running]


def test_a_kill_while_texts_are_removed_leaves_what_the_next_look_finds(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at any file, its folder has a lock while it has a text."""
    unlink = os.unlink
    for last in range(1, 8):
        left = folder.parent / "tmp" / f"hone-sensitive-{last}"
        (left / "text").mkdir(parents=True)
        for name in (".lock", "a", "b", "c", "text/d", "text/e"):
            (left / name).write_text(WORD)
        calls = itertools.count(1)

        def dies(*given: Any, at: int = last, calls: Iterator[int] = calls, **more: Any) -> None:
            if next(calls) >= at:
                raise MemoryError("stands for a kill")
            unlink(*given, **more)

        with monkeypatch.context() as patching:
            patching.setattr(os, "unlink", dies)
            with contextlib.suppress(MemoryError):
                look_sensitive._remove_left()
        files = [path for path in left.rglob("*") if path.is_file()]
        assert not files or left / ".lock" in files
    look_sensitive._remove_left()
    assert list((folder.parent / "tmp").iterdir()) == []


def test_a_folder_without_a_lock_goes_once_it_is_old(folder: Path) -> None:
    old, new, link = (folder.parent / "tmp" / f"hone-sensitive-{name}" for name in ("old", "new", "link"))
    for left in (old, new):
        left.mkdir()
        (left / "part.arrow").write_text(WORD)
    os.utime(old, (0, 0))
    link.symlink_to(new)
    os.utime(link, (0, 0), follow_symlinks=False)
    assert look_sensitive._remove_left() == 1
    assert sorted((folder.parent / "tmp").iterdir()) == [link, new]
    assert (new / "part.arrow").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_asks_twice_does_not_stop_the_removal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    rmtree = shutil.rmtree

    def asked_again(*given: Any, **more: Any) -> None:
        os.kill(os.getpid(), number)
        rmtree(*given, **more)

    monkeypatch.setattr(shutil, "rmtree", asked_again)
    before = signal.getsignal(number)
    _ = main(["look", str(folder), "--sensitive"])
    assert list((folder.parent / "tmp").iterdir()) == []
    assert signal.getsignal(number) == before


def test_texts_of_earlier_commands_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["look", str(folder)]) == 0
    capsys.readouterr()
    assert f"{folder / '.hone' / 'cache'} holds texts of earlier commands" in _told(capsys, folder)


def test_a_first_line_of_a_file_without_names_is_shown_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"my question about {WORD} is here now,greeting", *(f"what is room {n} for,greeting" for n in range(9))]
    (tmp_path / "rows.csv").write_text("".join(f"{line}\n" for line in lines))
    monkeypatch.chdir(tmp_path)
    assert main(["look", "rows.csv", "--sensitive", "--out", "out"]) == 0
    told = capsys.readouterr()
    written = [path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir() if path.is_file()]
    assert len(written) == 2
    assert [text for text in (told.out, told.err, *written) if WORD in text] == []
    columns = json.loads((tmp_path / "out" / "rows.json").read_text(encoding="utf-8"))["fields"]["columns"]
    assert "column 2" in {column["name"] for column in columns}
