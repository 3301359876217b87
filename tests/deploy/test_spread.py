"""The figures of a comparison are those of their definitions, and their intervals are over rows."""

from __future__ import annotations

import numpy as np
import pytest

from hone.deploy.certificate.spread import at_labels, at_positions, groups_of, mean_interval, spread_of


def test_divergence_is_the_sum_of_p_ln_p_over_q():
    p, q = np.array([[0.5, 0.25, 0.25]]), np.array([[0.25, 0.5, 0.25]])
    found = at_positions(np.log(p), np.log(q), 0.0, np.array([2]))
    assert found["kld"][0] == pytest.approx(0.5 * np.log(2) - 0.25 * np.log(2))
    assert found["same"][0] == found["tie"][0] == 0
    assert found["nll_original"][0] == found["nll_artifact"][0] == pytest.approx(np.log(4))


def test_a_constant_added_to_all_logits_is_no_divergence():
    logits = np.random.default_rng(0).normal(size=(20, 50)).astype(np.float32)
    found = at_positions(logits, logits + np.float32(3), 0.0)
    # Half a unit in the last place of a float32 near 3 is 1.2e-7; a divergence is of second order in it.
    assert found["kld"].max() < 1e-12
    assert found["same"].all()


def test_probability_on_rows_that_the_original_does_not_have_is_lost():
    original = np.log(np.array([[0.5, 0.5]]))
    artifact = np.log(np.array([[0.25, 0.25, 0.5]]))
    assert at_positions(original, artifact, 0.0)["kld"][0] == pytest.approx(np.log(2))


def test_two_tokens_that_the_original_finds_equal_within_the_tie_may_change_places():
    original, artifact = np.log(np.array([[0.5, 0.49, 0.01]])), np.log(np.array([[0.49, 0.5, 0.01]]))
    assert at_positions(original, artifact, 0.03)["tie"][0] == 1
    assert at_positions(original, artifact, 0.01)["tie"][0] == 0
    assert at_positions(original, artifact, 0.03)["same"][0] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_seen(value):
    logits = np.zeros((2, 3), dtype=np.float32)
    theirs = logits.copy()
    theirs[1, 2] = value
    assert at_positions(logits, theirs, 0.0)["finite"].tolist() == [1, 0]
    assert at_labels(logits, theirs, 0.0)["finite"].tolist() == [1, 0]


def test_labels_that_are_decided_alone_add_their_divergences():
    # Probabilities 0.8 and 0.5 against 0.5 and 0.5.
    found = at_labels(np.array([[np.log(4.0), 0.0]]), np.zeros((1, 2)), 0.0)
    assert found["kld"][0] == pytest.approx(0.8 * np.log(0.8 / 0.5) + 0.2 * np.log(0.2 / 0.5))
    assert found["same"][0] == 0


def test_positions_of_one_row_are_one_draw():
    rows = [np.zeros(50), np.ones(50)]
    assert mean_interval(rows, ["a", "b"]) == (0.0, 1.0)
    low, high = mean_interval([np.array([value]) for row in rows for value in row], [""] * 100)
    # A share of 0.5 of 100 independent draws: 0.4 to 0.6.
    assert 0.37 < low < 0.43
    assert 0.57 < high < 0.63
    assert groups_of(["a", "b", "a", "", ""]) == [[0, 2], [1], [3], [4]]


def test_agreement_everywhere_has_wilsons_bound():
    same = at_positions(np.zeros((100, 2)), np.zeros((100, 2)), 0.0)
    found = spread_of([same] * 20, [f"row {number}" for number in range(20)])
    assert (found.positions, found.rows) == (2000, 20)
    assert found.same_top_or_tie == 1
    # Wilson's lower end where all agree: n over n plus z squared, 1.96 squared being 3.84.
    assert found.same_top_low == pytest.approx(2000 / (2000 + 3.8415), abs=1e-6)
    assert found.kld_high == found.kld_mean == 0


def test_every_position_is_in_the_histogram_and_in_its_place():
    generator = np.random.default_rng(0)
    rows = [{"kld": 10 ** generator.uniform(-14, 4, 30), "tie": np.ones(30), "same": np.ones(30)} for _ in range(5)]
    rows.append({"kld": np.array([0.0, 1e-3]), "tie": np.ones(2), "same": np.ones(2)})
    found = spread_of(rows, ["a", "a", "b", "c", "d", "e"])
    assert sum(count for _, count in found.histogram) == found.positions == 152
    assert sum(count for *_, count in found.by_place) == 152
    assert [start for start, *_ in found.by_place][1:] == [end for _, end, *_ in found.by_place][:-1]
    assert found.rows == 5
