"""Duplicates are judged among the rows that stay, and rules by benchmarks act wherever a benchmark is named."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hone.data.prepare import DataVersion, prepare
from hone.data.rules import Rule, decide
from hone.data.survey import Survey, Wishes, survey_files
from hone.errors import InputError
from hone.task.spec import Clean, Task

WORDS = [f"word{n}" for n in range(400)]


def sentence(seed: int, size: int = 60) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=size))


def write(path: Path, texts: list[str]) -> None:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")


def surveyed(folder: Path, clean: dict[str, Any], **wishes: Any) -> Survey:
    section = Clean.model_validate(clean)
    return survey_files(
        ["rows.jsonl"], folder, section, folder / "cache", lambda line: None, wishes=Wishes(**wishes), looking=False
    )


def kept(survey: Survey) -> list[str]:
    return [
        row for row, keep in zip(survey.columns.column("row").to_pylist(), survey.decisions.keep, strict=True) if keep
    ]


def test_no_row_leaves_for_one_that_leaves_for_another_reason(tmp_path: Path) -> None:
    first = sentence(0)
    near = first.replace(first.split()[7], "other", 1)
    nearer = near.replace(near.split()[30], "another", 1)
    # The first of each family is too long by its tail of capitals, its relatives are not.
    write(
        tmp_path / "rows.jsonl", [f"{first} {'!' * 300}", near, nearer, sentence(1), sentence(1).upper(), sentence(2)]
    )
    rules = {"near-duplicate": True, "short": {"column": "length.chars", "max": 600}}
    survey = surveyed(tmp_path, {"rules": rules})
    assert kept(survey) == ["rows.jsonl:2", "rows.jsonl:4", "rows.jsonl:6"]
    survivors = dict(
        zip(survey.columns.column("row").to_pylist(), survey.columns.column("near.survivor").to_pylist(), strict=True)
    )
    assert survivors["rows.jsonl:3"] == "rows.jsonl:2"
    # The same rows again, without those that left: nothing more goes.
    texts = [json.loads(line)["text"] for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    write(tmp_path / "rows.jsonl", [texts[int(row.split(":")[1]) - 1] for row in kept(survey)])
    assert len(kept(surveyed(tmp_path, {"rules": rules}))) == 3


def test_a_benchmark_that_is_named_is_kept_out_whatever_the_preset(tmp_path: Path) -> None:
    short, long = "six words are a short row", sentence(3, 40)
    write(tmp_path / "bench.jsonl", [short, long])
    write(
        tmp_path / "rows.jsonl", [short.upper(), f"before it {long} and after it", *(sentence(n) for n in range(5, 25))]
    )
    for preset in ("task", "none"):
        survey = surveyed(tmp_path, {"preset": preset, "against": ["bench.jsonl"]})
        assert kept(survey) == [f"rows.jsonl:{n}" for n in range(3, 23)]
        failed = {name: mask.nonzero()[0].tolist() for name, mask in survey.decisions.failed.items() if mask.any()}
        assert failed == {"equals-benchmark-row": [0], "contaminated": [1]}
    off = {"against": ["bench.jsonl"], "rules": {"contaminated": False, "equals-benchmark-row": False}}
    assert len(kept(surveyed(tmp_path, off))) == 22


def make(folder: Path, **more: Any) -> DataVersion:
    spec = {"task": "t", "kind": "language-model", "target": 2.0, "output": "{text}"}
    data = {"train": "rows.jsonl", "dev": 3, "test": "test.jsonl"}
    return prepare(Task.model_validate({**spec, "data": data, **more}), folder, folder / "cache", lambda line: None)


@pytest.mark.parametrize("wish", [True, {"max": 0}])
def test_a_task_s_rule_against_contamination_reads_the_test_s_fingerprints(tmp_path: Path, wish: Any) -> None:
    held_out = sentence(4, 30)
    write(tmp_path / "test.jsonl", [held_out])
    write(tmp_path / "rows.jsonl", [f"in the middle {held_out} of a row", *(sentence(n) for n in range(5, 25))])
    assert make(tmp_path).ledger.counts() == {}
    assert make(tmp_path, clean={"rules": {"contaminated": wish}}).ledger.counts() == {"contaminated": 1}
    # Nothing of the test is stored: its fingerprints are hashes.
    stored = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert held_out.split()[3].encode() in stored  # a training row holds it
    assert json.dumps({"text": held_out}).encode() not in stored


def test_fingerprints_follow_the_template(tmp_path: Path) -> None:
    rows = [{"title": f"title {n}", "text": sentence(n)} for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "test.jsonl").write_text(json.dumps({"title": "other", "text": "x " + sentence(3)}) + "\n")
    wish = {"rules": {"contaminated": True}}
    assert make(tmp_path, clean=wish, output="{title}").ledger.counts() == {}
    assert make(tmp_path, clean=wish, output="{text}").ledger.counts() == {"contaminated": 1}


def test_a_value_on_the_threshold_is_kept_in_single_precision_too() -> None:
    column = pa.array([0.3, 0.12, 0.30001, 0.1199], pa.float32())
    table = pa.table({"q.share": column})
    rules = [
        Rule(name="low", column="q.share", low=0.12, source=""),
        Rule(name="high", column="q.share", high=0.3, source=""),
    ]
    decisions = decide(table, rules)
    assert list(decisions.failed["low"]) == [False, False, False, True]
    assert list(decisions.failed["high"]) == [False, False, True, False]


def test_thresholds_that_no_row_could_pass_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", ["a b c"])
    with pytest.raises(ValueError, match="min 5 is over max 2: no row could stay"):
        Clean.model_validate({"rules": {"x": {"column": "length.chars", "min": 5, "max": 2}}})
    with pytest.raises(ValueError, match="a threshold is a finite number; got max nan"):
        Clean.model_validate({"rules": {"x": {"column": "length.chars", "max": float("nan")}}})
    with pytest.raises(InputError, match="one_of is for words"):
        surveyed(tmp_path, {"rules": {"x": {"column": "length.chars", "one_of": ["a"]}}})


# Which row survives.


def survivors(survey: Survey, signal: str) -> dict[str, str]:
    """Removed row to the row that it goes for, by line numbers."""
    pairs = zip(
        survey.columns.column("row").to_pylist(), survey.columns.column(f"{signal}.survivor").to_pylist(), strict=True
    )
    return {row.split(":")[1]: other.split(":")[1] for row, other in pairs if other is not None}


@pytest.mark.parametrize("signal", ["exact", "near"])
def test_the_best_row_by_a_measured_column_survives_and_the_first_of_equals(tmp_path: Path, signal: str) -> None:
    text = sentence(0)
    # 0, 2, 2 and 1 marks; and a family whose rows are all alike.
    rows = [text, f"{text} ##", f"# {text} #", f"{text} #", sentence(1), sentence(1), sentence(2)]
    write(tmp_path / "rows.jsonl", rows)
    rules = {"near-duplicate": True} if signal == "near" else {}
    best = {"survivor": "best", "column": "quality.hash_ratio"}
    assert survivors(surveyed(tmp_path, {"rules": rules}), signal) == {"2": "1", "3": "1", "4": "1", "6": "5"}
    wishes = {"rules": rules, "signals": {"exact": best, signal: best}}
    survey = surveyed(tmp_path, wishes)
    assert survivors(survey, signal) == {"1": "2", "3": "2", "4": "2", "6": "5"}
    assert kept(survey) == ["rows.jsonl:2", "rows.jsonl:5", "rows.jsonl:7"]
    assert survey.columns.equals(surveyed(tmp_path, wishes).columns)


@pytest.mark.parametrize("signal", ["exact", "near"])
def test_the_best_of_the_rows_that_stay_survives(tmp_path: Path, signal: str) -> None:
    text = sentence(0)
    write(tmp_path / "rows.jsonl", [text, f"{text} #####", f"{text} ##", f"# {text} #", sentence(1)])
    rules: dict[str, Any] = {"hashes": {"column": "quality.hash_ratio", "max": 0.05}}
    best = {"survivor": "best", "column": "quality.hash_ratio"}
    rules |= {"near-duplicate": True} if signal == "near" else {}
    survey = surveyed(tmp_path, {"rules": rules, "signals": {"exact": best, signal: best}})
    # Row 2 is the best of all and leaves for its marks; of the others 3 and 4 are as good, and 3 comes first.
    assert kept(survey) == ["rows.jsonl:3", "rows.jsonl:5"]
    assert {row: survivors(survey, signal)[row] for row in ("1", "4")} == {"1": "3", "4": "3"}


def test_a_row_stays_of_each_family_where_exact_and_near_choose_in_different_ways(tmp_path: Path) -> None:
    text = sentence(0)
    near = text.replace(text.split()[7], "other", 1)
    write(tmp_path / "rows.jsonl", [text, f"{text} ##", near, f"{near} #", f"{near} #### #", sentence(1)])
    best = {"near": {"survivor": "best", "column": "quality.hash_ratio"}}
    survey = surveyed(tmp_path, {"rules": {"near-duplicate": True}, "signals": best})
    # The first of equal rows stays by the rule duplicate, and of those that are left the better, or else the first.
    assert kept(survey) == ["rows.jsonl:1", "rows.jsonl:6"]
    assert survivors(survey, "near")["3"] == "1"


def test_another_measure_of_the_best_row_is_not_taken_from_the_cache(tmp_path: Path) -> None:
    (tmp_path / "marks.py").write_text("def score(text: str) -> float:\n    return float(text.count('#'))\n")
    text = sentence(0)
    write(tmp_path / "rows.jsonl", [text, f"{text} #", sentence(1)])
    best = {"exact": {"survivor": "best", "column": "own:marks:score"}}
    assert survivors(surveyed(tmp_path, {"signals": best}), "exact") == {"1": "2"}
    (tmp_path / "marks.py").write_text("def score(text: str) -> float:\n    return float(-text.count('#'))\n")
    assert survivors(surveyed(tmp_path, {"signals": best}), "exact") == {"2": "1"}


def test_a_column_that_nothing_measures_is_named(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", [sentence(0), sentence(0)])
    best = {"exact": {"survivor": "best", "column": "quality.hash_ration"}}
    with pytest.raises(InputError, match=r'clean\.signals\.exact: no signal .* did you mean "quality\.hash_ratio"'):
        surveyed(tmp_path, {"signals": best})
