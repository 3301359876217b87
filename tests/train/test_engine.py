"""The loop: when it judges and saves, what it keeps, and that watching it changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import RECIPE, examples, judge, model, small_fit, weights_hash
from torch import nn

from hone.task.scores import Score
from hone.train.batches import collate
from hone.train.checkpoints import load_weights
from hone.train.engine import fit
from hone.train.objectives import NextToken
from hone.train.records import Judgement, StepRecord
from hone.train.schedules import rate_factor
from hone.train.source import BatchSource


def scored(values: dict[int, float], *, higher_is_better: bool = True):
    def evaluate(module: nn.Module, step: int) -> Judgement:
        score = Score(name="m", mean=values[step], low=0, high=9, n=1, higher_is_better=higher_is_better)
        return Judgement(score=score)

    return evaluate


def test_it_judges_at_zero_each_interval_and_the_end(tmp_path: Path) -> None:
    recipe = RECIPE.child(eval_every=4)
    _, result = small_fit(tmp_path, recipe, evaluate=judge)
    assert [item.step for item in result.evaluations] == [0, 4, 8, 10]
    assert result.status == "finished"


def test_the_best_by_the_metric_is_kept_and_a_tie_keeps_the_earlier(tmp_path: Path) -> None:
    recipe = RECIPE.child(eval_every=2, average=0.0)
    seen: dict[int, str] = {}

    def evaluate(module: nn.Module, step: int) -> Judgement:
        seen[step] = weights_hash(module)
        return scored({0: 0.1, 2: 0.3, 4: 0.7, 6: 0.2, 8: 0.7, 10: 0.6})(module, step)

    _, result = small_fit(tmp_path, recipe, evaluate=evaluate)
    assert result.best is not None
    assert result.best_weights is not None
    assert (result.best.step, result.best.score.mean) == (4, 0.7)
    best = model(seed=5)
    load_weights(best, result.best_weights)
    assert weights_hash(best) == seen[4]


def test_lower_is_better_where_the_metric_says_so(tmp_path: Path) -> None:
    values = scored({0: 5.0, 5: 2.0, 10: 3.0}, higher_is_better=False)
    _, result = small_fit(tmp_path, evaluate=values)
    assert result.best is not None
    assert result.best.step == 5


def test_the_state_is_saved_before_it_is_judged(tmp_path: Path) -> None:
    def evaluate(module: nn.Module, step: int) -> Judgement:
        if step == 5:
            raise MemoryError("an evaluation that does not fit")
        return judge(module, step)

    with pytest.raises(MemoryError):
        small_fit(tmp_path, evaluate=evaluate)
    assert (tmp_path / "checkpoints" / "step-00000005").is_dir()
    _, result = small_fit(tmp_path, evaluate=judge)
    assert [item.step for item in result.evaluations] == [0, 5, 10]


def test_judging_recording_and_saving_change_no_weight(tmp_path: Path) -> None:
    plain, _ = small_fit(tmp_path / "plain")
    seen: list[object] = []
    watched, _ = small_fit(tmp_path / "watched", evaluate=judge, on_step=seen.append, save_every=1, say=seen.append)
    assert len(seen) > 10
    assert plain == watched


def test_what_is_judged_and_kept_is_the_average(tmp_path: Path) -> None:
    judged: list[str] = []

    def evaluate(module: nn.Module, step: int) -> Judgement:
        assert not module.training
        assert not torch.is_grad_enabled()
        judged.append(weights_hash(module))
        return scored({0: 0.0, 5: 0.1, 10: 0.2})(module, step)

    last, result = small_fit(tmp_path, evaluate=evaluate)
    assert result.best_weights is not None
    kept = model(seed=5)
    load_weights(kept, result.best_weights)
    assert weights_hash(kept) == judged[-1] != last


def test_a_finished_run_computes_nothing_again(tmp_path: Path) -> None:
    first = small_fit(tmp_path, evaluate=judge)
    calls: list[object] = []
    again = small_fit(tmp_path, evaluate=lambda *seen: calls.append(seen), on_step=calls.append)
    assert calls == []
    assert again[0] == first[0]
    assert again[1] == replace(first[1], loss=None)


def test_stopping_saves_and_says_so(tmp_path: Path) -> None:
    steps: list[int] = []
    _, result = small_fit(
        tmp_path, on_step=lambda record: steps.append(record.step), should_stop=lambda: len(steps) >= 3
    )
    assert (result.status, result.step, steps) == ("stopped", 4, [1, 2, 3, 4])
    assert (tmp_path / "checkpoints" / "step-00000004").is_dir()


def test_records_say_loss_rate_norm_and_tokens(tmp_path: Path) -> None:
    recipe = RECIPE.child(optimizer="adamw", average=0.0, accumulate=1)
    rows = examples(4)
    records: list[StepRecord] = []
    module = model()
    with torch.no_grad():
        total, count = NextToken().loss(module, collate([(row,) for row in rows]))
    fit(module, BatchSource.of_recipe(rows, recipe), recipe, tmp_path, on_step=records.append)
    first = records[0]
    assert first.loss == pytest.approx(float(total) / int(count), rel=1e-5)
    assert first.supervised_tokens == int(count)
    assert first.tokens == 4 * max(len(row.ids) for row in rows)
    assert [record.learning_rate for record in records] == [
        pytest.approx(recipe.learning_rate * rate_factor(recipe, step)) for step in range(10)
    ]
    assert records[-1].loss < first.loss
    assert all(record.grad_norm > 0 and record.tokens_per_second > 0 for record in records)


def test_without_a_judge_the_last_weights_are_kept(tmp_path: Path) -> None:
    recipe = RECIPE.child(average=0.0)
    last, result = small_fit(tmp_path, recipe)
    assert result.best is None
    assert result.best_weights is not None
    kept = model(seed=5)
    load_weights(kept, result.best_weights)
    assert weights_hash(kept) == last
