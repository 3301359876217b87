"""Packing: every row once and whole, and almost nothing empty on rows as tasks have them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hone
from hone.errors import InputError
from hone.train.packing import efficiency, pack
from hone.train.plans import plan_epoch

VOICE = Path(hone.__file__).parent / "examples" / "voice"


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 50), max_size=60), capacity=st.integers(50, 70))
def test_packing_keeps_every_row_whole_and_never_overfills(lengths: list[int], capacity: int) -> None:
    groups = pack(lengths, capacity).groups()
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    assert all(0 < sum(lengths[i] for i in group) <= capacity for group in groups)


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=60))
def test_no_two_groups_would_fit_into_one_another(lengths: list[int]) -> None:
    # So at most one group is half empty or emptier, which bounds what any set of rows can waste.
    sums = sorted(sum(lengths[i] for i in group) for group in pack(lengths, 30).groups())
    assert len(sums) == 1 or sums[0] + sums[1] > 30


# Lengths as tasks have them: Snips with JSON answers, banking77's short questions with a long tail, and two more.
SHAPES = {
    "answers": lambda r, n: np.clip(r.normal(42, 11, n), 17, 118),
    "questions": lambda r, n: np.clip(r.lognormal(2.75, 0.5, n), 5, 105),
    "even": lambda r, n: r.uniform(15, 61, n),
    "stories": lambda r, n: np.clip(r.lognormal(4.2, 0.8, n), 10, 256),
}


@pytest.mark.parametrize("count", [700, 10_000])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_a_whole_epoch_of_packed_rows_is_at_least_98_percent_real_tokens(shape: str, count: int) -> None:
    for seed in range(3):
        lengths = SHAPES[shape](np.random.default_rng(seed), count).astype(np.int64)
        plan = plan_epoch(lengths, seed=seed, epoch=1, batch_size=8, pack_to=256)
        assert lengths.sum() / plan.slots().sum() >= 0.98
        # Also where each row is as wide as the context allows, which fixed shapes need.
        if count > 700:
            assert lengths.sum() / (256 * len(plan.row_ends)) >= 0.98


def test_the_voice_example_is_packed_to_98_percent() -> None:
    with gzip.open(VOICE / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    # A piece of text of four characters is about a token; the rendered rows have as many.
    lengths = np.array([max(4, len(json.dumps(row)) // 4) for row in rows])
    assert 15 < np.median(lengths) < 60
    plan = plan_epoch(lengths, seed=0, epoch=0, batch_size=32, pack_to=256)
    assert lengths.sum() / plan.slots().sum() >= 0.98


def test_rows_that_fit_a_narrower_width_exactly_leave_no_group_half_empty() -> None:
    # 10 x 30 tokens in 256: two groups of 150 rather than one of 240 and one of 60.
    packing = pack([30] * 10, 256)
    assert [len(group) for group in packing.groups()] == [5, 5]
    assert efficiency(packing, [30] * 10, 150) == 1.0


def test_best_fit_decreasing_would_leave_gaps_that_the_search_closes() -> None:
    # Longest first into the fullest gives 4+4, 3+3+3 and 3 of 10; looking further gives 4+3+3 twice.
    lengths = [4, 4, 3, 3, 3, 3]
    assert [sum(lengths[i] for i in group) for group in pack(lengths, 10).groups()] == [10, 10]


def test_equal_lengths_are_used_in_the_order_given() -> None:
    packing = pack([4, 4, 4, 4], 8)
    assert packing.groups() == [[0, 1], [2, 3]]


def test_nothing_packs_to_nothing_and_what_is_too_long_is_refused_with_numbers() -> None:
    assert pack([], 10).groups() == []
    with pytest.raises(InputError, match=r"2 of 3 .*10 tokens.*has 12"):
        pack([12, 4, 11], 10)
