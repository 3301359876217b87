"""The order of the data: whole, exact, little padding, and dealt out without loss."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import RECIPE, examples, fresh_each_epoch

from hone.errors import InputError
from hone.train.batches import collate
from hone.train.packing import efficiency, pack
from hone.train.source import BatchSource, Cursor, row_length, share_of


def rows_of(steps: list) -> list[str]:
    return [example.row for step in steps for row in step for example in row]


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_every_row_is_seen_exactly_once_in_each_epoch(packing: bool, batch_size: int) -> None:
    source = BatchSource(examples(101), batch_size=batch_size, context=64, packing=packing)
    for epoch in (0, 1):
        steps = source.steps(epoch)
        assert sorted(rows_of(steps)) == sorted(f"r:{i + 1}" for i in range(101))
        assert max(map(len, steps)) <= batch_size


@pytest.mark.parametrize("packing", [False, True])
def test_order_is_a_function_of_seed_and_epoch(packing: bool) -> None:
    def order(seed: int, epoch: int) -> list[str]:
        return rows_of(BatchSource(examples(50), batch_size=4, context=64, seed=seed, packing=packing).steps(epoch))

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_reading_from_a_cursor_goes_on_where_the_other_reader_stopped() -> None:
    def read(source: BatchSource, cursor: Cursor, count: int) -> tuple[list[str], Cursor]:
        seen: list[str] = []
        for _ in range(count):
            rows, cursor = source.read(cursor)
            seen += rows_of([rows])
        return seen, cursor

    make = lambda: BatchSource.of_recipe(fresh_each_epoch, RECIPE)  # noqa: E731
    whole, _ = read(make(), Cursor(), 11)
    first, cursor = read(make(), Cursor(), 5)
    second, _ = read(make(), cursor, 6)
    assert first + second == whole
    assert cursor.epoch > 0


def test_rows_of_similar_length_share_a_batch() -> None:
    rows = examples(2000, shortest=5, longest=60)
    steps = BatchSource(rows, batch_size=32, context=64).steps(0)
    real = sum(len(row.ids) for row in rows)
    padded = sum(collate(step).num_tokens for step in steps)
    assert real / padded > 0.95
    # And the lengths of the batches come in no order.
    lengths = np.array([row_length(step[-1]) for step in steps], dtype=float)
    assert abs(np.corrcoef(lengths, np.arange(len(lengths)))[0, 1]) < 0.4


def test_a_row_longer_than_the_context_is_refused_with_its_name_and_length() -> None:
    rows = examples(5, longest=20) + examples(1, shortest=70, longest=70)
    for packing in (False, True):
        with pytest.raises(InputError, match=r"1 of 6 .*64 tokens.*70"):
            BatchSource(rows, batch_size=2, context=64, packing=packing).steps(0)


@given(
    rows=st.integers(0, 20),
    processes=st.integers(1, 4),
    accumulate=st.integers(1, 5),
)
def test_dealing_out_a_step_loses_and_doubles_nothing(rows: int, processes: int, accumulate: int) -> None:
    step = [(example,) for example in examples(rows)]
    shares = [share_of(step, rank=rank, processes=processes, accumulate=accumulate) for rank in range(processes)]
    assert all(len(share) == accumulate for share in shares)
    assert Counter(rows_of([part for share in shares for part in share])) == Counter(rows_of([step]))


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 50), max_size=60))
def test_packing_keeps_every_row_whole_and_never_overfills(lengths: list[int]) -> None:
    groups = pack(lengths, 50)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in group) <= 50 for group in groups)


def test_packing_of_short_rows_wastes_under_two_percent() -> None:
    lengths = np.random.default_rng(0).integers(10, 90, 3000).tolist()
    assert efficiency(pack(lengths, 256), lengths, 256) > 0.98


def test_collating_gives_the_ids_and_what_predicts_them() -> None:
    rows = examples(3)
    batch = collate([(rows[0], rows[1]), (rows[2],)])
    flat = batch.ids.flatten()
    wanted = np.concatenate([row.ids[row.supervised] for row in rows])
    assert batch.targets.tolist() == wanted.tolist()
    assert flat[batch.predict_from + 1].tolist() == wanted.tolist()
    assert batch.lengths.tolist() == [len(rows[0].ids) + len(rows[1].ids), len(rows[2].ids)]
    starts = batch.position_ids[0].tolist()
    assert starts[: len(rows[0].ids) + 2] == [*range(len(rows[0].ids)), 0, 1]
    assert batch.rows == ("r:1", "r:2", "r:3")
