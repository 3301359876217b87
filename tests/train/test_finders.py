"""Finders: what curves of known shape say, memory and time that run out, and a model that is left as it was."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import RECIPE, examples, model, weights_hash
from torch import nn

from hone.errors import InputError
from hone.train.finders import find_batch, find_rate
from hone.train.finders.rate import read_curve
from hone.train.finders.trial import Memory
from hone.train.generators import generator_states
from hone.train.objectives import NextToken, TokenLoss
from hone.train.source import BatchSource

ADAMW = RECIPE.child(optimizer="adamw", learning_rate=0.01)


def curve(rates: np.ndarray, *, falls_at: float, rises_at: float, noise: float = 0.0, seed: int = 0) -> list[float]:
    """5 nats, falling by 2 around one rate and rising without bound from another on."""
    log = np.log(rates)
    fall = 2 / (1 + np.exp(-3 * (log - math.log(falls_at))))
    rise = np.where(rates > rises_at, (rates / rises_at) ** 2 - 1, 0.0)
    return (5 - fall + rise + np.random.default_rng(seed).normal(0, noise, len(rates))).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_a_curve_says_where_it_falls_and_where_it_diverges(seed: int) -> None:
    rates = np.geomspace(1e-6, 1, 120)
    found = read_curve(rates, curve(rates, falls_at=1e-3, rises_at=0.1, noise=0.03, seed=seed), 120, ADAMW)
    assert found.steepest == pytest.approx(1e-3, rel=0.7)
    # Half of the 2 nats are lost again where (r / 0.1)^2 - 1 = 1, so r = 0.141.
    assert found.diverged_at == pytest.approx(0.141, rel=0.2)
    assert found.suggested == found.steepest
    assert set(found.suggestion) == {"learning_rate"}


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_is_printed_from_the_lowest_rate_to_the_highest_with_the_steepest_marked(seed: int) -> None:
    rates = np.geomspace(1e-6, 1, 120)
    found = read_curve(rates, curve(rates, falls_at=1e-3, rises_at=0.1, noise=0.03, seed=seed), 120, ADAMW)
    printed = [line.split() for line in found.lines() if line.split()[0][:1].isdigit()]
    tried = [float(words[0]) for words in printed]
    assert tried == sorted(tried)
    assert (tried[0], tried[-1]) == (pytest.approx(1e-6), pytest.approx(found.points[-1].rate, rel=0.01))
    assert [float(words[0]) for words in printed if words[-1] == "steepest"] == [
        pytest.approx(found.steepest, rel=0.01)
    ]
    losses = {point.rate: point.smoothed for point in found.points}
    for words in printed:
        nearest = min(losses, key=lambda rate: abs(math.log(rate / float(words[0]))))
        assert float(words[1]) == pytest.approx(losses[nearest], rel=1e-3)


def test_a_tenth_of_divergence_decides_where_the_descent_is_close_to_it() -> None:
    rates = np.geomspace(1e-6, 1, 120)
    found = read_curve(rates, curve(rates, falls_at=0.05, rises_at=0.1), 120, ADAMW)
    assert found.suggested == pytest.approx(found.diverged_at / 10)
    assert found.suggested < found.steepest


def test_rates_of_muon_are_suggested_in_the_recipes_own_proportion() -> None:
    rates = np.geomspace(1e-6, 1, 120)
    recipe = RECIPE.child(learning_rate=0.01, matrix_learning_rate=0.04)
    found = read_curve(rates, curve(rates, falls_at=1e-3, rises_at=0.1), 120, recipe)
    assert found.suggestion["matrix_learning_rate"] == pytest.approx(4 * found.suggestion["learning_rate"], rel=0.05)


def test_a_loss_that_never_falls_gives_no_suggestion_and_says_so() -> None:
    rates = np.geomspace(1e-6, 1e-3, 60)
    losses = (5 + np.random.default_rng(0).normal(0, 0.1, 60)).tolist()
    found = read_curve(rates, losses, 60, ADAMW)
    assert found.suggestion == {}
    assert found.suggested is None
    assert "never fell clearly, and did not diverge" in found.lines()[-1]


def test_a_loss_that_rises_without_having_fallen_has_diverged_a_fifth_above_its_beginning() -> None:
    rates = np.geomspace(1e-4, 1, 80)
    found = read_curve(rates, curve(rates, falls_at=1e6, rises_at=0.1), 80, ADAMW)
    # (r / 0.1)^2 - 1 = 5 * 0.2, so r = 0.141.
    assert found.diverged_at == pytest.approx(0.141, rel=0.2)
    assert found.suggestion == {}


def test_a_loss_that_is_not_finite_is_where_it_diverged() -> None:
    rates = np.geomspace(1e-5, 1, 60)
    losses = [*curve(rates[:40], falls_at=1e-3, rises_at=10.0), float("nan")]
    found = read_curve(rates[:41], losses, 60, ADAMW)
    assert found.diverged_at == rates[40]
    assert len(found.points) == 40
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "muon"])
def test_looking_for_a_rate_leaves_everything_as_it_was_and_finds_the_same_again(optimizer: str) -> None:
    recipe = RECIPE.child(optimizer=optimizer, learning_rate=0.01, freeze=("*.layers.0.mlp*",), accumulate=2)
    module = model(dropout=0.1).eval()
    before, states = weights_hash(module), generator_states()
    said: list[str] = []
    finds = [
        find_rate(module, BatchSource.of_recipe(examples(), recipe), recipe, steps=40, say=said.append)
        for _ in range(2)
    ]
    assert finds[0] == finds[1]
    assert weights_hash(module) == before
    assert not module.training
    assert all(param.requires_grad and param.grad is None for param in module.parameters())
    assert all(torch.equal(value, states[name]) for name, value in generator_states().items() if "gauss" not in name)
    assert finds[0].points[0].rate == pytest.approx(1e-5)
    assert len(said) == 2


def test_a_small_model_diverges_at_a_rate_of_ten_and_learns_at_the_one_that_is_suggested() -> None:
    recipe = ADAMW.child(accumulate=1, batch_size=8)
    rows = examples(64)
    source = BatchSource.of_recipe(rows, recipe)
    found = find_rate(model(), source, recipe, steps=60, lowest=1e-5, highest=10.0)
    assert found.diverged_at is not None
    assert found.suggested is not None
    assert 1e-4 < found.suggested <= found.diverged_at / 10
    losses = [point.loss for point in found.points]
    assert losses[-1] > 1.2 * losses[0]


def test_a_range_that_does_not_rise_is_refused() -> None:
    source = BatchSource.of_recipe(examples(), ADAMW)
    with pytest.raises(InputError) as refusal:
        find_rate(model(), source, ADAMW, steps=5, lowest=1.0, highest=0.1)
    assert len(refusal.value.problems) == 2


class Costly(NextToken):
    """Takes a second and half a second per row by a clock of its own, and runs out of memory above some rows."""

    def __init__(self, most: int = 10**9, error: type[Exception] = MemoryError) -> None:
        super().__init__()
        self.now = 0.0
        self.most = most
        self.error = error
        self.seen: list[int] = []

    def loss(self, module: nn.Module, batch: Any) -> TokenLoss:
        rows = len(batch.lengths)
        self.seen.append(rows)
        if rows > self.most:
            raise self.error("CUDA out of memory. Tried to allocate 2 GiB")
        self.now += 1 + rows / 2
        return super().loss(module, batch)


def found_batch(objective: Costly, **arguments: Any) -> Any:
    recipe = ADAMW.child(**arguments.pop("changes", {}))
    source = BatchSource.of_recipe(examples(arguments.pop("count", 256)), recipe)
    return find_batch(
        model(), source, recipe, objective=objective, clock=lambda: objective.now, **{"seconds": 1e6, **arguments}
    )


def test_the_smallest_batch_is_found_from_which_more_rows_hardly_pay() -> None:
    # Rows a second are r / (1 + r/2): 1.78 at 16, 1.88 at 32 (6 % more), 1.94 at 64 (3 % more).
    found = found_batch(Costly(), most_rows=128)
    assert found.enough_rows == 32
    assert [trial.rows for trial in found.trials] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert found.largest_rows == 128
    assert not found.limited_by_memory
    assert found.suggestion == {"batch_size": 32, "accumulate": 1}
    longest = max(len(row.ids) for row in examples(256))
    assert [trial.tokens for trial in found.trials] == [trial.rows * longest for trial in found.trials]
    assert found.trials[4].tokens_per_second == pytest.approx(16 * longest / 9)
    json.dumps(found.to_json())


def test_no_trial_has_more_rows_than_an_epoch_and_processes_share_them() -> None:
    assert [trial.rows for trial in found_batch(Costly(), count=40).trials] == [1, 2, 4, 8, 16, 32]
    found = found_batch(Costly(), count=40, changes={"processes": 2})
    assert [trial.rows for trial in found.trials] == [1, 2, 4, 8, 16]
    assert "more than the 20 rows of an epoch for each of 2 processes" in found.stopped


@pytest.mark.parametrize(("own", "suggested"), [(8, 32), (32, None), (64, None), (256, 32)])
def test_a_batch_that_fits_and_is_as_fast_is_not_changed(own: int, suggested: int | None) -> None:
    # 32 rows are enough, 128 the most that were tried: what lies between is as fast, what lies above is not known.
    found = found_batch(Costly(), most_rows=128, changes={"batch_size": own, "accumulate": 1})
    assert found.suggestion.get("batch_size") == suggested
    assert "nothing to change" in found.lines()[-1] or "another batch wants another rate" in found.lines()[-1]


class Noisy(Costly):
    """Twice as fast from 64 rows on; or so it seems in one step of them alone."""

    def __init__(self, *, once: bool) -> None:
        super().__init__()
        self.once = once

    def loss(self, module: nn.Module, batch: Any) -> TokenLoss:
        before, rows = self.now, len(batch.lengths)
        found = super().loss(module, batch)
        fast = rows >= 64 and (not self.once or self.seen.count(rows) == 2)
        self.now = before + rows / (2 if fast else 1)
        return found


def test_a_jump_behind_a_plateau_counts_and_one_fast_step_does_not() -> None:
    assert found_batch(Noisy(once=False), most_rows=128).enough_rows == 64
    assert found_batch(Noisy(once=True), most_rows=128).enough_rows == 1


def test_each_trial_is_told_once_as_it_is_made() -> None:
    said: list[str] = []
    found = found_batch(Costly(), most_rows=8, say=said.append)
    assert [line.split(" row")[0] for line in said] == ["1", "2", "4", "8"]
    assert all("tokens/s, " in line and line.endswith(" MB") for line in said)
    assert not set(said) & set(found.lines())
    assert [line for line in found.lines() if "tokens):" in line] == []


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, torch.OutOfMemoryError])
def test_memory_that_runs_out_ends_the_search_with_what_fitted(error: type[Exception]) -> None:
    found = found_batch(Costly(most=8, error=error))
    assert (found.largest_rows, found.limited_by_memory) == (8, True)
    assert "16 ran out of memory" in found.stopped
    assert found.suggestion == {"batch_size": 8, "accumulate": 1}
    assert "tokens/s were still growing at 8 rows" in found.lines()


def test_not_even_one_row_fits() -> None:
    found = found_batch(Costly(most=0))
    assert found.largest_rows == 0
    assert found.suggestion == {}
    assert found.lines() == ["not one row fits: 1 ran out of memory; lower the context, or take a smaller model"]


def test_an_error_that_is_not_about_memory_is_not_swallowed() -> None:
    class Broken(Costly):
        def loss(self, module: nn.Module, batch: Any) -> TokenLoss:
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        found_batch(Broken())


def test_memory_is_not_taken_when_it_is_foreseen_that_it_does_not_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = Costly()
    # 100 MB and 50 MB for each row, of 1,000 MB, of which 80 % may be planned with: 8 rows take 500, 16 would 900.
    monkeypatch.setattr(Memory, "peak_bytes", lambda self: int(1e8 + 5e7 * objective.seen[-1]))
    monkeypatch.setattr(Memory, "room_bytes", lambda self: int(1e9))
    found = found_batch(objective)
    assert (found.largest_rows, found.limited_by_memory) == (8, True)
    assert max(objective.seen) == 8
    assert "16 would need about 0.9 GB" in found.stopped


def test_no_trial_begins_when_the_time_is_over() -> None:
    found = found_batch(Costly(), seconds=20.0)
    assert found.largest_rows < 16
    assert "20 s" in found.stopped


def test_looking_for_a_batch_leaves_everything_as_it_was() -> None:
    module = model(dropout=0.1).eval()
    before, states = weights_hash(module), generator_states()
    source = BatchSource.of_recipe(examples(), RECIPE)
    found = find_batch(module, source, RECIPE, most_rows=4, seconds=30)
    assert found.largest_rows == 4
    assert weights_hash(module) == before
    assert not module.training
    assert all(param.grad is None for param in module.parameters())
    assert all(torch.equal(value, states[name]) for name, value in generator_states().items() if "gauss" not in name)


def test_steps_of_so_many_tokens_are_suggested_in_tokens() -> None:
    objective = Costly()
    recipe = ADAMW.child(batch_tokens=64)
    found = find_batch(
        model(), BatchSource.of_recipe(examples(256), recipe), recipe,
        objective=objective, clock=lambda: objective.now, seconds=1e6, most_rows=64,
    )  # fmt: skip
    longest = max(len(row.ids) for row in examples(256))
    assert found.suggestion == {"batch_tokens": 32 * longest, "accumulate": 1}
