from __future__ import annotations

import math

import pytest

from hone.errors import InputError
from hone.lab.compare import compare, trees
from hone.lab.hypothesis import Effect, difference
from hone.task.recipe import Recipe


def test_the_interval_of_a_difference_is_the_published_one():
    # Newcombe (1998), table II (a): 56/70 against 48/80; method 10 gives 0.0524 to 0.3339 from Wilson's intervals.
    from hone.task.scores import Score, wilson

    def share(right, n):
        low, high = wilson(right, n)
        return Score(name="accuracy", mean=right / n, low=low, high=high, n=n)

    effect = difference(share(56, 70), share(48, 80))
    assert (effect.low, effect.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))
    assert effect.mean == pytest.approx(0.2)


def test_turning_the_comparison_round_turns_the_effect_round(f1):
    there, back = difference(f1(0.8, 0.03), f1(0.7, 0.01)), difference(f1(0.7, 0.01), f1(0.8, 0.03))
    assert (there.mean, there.low, there.high) == (-back.mean, -back.high, -back.low)
    assert (there.verdict, back.verdict) == ("better", "worse")


@pytest.mark.parametrize(("child", "verdict"), [(0.80, "better"), (0.60, "worse"), (0.71, "undecided")])
def test_the_verdict_needs_an_interval_on_one_side_of_zero(f1, child, verdict):
    assert difference(f1(child), f1(0.70)).verdict == verdict


def test_less_is_better_for_a_metric_that_falls(f1):
    assert difference(f1(2.1, name="bits", higher=False), f1(2.5, name="bits", higher=False)).verdict == "better"


def test_two_metrics_have_no_difference(f1):
    with pytest.raises(ValueError, match="no difference: field_f1 and accuracy"):
        difference(f1(0.5), f1(0.5, name="accuracy"))


def test_a_finished_child_has_its_change_and_its_measured_effect_in_the_ledger(lab, finished):
    first = finished("default", 0.70)
    finished("wider", 0.80, parent=first, hypothesis="more rows per step help", predicted="+5 points")
    (row,) = lab.query("SELECT * FROM runs WHERE number = 2")
    assert (row["parent"], row["change"]) == (1, "batch_size 32 -> 64")
    assert (row["hypothesis"], row["predicted"]) == ("more rows per step help", "+5 points")
    assert row["effect"] == pytest.approx(0.10)
    assert row["effect_high"] - row["effect"] == pytest.approx(0.02 * math.sqrt(2))
    assert row["verdict"] == "better"


def test_a_sharper_effect_takes_the_place_of_the_first(lab, finished):
    child = finished("wider", 0.71, parent=finished("default", 0.70))
    assert lab.query("SELECT verdict FROM runs WHERE number = 2") == [{"verdict": "undecided"}]
    paired = Effect(
        metric="field_f1", mean=0.01, low=0.004, high=0.016, higher_is_better=True, method="paired bootstrap"
    )
    assert lab.judge(child, paired) == paired
    assert lab.query("SELECT verdict FROM runs WHERE number = 2") == [{"verdict": "better"}]


def test_runs_on_other_data_are_not_judged(lab, finished, f1):
    first = finished("default", 0.70)
    other = lab.new_run(Recipe(), "task0", "other data", parent=first, metric="field_f1")
    other.finish({"scores": [f1(0.9)]})
    assert lab.judge(other) is None
    assert not (other.folder / "verdict.json").exists()
    assert "2 data versions (data0, other data)" in compare([first, other]).notes[0]


def test_a_comparison_shows_what_differs_and_nothing_else(lab, finished):
    first, second = finished("default", 0.70), finished("wider", 0.80)
    found = compare([first, second])
    assert found.recipe == {"batch_size": (32, 64)}
    assert [score.mean for score in found.scores["field_f1"]] == [0.70, 0.80]
    nothing, effect = found.effects["field_f1"]
    assert nothing is None
    assert effect.mean == pytest.approx(0.10)
    with pytest.raises(InputError, match="two or more different runs; got 1, 1"):
        compare([first, first])


def test_the_tree_holds_every_run_once(lab, finished):
    first = finished("default", 0.5)
    second = finished("wider", 0.6, parent=first)
    finished("deeper", 0.7, parent=second)
    finished("slower", 0.4, parent=1)
    other = lab.new_run(Recipe(), "task0", "data1", name="other")
    found = trees([*lab.runs()], [])
    (root,), (lonely,) = found["data0"], found["data1"]
    assert root.run.number == 1
    assert [child.run.number for child in root.children] == [2, 4]
    assert [child.run.number for child in root.children[0].children] == [3]
    assert lonely.run.number == other.number
