"""What is left of the box after the first attempt: named changes by successive halving, then a data-scaling curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hone.attempts import AttemptReport
from hone.hardware import usable_cores
from hone.solving.defaults import Rate
from hone.solving.propose import Proposal, proposals
from hone.solving.race import Entry, Race
from hone.solving.scaling import Point, curve_line, fit_curve
from hone.sweep.halving import Report, halve, rung_steps
from hone.task.recipe import Recipe

RUNGS = 3
LEAST_SHARE = 0.5
"""A child must have room for this share of its parent's steps; a shorter schedule would not be a fair trial."""
ONE_CORE_SLOWDOWN = 1.6
"""A step on one core takes about this much longer than on two, measured; children run side by side, one core each."""
SUBSETS = (0.125, 0.25, 0.5)


def search(race: Race, rate: Rate, ending_s: float) -> None:
    """Try children of the best attempt until the target is reached or the box ends."""
    best = race.best()
    if best is None:
        return
    record, report = best
    parent = Recipe.model_validate(record["recipe"])
    entries, steps, line = planned_children(race, parent, record, report, rate, ending_s)
    race.show.say(line)
    if not entries:
        return
    target = race.task.target

    def advance(alive: Sequence[Entry], step: int) -> dict[str, Report]:
        left = max(5.0, race.box.left(race.state) - ending_s)
        _side_by_side(race, list(alive), None if step >= steps[-1] else step, left)
        return {entry.name: made for entry in alive if (made := _report(race, entry.name, step)) is not None}

    def may_go_on() -> bool:
        reached = race.best()
        done = reached is not None and reached[1].score is not None and reached[1].score.reaches(target)
        return not done and race.box.left(race.state) > ending_s

    rungs = halve(entries, steps, advance, may_go_on=may_go_on)
    for rung in rungs:
        race.show.say(f"halving at step {rung.step:,}: {', '.join(rung.promoted)} of {len(rung.reports)} go on")


def planned_children(
    race: Race, parent: Recipe, record: dict[str, Any], report: AttemptReport, rate: Rate, ending_s: float
) -> tuple[list[Entry], list[int], str]:
    """As many children as fit into the box with (nearly) the parent's horizon, and the steps at which they pause."""
    left = race.box.left(race.state) - ending_s - rate.final_s
    cores = usable_cores()
    step_s = rate.step_s * (ONE_CORE_SLOWDOWN if cores > 1 else 1.0)
    for count in (8, 4, 2):
        horizon = min(parent.steps, int(left / (step_s * _steps_factor(count, cores))))
        if horizon >= LEAST_SHARE * parent.steps:
            break
    else:
        need = LEAST_SHARE * parent.steps * step_s * _steps_factor(2, cores)
        return (
            [],
            [],
            f"search: left out, {max(0.0, left):.0f} s are left of the box and two children need {need:.0f} s",
        )
    stable_end = int(horizon * (1 - parent.decay_share))
    steps = rung_steps(horizon, min(RUNGS, count), stable_end=stable_end)
    chosen = proposals(race.task, parent, report)[:count]
    entries = [_entry(proposal, parent, record, horizon) for proposal in chosen]
    line = f"search: {len(entries)} children of {record['name']}, {horizon:,} steps, pausing at {steps}: "
    return entries, steps, line + ", ".join(f"{entry.name} ({entry.what})" for entry in entries)


def scaling_points(
    race: Race, record: dict[str, Any], report: AttemptReport, rate: Rate, higher_is_better: bool
) -> str:
    """Train three subsets where the box has room, and say what the curve through them tells."""
    parent = Recipe.model_validate(record["recipe"])
    own = [Point(rows=len(race.data.train), value=report.score.mean)] if report.score else []
    cores = usable_cores()
    cost = sum(SUBSETS) * parent.steps * rate.step_s * (ONE_CORE_SLOWDOWN if cores > 1 else 1.0) / min(cores, 2)
    cost += len(SUBSETS) * rate.final_s
    if race.box.left(race.state) > cost:
        entries = [_subset(parent, share, record) for share in SUBSETS]
        _side_by_side(race, entries, None, race.box.left(race.state))
    points = list(own)
    for item, done in race.with_model():
        if item.get("subset") and done.score is not None:
            rows = round(len(race.data.train) * Recipe.model_validate(item["recipe"]).train_share)
            points.append(Point(rows=rows, value=done.score.mean))
    curve = fit_curve(points, higher_is_better=higher_is_better)
    line = curve_line(curve, len(points), race.task.target, higher_is_better=higher_is_better)
    if curve is None:
        line += f"; three more subsets need about {cost:.0f} s, {race.box.left(race.state):.0f} s are left"
    return line


def _steps_factor(count: int, cores: int) -> float:
    """Wall steps of halving ``count`` children over rungs at 1/4, 1/2 and 1 of a horizon, ``cores`` at a time."""
    alive, total, done = count, 0.0, 0.0
    for end in (0.25, 0.5, 1.0):
        total += -(-alive // cores) * (end - done)
        alive, done = max(1, -(-alive // 2)), end
    return total


def _entry(proposal: Proposal, parent: Recipe, record: dict[str, Any], horizon: int) -> Entry:
    child = proposal.recipe(parent).child(steps=horizon, threads=1, eval_every=max(1, horizon // 4))
    change = ", ".join(f"{key} {getattr(parent, key)} -> {value}" for key, value in proposal.changes.items())
    return Entry(
        name=proposal.name,
        what=change,
        recipe=child,
        hypothesis=proposal.hypothesis,
        predicted=proposal.predicted,
        parent=record["run"],
    )


def _subset(parent: Recipe, share: float, record: dict[str, Any]) -> Entry:
    steps = max(20, round(parent.steps * share))
    return Entry(
        name=f"rows-{share:.1%}".replace("%", "pct").replace(".", "_"),
        what=f"{share:.1%} of the training rows, as many epochs",
        recipe=parent.child(train_share=share, steps=steps, threads=1, eval_every=steps),
        hypothesis="the score grows as a power of the number of rows",
        parent=record["run"],
    )


def _side_by_side(race: Race, entries: list[Entry], until_step: int | None, deadline_s: float) -> None:
    """Run entries, as many at a time as there are cores."""
    import time

    cores = usable_cores()
    begin = time.monotonic()
    for start in range(0, len(entries), cores):
        left = deadline_s - (time.monotonic() - begin)
        if left > 0:
            race.run(entries[start : start + cores], until_step=until_step, deadline_s=left)


def _report(race: Race, name: str, step: int) -> Report | None:
    found = race.report(name)
    if found is None or found.score is None or found.dev_loss is None or found.step < step:
        return None
    return Report(dev_loss=found.dev_loss, metric=found.score.mean, higher_is_better=found.score.higher_is_better)
