"""Intervals hold what they say, over many seeded samples of known populations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hone.data.looking.sampling import (
    CONSTANT,
    Estimate,
    at_most,
    distinct,
    kept,
    mean,
    median,
    order_by_hash,
    repeats,
    share,
    total,
)


@pytest.mark.parametrize("truth", [0.01, 0.2, 0.5])
def test_the_interval_of_a_share_holds_the_share_of_all_rows(truth: float) -> None:
    random = np.random.default_rng(0)
    population = np.arange(5_000) < truth * 5_000
    hits = 0
    for _ in range(400):
        drawn = random.choice(population, 400, replace=False)
        found = share(int(drawn.sum()), 400, of=5_000)
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 400 <= 0.995


def test_the_interval_of_a_mean_holds_the_mean_of_all_rows() -> None:
    random = np.random.default_rng(1)
    population = random.gamma(3.0, 20.0, 5_000)
    hits = sum(
        found.low <= population.mean() <= found.high
        for found in (mean(random.choice(population, 300, replace=False), of=5_000) for _ in range(400))
    )
    assert 0.92 <= hits / 400 <= 0.99


@pytest.mark.parametrize(("sigma", "size"), [(0.5, 60), (1.0, 100), (1.25, 400)])
def test_the_interval_of_a_mean_of_skewed_values_holds_it_more_often_than_the_normal_one(
    sigma: float, size: int
) -> None:
    """Lengths of pages are about lognormal."""
    random = np.random.default_rng(5)
    population = random.lognormal(7.0, sigma, 20_000)
    ours = normal = 0
    for _ in range(400):
        drawn = random.choice(population, size, replace=False)
        found = mean(drawn, of=20_000)
        half = 1.96 * drawn.std(ddof=1) / np.sqrt(size)
        ours += found.low <= population.mean() <= found.high
        normal += abs(drawn.mean() - population.mean()) <= half
    assert ours > normal
    assert ours / 400 >= 0.93


@pytest.mark.parametrize(("count", "mean"), [(1, 0.05129), (2, 0.35536), (3, 0.81769)])
def test_the_low_end_of_rare_rows_is_that_of_poisson(count: int, mean: float) -> None:
    below = sum(np.exp(-mean) * mean**k / math.factorial(k) for k in range(count))
    assert below == pytest.approx(0.95, abs=1e-4)
    # The sample is next to nothing of all rows, so every draw counts once.
    assert share(count, 100, of=10**9).low == pytest.approx(mean / 100, rel=0.01)
    assert share(100 - count, 100, of=10**9).high == pytest.approx(1 - mean / 100, rel=0.01)


def test_figures_of_all_rows_have_no_interval() -> None:
    values = np.asarray([1.0, 2.0, np.nan, 6.0])
    assert share(1, 4) == Estimate(value=0.25, low=0.25, high=0.25, n=4)
    assert share(1, 4, of=4).exact
    assert mean(values) == Estimate(value=3.0, low=3.0, high=3.0, n=3)
    assert total(values) == Estimate(value=9.0, low=9.0, high=9.0, n=4)


def test_a_sum_is_scaled_up_from_a_sample() -> None:
    found = total(np.tile([6.0, 8.0], 50), of=1_000)
    assert found.value == pytest.approx(7_000)
    assert found.low < 7_000 < found.high


def test_what_is_constant_in_a_sample_has_no_interval_and_says_so() -> None:
    """Of 10,000 rows one holds a 5: most samples see zeros alone, and an interval of 0 to 0 would not hold 0.0005."""
    for found in (mean(np.zeros(100), of=10_000), total(np.zeros(100), of=10_000)):
        assert found.to_json() == {"value": 0.0, "low": None, "high": None, "n": 100, "no_interval": CONSTANT}
    assert mean(np.zeros(100), of=100).to_json() == {"value": 0.0, "low": 0.0, "high": 0.0, "n": 100}
    assert mean(np.asarray([3.0]), of=9).to_json()["low"] is None


def test_a_figure_of_no_rows_is_null() -> None:
    for found in (mean(np.full(5, np.nan)), mean(np.full(5, np.nan), of=9), share(0, 0), median(np.zeros(0))):
        assert found.to_json() == {"value": None, "low": None, "high": None, "n": 0}


def test_the_median_of_a_few_rows_has_no_interval() -> None:
    """Between the smallest and the largest of five the median lies 1 - 2 / 2^5 of the times, which is under 95 %."""
    assert median(np.arange(5.0), of=50).to_json()["low"] is None
    random = np.random.default_rng(3)
    population = random.gamma(3.0, 20.0, 5_001)
    truth = float(np.median(population))
    found = [median(random.choice(population, 60, replace=False), of=5_001) for _ in range(300)]
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.92


def test_a_sample_sees_at_least_so_many_values() -> None:
    assert distinct(76, 100, of=1_000).to_json() | {"no_interval": ""} == {
        "value": 76,
        "low": 76,
        "high": None,
        "n": 100,
        "no_interval": "",
    }
    assert distinct(76, 100).exact


def test_the_share_that_rules_keep_is_held_though_a_sample_sees_few_repeats() -> None:
    """A tenth of the rows is empty and a third are pairs: all rows keep 1 - 0.1 - 0.15."""
    random = np.random.default_rng(4)
    clusters = np.concatenate([np.arange(1_000), 1_000 + np.repeat(np.arange(1_500), 2), np.arange(4_000, 10_000)])
    empty = np.arange(10_000) < 1_000
    hits, values = 0, []
    for _ in range(100):
        at = random.choice(10_000, 500, replace=False)
        again = np.ones(500, bool)
        again[np.unique(clusters[at], return_index=True)[1]] = False
        found = kept({"empty": empty[at], "duplicate": again}, {"duplicate": "exact.survivor"}, of=10_000)
        hits += found.low <= 0.75 <= found.high
        values.append(found.value)
    assert hits >= 95
    assert np.mean(values) > 0.85, "which is what the sample keeps"


def test_what_a_sample_overstates_has_no_low_end() -> None:
    assert (at_most(30, 100, of=1_000).low, at_most(30, 100).low) == (0.0, 0.3)


def test_a_sample_of_nothing_says_nothing() -> None:
    assert (share(0, 0, of=10).low, share(0, 0, of=10).high) == (0.0, 1.0)


@pytest.mark.parametrize("group", [2, 3, 10, 100])
def test_the_interval_of_repeats_reaches_up_to_the_true_share(group: int) -> None:
    """In a sample most repeats are unseen: of pairs only the share ``p``."""
    random = np.random.default_rng(2)
    clusters = np.concatenate([np.repeat(np.arange(1_200 // group), group), np.arange(10_000, 13_600)])
    truth = (len(clusters) - len(np.unique(clusters))) / len(clusters)
    found = []
    for _ in range(100):
        drawn = random.choice(clusters, 1_200, replace=False)
        found.append(repeats(len(drawn) - len(np.unique(drawn)), len(drawn), of=len(clusters)))
    assert np.mean([one.value for one in found]) < truth
    assert sum(one.low <= truth <= one.high for one in found) >= 95


def test_a_seeded_order_does_not_depend_on_where_rows_stand() -> None:
    names = [f"a.csv:{at}" for at in range(50)]
    forward = [names[at] for at in order_by_hash(names, 3)]
    turned = names[::-1]
    assert [turned[at] for at in order_by_hash(turned, 3)] == forward
    assert [names[at] for at in order_by_hash(names, 4)] != forward
