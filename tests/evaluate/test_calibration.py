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
    logits = np.eye(4) * 3
    found = calibrate_classes(logits, np.arange(4))
    assert found.temperature == 1.0
    assert "every row is right" in found.line(several=False)


def test_of_several_labels_temperature_and_threshold_are_chosen_by_what_is_asked() -> None:
    logits = 2 * RNG.standard_normal((8000, 3))
    labels = (RNG.random(logits.shape) < sigmoid(logits)).astype(float)

    def cost(decisions: np.ndarray) -> float:
        # A false claim costs three times what a miss costs: claim only from a chance of 0.75 on.
        return -float((3 * (decisions & (labels == 0)) + (~decisions & (labels == 1))).sum())

    found = calibrate_labels(logits * 2.5, labels, cost)
    assert found.temperature == pytest.approx(2.5, rel=0.04)
    assert found.threshold == pytest.approx(0.75, abs=0.05)


def test_calibrating_without_rows_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="no rows whose labels are known"):
        calibrate_classes(np.zeros((0, 3)), np.zeros(0, dtype=np.int64))
