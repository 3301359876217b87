"""Children of a recipe: one named change each, regularising first where a run overfits; a plan that fits its box."""

from __future__ import annotations

from pathlib import Path

from hone.attempts import AttemptReport
from hone.solving.defaults import Rate, planned
from hone.solving.propose import proposals
from hone.task.load import load_task
from hone.task.recipe import Recipe

TASK = load_task(Path(__file__).parents[1] / "data" / "voice")


def report(dev_loss: float, train_loss: float) -> AttemptReport:
    return AttemptReport(run=1, status="finished", step=10, score=None, dev_loss=dev_loss, train_loss=train_loss)


def test_every_child_differs_by_exactly_its_named_change() -> None:
    parent = Recipe()
    found = proposals(TASK, parent, report(1.0, 0.9))
    assert len({item.name for item in found}) == len(found) >= 6
    for item in found:
        assert set(parent.differences(item.recipe(parent))) == set(item.changes)
        assert item.hypothesis
        assert item.predicted


def test_a_batch_that_is_counted_in_tokens_is_halved_in_tokens_down_to_the_context() -> None:
    def smaller(parent: Recipe) -> list[dict[str, object]]:
        return [item.changes for item in proposals(TASK, parent, report(1.0, 0.9)) if item.name == "smaller-batch"]

    assert smaller(Recipe(batch_tokens=4096, context=256)) == [{"batch_tokens": 2048}]
    assert smaller(Recipe(batch_tokens=300, context=256)) == [{"batch_tokens": 256}]
    assert smaller(Recipe(batch_tokens=256, context=256)) == []
    assert smaller(Recipe(batch_size=24, accumulate=8)) == [{"batch_size": 8}], "it still divides"


def test_an_overfitting_run_is_regularised_first_and_another_is_not() -> None:
    parent = Recipe()
    assert proposals(TASK, parent, report(1.0, 0.1))[0].name == "more-swaps"
    assert proposals(TASK, parent, report(1.0, 0.9))[0].name == "rate-up"


def test_the_plan_fills_the_box_and_no_more_than_its_epochs() -> None:
    rate = Rate(step_s=0.1, tokens_per_second=1e4, steps_per_epoch=400, evaluation_s=5.0, final_s=10.0)
    # 330 s less four evaluations of 5 s and the final 10 s leave 300 s: 3,000 steps.
    recipe, line = planned(TASK, Recipe(), rate, 330.0)
    assert recipe.steps == 3000
    assert "the box" in line
    small = Rate(step_s=0.1, tokens_per_second=1e4, steps_per_epoch=10, evaluation_s=5.0, final_s=10.0)
    assert planned(TASK, Recipe(), small, 3300.0)[0].steps < 33_000
