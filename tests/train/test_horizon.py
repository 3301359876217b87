"""A schedule that bends to the clock: it ends in time, falls without a jump, and repeats what was decided."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from hone.task.recipe import Recipe
from hone.train.horizon import UNDECIDED, BentHorizon, Clock, FixedHorizon
from hone.train.schedules import rate_factor, warmup_stable_decay

RECIPE = Recipe(warmup_steps=10, decay_share=0.3, eval_every=200, steps=1000)


class Machine:
    """Its clock goes on by what steps and evaluations cost; from ``slow_from`` on a step takes ``slowdown`` as long."""

    def __init__(self, box_s: float, step_s: float, slow_from: float = 1e9, slowdown: float = 1.0) -> None:
        self.time, self.box_s, self.step_s, self.slow_from, self.slowdown = 0.0, box_s, step_s, slow_from, slowdown

    def clock(self, **more: float) -> Clock:
        return Clock(left_s=lambda: self.box_s - self.time, evaluation_s=lambda: 2.0, now=lambda: self.time, **more)

    def run(self, horizon: BentHorizon, step: int = 0, until: int = UNDECIDED) -> tuple[int, list[float]]:
        factors = []
        while step < min(horizon.end, until):
            wish = horizon.wish(step)
            factors.append(horizon.factor(step))
            self.time += self.step_s * (self.slowdown if self.time >= self.slow_from else 1.0)
            step += 1
            if wish:
                horizon.settle(step, wish)
            if step % RECIPE.eval_every == 0:
                self.time += 2.0
        return step, factors


@pytest.mark.parametrize("minutes", [2, 5, 10])
@pytest.mark.parametrize(("slow_from", "slowdown"), [(1.0, 1.0), (0.1, 3.0), (0.5, 2.0), (0.8, 3.0), (0.8, 0.4)])
def test_a_run_ends_with_its_box_whatever_the_machine_does(
    tmp_path: Path, minutes: float, slow_from: float, slowdown: float
) -> None:
    box = 60.0 * minutes
    machine = Machine(box, 0.1, slow_from * box, slowdown)
    horizon = BentHorizon(RECIPE, tmp_path / "horizon.jsonl", machine.clock())
    _, factors = machine.run(horizon)
    assert machine.time == pytest.approx(box, rel=0.02)
    warm = factors[RECIPE.warmup_steps :]
    assert all(later <= earlier for earlier, later in pairwise(warm)), "the rate never rises again"
    assert factors[-1] < 0.05, "the decay came to its end"


@pytest.mark.parametrize("step_s", [0.001, 0.05, 0.3])
@pytest.mark.parametrize("schedule", ["warmup-stable-decay", "constant"])
def test_a_run_whose_steps_are_bounded_is_the_plain_schedule_of_so_many(
    tmp_path: Path, step_s: float, schedule: str
) -> None:
    """However fast they are: of a box of ten minutes the most is left."""
    recipe, most = RECIPE.child(schedule=schedule), 100
    machine = Machine(600.0, step_s)
    horizon = BentHorizon(recipe, tmp_path / "horizon.jsonl", machine.clock(step_s=step_s), most)
    assert horizon.end == most
    end, factors = machine.run(horizon)
    plain = [rate_factor(recipe.child(steps=most), step) for step in range(most)]
    assert end == most
    assert factors == pytest.approx(plain, abs=0.04), "the fall begins a step later at most"


def test_where_time_is_shorter_than_the_most_steps_the_clock_decides(tmp_path: Path) -> None:
    machine = Machine(60.0, 0.1, 30.0, 2.0)
    horizon = BentHorizon(RECIPE, tmp_path / "horizon.jsonl", machine.clock(), 100_000)
    _, factors = machine.run(horizon)
    assert machine.time == pytest.approx(60.0, rel=0.02)
    assert factors[-1] < 0.05


@pytest.mark.parametrize("step_s", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("slow_from", [0.5, 0.6])
def test_few_long_steps_learn_in_time_that_the_machine_is_slower(
    tmp_path: Path, step_s: float, slow_from: float
) -> None:
    """Half as fast from the middle of five minutes on, the rate comes below a tenth all the same."""
    machine = Machine(300.0, step_s, slow_from * 300.0, 2.0)
    horizon = BentHorizon(RECIPE, tmp_path / "horizon.jsonl", machine.clock())
    _, factors = machine.run(horizon)
    assert machine.time == pytest.approx(300.0, rel=0.03)
    assert factors[-1] < 0.1


def test_an_undisturbed_run_is_the_plain_schedule(tmp_path: Path) -> None:
    """Where the clock decides once, the factors are those of warmup-stable-decay with that end and that share."""
    machine = Machine(100.0, 0.1)
    horizon = BentHorizon(RECIPE, tmp_path / "horizon.jsonl", machine.clock())
    end, factors = machine.run(horizon)
    (bend,) = horizon.bends
    share = (bend.end - bend.step) / end
    assert share == pytest.approx(RECIPE.decay_share, abs=0.02)
    plain = [warmup_stable_decay(s, steps=end, warmup_steps=10, decay_share=share) for s in range(end)]
    assert factors == pytest.approx(plain, abs=1e-9)


def test_the_rate_ends_at_the_least_rate_however_often_the_end_is_moved(tmp_path: Path) -> None:
    """``least_rate`` is a factor of the peak rate, not of where the last fall began."""
    machine = Machine(60.0, 0.1, 50.0, 2.0)
    horizon = BentHorizon(RECIPE.child(least_rate=0.1), tmp_path / "horizon.jsonl", machine.clock())
    end, factors = machine.run(horizon)
    assert len(horizon.bends) > 1, "a slower machine moves the end"
    assert horizon.factor(end) == pytest.approx(0.1)
    assert min(factors) >= 0.1


def test_a_resumed_run_repeats_what_was_decided(tmp_path: Path) -> None:
    """Law 1: from any state, the factors behind it are the same again, though the clock now says otherwise."""
    machine = Machine(60.0, 0.1, 30.0, 2.0)
    path = tmp_path / "horizon.jsonl"
    end, factors = machine.run(BentHorizon(RECIPE, path, machine.clock()))
    written = path.read_text()
    for start in (0, 100, end - 30, end - 1):
        again = BentHorizon(RECIPE, path, Machine(5.0, 7.0).clock())
        _, repeated = Machine(1e9, 0.1).run(again, start, again.bends[-1].step)
        assert repeated == factors[start : again.bends[-1].step]
    assert path.read_text() == written
    follower = BentHorizon(RECIPE, path, None)  # another process, which has no clock
    assert [follower.factor(step) for step in range(end)] == factors


def test_a_fixed_horizon_is_the_recipes_schedule() -> None:
    fixed = FixedHorizon(RECIPE)
    assert fixed.end == RECIPE.steps
    assert [fixed.factor(s) for s in range(1000)] == [rate_factor(RECIPE, s) for s in range(1000)]
    assert fixed.wish(3) == 0


def test_time_that_is_over_ends_the_run_though_no_speed_is_known(tmp_path: Path) -> None:
    """Steps of seven seconds, each judged: the second one begins after the end of the box, and is the last."""
    machine = Machine(10.0, 7.0)
    horizon = BentHorizon(RECIPE.child(eval_every=1), tmp_path / "horizon.jsonl", machine.clock())
    step, _ = machine.run(horizon)
    assert step == 3


@pytest.mark.parametrize("steps", [4, 6, 9, 14])
@pytest.mark.parametrize("wrong", [0.7, 1.0, 1.5])
def test_few_steps_fall_to_their_end_where_their_length_was_measured_beforehand(
    tmp_path: Path, steps: int, wrong: float
) -> None:
    """The line falls by the same amount each step, so that of n falling ones the last has 1/n of the peak."""
    box = 120.0
    machine = Machine(box, box / steps)
    horizon = BentHorizon(RECIPE, tmp_path / "horizon.jsonl", machine.clock(step_s=wrong * box / steps))
    end, factors = machine.run(horizon)
    assert horizon.bends, "the decay begins though six steps are never seen"
    assert end == pytest.approx(steps, abs=1)
    falling = end - horizon.bends[0].step
    assert factors[-1] <= 2 / max(2, falling), factors


def test_a_machine_that_stands_still_at_the_end_does_not_keep_the_rate_from_its_end(tmp_path: Path) -> None:
    """One step takes the whole decay; a moment more is granted for a fall, and no longer than that."""
    ends = {}
    for landing in (0.0, 2.0):
        machine = Machine(100.0, 0.1)
        path = tmp_path / f"horizon-{landing:g}.jsonl"
        horizon = BentHorizon(RECIPE.child(warmup_steps=1), path, machine.clock(landing_s=landing))
        step, _ = machine.run(horizon, until=480)
        machine.time = 100.0  # nothing was computed since
        _, factors = machine.run(horizon, step)
        ends[landing] = (machine.time, factors[-1])
    assert ends[0.0][1] > 0.5, "cut off"
    assert ends[2.0][1] < 0.2
    assert ends[2.0][0] <= 102.1


def test_an_evaluation_that_was_left_out_makes_its_step_no_shorter(tmp_path: Path) -> None:
    machine = Machine(1000.0, 5.0)
    clock = Clock(
        left_s=lambda: 1000.0 - machine.time,
        evaluation_s=lambda: 4.0,
        evaluated_s=lambda: 0.0,
        now=lambda: machine.time,
    )
    horizon = BentHorizon(RECIPE.child(eval_every=2), tmp_path / "horizon.jsonl", clock)
    for step in range(12):
        horizon.wish(step)
        machine.time += 5.0
    assert horizon.step_s() == pytest.approx(5.0)
