"""What becomes the best: candidates alone, by their score on more rows where there is one, ties with step 0."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from combined_runs import Planted, cursor_of
from small_runs import RECIPE, small_fit
from torch import nn

from hone.task.scores import Score
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
        found.extend(item["step"] for item in json.loads((tmp_path / "checkpoints" / "evaluations.json").read_text()))

    bad = cursor_of(8, recipe)
    small_fit(tmp_path, recipe, evaluate=evaluate, watchers=[Planted(bad)], on_guard=on_guard)
    assert found == [0, 2, 4]
