"""Laws of successive halving, against hand-worked cases."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hone.sweep.halving import Report, halve, promote, rung_steps


@dataclass(frozen=True)
class Named:
    name: str


def report(loss: float, metric: float = 0.0) -> Report:
    return Report(dev_loss=loss, metric=metric)


def test_rungs_are_geometric_and_end_at_the_horizon() -> None:
    assert rung_steps(1600, 3) == [400, 800, 1600]
    assert rung_steps(81, 5, factor=3) == [1, 3, 9, 27, 81]
    assert rung_steps(100, 1) == [100]


def test_nobody_is_paused_inside_the_decay() -> None:
    assert rung_steps(1000, 2, stable_end=400) == [400, 1000]


def test_promotion_uses_loss_and_metric() -> None:
    reports = {"a": report(1.0, 0.5), "b": report(0.9, 0.4), "c": report(2.0, 0.1)}
    # a: ranks 2 and 1; b: 1 and 2; c: 3 and 3. The tie goes to the lower loss.
    assert promote(reports, 1) == ("b",)
    assert set(promote(reports, 2)) == {"a", "b"}


def test_a_metric_on_the_floor_for_everybody_leaves_the_decision_to_the_loss() -> None:
    assert promote({"a": report(1.2), "b": report(1.1), "c": report(1.3)}, 1) == ("b",)


def test_a_lower_is_better_metric_is_ranked_the_right_way() -> None:
    low = Report(dev_loss=1.0, metric=1.5, higher_is_better=False)
    high = Report(dev_loss=1.0, metric=2.5, higher_is_better=False)
    assert promote({"high": high, "low": low}, 1) == ("low",)


def test_a_loss_that_is_not_finite_is_never_promoted_over_a_finite_one() -> None:
    assert promote({"nan": report(float("nan")), "ok": report(9.0)}, 1) == ("ok",)


def test_halving_finds_the_best_and_spends_the_hand_worked_number_of_steps() -> None:
    quality = {f"c{index}": 1.0 + index for index in range(8)}
    at = dict.fromkeys(quality, 0)
    spent = 0

    def advance(alive: list[Named], step: int) -> dict[str, Report]:
        nonlocal spent
        for candidate in alive:
            spent += step - at[candidate.name]
            at[candidate.name] = step
        return {candidate.name: report(quality[candidate.name]) for candidate in alive}

    rungs = halve([Named(name) for name in quality], rung_steps(800, 4), advance)
    assert [len(rung.reports) for rung in rungs] == [8, 4, 2, 1]
    assert rungs[-1].promoted == ("c0",)
    # 8 x 100 + 4 x 100 + 2 x 200 + 1 x 400: resumed, never run again from the start.
    assert spent == 2000


def test_one_that_failed_is_not_promoted_and_the_box_ends_the_search() -> None:
    def advance(alive: list[Named], step: int) -> dict[str, Report]:
        return {candidate.name: report(1.0) for candidate in alive if candidate.name != "broken"}

    rungs = halve([Named("broken"), Named("good")], [10, 20], advance)
    assert all("broken" not in rung.promoted for rung in rungs)
    calls = iter([True, False])
    assert len(halve([Named("a"), Named("b")], [10, 20], advance, may_go_on=lambda: next(calls))) == 1


def test_wrong_numbers_are_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match="got 0, 1, 2"):
        rung_steps(0, 1)
    with pytest.raises(ValueError, match="between 1 and 1"):
        promote({"a": report(1.0)}, 2)
