"""Scores and their intervals: published values, coverage on known distributions, direction."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hone.task.scores import Score, bootstrap, mean_of, point, ratio_of, resamples, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # z^2 / (n + z^2) at the ends; 8 of 10 from Brown, Cai and DasGupta's formula (2001).
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (8, 10, 0.4902, 0.9433),
        (50, 100, 0.4038, 0.5962),
    ],
)
def test_wilson_has_the_published_values(successes, n, low, high):
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_covers_a_known_share_about_95_times_in_100():
    generator = np.random.default_rng(1)
    for share in (0.5, 0.9, 0.97):
        draws = generator.binomial(100, share, size=2000)
        covered = np.mean([low <= share <= high for low, high in (wilson(x, 100) for x in draws.tolist())])
        assert 0.92 <= covered <= 0.98


def test_bootstrap_covers_a_known_mean_about_95_times_in_100():
    generator = np.random.default_rng(2)
    inside = 0
    for trial in range(300):
        values = generator.normal(3.0, 2.0, size=80)
        low, high = bootstrap(mean_of(values), 80, n_boot=400, seed=trial)
        inside += low <= 3.0 <= high
    assert 0.91 <= inside / 300 <= 0.98


def test_bootstrap_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(3).normal(size=700)
    low, high = bootstrap(mean_of(values), 700, n_boot=2000)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(700), rel=0.08)


def test_bootstrap_of_a_ratio_resamples_rows_not_units():
    # All rows have the same ratio, so however they are drawn the ratio of sums is that ratio.
    sizes = np.arange(1.0, 50.0)
    assert bootstrap(ratio_of(3 * sizes, sizes), len(sizes)) == pytest.approx((3.0, 3.0))


def test_every_resample_draws_as_many_rows_as_there_are():
    blocks = list(resamples(37, n_boot=100, seed=5))
    weights = np.concatenate(blocks)
    assert weights.shape == (100, 37)
    assert (weights.sum(axis=1) == 37).all()
    assert weights.mean() == 1.0


def test_many_rows_are_resampled_in_small_blocks():
    sizes = [len(block) for block in resamples(1_000_000, n_boot=5, seed=0)]
    assert sizes == [4, 1]


def test_the_seed_alone_decides():
    values = np.random.default_rng(4).random(100)
    assert bootstrap(mean_of(values), 100, seed=1) == bootstrap(mean_of(values), 100, seed=1)
    assert bootstrap(mean_of(values), 100, seed=1) != bootstrap(mean_of(values), 100, seed=2)


def test_point_is_the_statistic_of_the_rows_as_they_are():
    assert point(mean_of(np.array([1.0, 2.0, 6.0])), 3) == 3.0
    assert point(ratio_of(np.array([1.0, 2.0]), np.array([0.0, 0.0])), 2) == 0.0


def test_the_pessimistic_end_decides_in_both_directions():
    up = Score(name="accuracy", mean=0.85, low=0.81, high=0.88, n=700)
    assert up.reaches(0.81)
    assert not up.reaches(0.85)
    assert up.gap(0.85) == pytest.approx(0.04)
    assert up.gap(0.5) == 0
    down = Score(name="bits_per_byte", mean=2.0, low=1.9, high=2.1, n=10, higher_is_better=False)
    assert down.reaches(2.1)
    assert not down.reaches(2.0)
    assert down.pessimistic == 2.1
    assert down.gap(2.0) == pytest.approx(0.1)
    better = Score(name="bits_per_byte", mean=1.8, low=1.7, high=1.9, n=10, higher_is_better=False)
    assert better.better_than(down)
    assert not down.better_than(better)


def test_a_score_survives_json_and_reads_as_one_line():
    score = Score(name="field_f1", mean=0.8614, low=0.8423, high=0.8799, n=1700)
    assert Score.from_json(json.loads(json.dumps(score.to_json()))) == score
    assert str(score) == "field_f1 0.861 [0.842, 0.880] n=1,700"
