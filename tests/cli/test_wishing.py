"""``--rule``, ``--transform`` and ``--signal`` of bare files: they mean what the lines of ``hone.yaml`` mean."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from hone.cli import clean, main, wishing
from hone.task.load import load_task
from hone.task.spec import Clean, RuleWish

WORDS = [
    "the", "river", "of", "stone", "and", "water", "have", "green", "light", "with", "to", "music", "that", "be",
]  # fmt: skip


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Rows of 2, 4, ... 24 different words, one of them with an address, and the longest again with a word more."""
    texts = [" ".join(f"{WORDS[n % 14]}{n + 100 * size}" for n in range(size)) for size in range(2, 26, 2)]
    texts[3] += " jane@example.org"
    texts.append(f"{texts[-1]} more")
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def hone(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, dict[str, Any]]:
    status = main([*arguments, "--json"])
    captured = capsys.readouterr()
    return status, captured.err, json.loads(captured.out.splitlines()[-1]) if captured.out else {}


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (["--rule", "near-duplicate"], "{rules: {near-duplicate: true}}"),
        (["--preset", "web", "--rule", "c4-lorem-ipsum=off"], "{preset: web, rules: {c4-lorem-ipsum: false}}"),
        (["--rule", "disclaimer=off"], "{rules: {disclaimer: false}}"),  # in the preset where rows have answers
        (["--rule", "gopher-words=20"], "{rules: {gopher-words: {min: 20}}}"),
        (["--rule", "gopher-words=..900"], "{rules: {gopher-words: {max: 900}}}"),
        (["--rule", "gopher-hashes=.2"], "{rules: {gopher-hashes: {max: 0.2}}}"),
        (["--rule", "length.words=3..1e4"], "{rules: {length.words: {column: length.words, min: 3, max: 10000}}}"),
        (["--rule", "script.main=A,B"], "{rules: {script.main: {column: script.main, one_of: [A, B]}}}"),
        (["--transform", "redact"], "{transforms: [redact]}"),
        (["--transform", "redact:kinds=email"], "{transforms: [{redact: {kinds: [email]}}]}"),
        (
            ["--transform", "redact:kinds=email,ip", "--transform", "unicode"],
            "{transforms: [{redact: {kinds: [email, ip]}}, unicode]}",
        ),
        (
            ["--preset", "web", "--transform", "html=off"],
            "{preset: web, transforms: [unicode, whitespace, c4-lines, {redact: {kinds: [email, ip]}}]}",
        ),
        (["--signal", "near:threshold=0.6:n=3"], "{signals: {near: {threshold: 0.6, n: 3}}}"),
    ],
)
def test_options_mean_the_lines_of_hone_yaml(options: list[str], lines: str) -> None:
    parser = ArgumentParser()
    clean.add_arguments(parser)
    made = wishing.section(parser.parse_args(["rows.jsonl", *options])).model_dump(exclude_none=True)
    for wish in made["rules"].values():
        if isinstance(wish, dict):
            assert wish.pop("source") == "command line"
    assert made == Clean(**yaml.safe_load(lines)).model_dump(exclude_none=True)


def test_rules_of_bare_files_act_and_are_recorded(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 13 rows one repeats another but for a word (24 of 25 words), and two have under 5 words."""
    options = ["--rule", "near-duplicate", "--rule", "length.words=5..", "--transform", "redact:kinds=email"]
    status, _, document = hone(capsys, "clean", str(rows), "--out", str(tmp_path / "out"), *options)
    assert (status, document["kept"]) == (0, 10)
    assert document["left_out"] == {"near-duplicate": 1, "length.words": 2}
    version = json.loads((Path(document["place"]) / "version.json").read_text())
    assert {"near-duplicate", "length.words"} <= {rule["name"] for rule in version["rules"]}
    assert [(one["name"], one["changed"]) for one in version["transforms"]] == [("redact", 1)]
    status, _, looked = hone(capsys, "look", str(rows), "--out", str(tmp_path / "look"), *options)
    assert (status, looked["kept"]) == (0, 10)


def test_everything_wrong_is_said_at_once_with_the_nearest_name(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {
        "--rule gofer-words": 'did you mean "gopher-words"? known: c4-curly-braces',
        "--rule near-duplicate=0.8": "no threshold of its own",
        "--rule gopher-word-length=12": "say which end",
        "--rule gopher-words=5..2": "min 5 is over max 2",
        "--rule toxic-words=off": "preset task has no such rule",
        "--rule length.words=off": "a rule over a column says what it keeps",
        "--rule lenght.words=2..": 'did you mean "length"',
        "--transform htm": 'did you mean "html"? known: c4-lines, html, redact',
        "--transform html=off": "preset task has no such transform",
        "--signal near:treshold=0.5": 'did you mean "threshold"',
    }
    for verb in ("look", "clean"):
        more = ["--dry-run"] if verb == "clean" else []
        status, err, _ = hone(capsys, verb, str(rows), *more, *(word for option in wrong for word in option.split()))
        assert status == 2
        assert f"{len(wrong)} problems" in err
        assert all(sentence in err for sentence in wrong.values())
        assert not list(rows.parent.glob("*/*"))


def test_a_task_folder_gets_the_section_to_paste(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The section that the refusal shows, written into hone.yaml, says what was wished, beside what stood there."""
    head = 'task: t\nkind: language-model\ndata: {train: rows.jsonl}\noutput: "{text}"\ntarget: 3.0\n'
    (tmp_path / "hone.yaml").write_text(
        f"{head}clean: {{rules: {{duplicate: false, brief: {{column: own:mine:signs, max: 60}}}}}}\n"
    )
    (tmp_path / "mine.py").write_text("def signs(text: str) -> int: return len(text)\n")
    for verb in ("look", "clean"):
        status, err, _ = hone(capsys, verb, str(tmp_path), "--rule", "length.words=5..", "--transform", "redact")
        assert status == 2
        lines = err[err.index("clean:") :]
    (tmp_path / "hone.yaml").write_text(head + lines)
    found = load_task(tmp_path).clean
    assert found.rules == {
        "duplicate": False,
        "brief": RuleWish(column="own:mine:signs", max=60),
        "length.words": RuleWish(column="length.words", min=5),
    }
    assert found.transforms == ["redact"]
