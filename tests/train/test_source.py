"""The order of the data: whole, exact, little padding, and dealt out without loss."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import RECIPE, examples, fresh_each_epoch, model
from torch import nn

import hone.train.source as source_module
from hone.errors import FailedError, InputError
from hone.train.batches import Batch, collate
from hone.train.engine import fit
from hone.train.objectives import NextToken, TokenLoss
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


@given(
    lengths=st.lists(st.integers(2, 50), min_size=1, max_size=80),
    budget=st.integers(50, 400),
    packing=st.booleans(),
)
@settings(deadline=None)
def test_a_step_of_so_many_tokens_holds_no_more_padding_included(
    lengths: list[int], budget: int, packing: bool
) -> None:
    rows = [examples(1, seed=i, shortest=n, longest=n)[0] for i, n in enumerate(lengths)]
    rows = [replace(row, row=f"r:{i}") for i, row in enumerate(rows)]
    steps = BatchSource(rows, batch_size=1, batch_tokens=budget, context=64, packing=packing).steps(0)
    assert sorted(rows_of(steps)) == sorted(row.row for row in rows)
    assert max(collate(step).num_tokens for step in steps) <= budget
    # However a step is dealt out and cut, its parts together compute on no more.
    for step in steps:
        shares = [share_of(step, rank=rank, processes=2, accumulate=3) for rank in range(2)]
        parts = [part for share in shares for part in share if part]
        assert sum(collate(part).num_tokens for part in parts) <= budget


def test_steps_of_so_many_tokens_are_nearly_full_and_none_is_tiny() -> None:
    rows = examples(3000, shortest=5, longest=60)
    steps = BatchSource(rows, batch_size=1, batch_tokens=1024, context=64).steps(0)
    sizes = np.array([collate(step).num_tokens for step in steps])
    assert sizes.mean() > 0.95 * 1024
    assert sizes.min() > 0.4 * 1024


@pytest.mark.parametrize("arguments", [{}, {"packing": True}, {"batch_tokens": 300}])
def test_the_largest_step_comes_first_in_every_epoch(arguments: dict) -> None:
    source = BatchSource(examples(300), batch_size=8, context=64, **arguments)
    for epoch in (0, 1, 5):
        sizes = [collate(step).num_tokens for step in source.steps(epoch)]
        assert sizes[0] == max(sizes)
        assert rows_of([source.largest_step(epoch)]) == rows_of([source.read(Cursor(epoch, 0))[0]])


def test_no_step_is_tiny_where_the_rows_do_not_divide() -> None:
    for count in (33, 8 * 50 + 1, 3 * 8 * 50 + 9):
        steps = BatchSource(examples(count), batch_size=8, context=64).steps(0)
        assert min(map(len, steps)) >= 6


@pytest.mark.parametrize("arguments", [{}, {"packing": True}, {"batch_tokens": 300}])
def test_the_padding_that_is_said_is_the_padding_of_the_collated_steps(arguments: dict) -> None:
    rows = examples(300)
    source = BatchSource(rows, batch_size=8, context=64, **arguments)
    real = sum(len(row.ids) for row in rows)
    slots = sum(collate(step).num_tokens for step in source.steps(2))
    assert source.padding_share(2) == pytest.approx(1 - real / slots)
    assert source.tokens_per_step(2) == pytest.approx(slots / source.num_steps(2))
    first = [collate(step).num_tokens for step in source.steps(0)]
    assert source.tokens_of(3) == sum(first[:3])
    assert source.tokens_of(2 * len(first) + 1) == 2 * sum(first) + first[0]
    assert source.supervised_tokens(2) == sum(int(row.supervised.sum()) for row in rows)
    line = source.padding_line(2)
    assert f"{real:,} tokens in {slots:,} slots" in line
    assert "300 examples" in line


def test_a_row_longer_than_a_step_is_refused_with_the_number_to_set() -> None:
    rows = examples(5, longest=20) + examples(1, shortest=40, longest=40)
    with pytest.raises(InputError, match=r"1 of 6 .*batch_tokens 30.*r:1 \(40\).*to 40"):
        BatchSource(rows, batch_size=2, batch_tokens=30, context=64).steps(0)


def test_examples_are_checked_once_for_all_epochs_and_again_when_they_are_others(monkeypatch) -> None:
    checked: list[int] = []
    monkeypatch.setattr(source_module, "check_examples", lambda rows: checked.append(len(rows)))
    same = BatchSource(examples(20), batch_size=4, context=64)
    made = examples(7)
    remade = BatchSource(lambda seed, epoch: made if epoch < 2 else examples(9), batch_size=4, context=64)
    for epoch in range(3):
        same.steps(epoch)
        remade.steps(epoch)
    assert checked == [20, 7, 9]


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


class TooLarge(NextToken):
    """An objective whose memory never suffices."""

    def loss(self, model: nn.Module, batch: Batch) -> TokenLoss:
        raise MemoryError


def test_steps_of_so_many_tokens_that_do_not_fit_are_told_to_be_cut_up(tmp_path: Path) -> None:
    recipe = RECIPE.child(batch_tokens=200, accumulate=3)
    with pytest.raises(FailedError, match=r"set accumulate to 6 \(now 3\): same result"):
        fit(model(), BatchSource.of_recipe(examples(), recipe), recipe, tmp_path, objective=TooLarge())
