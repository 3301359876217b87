"""Rules: every failed rule of a row is known, nulls keep, and moving a threshold reads no text."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hone.data.measure import measure
from hone.data.presets import PRESETS, preset
from hone.data.rules import Rule, changed, decide, evidence
from hone.data.signals.content import Content
from hone.data.signals.registry import SIGNALS, signal
from hone.data.store import TextStore
from hone.data.table import TextRow, batches
from hone.errors import InputError

COLUMNS = pa.table(
    {
        "row": ["a:1", "a:2", "a:3", "a:4"],
        "split": ["train", "train", "train", "dev"],
        "q.words": pa.array([3, 60, None, 3], pa.int32()),
        "q.ratio": [0.5, 0.05, 0.9, 0.9],
        "q.flag": [False, True, None, True],
        "q.code": ["en", "de", None, "fr"],
        "q.survivor": [None, "a:1", None, "a:1"],
    }
)


def rule(name: str, column: str, **more: object) -> Rule:
    return Rule(name=name, column=column, source="a test", **more)  # type: ignore[arg-type]


def fails(one: Rule) -> list[bool]:
    return list(decide(COLUMNS, [one]).failed[one.name])


def test_each_kind_of_predicate_and_nulls_keep() -> None:
    assert fails(rule("r", "q.words", low=50)) == [True, False, False, False]
    assert fails(rule("r", "q.words", high=50)) == [False, True, False, False]
    assert fails(rule("r", "q.ratio", low=0.1, high=0.6)) == [False, True, True, False]
    assert fails(rule("r", "q.flag", high=0)) == [False, True, False, False]
    assert fails(rule("r", "q.code", one_of=("en",))) == [False, True, False, False]
    assert fails(rule("r", "q.survivor", absent=True)) == [False, True, False, False]
    # The threshold itself is kept, on both sides.
    assert fails(rule("r", "q.words", low=3, high=60)) == [False, False, False, False]


def test_a_threshold_moves_over_a_million_generated_rows_that_have_no_text() -> None:
    """A column of 0 to 99 again and again: a threshold of n strikes n hundredths, whatever it was before."""
    rows = 1_000_000
    columns = pa.table({"split": np.repeat("train", rows), "q.words": np.tile(np.arange(100), rows // 100)})
    assert not {"text", "input", "answer"} & set(columns.column_names)
    for low in (5, 50, 51):
        (moved,) = changed([rule("words", "q.words", low=10)], {"words": {"min": low}})
        decisions = decide(columns, [moved])
        assert int((~decisions.keep).sum()) == low * rows // 100


def test_a_rule_is_for_its_splits() -> None:
    assert fails(rule("r", "q.survivor", absent=True, splits=("train", "dev"))) == [False, True, False, True]


def test_a_row_carries_every_rule_it_fails_and_the_counts_tell_alone_from_together() -> None:
    rules = [
        rule("short", "q.words", low=50),
        rule("ratio", "q.ratio", high=0.4),
        rule("twice", "q.survivor", absent=True),
    ]
    decisions = decide(COLUMNS, rules)
    assert list(decisions.keep) == [False, False, False, True]
    assert decisions.counts() == {
        "short": {"fails": 1, "alone": 0},
        "ratio": {"fails": 2, "alone": 1},
        "twice": {"fails": 1, "alone": 1},
    }
    assert evidence(rules[0], COLUMNS, 0) == "q.words 3, under 50"
    assert evidence(rules[2], COLUMNS, 1) == "q.survivor a:1"


def test_all_problems_of_rules_are_said_at_once() -> None:
    with pytest.raises(InputError) as caught:
        decide(COLUMNS, [rule("one", "q.word", low=1), rule("two", "q.code", low=1)])
    assert len(caught.value.problems) == 2
    assert 'no signal measures the column "q.word"; did you mean "q.words"' in str(caught.value)
    assert "has no smaller and larger" in str(caught.value)


def test_a_threshold_moves_without_the_texts(tmp_path: Path) -> None:
    rows = [
        TextRow(row=f"f:{n}", source="f", split="train", text=text, input=text, answer=None, label=None, fields="{}")
        for n, text in enumerate(["one", " ", "three"])
    ]
    measured = measure(TextStore.of(batches(rows), tmp_path), [Content()], tmp_path)
    shutil.rmtree(tmp_path)
    assert list(decide(measured.columns, [rule("empty", "content.missing", absent=True)]).keep) == [True, False, True]
    assert list(decide(measured.columns, []).keep) == [True, True, True]


def test_wishes_move_thresholds_leave_rules_out_and_add_own_ones() -> None:
    base = [rule("words", "q.words", low=50), rule("ratio", "q.ratio", high=0.4)]
    made = {
        one.name: one
        for one in changed(base, {"words": {"min": 20}, "ratio": False, "mine": {"column": "q.flag", "max": 0}})
    }
    assert set(made) == {"words", "mine"}
    assert made["words"].low == 20
    assert "50 <= q.words" in made["words"].source
    with pytest.raises(InputError) as caught:
        changed(base, {"wrods": False, "mine": {"column": "q.flag"}, "other": {"min": 3}})
    assert len(caught.value.problems) == 3
    assert 'did you mean "words"' in str(caught.value)


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_name_each_rule_once_and_signals_that_are_there(name: str) -> None:
    for kind in ("classify", "generate"):
        rules = preset(name, kind).rules
        assert len({one.name for one in rules}) == len(rules)
        assert {one.signal for one in rules} <= set(SIGNALS)
        assert all(one.source for one in rules)


def test_an_unknown_signal_or_parameter_names_the_nearest() -> None:
    with pytest.raises(InputError, match='"lenght" is not known; did you mean "length"'):
        signal("lenght", {}, {})
    with pytest.raises(InputError, match='no parameter treshold; did you mean "threshold"'):
        signal("near", {"treshold": 0.8}, {})
