"""Every option of ``look`` and ``data`` has an effect on what it is given to, or is refused."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from hone.cli import clean, data, look, main, taking

VALUES = {
    "--dropped": ["empty"],
    "--out": ["somewhere"],
    "--seed": ["0"],
    "--rows": ["8"],
    "--workers": ["1"],
    "--sample": ["3"],
    "--preset": ["task"],
    "--test": ["nosuch.jsonl"],
    "--against": ["nosuch.jsonl"],
    "--rule": ["empty"],
    "--transform": ["unicode"],
    "--signal": ["near:threshold=0.8"],
    "--bad-rows": ["error"],
    "--text": ["text"],
    "--answer": ["label"],
    "--label": ["label"],
    "--why": ["so"],
    "--toxic": ["x"],
}
"""What an option is given; of some its default, which has as little effect as any other value."""
ACTIONS = {
    "list": [],
    "show": ["head"],
    "diff": ["head", "head"],
    "lineage": ["train.jsonl:1"],
    "edit": ["train.jsonl:1", "label=x"],
    "drop": ["train.jsonl:1"],
    "fit-toxicity": ["train.jsonl"],
}


def _options(module: object) -> list[str]:
    parser = argparse.ArgumentParser(add_help=False)
    module.add_arguments(parser)  # type: ignore[attr-defined]
    return [action.option_strings[0] for action in parser._actions if action.option_strings]


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "t").mkdir()
    rows = [json.dumps({"text": f"row {at}", "label": "xy"[at % 2]}) + "\n" for at in range(40)]
    (tmp_path / "t" / "train.jsonl").write_text("".join(rows))
    (tmp_path / "t" / "hone.yaml").write_text(
        'task: t\nkind: classify\ndata: {train: train.jsonl, dev: 5}\ninput: "{text}"\noutput: "{label}"\ntarget: 0.5\n'
    )
    monkeypatch.chdir(tmp_path)
    return Path("t")


def _refused(capsys: pytest.CaptureFixture[str], option: str, words: list[str]) -> None:
    status = main(words)
    said = capsys.readouterr().err
    assert status == 2, words
    assert option in said, words
    assert "has no effect on" in said or "for bare files" in said, words


@pytest.mark.parametrize("action", ACTIONS)
def test_data_refuses_every_option_that_an_action_ignores(
    task: Path, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    assert set(data.TAKES) == set(data._actions()) == set(ACTIONS)
    for option in _options(data):
        if option not in data.TAKES[action]:
            _refused(capsys, option, ["data", action, *ACTIONS[action], str(task), option, *VALUES.get(option, [])])
    assert not (task / "patches.jsonl").exists()


@pytest.mark.parametrize("asked", look.TAKES)
def test_look_refuses_every_option_that_it_would_ignore(
    task: Path, capsys: pytest.CaptureFixture[str], asked: str
) -> None:
    words = ["look", str(task) if asked.endswith("a task") or asked == "--tokens" else str(task / "train.jsonl")]
    words += ["--tokens"] if asked == "--tokens" else ["--dropped", "empty"] if "--dropped" in asked else []
    words += ["--sample", "3"] if "sample" in asked else []
    for option in _options(look):
        if option not in look.TAKES[asked] and option not in ("--dropped", "--tokens", "--tabular"):
            _refused(capsys, option, [*words, option, *VALUES.get(option, [])])
    assert sorted(path.name for path in Path().iterdir()) == ["t"]
    assert sorted(path.name for path in task.iterdir()) == ["hone.yaml", "train.jsonl"]


def test_clean_refuses_every_option_that_it_would_ignore(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_task = {"--dry-run", "--to", "--undo", "--workers"}
    for option in _options(clean):
        if option not in of_task:
            _refused(capsys, option, ["clean", str(task), option, *VALUES[option]])
    for words in (["--undo"], ["--to", "head"]):
        assert main(["clean", str(task / "train.jsonl"), "--out", "somewhere", *words]) == 2
        assert "go back in a task folder" in capsys.readouterr().err
    assert main(["clean", str(task), "--undo", "--to", "head"]) == 2
    assert sorted(path.name for path in Path().iterdir()) == ["t"]


def test_every_option_is_for_something() -> None:
    for module, table in ((data, data.TAKES), (look, look.TAKES)):
        assert set().union(*table.values()) == set(_options(module))


def test_what_comes_after_two_dashes_is_no_option() -> None:
    assert taking.given(["a", "--why=x", "--json", "--", "--seed"]) == {"--why", "--json"}


@pytest.mark.parametrize(
    "words",
    [
        ["clean", "t/train.jsonl"],
        ["look", "t/train.jsonl"],
        ["look", "t"],
        ["data", "fit-toxicity", "t/train.jsonl", "--text", "text", "--label", "label", "--toxic", "x"],
    ],
)
@pytest.mark.parametrize("out", ["t/hone.yaml", "t/hone.yaml/below"])
def test_a_file_in_the_place_of_the_folder_is_refused(
    task: Path, capsys: pytest.CaptureFixture[str], words: list[str], out: str
) -> None:
    before = (task / "hone.yaml").read_bytes()
    assert main([*words, "--out", out]) == 2
    assert f"--out {out}: t/hone.yaml is a file; expected a folder" in capsys.readouterr().err
    assert (task / "hone.yaml").read_bytes() == before
