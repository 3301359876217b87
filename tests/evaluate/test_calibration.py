"""Calibration: the temperature that made probabilities wrong is found again, and the error is the textbook's."""

from __future__ import annotations

import numpy as np
import pytest

from hone.errors import InputError
from hone.evaluate.calibration import calibrate_classes, calibrate_labels, calibration_error, sigmoid, softmax

RNG = np.random.default_rng(3)


def drawn(count: int = 20_000, classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the true chance of each class, and classes drawn by it."""
    logits = 2 * RNG.standard_normal((count, classes))
    heights = np.cumsum(softmax(logits), axis=1)
    return logits, (RNG.random((count, 1)) > heights).sum(axis=1)


@pytest.mark.parametrize("wrong", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoilt_the_logits_is_found_again(wrong: float) -> None:
    logits, targets = drawn()
    found = calibrate_classes(logits * wrong, targets)
    assert found.temperature == pytest.approx(wrong, rel=0.03)
    assert found.ece_after < 0.012
    assert found.nll_after <= found.nll_before
    if wrong == 3.0:
        assert found.ece_before > 5 * found.ece_after


def test_no_answer_changes_by_the_temperature() -> None:
    logits, targets = drawn(500)
    found = calibrate_classes(logits * 4, targets)
    assert np.array_equal((logits * 4 / found.temperature).argmax(axis=1), logits.argmax(axis=1))


# Guo et al., equation 3, by hand. Confidences 0.9, 0.9 (one right) lie in one bin and 0.3 (right) in another:
# |1 - 1.8| / 3 + |1 - 0.3| / 3 = 0.5.
def test_the_calibration_error_worked_by_hand() -> None:
    assert calibration_error(np.array([0.9, 0.9, 0.3]), np.array([True, False, True])) == pytest.approx(0.5)


def test_where_every_row_is_right_the_temperature_stays_one() -> None:
    targets = np.arange(40) % 4
    found = calibrate_classes(np.eye(4)[targets] * 3, targets)
    assert found.temperature == 1.0
    assert "every row is right" in found.line(several=False)


# A head that is right by chance alone and sure of it: the likeliest softmax is uniform, an infinite temperature.
def test_a_temperature_at_the_end_of_the_search_is_not_applied() -> None:
    generator = np.random.default_rng(0)
    logits, targets = 9 * generator.standard_normal((400, 5)), generator.integers(0, 5, 400)
    found = calibrate_classes(logits, targets)
    assert (found.temperature, found.nll_after, found.ece_after) == (1.0, found.nll_before, found.ece_before)
    assert found.fitted > 19
    assert "temperature 1 is kept, because the likeliest lies at the end" in found.line(several=False)


def test_a_handful_of_rows_fit_no_temperature() -> None:
    logits, targets = drawn(20)
    found = calibrate_classes(3 * logits, targets)
    assert found.temperature == 1.0
    assert "20 rows are too few" in found.line(several=False)


# Logits that are right already: what a fit finds is chance, on the rows of the fit always a gain.
def test_what_gains_nothing_on_other_rows_is_not_applied() -> None:
    kept = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        logits = 2 * generator.standard_normal((60, 4))
        heights = np.cumsum(softmax(logits), axis=1)
        found = calibrate_classes(logits, (generator.random((60, 1)) > heights).sum(axis=1))
        kept.append(found.temperature == 1.0)
        assert kept[-1] == ("no more than chance" in found.why_not)
    assert sum(kept) >= 38  # two standard errors


def test_loss_and_error_are_those_of_rows_that_the_temperature_was_not_fitted_on() -> None:
    logits, targets = drawn(200)
    found = calibrate_classes(2 * logits, targets)
    scaled = 2 * logits / found.temperature
    fit = -np.log(softmax(scaled)[np.arange(200), targets]).mean()
    # The best temperature of all rows does better on them than those of the halves on the other ones.
    assert fit < found.nll_after < found.nll_before
    assert "on halves that it was not fitted on" in found.line(several=False)


def test_of_several_labels_temperature_and_threshold_are_chosen_by_what_is_asked() -> None:
    logits = 2 * RNG.standard_normal((8000, 3))
    labels = (RNG.random(logits.shape) < sigmoid(logits)).astype(float)

    def cost(decisions: np.ndarray, labels: np.ndarray) -> float:
        # A false claim costs three times what a miss costs: claim only from a chance of 0.75 on.
        return -float((3 * (decisions & (labels == 0)) + (~decisions & (labels == 1))).sum())

    found = calibrate_labels(logits * 2.5, labels, cost)
    assert found.temperature == pytest.approx(2.5, rel=0.04)
    assert found.threshold == pytest.approx(0.75, abs=0.05)


def micro_f1(decisions: np.ndarray, labels: np.ndarray) -> float:
    return 2 * float((decisions & (labels > 0)).sum()) / max(1.0, float(decisions.sum() + labels.sum()))


def several(seed: int, count: int, signal: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Three rare labels a row, and logits that know little of them."""
    generator = np.random.default_rng(seed)
    labels = (generator.random((count, 3)) < 0.25).astype(float)
    return generator.standard_normal((count, 3)) + signal * labels, labels


def test_the_score_of_a_chosen_threshold_is_that_of_rows_on_which_it_was_not_chosen() -> None:
    """The same rows flatter it by several points; the halves tell what 4,000 new rows say of it."""
    fresh, wanted = several(10_000, 4000)
    flattered, told, truly = [], [], []
    for seed in range(60):
        logits, labels = several(seed, 40)
        found = calibrate_labels(logits, labels, micro_f1)
        chance = sigmoid(logits / found.temperature)
        grid = np.linspace(0.01, 0.99, 99)
        flattered.append(max(micro_f1(chance >= threshold, labels) for threshold in grid))
        told.append(micro_f1(chance >= np.array(found.thresholds_of(40))[:, None], labels))
        truly.append(micro_f1(sigmoid(fresh / found.temperature) >= found.threshold, wanted))
    assert np.mean(flattered) > np.mean(truly) + 0.03
    assert np.mean(told) == pytest.approx(np.mean(truly), abs=0.015)


@pytest.mark.parametrize("count", [1, 11, 29])
def test_a_handful_of_rows_choose_no_threshold(count: int) -> None:
    logits, labels = several(1, count)
    found = calibrate_labels(logits, labels, micro_f1)
    assert (found.threshold, set(found.thresholds_of(count))) == (0.5, {0.5})
    assert f"{count} rows are too few to choose one, 30 are needed" in found.line(several=True)


def test_calibrating_without_rows_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="no rows whose labels are known"):
        calibrate_classes(np.zeros((0, 3)), np.zeros(0, dtype=np.int64))
