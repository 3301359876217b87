"""Every measured row is in one bin, and every bin on one side of each threshold."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.data.looking.histogram import histogram

VALUES = st.lists(st.one_of(st.floats(-50, 1e6), st.just(float("nan"))), min_size=1, max_size=200)


@settings(max_examples=60, deadline=None)
@given(VALUES, st.lists(st.floats(0, 1_000), max_size=2))
def test_counts_add_up_and_no_bin_straddles_a_threshold(values: list[float], lines: list[float]) -> None:
    array = np.asarray(values)
    found = histogram(array, lines)
    assert sum(found["counts"]) + found["unmeasured"] == len(values)
    assert all(a < b for a, b in pairwise(found["edges"]))
    for low, high in pairwise(found["edges"]):
        assert not any(low < line < high for line in lines)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=200), st.integers(0, 5_000))
def test_whole_numbers_on_the_kept_side_are_counted_there(values: list[int], line: int) -> None:
    found = histogram(np.asarray(values, float), [line], whole=True)
    middles = [(a + b) / 2 for a, b in pairwise(found["edges"])]
    below = sum(count for middle, count in zip(middles, found["counts"], strict=True) if middle < line)
    assert below == sum(value < line for value in values)


def test_few_whole_numbers_get_a_bin_each() -> None:
    found = histogram(np.asarray([0.0, 0, 1, 3]), whole=True)
    assert (found["edges"], found["counts"]) == ([-0.5, 0.5, 1.5, 2.5, 3.5], [2, 1, 0, 1])


def test_a_long_tail_is_drawn_on_a_logarithmic_axis_and_shares_are_not() -> None:
    random = np.random.default_rng(0)
    assert histogram(random.lognormal(5, 2, 1_000), whole=False)["scale"] == "log"
    assert histogram(random.beta(0.2, 8, 1_000))["scale"] == "linear"


def test_one_far_value_does_not_hide_the_others() -> None:
    found = histogram(np.concatenate([np.linspace(-1, 1, 500), [900.0]]))
    assert found["beyond"] == 1
    assert found["edges"][-1] < 10
    assert found["max"] == 900


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_nothing_measured_is_an_empty_histogram(values: list[float]) -> None:
    assert histogram(np.asarray(values, float))["counts"] == []


def test_the_smallest_value_is_counted_on_a_logarithmic_scale() -> None:
    """log1p and back makes 8.000000000000002 of 8."""
    found = histogram(np.asarray([8.0, 8.0, 98.0]))
    assert found["scale"] == "log"
    assert sum(found["counts"]) == 3
    assert (found["edges"][0], found["edges"][-1], found["beyond"]) == (8.0, 98.0, 0)
