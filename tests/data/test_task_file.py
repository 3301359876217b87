"""A ``hone.yaml`` whose ``clean`` section is wrong in several ways: all of it is said at once, with lines."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest

from hone.cli import main
from hone.data.prepare import prepare
from hone.data.signals import registry
from hone.data.task_file import load_task
from hone.data.transforms.registry import TRANSFORMS, open_transforms
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
    2: ['clean.preset: must be task, web or none; got "wbe"'],
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
ODD_VALUES = (None, True, 5, 0.5, "a", [1], ["a"], {"a": 1}, [[]])


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


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("transforms: [{redact: {kinds: 5}}]", "redact.kinds: expected a list of texts, found the number 5"),
        (
            "transforms: [{redact: {kinds: email}}]",
            'redact.kinds: expected a list of texts, such as [email], found the text "email"',
        ),
        ("transforms: [{c4-lines: {min_words: a}}]", 'c4-lines.min_words: expected a whole number, found the text "a"'),
        ("transforms: [{c4-lines: {min_words: true}}]", "c4-lines.min_words: expected a whole number, found true"),
        (
            "transforms: [{c4-lines: {policy: [1]}}]",
            "c4-lines.policy: expected a list of texts, found the number 1 in it",
        ),
        ("signals: {exact: {survivor: best, column: 5}}", "signals.exact.column: expected text, found the number 5"),
        ("signals: {c4: {policy: 5}}", "signals.c4.policy: expected a list of texts, found the number 5"),
        ("signals: {c4: {terminal_rule: 1}}", "c4.terminal_rule: expected true or false, found the number 1"),
        ("signals: {near: {threshold: [1]}}", "near.threshold: expected a number, found a list of 1"),
        ("signals: {near: {n: 2.5}}", "near.n: expected a whole number, found the number 2.5"),
        (
            "signals: {repetition: {top: [2, a]}}",
            'repetition.top: expected a list of whole numbers, found the text "a" in it',
        ),
        ("signals: {toxicity: {words: [a]}}", "toxicity.words: expected text, found a list of 1"),
        ("signals: {script: {a: 1}}", "clean.signals.script: no parameter a; it has none"),
        ("signals: {'own:json:loads': {a: 1}}", "clean.signals.own:json:loads: no parameter a; it has none"),
        ("transforms: [{unicode: {a: 1}}]", 'the transform "unicode" has no parameter "a"; it has none'),
    ],
)
def test_a_parameter_of_another_kind_is_said_with_the_kind_that_is_meant(
    section: str, said: str, tmp_path: Path
) -> None:
    folder, above = folder_with(f"clean: {{{section}}}\n", tmp_path)
    with pytest.raises(InputError) as caught:
        load_task(folder)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{folder / 'hone.yaml'}:{above + 1}: ")
    assert problem.endswith(said)


@pytest.mark.parametrize("name", registry.SIGNALS)
def test_no_parameter_of_a_signal_ends_in_an_error_that_nobody_foresaw(name: str) -> None:
    module, _, made = registry.SIGNALS[name].partition(":")
    known = [field.name for field in fields(getattr(import_module(module), made)) if field.init]
    said: list[str] = []
    for key, value in itertools.product(known, ODD_VALUES):
        try:
            registry.signal(name, {key: value}, {"fingerprints": None} if name == "contamination" else {})
        except InputError as error:
            said += error.problems
    assert not [problem for problem in said if "not supported between" in problem or "hashable" in problem]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_no_parameter_of_a_transform_ends_in_an_error_that_nobody_foresaw(name: str) -> None:
    known = [field.name for field in fields(cast(Any, TRANSFORMS[name]))]
    said: list[str] = []
    for key, value in itertools.product(known, ODD_VALUES):
        try:
            open_transforms([(name, {key: value})])
        except InputError as error:
            said += error.problems
    assert [problem for problem in said if name not in problem] == []


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
