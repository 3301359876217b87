"""What rows can prove: the numbers of Wilson's interval at its end, and sentences that name them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.task.metrics import METRICS
from hone.task.own_metric import own_metric
from hone.task.proof import most_provable, rows_to_prove, unproven
from hone.task.scores import wilson

BOUNDED = [metric for metric in METRICS.values() if metric.highest == 1]
ACCURACY = METRICS["accuracy"]


@pytest.mark.parametrize("name", ["accuracy", "exact_match", "micro_f1", "macro_f1"])
@pytest.mark.parametrize("n", [1, 2, 16, 300])
def test_no_score_of_so_many_rows_is_better_than_that_of_perfect_answers(name: str, n: int) -> None:
    labels = [f"label {at % 3}" for at in range(n)]
    perfect = METRICS[name].perfect(n)
    assert METRICS[name].score(labels, labels) == perfect
    for wrong in {1, n}:
        answers = ["other"] * wrong + labels[wrong:]
        assert METRICS[name].score(answers, labels).pessimistic <= perfect.pessimistic


def test_a_bounded_loss_is_perfect_at_its_lowest() -> None:
    def miss(prediction: str, reference: str) -> float:
        return float(prediction != reference)

    for name, value in (("higher_is_better", False), ("lowest", 0.0), ("highest", 1.0)):
        setattr(miss, name, value)
    metric = own_metric(miss)
    assert metric.perfect(16) == metric.score(["a"] * 16, ["a"] * 16)
    assert metric.perfect(16).pessimistic == pytest.approx(1 - wilson(16, 16)[0])
    assert rows_to_prove(metric, 0.01) == rows_to_prove(ACCURACY, 0.99)


@pytest.mark.parametrize(("target", "rows"), [(0.5, 4), (0.9, 35), (0.95, 73), (0.99, 381)])
def test_rows_that_a_target_needs(target: float, rows: int) -> None:
    """n >= 1.96^2 * target / (1 - target), by hand."""
    assert rows_to_prove(ACCURACY, target) == rows == int(np.ceil(1.959964**2 * target / (1 - target)))


@given(target=st.floats(0.01, 0.999), metric=st.sampled_from(BOUNDED))
@settings(max_examples=60, deadline=None)
def test_so_many_rows_prove_it_and_one_less_does_not(target: float, metric) -> None:  # type: ignore[no-untyped-def]
    need = rows_to_prove(metric, target)
    assert need is not None
    assert metric.perfect(need).reaches(target)
    assert need == 1 or not metric.perfect(need - 1).reaches(target)
    assert not unproven(metric, target, {"dev": need, "test": need, "ood": 0})
    assert (most_provable(metric, {"dev": need, "test": 1}) >= target) == (need == 1)


def test_perfection_is_proven_by_no_number_and_bits_by_two_rows() -> None:
    assert rows_to_prove(ACCURACY, 1) is None
    assert unproven(ACCURACY, 1, {"dev": 900}).endswith("; no number of rows proves it")
    assert rows_to_prove(METRICS["bits_per_byte"], 1.5) == 2
    assert not unproven(METRICS["bits_per_byte"], 1.5, {"dev": 2, "test": 0})


def test_the_sentence_names_the_splits_that_are_too_small_and_what_they_need() -> None:
    assert unproven(ACCURACY, 0.86, {"dev": 40, "test": 8}) == (
        "target 0.86 cannot be proven: at the pessimistic end even 8 of 8 test rows right give 0.676; "
        "24 rows of test are needed"
    )
    assert "1 of 1 dev row right gives 0.207" in unproven(ACCURACY, 0.86, {"dev": 1, "test": 8})
