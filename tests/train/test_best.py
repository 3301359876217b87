"""What becomes the best: candidates alone, by their score on more rows where there is one, ties with step 0."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from combined_runs import Planted, cursor_of
from small_runs import RECIPE, small_fit
from torch import nn

from hone.task.scores import Score
from hone.train.checkpoints import Checkpoints
from hone.train.records import Evaluated, Judgement

EACH = RECIPE.child(eval_every=2, average=0.0)


def score(mean: float) -> Score:
    return Score(name="m", mean=mean, low=0, high=9, n=1)


def judged(values: list[float], full: list[float | None] | None = None, **more: Any) -> Any:
    """An evaluation with these scores at steps 0, 2, 4 ..., and on more rows those of ``full``; what was asked for."""
    asked: list[int] = []

    def evaluate(module: nn.Module, step: int) -> Judgement:
        del module
        found = None if full is None else full[step // 2]

        def confirm() -> Score:
            asked.append(step)
            assert found is not None
            return score(found)

        confirming = None if full is None or found is None else confirm
        return Judgement(score=score(values[step // 2]), confirm=confirming, candidate=step > 0 or not more)

    return evaluate, asked


def test_what_is_no_candidate_is_on_record_alone(tmp_path: Path) -> None:
    evaluate, _ = judged([0.9, 0.1, 0.3, 0.2, 0.2, 0.1], from_scratch=True)
    _, result = small_fit(tmp_path, EACH.child(early_stop=3), evaluate=evaluate)
    assert result.best is not None
    assert result.best.step == 4
    assert [item.step for item in result.evaluations] == [0, 2, 4, 6, 8, 10]
    assert [item.candidate for item in result.evaluations] == [False] + 5 * [True]


def test_trained_weights_that_are_as_good_take_the_place_of_untrained_ones(tmp_path: Path) -> None:
    evaluate, _ = judged([0.5, 0.4, 0.5, 0.5, 0.1, 0.1])
    assert small_fit(tmp_path / "tie", EACH, evaluate=evaluate)[1].best.step == 4  # type: ignore[union-attr]
    evaluate, _ = judged([0.5, 0.4, 0.4, 0.4, 0.1, 0.1])
    assert small_fit(tmp_path / "worse", EACH, evaluate=evaluate)[1].best.step == 0  # type: ignore[union-attr]


def test_of_equal_scores_the_lower_loss_on_dev_is_kept(tmp_path: Path) -> None:
    losses = {0: 4.0, 2: 3.0, 4: 2.5, 6: 2.7, 8: 2.2, 10: 2.3}

    def evaluate(module: nn.Module, step: int) -> Judgement:
        del module
        return Judgement(score=score(0.5), numbers={"dev_loss": losses[step]})

    _, result = small_fit(tmp_path, EACH, evaluate=evaluate)
    assert result.best is not None
    assert result.best.step == 8


def test_only_who_leads_is_asked_for_more_rows_and_they_decide(tmp_path: Path) -> None:
    # Step 4 leads on the subset, and is behind step 2 on all rows; step 8 is ahead on both.
    evaluate, asked = judged([0.1, 0.5, 0.7, 0.2, 0.6, 0.6], [0.1, 0.6, 0.4, 9.0, 0.7, 9.0])
    _, result = small_fit(tmp_path, EACH, evaluate=evaluate)
    assert asked == [0, 2, 4, 8]
    assert result.best is not None
    assert (result.best.step, result.best.full) == (8, score(0.7))
    assert [item.full is not None for item in result.evaluations] == [True, True, True, False, True, False]
    assert Evaluated.from_json(result.best.to_json()) == result.best


def test_who_judged_is_told_of_each_that_becomes_the_best_and_of_no_other(tmp_path: Path) -> None:
    told: list[int] = []
    evaluate, _ = judged([0.1, 0.5, 0.7, 0.2, 0.6, 0.6], [0.1, 0.6, 0.4, 9.0, 0.7, 9.0])

    def telling(module: nn.Module, step: int) -> Judgement:
        return replace(evaluate(module, step), on_kept=lambda: told.append(step))

    small_fit(tmp_path, EACH, evaluate=telling)
    assert told == [0, 2, 8]


def test_an_evaluation_read_again_is_the_same_also_where_its_loss_is_no_number() -> None:
    for loss in (2.5, math.nan, math.inf):
        one = Evaluated(step=4, score=score(math.nan if math.isnan(loss) else 0.5), numbers={"dev_loss": loss})
        read = [Evaluated.from_json(one.to_json()) for _ in range(2)]
        assert read[0].same_as(replace(read[1], undone=True))
        assert not read[0].same_as(replace(read[1], step=5))


def test_a_resumed_run_keeps_the_same_best(tmp_path: Path) -> None:
    scores = ([0.1, 0.5, 0.7, 0.2, 0.6, 0.6], [0.1, 0.6, 0.4, 9.0, 0.7, 9.0])
    _, whole = small_fit(tmp_path / "whole", EACH, evaluate=judged(*scores)[0])
    small_fit(tmp_path / "parts", EACH, evaluate=judged(*scores)[0], until_step=5)
    _, parts = small_fit(tmp_path / "parts", EACH, evaluate=judged(*scores)[0])
    assert (parts.best, parts.evaluations) == (whole.best, whole.evaluations)


def test_evaluations_of_what_a_rewind_undid_are_off_the_record_at_once(tmp_path: Path) -> None:
    recipe = EACH.child(on_spike="rewind")
    scores, _ = judged([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    damaged: list[int] = []
    found: list[int] = []

    def evaluate(module: nn.Module, step: int) -> Judgement:
        if step == 6 and not damaged:
            damaged.append(step)
            shutil.rmtree(tmp_path / "checkpoints" / "step-00000006")
        return scores(module, step)  # type: ignore[no-any-return]

    def on_guard(event: Any) -> None:
        assert event["back_to"] == 4
        record = json.loads((tmp_path / "checkpoints" / "evaluations.json").read_text())
        found.extend(item["step"] for item in record if not item["undone"])

    bad = cursor_of(8, recipe)
    small_fit(tmp_path, recipe, evaluate=evaluate, watchers=[Planted(bad)], on_guard=on_guard)
    assert found == [0, 2, 4]


def test_the_best_stays_when_its_step_is_undone_and_the_record_says_so(tmp_path: Path) -> None:
    """It was truly measured, and its weights are on the disk: it is the best until others are as good."""
    recipe = EACH.child(on_spike="rewind")
    first, second = judged([0.1, 0.2, 0.3, 0.9, 0.5, 0.6])[0], judged([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])[0]
    gone: list[int] = []
    kept: list[float] = []

    def evaluate(module: nn.Module, step: int) -> Judgement:
        found: Judgement
        if step == 6 and not gone:
            gone.append(step)
            shutil.rmtree(tmp_path / "checkpoints" / "step-00000006")
            found = first(module, step)
        else:
            found = second(module, step)
        return replace(found, on_kept=lambda: kept.append(found.score.mean))

    watcher = Planted(cursor_of(8, recipe))
    _, paused = small_fit(tmp_path, recipe, evaluate=evaluate, watchers=[watcher], until_step=8)
    _, result = small_fit(tmp_path, recipe, evaluate=evaluate, watchers=[watcher])
    assert result.passed_over[0].back_to == 4
    assert kept == [0.1, 0.2, 0.3, 0.9], "who judged is told of nothing else behind it"
    for one in (paused, result):
        assert one.best is not None
        assert (one.best.step, one.best.score, one.best.undone) == (6, score(0.9), True)
        assert one.best in one.evaluations
        assert one.best_weights == tmp_path / "checkpoints" / "best-00000006"
    told = [(item.step, item.score.mean, item.undone) for item in result.evaluations]
    steps = [(0, 0.1), (2, 0.2), (4, 0.3), (6, 0.9), (6, 0.4), (8, 0.5), (10, 0.6)]
    assert told == [(step, mean, mean == 0.9) for step, mean in steps]


def test_an_undone_best_gives_way_to_an_equal_that_is_not(tmp_path: Path) -> None:
    evaluate, _ = judged([0.1, 0.2, 0.3, 0.2, 0.1, 0.1])
    whole = small_fit(tmp_path / "whole", EACH, evaluate=evaluate)[1]
    small_fit(tmp_path / "run", EACH, evaluate=evaluate, until_step=4)
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000004")
    paused = small_fit(tmp_path / "run", EACH, evaluate=evaluate, until_step=3)[1]
    assert [(item.step, item.undone) for item in paused.evaluations] == [(0, False), (2, False), (4, True)]
    again = small_fit(tmp_path / "run", EACH, evaluate=evaluate)[1]
    assert (again.best, again.evaluations) == (whole.best, whole.evaluations)


def test_a_kill_between_the_best_and_the_record_of_it_changes_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Step 4 is ahead on all rows too; step 6 leads on the subset alone, which has to count as no gain in both runs.
    scores = ([0.1, 0.5, 0.7, 0.8, 0.6, 0.9], [0.1, 0.6, 0.7, 0.65, 0.6, 0.6])
    recipe = EACH.child(early_stop=3)
    whole = small_fit(tmp_path / "whole", recipe, evaluate=judged(*scores)[0])[1]
    record = Checkpoints.save_evaluations

    def killed(self: Checkpoints, items: Iterable[Evaluated]) -> None:
        found = list(items)
        if found[-1].step == 4:
            raise KeyboardInterrupt
        record(self, found)

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save_evaluations", killed)
        with pytest.raises(KeyboardInterrupt):
            small_fit(tmp_path / "run", recipe, evaluate=judged(*scores)[0])
    again = small_fit(tmp_path / "run", recipe, evaluate=judged(*scores)[0])[1]
    assert (again.best, again.evaluations, again.reason) == (whole.best, whole.evaluations, whole.reason)
    assert "3 evaluations in a row were not better" in whole.reason


def test_a_score_that_is_no_number_is_never_ahead_and_can_be_put_down(tmp_path: Path) -> None:
    values = [0.1, float("nan"), 0.3, float("nan"), 0.2, 0.3]

    def evaluate(module: nn.Module, step: int) -> Judgement:
        del module
        return Judgement(score=score(values[step // 2]), numbers={"dev_loss": float("inf") if step == 2 else 1.0})

    small_fit(tmp_path, EACH, evaluate=evaluate, until_step=3)
    _, result = small_fit(tmp_path, EACH, evaluate=evaluate)
    assert result.best is not None
    assert result.best.step == 4
    assert [item.numbers["dev_loss"] for item in result.evaluations] == [1.0, float("inf"), 1.0, 1.0, 1.0, 1.0]
    assert [math.isnan(item.score.mean) for item in result.evaluations] == [False, True, False, True, False, False]
