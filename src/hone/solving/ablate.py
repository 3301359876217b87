"""Does a cleaning rule help? The same small model with the rule and without it, equal tokens, several seeds.

Both arms are judged on the same dev rows, which the rules do not touch. What remains between them is the rule, the
luck of the seed and the choice of the rows; the interval counts both kinds of luck.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hone import processes
from hone.attempts import calibrate, carry_out, tokens_per_step
from hone.data.task_file import load_task
from hone.errors import FailedError, InputError
from hone.evaluate.effects import Effect, crossed_effect
from hone.files import content_hash, read_json, write_json
from hone.hardware import usable_cores
from hone.lab.lab import Lab
from hone.processes import Channel
from hone.solving.arms import BASE, Arm, arms_of
from hone.solving.defaults import default_recipe
from hone.task.own_metric import load_metric
from hone.task.recipe import Recipe, of_length
from hone.task.spec import Task

LEAST_SEEDS, MOST_SEEDS = 3, 10
MOST_EPOCHS = 4.0
"""A proxy shows what rows are worth long before it is done learning."""
LEAST_STEPS = 60
CALIBRATE_S = 4.0
PLANNED_SHARE = 0.65
"""Share of the box that the least number of seeds is planned to take: several workers slow each other down."""
Say = Callable[[str], None]


@dataclass(kw_only=True)
class Trials:
    """Values on each dev row by arm and seed, kept on disk as they come."""

    path: Path
    steps: dict[str, int] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    used_s: float = 0.0
    """Seconds of the box used, over all calls, until it was saved last."""
    since: float = field(default_factory=time.monotonic)
    """When this call's seconds began to count (a ``time.monotonic`` reading)."""

    @classmethod
    def open(cls, path: Path, since: float) -> Trials:
        """What earlier calls kept, or nothing."""
        return cls(path=path, since=since, **(read_json(path) if path.is_file() else {}))

    def deadline(self, minutes: float) -> float:
        """When the box ends, as ``time.monotonic`` tells it; what earlier calls used is gone."""
        return self.since + 60 * minutes - self.used_s

    def save(self) -> None:
        """Write all of it, and the seconds used."""
        now = time.monotonic()
        self.used_s, self.since = self.used_s + now - self.since, now
        plain = {"steps": self.steps, "values": self.values, "scores": self.scores, "seconds": self.seconds}
        write_json(self.path, {**plain, "used_s": round(self.used_s, 3)})

    def seeds(self, arm: str) -> list[int]:
        """Seeds for which this arm and the one without rules are done."""
        done = {
            name: {int(key.rpartition("#")[2]) for key in self.values if key.startswith(f"{name}#")}
            for name in (arm, BASE)
        }
        return sorted(done[arm] & done[BASE])


def ablate(
    folder: Path,
    rules: Sequence[str],
    *,
    minutes: float = 10.0,
    seeds: int = LEAST_SEEDS,
    say: Say = lambda line: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Compare each rule with leaving all of them out.

    Args:
        folder: the task folder.
        rules: names of rules: of the task's preset, of its own, or optional ones.
        minutes: the box, over all calls with the same rules, data and box.
        seeds: the least number, 3 to 10; more are trained while the box has room.
        say: takes each line.
        should_stop: asked while workers run; what is done is kept.

    Returns:
        Per rule the rows it removes and its :class:`~hone.evaluate.effects.Effect` on the metric of a row.

    Raises:
        InputError: unknown rules, a rule that removes nothing, minutes or seeds out of range.
        FailedError: when the box ends before 3 seeds of an arm are done.
    """
    _check(minutes, seeds)
    begin = time.monotonic()
    processes.warm_up()
    task = load_task(folder)
    arms = arms_of(task, folder, list(dict.fromkeys(rules)), say)
    recipe = default_recipe(task, arms[0].data, seed=0, threads=1)
    key = content_hash([[arm.data.id for arm in arms], recipe.model_dump(mode="json"), minutes])
    place = folder / ".hone" / "ablations" / key
    trials = Trials.open(place / "trials.json", begin)
    slots = min(usable_cores(), len(arms) * seeds)
    deadline = trials.deadline(minutes)
    if not trials.steps:
        _plan(trials, arms, task, recipe, folder, (deadline, seeds, slots), say)
    arms = [replace(arm, steps=trials.steps[arm.name]) for arm in arms]
    box = _Box(
        arms=arms,
        trials=trials,
        task=task,
        recipe=recipe,
        folder=folder,
        seeds=seeds,
        slots=slots,
        deadline=deadline,
        say=say,
        stop=should_stop,
    )
    try:
        box.run()
    finally:
        trials.save()
    return _result(task, folder, arms, trials, begin)


def _check(minutes: float, seeds: int) -> None:
    problems = []
    if not 0 < minutes < math.inf:
        problems.append(f"--minutes {minutes:g}: the box has to be a finite number of minutes above 0")
    if not LEAST_SEEDS <= seeds <= MOST_SEEDS:
        problems.append(
            f"--seeds {seeds}: an interval needs {LEAST_SEEDS} seeds or more, and at most {MOST_SEEDS} are trained"
        )
    if problems:
        raise InputError(problems)


def _plan(
    trials: Trials,
    arms: Sequence[Arm],
    task: Task,
    recipe: Recipe,
    folder: Path,
    box: tuple[float, int, int],
    say: Say,
) -> None:
    """Measure the speed and fix the steps of each arm; ``box`` is the deadline, the least seeds, workers at a time.

    Raises:
        InputError: when the box is too small for the least seeds of the fewest steps, with how large it has to be.
    """
    deadline, seeds, slots = box
    orders = {arm.name: _order(trials.path.parent, task, arm, recipe, folder) for arm in arms}
    rate = processes.run("calibrate", calibrate, orders[arms[0].name])
    tokens = {name: processes.run("tokens", tokens_per_step, order) for name, order in orders.items()}
    room = (deadline - time.monotonic()) * PLANNED_SHARE * slots / (len(arms) * seeds)
    _check_room(rate, len(arms), box, trials.since)
    most = round(MOST_EPOCHS * rate["steps_per_epoch"])
    steps = max(LEAST_STEPS, min(most, int((room - rate["final_s"] - 2) / rate["step_s"])))
    each = steps * tokens[arms[0].name]
    trials.steps = {name: equal_steps(steps, tokens[arms[0].name], tokens[name]) for name in tokens}
    trials.save()
    say(
        f"plan: {len(arms)} training sets, {seeds} seeds or more, {steps:,} steps of {recipe.batch_size} rows "
        f"({steps / rate['steps_per_epoch']:.1f} epochs without rules; {each:,.0f} tokens "
        f"for each set), {slots} at a time, "
        f"{(deadline - time.monotonic()) / 60:.1f} minutes left"
    )


def equal_steps(steps: int, ours: float, theirs: float) -> int:
    """Steps of ``theirs`` tokens that see as many tokens as ``steps`` of ``ours``; one at least."""
    return max(1, round(steps * ours / theirs))


def _check_room(rate: dict[str, float], arms: int, box: tuple[float, int, int], since: float) -> None:
    deadline, seeds, slots = box
    now = time.monotonic()
    waves = -(-arms * seeds // slots)
    needed, left = waves * (LEAST_STEPS * rate["step_s"] + rate["final_s"] + 2), deadline - now
    if needed > left:
        minutes = math.ceil((now - since + needed / PLANNED_SHARE) / 60)
        raise InputError(
            f"--minutes: {max(0.0, left):.0f} s of the box are left, and {arms} training sets with {seeds} seeds each "
            f"take about {needed:.0f} s at the least ({LEAST_STEPS} steps, {slots} at a time); repeat the command with "
            f"--minutes {minutes}"
        )


def _order(place: Path, task: Task, arm: Arm, recipe: Recipe, folder: Path) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "place": str(place),
        "task": task,
        "data": arm.data,
        "recipe": recipe.child(data=arm.data.id),
        "name": arm.name,
        "seconds": CALIBRATE_S,
    }


def work(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """Train and score one arm with one seed, in a worker; the metric on each dev row comes back."""
    task, data, recipe = order["task"], order["data"], order["recipe"]
    folder = Path(order["folder"])
    load_metric(task.metric, folder)
    lab = Lab(Path(order["place"]), say=lambda line: None)
    run = lab.new_run(
        recipe, task.name, data.id, name=f"{order['name']}-s{recipe.seed}-{os.getpid()}", metric=task.metric
    )
    values: list[float] = []

    def take(event: dict[str, Any]) -> None:
        if event["kind"] == "scored":
            values.extend(event["values"])

    begin = time.monotonic()
    report = carry_out(
        run, task, data, recipe, folder / ".hone" / "cache", on_event=take, should_stop=channel.should_stop
    )
    score = report.score.mean if report.score is not None else None
    return {"values": values, "score": score, "seconds": time.monotonic() - begin}


@dataclass(kw_only=True)
class _Box:
    """Workers that train arm by arm and seed by seed while the box lasts; a seed counts when all its arms are done."""

    arms: Sequence[Arm]
    trials: Trials
    task: Task
    recipe: Recipe
    folder: Path
    seeds: int
    slots: int
    deadline: float
    say: Say
    stop: Callable[[], bool]
    running: dict[str, processes.Worker] = field(default_factory=dict)

    def run(self) -> None:
        """Train until the box has no room for another seed, or ends."""
        names = itertools.product(range(MOST_SEEDS), self.arms)
        waiting = ((seed, arm) for seed, arm in names if f"{arm.name}#{seed}" not in self.trials.values)
        workers = [worker for _ in range(self.slots) if (worker := self._start(waiting)) is not None]
        for _ in processes.events(workers):
            if self.stop() or time.monotonic() > self.deadline:
                for worker in workers:
                    worker.kill()
                break
            for name in [name for name, worker in self.running.items() if worker.done]:
                self._keep(name, processes.result_of(self.running.pop(name)))
                if (worker := self._start(waiting)) is not None:
                    workers.append(worker)
        if self.stop():
            raise KeyboardInterrupt

    def _start(self, waiting: Iterator[tuple[int, Arm]]) -> processes.Worker | None:
        if time.monotonic() > self.deadline:
            return None
        for seed, arm in waiting:
            if arm is self.arms[0] and seed >= self.seeds and not self._has_room():
                return None
            steps = arm.steps
            child = self.recipe.child(seed=seed, steps=steps, **of_length(steps, 1))
            order = _order(self.trials.path.parent, self.task, arm, child, self.folder)
            name = f"{arm.name}#{seed}"
            self.running[name] = processes.start(name, work, order)
            return self.running[name]
        return None

    def _keep(self, name: str, found: dict[str, Any]) -> None:
        self.trials.values[name], self.trials.scores[name] = found["values"], found["score"]
        self.trials.seconds.append(found["seconds"])
        self.trials.save()
        shown = name.replace("#", ", seed ")
        self.say(f"{shown}: {self.task.metric} {found['score']:.3f} on dev, {found['seconds']:.0f} s")

    def _has_room(self) -> bool:
        """Whether one more seed of all arms fits into what is left of the box."""
        if not self.trials.seconds:
            return True
        arms = len(self.arms)
        longest = max(self.trials.seconds[-2 * arms :])
        return time.monotonic() + 1.1 * longest * -(-arms // self.slots) < self.deadline


def _result(task: Task, folder: Path, arms: Sequence[Arm], trials: Trials, begin: float) -> dict[str, Any]:
    metric = load_metric(task.metric, folder)
    sign = 1.0 if metric.higher_is_better else -1.0
    found = []
    for arm in arms[1:]:
        seeds = trials.seeds(arm.name)
        if len(seeds) < LEAST_SEEDS:
            raise FailedError(
                f"{arm.name}: {len(seeds)} seeds were done when the box ended and an interval needs {LEAST_SEEDS}; "
                "repeat the command with a larger --minutes (a box of another size begins anew)"
            )
        effect = _effect(trials, arm.name, seeds, sign)
        found.append(
            {
                "rule": arm.name,
                "removed": arm.removed,
                "with": _mean(trials, arm.name, seeds),
                "without": _mean(trials, BASE, seeds),
                "difference": effect.to_json(),
                "steps": arm.steps,
            }
        )
    return {
        "metric": task.metric,
        "higher_is_better": metric.higher_is_better,
        "train": len(arms[0].data.train),
        "steps_without": arms[0].steps,
        "rules": found,
        "seconds": round(time.monotonic() - begin, 1),
    }


def _effect(trials: Trials, arm: str, seeds: Sequence[int], sign: float) -> Effect:
    ours = np.array([trials.values[f"{arm}#{seed}"] for seed in seeds])
    theirs = np.array([trials.values[f"{BASE}#{seed}"] for seed in seeds])
    if ours.shape != theirs.shape:
        raise FailedError(f"{arm}: {ours.shape[1]} dev rows were scored, and {theirs.shape[1]} without the rule")
    return crossed_effect(sign * (ours - theirs))


def _mean(trials: Trials, arm: str, seeds: Sequence[int]) -> float:
    return float(np.mean([trials.scores[f"{arm}#{seed}"] for seed in seeds]))
