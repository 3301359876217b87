"""What ``hone clean`` says fits on a screen, also where many rules act, and can be carried out as it stands."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from hone.cli import main

WORDS = [f"word{at}" for at in range(60)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty documents of 1 to 40 words, one of them twice, and 15 rules: each takes documents of 1 to so many words."""
    rows = [{"text": " ".join(WORDS[at : 2 * at + 1])} for at in range(20)]
    rows += [{"text": " ".join(WORDS[:at])} for at in range(21, 41)]
    rows.append(rows[-1])
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    rules = ", ".join(f"own-{at}: {{column: length.words, min: {at}}}" for at in range(2, 17))
    (tmp_path / "hone.yaml").write_text(
        "task: t\nkind: language-model\ndata: {train: train.jsonl, dev: 0.2, test: null}\n"
        f'output: "{{text}}"\ntarget: 2\nclean: {{rules: {{{rules}}}}}\n',
        encoding="utf-8",
    )
    return tmp_path


def _said(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(list(words)) == 0
    return capsys.readouterr().out.splitlines()


def test_many_rules_share_a_line_and_all_are_in_the_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = _said(capsys, "clean", str(folder), "--json")
    document = json.loads(said[-1])
    assert len(document["rules"]) == 15 + 4, "all of them, and those of the preset"
    said = _said(capsys, "clean", str(folder))
    assert len(said) <= 20
    assert [line for line in said if "15 other rules" in line and "own-16" in line]
    assert [line for line in said if "and 8 more rules" in line]
    assert [line for line in said if line.startswith("1 train row left out, repeating")]


def test_few_rules_get_a_line_each_with_rows_to_look_at(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (folder / "hone.yaml").read_text(encoding="utf-8")
    head = text[: text.index("clean:")]
    (folder / "hone.yaml").write_text(head + "clean: {rules: {own: {column: length.words, min: 3}}}\n")
    said = _said(capsys, "clean", str(folder))
    assert [line for line in said if "left out, by rule own, length.words is under 3: train.jsonl:" in line]


def test_the_look_that_is_named_can_be_run_as_it_stands(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    last = next(line for line in _said(capsys, "clean", str(folder)) if "--dropped RULE" in line)
    command = last[last.index("(hone look") + 1 :].partition(" shows")[0].replace("RULE", "duplicate")
    said = _said(capsys, *shlex.split(command)[1:])
    assert any(line.startswith("duplicate removes 1 of") for line in said)


def test_the_rows_that_are_kept_are_counted_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["clean", str(folder / "train.jsonl"), "--out", str(folder / "out")]
    said = _said(capsys, *words, "--quiet")
    assert [line.split(":")[0] for line in said] == ["40 of 41 rows kept"]
    assert sum("rows kept" in line for line in _said(capsys, *words)) == 1
    assert _said(capsys, *words, "--dry-run", "--quiet") == ["40 of 41 rows would be kept"]
