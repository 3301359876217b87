"""``hone look`` on bare files and on task folders, through the command line."""

from __future__ import annotations

import csv
import gzip
import importlib
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hone.cli import main

DATA = Path(__file__).resolve().parent.parent / "data"


@pytest.fixture
def banking(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "banking", tmp_path / "banking"))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Thirty different requests, one of them three times (another case, other signs), one empty row."""
    texts = [f"please set alarm number {at} for the {at + 3}th of may" for at in range(30)]
    texts += ["PLEASE set alarm number 0 for the 3th of may", "please set alarm, number 0, for the 3th of may!", ""]
    path = tmp_path / "requests.jsonl"
    path.write_text("".join(json.dumps({"text": text, "from": "app"}) + "\n" for text in texts), encoding="utf-8")
    return path


def _run(capsys: pytest.CaptureFixture[str], *words: str | Path, status: int = 0) -> str:
    assert main(["look", *map(str, words)]) == status
    captured = capsys.readouterr()
    return captured.out if status == 0 else captured.err


def _document(page: str) -> Any:
    return json.loads(Path(page).with_suffix(".json").read_text(encoding="utf-8"))


def test_bare_files_need_no_task(banking: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    told = _run(capsys, banking / "train.csv", "--test", banking / "test.csv", "--out", out)
    assert "320 rows" in told
    assert str(out / "train.html") in told
    page = (out / "train.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    # One row of this cut repeats another (counted with the folding of the test data's own page).
    with (banking / "train.csv").open(encoding="utf-8") as handle:
        folded = [(re.sub(r"\W+", " ", row["text"].lower()).strip(), row["category"]) for row in csv.DictReader(handle)]
    document = _document(str(out / "train.html"))
    assert document["duplicates"]["exact"]["removed"] == len(folded) - len(set(folded))
    assert document["rows"] == 320
    assert document["labels"]["distinct"] == 8
    assert [canary["found"] for canary in document["contamination"]["canaries"]] == [True] * 4


def test_a_task_folder_is_looked_at_as_hone_yaml_says(banking: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(_run(capsys, banking, "--json").splitlines()[-1])
    assert told["rows"] == 320
    assert Path(told["report"]) == banking / "look" / "report.html"
    document = _document(told["report"])
    assert document["profile"]["kept.share"]["value"] == pytest.approx(told["kept"] / 320)
    assert document["schema"] == "hone.look/1"


def test_bad_rows_of_a_task_are_named_and_those_of_its_test_are_not(
    banking: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = banking / "hone.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("data: {", "data: {bad_rows: drop, ", 1))
    for name in ("train.csv", "test.csv"):
        with (banking / name).open("a", encoding="utf-8") as handle:
            handle.write("one,two,three\n")
    document = _document(json.loads(_run(capsys, banking, "--json").splitlines()[-1])["report"])
    assert [row["row"] for row in document["bad"]["first"]] == ["train.csv:322"]
    assert "bad-rows" in {alert["name"] for alert in document["alerts"]}


def test_json_is_the_last_line_and_people_read_beside_it(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["look", str(rows), "--json", "--out", str(rows.parent / "out")]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert {"headline", "alerts", "report", "document", "kept"} <= set(json.loads(captured.out))
    assert "what is wrong most" in captured.err


def test_a_sample_gives_intervals_that_hold_the_figures_of_all_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "many.jsonl"
    lines = [{"text": ("" if at % 10 == 0 else f"request {at} about {'a' * (at % 40)}")} for at in range(600)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    out = tmp_path / "out"
    told = _run(capsys, path, "--sample", "200", "--out", out)
    assert "600 rows" in told
    assert re.search(r"empty [\d.]+ % \([\d.]+ % to [\d.]+ %\)", told)
    document = _document(str(out / "many.html"))
    assert (document["rows"], document["of"]) == (200, 600)
    empty, chars = document["profile"]["empty.share"], document["profile"]["length.chars.mean"]
    assert empty["low"] <= 0.1 <= empty["high"]
    assert chars["low"] <= sum(len(line["text"]) for line in lines) / 600 <= chars["high"]


def test_a_sample_says_what_it_cannot_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str], banking: Path) -> None:
    """Of two labels a sample can miss one, and what is alike in its rows may not be so in others."""
    out = tmp_path / "out"
    told = _run(capsys, banking / "train.csv", "--test", banking / "test.csv", "--sample", "9", "--out", out)
    assert re.search(r"at least \d labels?, at least 1 source", told)
    assert "in train" not in told
    assert "only" not in told
    document = _document(str(out / "train.html"))
    lines = document["profile"]["length.lines.mean"]
    assert (lines["value"], lines["low"], lines["high"]) == (1.0, None, None)
    assert lines["no_interval"] == "not estimated: constant in the sample"
    few = _run(capsys, banking / "train.csv", "--sample", "4", "--out", out)
    assert re.search(r"[\d,]+ \(not estimated: too few rows in the sample\) characters", few)


def test_sensitive_writes_no_text(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = rows.parent / "out"
    told = _run(capsys, rows, "--sensitive", "--out", out)
    written = told + "".join((out / f"requests.{kind}").read_text(encoding="utf-8") for kind in ("html", "json"))
    for line in rows.read_text(encoding="utf-8").splitlines():
        text = json.loads(line)["text"]
        assert not text or text not in written
    assert "alarm" not in written
    assert '"app"' not in written


def test_rows_that_cannot_be_used_are_refused_or_named(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with rows.open("a", encoding="utf-8") as handle:
        handle.write('{"text": "cut off\n')
    out = rows.parent / "out"
    told = _run(capsys, rows, "--out", out, status=2)
    assert "requests.jsonl:34" in told
    assert "--bad-rows drop" in told
    told = _run(capsys, rows, "--out", out, "--bad-rows", "drop")
    assert "33 rows" in told
    document = _document(str(out / "requests.html"))
    assert (document["bad"]["rows"], document["bad"]["first"][0]["row"]) == (1, "requests.jsonl:34")
    assert "bad-rows" in {alert["name"] for alert in document["alerts"]}
    assert "requests.jsonl:34" in (out / "requests.html").read_text(encoding="utf-8")


def test_dropped_rows_stand_beside_what_they_repeat(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = _run(capsys, rows, "--dropped", "duplicate", "--out", rows.parent / "out")
    assert "duplicate removes 2 of 33 rows" in told
    assert "kept instead: requests.jsonl:1" in told
    assert "[-please-] {+PLEASE+}" in told
    document = json.loads(
        _run(capsys, rows, "--dropped", "duplicate", "--json", "--out", rows.parent / "out").splitlines()[-1]
    )
    assert [row["row"] for row in document["dropped"]] == ["requests.jsonl:31", "requests.jsonl:32"]
    assert {row["survivor"] for row in document["dropped"]} == {"requests.jsonl:1"}


def test_dropped_rows_of_other_rules_come_with_their_evidence(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = _run(capsys, rows, "--dropped", "empty", "--out", rows.parent / "out")
    assert "requests.jsonl:33" in told
    assert "content.missing input" in told
    assert "(no text)" in told


def test_text_shared_with_the_test_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    shared = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    train.write_text("".join(json.dumps({"text": f"row {at}: {shared * (at == 3)} end"}) + "\n" for at in range(5)))
    test.write_text(json.dumps({"text": f"SECRET, {shared.upper()}!"}) + "\n")
    out = tmp_path / "out"
    told = _run(capsys, train, "--test", test, "--preset", "web", "--dropped", "contaminated", "--out", out)
    assert f"row 3: [[{shared}]] end" in told
    assert "SECRET" not in told, "the test is never shown"


def test_what_an_optional_rule_would_remove_can_be_seen_first(
    rows: Path, banking: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = rows.parent / "out"
    alerts = json.loads(_run(capsys, rows, "--json", "--out", out).splitlines()[-1])["alerts"]
    assert not any("near-duplicate removes" in alert["title"] for alert in alerts)
    told = _run(capsys, rows, "--dropped", "near-duplicate", "--out", out)
    assert "near-duplicate removes 2 of 33 rows" in told
    assert "label-suspect removes" in _run(capsys, banking, "--dropped", "label-suspect")


def test_an_unknown_rule_names_the_nearest(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = _run(capsys, rows, "--dropped", "duplicates", "--out", rows.parent / "out", status=2)
    assert 'did you mean "duplicate"?' in told


def test_paging_goes_on_back_and_ends(
    rows: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["", "p", "2", "q"])
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    for stream in (sys.stdout, sys.stdin):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    told = _run(capsys, rows, "--dropped", "duplicate", "--out", rows.parent / "out")
    assert re.findall(r"^(\d) of 2$", told, re.MULTILINE) == ["1", "2", "1", "2"]


def test_control_sequences_of_a_text_reach_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    text = "clear \x1b[2J the screen \x07 now"
    path.write_text("".join(json.dumps({"text": one}) + "\n" for one in (text, text, "other")), encoding="utf-8")
    told = _run(capsys, path, "--dropped", "duplicate", "--out", tmp_path / "out")
    assert "the screen" in told
    assert "\x1b" not in told
    assert "\x07" not in told


def test_tokens_show_prompt_and_supervised_apart(banking: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = _run(capsys, banking, "--tokens", "--rows", "4")
    assert told.count("[[") == 5, "the legend, and one supervised part in each row"
    rows = json.loads(_run(capsys, banking, "--tokens", "--rows", "4", "--json").splitlines()[-1])["rows"]
    assert len(rows) == 4
    for row in rows:
        assert sum(piece["tokens"] for piece in row["pieces"] if piece["supervised"]) == row["num_supervised"]


def test_looking_imports_no_torch(rows: Path) -> None:
    code = (
        "import sys; from hone.cli import main; assert main(sys.argv[1:]) == 0; "
        "print(*sorted({'torch', 'transformers', 'pandas', 'matplotlib', 'tokenizers'} & set(sys.modules)), 'end')"
    )
    words = ["look", str(rows), "--out", str(rows.parent / "out")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "end"


def test_tabular_without_its_package_says_how_to_add_it(
    rows: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install" in _run(capsys, rows, "--tabular", status=2)


def test_tabular_hands_flat_columns_to_the_package(
    rows: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is heavy and an extra: what it is asked for is checked, not what it draws."""
    asked: dict[str, Any] = {}

    class ProfileReport:
        def __init__(self, frame: Any, **options: Any) -> None:
            asked.update(options, frame=frame)

        def to_html(self) -> str:
            return "<html>columns</html>"

    modules = {
        "pandas": SimpleNamespace(DataFrame=list),
        "data_profiling": SimpleNamespace(ProfileReport=ProfileReport),
    }
    real = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", lambda name: modules.get(name) or real(name))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    out = rows.parent / "out"
    told = _run(capsys, rows, "--tabular", "--sensitive", "--out", out)
    assert str(out / "requests-columns.html") in told
    assert (asked["minimal"], asked["sensitive"], len(asked["frame"])) == (True, True, 33)
    assert asked["frame"][0]["from"] == "app"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--sample", "5"], "--sample: for bare files"),
        (["--preset", "web", "--label", "x"], "--label, --preset: for bare files"),
        (["--workers", "0"], "--workers 0: expected 1 or more"),
        (["--tokens", "--sensitive"], "cannot go with --sensitive"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    banking: Path, capsys: pytest.CaptureFixture[str], words: list[str], part: str
) -> None:
    assert part in _run(capsys, banking, *words, status=2)


def test_a_missing_file_and_a_folder_without_a_task_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "nothing.jsonl" in _run(capsys, "nothing.jsonl", status=2)
    assert "hone.yaml" in _run(capsys, status=2)
    assert list(tmp_path.iterdir()) == [], "nothing is written for what cannot be read"


def test_bad_rows_and_rows_over_a_limit_are_shown(
    banking: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = rows.parent / "out"
    with rows.open("a", encoding="utf-8") as handle:
        handle.write('{"text": "cut off\n')
    told = _run(capsys, rows, "--dropped", "bad-rows", "--bad-rows", "drop", "--out", out)
    assert "1 bad row left out" in told
    assert "requests.jsonl:34\n  expected one whole JSON object" in told
    told = _run(capsys, rows, "--dropped", "source-limit", "--bad-rows", "drop", "--out", out, status=2)
    assert "no limit is set" in told
    assert "when a tokenizer has counted" in _run(capsys, banking, "--dropped", "overlong", status=2)
    with (banking / "hone.yaml").open("a", encoding="utf-8") as handle:
        handle.write('\nclean: {limits: {"*": 100}}\n')
    told = _run(capsys, banking, "--dropped", "source-limit")
    stay = 320 - 100 - 1  # one row repeats another one
    assert f"source-limit removes {stay} of 320 rows" in told
    kept = json.loads(_run(capsys, banking, "--json").splitlines()[-1])["kept"]
    assert kept == 100


def test_a_label_stands_beside_the_one_that_is_suggested(banking: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One label is exchanged; a quick model finds the old one likelier."""
    with (banking / "train.csv").open(encoding="utf-8", newline="") as handle:
        lines = list(csv.reader(handle))
    old, new = lines[1][1], next(line[1] for line in reversed(lines) if line[1] != lines[1][1])
    lines[1][1] = new
    with (banking / "train.csv").open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows(lines)
    told = json.loads(_run(capsys, banking, "--dropped", "label-suspect", "--json").splitlines()[-1])
    row = next(row for row in told["dropped"] if row["row"] == "train.csv:2")
    assert (row["label"], row["suggested"]) == (new, old)
    assert row["probability"] < 0.5
    shown = _run(capsys, banking, "--dropped", "label-suspect")
    assert re.search(rf"label: {new} \(probability 0\.\d+\); suggested: {old}", shown)
    hidden = _run(capsys, banking, "--dropped", "label-suspect", "--sensitive")
    assert old not in hidden
    assert new not in hidden


def test_a_section_is_added_or_takes_the_place_of_the_one_that_is_there(
    banking: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def places() -> set[str]:
        alerts = json.loads(_run(capsys, banking, "--json").splitlines()[-1])["alerts"]
        return {alert["place"] for alert in alerts if alert["yaml"].startswith("clean:")}

    assert places() == {f"add to {banking / 'hone.yaml'}"}
    with (banking / "hone.yaml").open("a", encoding="utf-8") as handle:
        handle.write("\nclean: {preset: task}\n")
    assert places() == {f"in {banking / 'hone.yaml'}, instead of its clean section"}


def test_the_command_that_an_alert_proposes_for_files_cleans_them_as_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = [f"the request with number {at} is about the weather of day {at + 3} in the town" for at in range(30)]
    texts += ["the request with number 4 is about the weather of day 7 in the town please", "call jane@example.org"]
    texts += ["this fucking thing", "Это предложение написано по-русски", "<p>a page</p>"]
    Path("rows.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    told = json.loads(_run(capsys, "rows.jsonl", "--json", "--rule", "empty=off").splitlines()[-1])
    proposed = [alert for alert in told["alerts"] if alert["apply"]]
    assert {alert["name"] for alert in proposed} >= {"near-duplicate", "toxic", "script", "personal", "html"}
    assert not any(alert["yaml"] for alert in told["alerts"]), "bare files have no hone.yaml"
    for alert in proposed:
        words = shlex.split(alert["apply"])
        assert words[:2] == ["hone", "clean"]
        assert "empty=off" in words
        assert main([*words[1:], "--json"]) == 0
        made = json.loads(capsys.readouterr().out.splitlines()[-1])
        if alert["removes"] is not None:
            assert told["kept"] - made["kept"] == alert["removes"], alert["title"]
        else:
            kept = gzip.decompress((Path(made["place"]) / "kept.jsonl.gz").read_bytes()).decode()
            assert ("jane@" in kept) == (alert["name"] != "personal")
            assert ("<p>" in kept) == (alert["name"] != "html")


def test_every_command_of_a_report_can_be_run(banking: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the cleaning is that of an earlier version, which a look adds no rule to."""
    assert main(["clean", str(banking), "--json"]) == 0
    version = json.loads(capsys.readouterr().out.splitlines()[-1])["version"]
    for section in ("", f'\nclean: {{version: "{version}"}}\n'):
        with (banking / "hone.yaml").open("a", encoding="utf-8") as handle:
            handle.write(section)
        alerts = json.loads(_run(capsys, banking, "--json").splitlines()[-1])["alerts"]
        commands = {alert["command"] for alert in alerts if alert["command"]}
        assert commands
        for command in commands:
            assert " removes " in _run(capsys, *shlex.split(command)[2:])
