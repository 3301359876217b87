"""What is left of the box after the first attempt: rounds of named changes by successive halving.

A round and its candidates are kept in the state, so a solve that was stopped, or whose box has grown, goes on with
the same round. Nobody's schedule is shortened to fit: children that the box does not carry to their end are paused
where they are.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from hone.attempts import AttemptReport
from hone.errors import FailedError
from hone.hardware import usable_cores
from hone.solving.defaults import MOST_EPOCHS, Rate
from hone.solving.propose import Proposal, proposals
from hone.solving.race import Entry, Race
from hone.sweep.halving import Report, halve, rung_steps
from hone.task.recipe import Recipe, of_length

RUNGS = 3
MOST_CHILDREN = (8, 4, 2)
LEAST_S = 15.0
"""A round is not begun with less than this left: importing rows and judging once would take it."""
ONE_CORE_SLOWDOWN = 1.6
"""A step on one core takes about this much longer than on two, measured; children run side by side, one core each."""


def search_round(race: Race, rate: Rate, ending_s: float, *, over_budget: bool = False) -> bool:
    """Carry one round of children on, the open one or a new one; False when there is nothing more to try.

    Args:
        race: where attempts are run and kept.
        rate: the first attempt's measured speed.
        ending_s: seconds of the box that are kept for artifact and verdict.
        over_budget: the best model's artifact does not fit the device: a narrower model is tried first.
    """
    rounds: list[dict[str, Any]] = race.state.content["values"].setdefault("search", [])
    current = next((item for item in rounds if not item["done"]), None)
    if current is None:
        current = _new_round(race, rate, ending_s, over_budget)
        if current is None:
            return False
        rounds.append(current)
        race.state.save()
    entries = [Entry(**{**item, "recipe": Recipe.model_validate(item["recipe"])}) for item in current["entries"]]
    steps: list[int] = current["steps"]

    def advance(alive: Sequence[Entry], step: int) -> dict[str, Report]:
        left = max(5.0, race.box.left(race.state) - ending_s - rate.final_s)
        side_by_side(race, list(alive), None if step >= steps[-1] else step, left)
        return {entry.name: made for entry in alive if (made := _report(race, entry.name, step)) is not None}

    rungs = halve(entries, steps, advance, may_go_on=lambda: race.reaching() is None and not _ended(race, ending_s))
    for rung in rungs:
        race.show.say(f"halving at step {rung.step:,}: {', '.join(rung.promoted)} of {len(rung.reports)} go on")
    # A round that the box cut off stays open for a larger box; any other end (one reached it, all failed) is an end.
    current["done"] = len(rungs) == len(steps) or not _ended(race, ending_s)
    race.state.save()
    return not _ended(race, ending_s)


def side_by_side(race: Race, entries: list[Entry], until_step: int | None, deadline_s: float) -> None:
    """Run entries, as many at a time as there are cores."""
    cores = usable_cores()
    begin = time.monotonic()
    for start in range(0, len(entries), cores):
        left = deadline_s - (time.monotonic() - begin)
        if left > 0:
            # One that fails is said and recorded by the race; the best attempt so far stands all the same.
            with contextlib.suppress(FailedError):
                race.run(entries[start : start + cores], until_step=until_step, deadline_s=left)


def step_seconds(rate: Rate) -> float:
    """Seconds of a child's step: one core each, side by side."""
    return rate.step_s * (ONE_CORE_SLOWDOWN if usable_cores() > 1 else 1.0)


def _new_round(race: Race, rate: Rate, ending_s: float, over_budget: bool) -> dict[str, Any] | None:
    best = race.best()
    left = race.box.left(race.state) - ending_s - rate.final_s
    if best is None or left < LEAST_S:
        race.show.say(f"search: {max(0.0, left):.0f} s are left of the box, too little for another round")
        return None
    record, report = best
    parent = Recipe.model_validate(record["recipe"])
    untried = _untried(race, parent, report, rate, over_budget)
    if not untried:
        race.show.say(f"search: every change of {record['name']} that is known was tried")
        return None
    step_s, cores = step_seconds(rate), usable_cores()
    fitting = [count for count in MOST_CHILDREN if parent.steps * step_s * _steps_factor(count, cores) <= left]
    chosen = untried[: fitting[0] if fitting else MOST_CHILDREN[-1]]
    stable_end = int(parent.steps * (1 - parent.decay_share))
    steps = rung_steps(parent.steps, min(RUNGS, len(chosen)), stable_end=stable_end)
    entries = [_entry(race, proposal, parent, record) for proposal in chosen]
    listed = ", ".join(f"{entry['name']} ({entry['what']})" for entry in entries)
    short = "" if fitting else "; the box ends before they do, a larger one goes on with them"
    race.show.say(f"search: children of {record['name']}, judged at steps {steps}{short}: {listed}")
    return {"entries": entries, "steps": steps, "done": False}


def _untried(race: Race, parent: Recipe, report: AttemptReport, rate: Rate, over_budget: bool) -> list[Proposal]:
    """Proposals whose recipe no attempt has carried out yet."""
    most = round(MOST_EPOCHS[race.task.kind] * rate.steps_per_epoch)
    found = proposals(race.task, parent, report, most_steps=most, over_budget=over_budget)
    tried = [Recipe.model_validate(item["recipe"]) for item in race.state.attempts]
    same_but = {"threads", "eval_every"}
    return [
        proposal
        for proposal in found
        if not any(set(proposal.recipe(parent).differences(other)) <= same_but for other in tried)
    ]


def _entry(race: Race, proposal: Proposal, parent: Recipe, record: dict[str, Any]) -> dict[str, Any]:
    child = proposal.recipe(parent)
    child = child.child(threads=1, eval_every=of_length(child.steps)["eval_every"])
    taken = {item["name"] for item in race.state.attempts}
    names = [proposal.name, *(f"{proposal.name}-{number}" for number in range(2, len(taken) + 3))]
    return {
        "name": next(name for name in names if name not in taken),
        "what": ", ".join(f"{key} {getattr(parent, key)} -> {value}" for key, value in proposal.changes.items()),
        "recipe": child.model_dump(mode="json"),
        "hypothesis": proposal.hypothesis,
        "predicted": proposal.predicted,
        "parent": record["run"],
    }


def _steps_factor(count: int, cores: int) -> float:
    """Wall steps of halving ``count`` children over rungs at 1/4, 1/2 and 1 of a horizon, ``cores`` at a time."""
    alive, total, done = count, 0.0, 0.0
    for end in (0.25, 0.5, 1.0):
        total += -(-alive // cores) * (end - done)
        alive, done = max(1, -(-alive // 2)), end
    return total


def _ended(race: Race, ending_s: float) -> bool:
    return race.box.left(race.state) <= ending_s


def _report(race: Race, name: str, step: int) -> Report | None:
    found = race.report(name)
    if found is None or found.score is None or found.dev_loss is None:
        return None
    if found.step < step and found.status != "finished":
        return None
    return Report(dev_loss=found.dev_loss, metric=found.score.mean, higher_is_better=found.score.higher_is_better)
