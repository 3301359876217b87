"""A paired difference sees what two intervals hide, and claims nothing where there is nothing."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from hone.errors import InputError
from hone.evaluate.significance import paired_difference
from hone.task.metrics import METRICS

ACCURACY = METRICS["accuracy"]


def answers(right: np.ndarray) -> list[str]:
    return ["yes" if flag else "no" for flag in right]


def test_the_same_answers_do_not_differ():
    right = np.random.default_rng(0).random(200) < 0.7
    found = paired_difference(ACCURACY, answers(right), answers(right), ["yes"] * 200)
    assert (found.mean, found.low, found.high, found.verdict) == (0.0, 0.0, 0.0, "no difference seen")


def test_pairing_sees_a_difference_that_two_intervals_hide():
    right = np.random.default_rng(1).random(400) < 0.7
    better = right.copy()
    better[np.flatnonzero(~right)[:16]] = True
    mine, theirs, gold = answers(better), answers(right), ["yes"] * 400
    one, other = ACCURACY.score(mine, gold), ACCURACY.score(theirs, gold)
    assert one.low < other.high
    found = paired_difference(ACCURACY, mine, theirs, gold)
    assert (found.mean, found.verdict) == (pytest.approx(16 / 400), "better")
    assert found.share_better == 1.0
    assert paired_difference(ACCURACY, theirs, mine, gold).verdict == "worse"
    assert json.loads(json.dumps(found.to_json()))["verdict"] == "better"


def test_less_is_better_where_the_metric_says_so():
    num_bytes = [100] * 50
    theirs = np.random.default_rng(2).normal(200, 20, 50) * math.log(2)
    found = paired_difference(METRICS["bits_per_byte"], (theirs - 5).tolist(), theirs.tolist(), num_bytes)
    assert found.verdict == "better"
    assert found.mean == pytest.approx(5 / math.log(2) / 100)


def test_models_that_are_equally_good_are_rarely_told_apart():
    generator = np.random.default_rng(3)
    claims = 0
    for trial in range(100):
        one, other = generator.random((2, 150)) < 0.8
        claims += paired_difference(ACCURACY, answers(one), answers(other), ["yes"] * 150, seed=trial).verdict != (
            "no difference seen"
        )
    # 5 of 100 are expected; 12 or more would happen once in 200 times if the interval were honest.
    assert claims < 12


def test_other_rows_are_refused():
    with pytest.raises(InputError, match="same rows: 1, 2 and 2"):
        paired_difference(ACCURACY, ["a"], ["a", "b"], ["a", "b"])
