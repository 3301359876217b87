"""A ``hone.yaml`` whose ``clean`` section is wrong in several ways: all of it is said at once, with lines."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hone.cli import main
from hone.data.prepare import prepare
from hone.data.task_file import load_task
from hone.errors import InputError
from hone.task import load as plain

BANKING = Path(__file__).parent / "banking"
WRONG = """clean:
  preset: wbe
  transforms: [unicod, {redact: {kind: [email]}}, whitespace, whitespace]
  rules:
    near-duplicates: true
    gopher-words: {minimum: 20}
    gopher-hashes: false
    polite: {column: "own:no_such_module:manner", min: 3}
    short: {column: lenght.chars, min: 3}
  signals: {neer: {threshold: 2}, near: {treshold: 0.8}}
  against: [trian.csv]
  limits: {train.csv: -3}
"""
FOUND = {
    2: ["clean.preset: Input should be 'task', 'web' or 'none'; got 'wbe'"],
    3: [
        '"unicod"; did you mean "unicode"?',
        'no parameter "kind"; did you mean "kinds"?',
        '"whitespace" is given twice',
    ],
    5: ['clean.rules.near-duplicates: no rule has this name; did you mean "near-duplicate"?'],
    6: ['unknown key "clean.rules.gopher-words.minimum"; did you mean "min"?'],
    8: ["there is no module no_such_module"],
    9: ['no signal measures the column "lenght.chars"'],
    10: ['"neer" is not known; did you mean "near"?', 'no parameter treshold; did you mean "threshold"?'],
    11: ['trian.csv: there is no such file; did you mean "train.csv"?'],
}


def folder_with(section: str, tmp_path: Path) -> tuple[Path, int]:
    """A task folder with a ``clean`` section, and the lines above it."""
    folder = Path(shutil.copytree(BANKING, tmp_path / "banking"))
    text = (folder / "hone.yaml").read_text(encoding="utf-8")
    (folder / "hone.yaml").write_text(text + section, encoding="utf-8")
    return folder, len(text.splitlines())


@pytest.mark.parametrize("verb", ["clean", "look", "check"])
def test_every_problem_of_the_section_is_said_at_once_with_its_line(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, above = folder_with(WRONG, tmp_path)
    assert main([verb, str(folder)]) == 2
    told = capsys.readouterr().err
    for line, parts in FOUND.items():
        said = [sentence for sentence in told.splitlines() if f"hone.yaml:{above + line}:" in sentence]
        assert len(said) == len(parts), (line, told)
        for part in parts:
            assert any(part in sentence for sentence in said), (part, told)
    assert "limits must be at least 1 row; got train.csv: -3" in told
    # A rule of any preset may be meant where the preset is none.
    assert "gopher-hashes" not in told
    assert "12 problems" in told


def test_a_column_that_no_signal_gives_is_named_before_anything_is_measured(tmp_path: Path) -> None:
    rules = (
        "{a: {column: quality.wrods, min: 3}, b: {column: length.chars, one_of: [x]}, c: {column: pii.count, max: 1}}"
    )
    folder, _ = folder_with(f"clean: {{rules: {rules}}}\n", tmp_path)
    with pytest.raises(InputError) as caught:
        prepare(load_task(folder), folder, tmp_path / "cache", lambda line: None)
    assert len(caught.value.problems) == 2
    assert 'rule a: no signal measures the column "quality.wrods"; did you mean "quality.words"?' in str(caught.value)
    assert "rule b: length.chars holds int32; one_of is for words" in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_a_section_that_is_right_is_the_same_task(tmp_path: Path) -> None:
    folder, _ = folder_with("clean: {preset: web, rules: {gopher-words: {min: 3}, duplicate: false}}\n", tmp_path)
    assert load_task(folder) == plain.load_task(folder)


def test_a_task_made_in_python_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    folder, _ = folder_with("clean: {transforms: [unicod], rules: {nope: true}}\n", tmp_path)
    task, said = plain.load_task(folder), list[str]()
    with pytest.raises(InputError) as caught:
        prepare(task, folder, tmp_path / "cache", said.append)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["clean.transforms", "clean.rules.nope"]
    assert not said
    assert not (tmp_path / "cache").exists()
