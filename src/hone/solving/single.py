"""One recipe as a run of the lab: found or made, planned where it is in a box, carried out here or in forks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hone.attempts import AttemptReport, launch, work
from hone.attempts.before import costs
from hone.attempts.bench import base_of
from hone.attempts.box_plan import early_line, group_speed, plan_box, plan_group
from hone.attempts.boxed import MEASURED, PLAN_FILE, Plan
from hone.attempts.checking import check_recipe
from hone.attempts.finding import find
from hone.attempts.shaping import acts_on_parts, check_parts
from hone.data.making import record
from hone.data.prepare import DataVersion, check_answers, prepare
from hone.data.task_file import load_task
from hone.errors import HoneError, InputError
from hone.files import content_hash
from hone.hardware import usable_cores
from hone.lab.lab import Lab
from hone.lab.record import slug
from hone.lab.run import Run
from hone.solving.defaults import MOST_EPOCHS
from hone.solving.joined import Group, started_processes
from hone.solving.watched import Here, TimeKeeper, Watched
from hone.task.own_metric import load_metric
from hone.task.recipe import Recipe
from hone.task.render import task_marks
from hone.task.spec import Task

Say = Callable[[str], None]
GROUP_BOX_S = 200.0
"""With less than this left of a box no group is measured: that would take more of it than it could gain."""
GROUP_SHARE = 0.08
"""Of what is left, how long a group may take to be measured."""
TRIAL_S = 2.5
"""Seconds of training that a speed is measured over."""
GROUP_GAIN = 1.05
"""How much faster processes must be than threads to be taken."""
BOXED_SCHEDULES = ("warmup-stable-decay", "constant")
"""Schedules whose end can be moved while they run; the first one is what a box takes."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be carried out.

    Attributes:
        folder: the task folder.
        recipe: what to carry out; its ``data`` is filled in.
        name: of the run.
        minutes: plan size, steps and evaluations so that the whole call ends with this box; None takes the recipe.
        pause_after: save and stop after so many minutes; the same call goes on.
        sizes: presets that a box may choose among; empty keeps the recipe's base.
        kept: keys of the recipe that the plan of a box must not change.
        parent, hypothesis: what the run is compared with, and why it should be better.
        trackers: mirrors of the run.
        started: when the box began, by the monotonic clock.
    """

    folder: Path
    recipe: Recipe
    name: str = "attempt"
    minutes: float | None = None
    pause_after: float | None = None
    sizes: tuple[str, ...] = ()
    kept: frozenset[str] = frozenset()
    parent: int | str | None = None
    hypothesis: str = ""
    trackers: tuple[str, ...] = ()
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Refuse boxes of no time."""
        problems = [
            f"{name} must be above 0; got {value:g}"
            for name, value in (("--minutes", self.minutes), ("--pause-after", self.pause_after))
            if value is not None and not value > 0
        ]
        if self.minutes is not None and "schedule" in self.kept and self.recipe.schedule not in BOXED_SCHEDULES:
            problems.append(
                f"--minutes {self.minutes:g} ends the run by the clock, and schedule {self.recipe.schedule} needs its "
                f"steps beforehand; set {' or '.join(BOXED_SCHEDULES)}, or --steps instead of --minutes"
            )
        if problems:
            raise InputError(problems)


def carry(wish: Wish, watched: Watched, *, forked: bool) -> AttemptReport:
    """Carry out a wish as a run of the folder's lab; one that is known and unfinished is gone on with.

    Args:
        wish: what.
        watched: takes lines and events.
        forked: work in forks of the warm process; False works in this one, but for a recipe of several processes.
            A process that torchrun has started works itself, and tells the others of its group.

    Raises:
        InputError: wrong task, data or recipe. FailedError: non-finite values, a full disk, a process that died.
        BusyError: another process works on the run.
    """
    return _Single(wish, watched, forked).go()


def costs_of(wish: Wish, watched: Watched) -> dict[str, Any]:
    """What carrying out a wish would cost, measured over a moment in a fork; nothing of the lab is touched.

    In a box the plan is made too. Returns the recipe and the figures.
    """
    single = _Single(wish, watched, forked=True)
    recipe = single.recipe
    if wish.minutes is not None:
        recipe = single.planned("", 60 * wish.minutes).recipe
    return {"recipe": recipe.model_dump(mode="json"), **single.measured(costs, recipe)}


def found_for(wish: Wish, watched: Watched, what: str) -> dict[str, Any]:
    """Look for a ``rate`` or a ``batch`` on a wish's recipe, in a fork; nothing of the lab is touched."""
    single = _Single(wish, watched, forked=True)
    processes = single.recipe.processes
    if single.joined:
        raise InputError(f"--find {what} looks in one process; start it by itself and not with torchrun")
    if processes > 1:
        watched.say(f"looking for a {what} in one process; what is suggested is for the {processes} of the recipe")
    return dict(single.measured(find, single.recipe, processes=1, what=what))


def task_and_id(folder: Path) -> tuple[Task, str]:
    """The task of a folder, and the id under which its runs are known: another template or metric is another task."""
    task = load_task(folder)
    # A metric of the user's own is a file of the task folder: imported here it is found by its name alone.
    load_metric(task.metric, folder)
    return task, f"{task.name}-{content_hash(task.to_json(), 8)}"


def recorded_data(task: Task, folder: Path, say: Say) -> DataVersion:
    """The data, kept as a version in the task folder."""
    data = prepare(task, folder, folder / ".hone" / "cache", say, recorded=True)
    check_answers(task, data)
    record(folder, data, say)
    return data


class _Single:
    """One call of :func:`carry`."""

    def __init__(self, wish: Wish, watched: Watched, forked: bool) -> None:
        self.wish, self.watched, self.forked = wish, watched, forked
        self.joined = started_processes() > 1
        self.task, self.task_id = task_and_id(wish.folder)
        self.data = recorded_data(self.task, wish.folder, watched.say)
        self.lab = Lab(wish.folder, trackers=wish.trackers, say=watched.say)
        self.recipe = wish.recipe.child(data=self.data.id)
        if wish.minutes is not None and self.recipe.schedule not in BOXED_SCHEDULES:
            watched.say(
                f"schedule: {BOXED_SCHEDULES[0]} instead of {self.recipe.schedule}, whose shape needs its steps "
                "beforehand; a box ends by the clock"
            )
            self.recipe = self.recipe.child(schedule=BOXED_SCHEDULES[0])
        check_recipe(self.recipe, self.task)
        if not self.recipe.base.startswith("scratch"):
            # What is wrong with a base is said here: its tokenizer is read, its weights are not.
            _ = base_of(self.recipe, self.data.labels, task_marks(self.task)).vocabulary
        if acts_on_parts(self.recipe):
            self._work("parts", check_parts, {"recipe": self.recipe}, 1, watched)

    def go(self) -> AttemptReport:
        """Find or make the run, then work on it."""
        run, plan = self._run()
        if run.result is not None:
            line = f"run {run.folder.name} has carried out this recipe on this data; nothing is computed again"
            self.watched.say(line)
            return AttemptReport.from_json(run.result)
        recipe = self.recipe if plan is None else plan.recipe
        order = {"run": run.number, "recipe": recipe, "trackers": self.wish.trackers, "say_before": True}
        if plan is not None:
            order["box"] = plan.times(self.wish.started)
        if self.joined:
            Group().tell(order)
        opening = "opening the run: imports, tokens, model, rehearsal"  # no other line tells of these
        self.watched.on_event({"kind": "stage", "status": opening, "steps": recipe.steps})
        keeper = TimeKeeper(run, plan, self.wish.started, self.watched)
        try:
            return AttemptReport.from_json(self._trained(keeper, order, recipe.processes))
        except InputError:
            self.lab.discard(run)  # what is wrong with the input leaves no run that has done nothing
            raise

    def _trained(self, keeper: TimeKeeper, order: dict[str, Any], processes: int) -> dict[str, Any]:
        try:
            report: dict[str, Any] = self._work("train", work, order, processes, keeper.watched(self._pause_at()))
        finally:
            keeper.keep()
        return report

    def _run(self) -> tuple[Run, Plan | None]:
        wish = self.wish
        if wish.minutes is None:
            run = self._known(self._is_of_recipe) or self._known(self._can_go_on)
            return run or self._new_run(self.recipe), None
        asked = content_hash([self.recipe.model_dump(mode="json"), wish.minutes, wish.sizes, sorted(wish.kept)])
        run = self._known(lambda run: (plan := Plan.read(run.folder)) is not None and plan.asked == asked)
        if run is not None:
            plan = Plan.read(run.folder)
            assert plan is not None, "it was read a moment ago"
            left = plan.seconds - plan.used_s
            now_s = time.monotonic() - wish.started
            self.watched.say(
                f"box: {plan.used_s:.0f} of {plan.seconds:.0f} s were used by earlier calls and {now_s:.0f} s by this "
                f"one; {max(0.0, left - now_s):.0f} s are left"
            )
            return run, plan
        plan = self.planned(asked, 60 * wish.minutes)
        run = self._new_run(plan.recipe)
        plan.save(run.folder)
        return run, plan

    def _is_of_recipe(self, run: Run) -> bool:
        ids = (run.header.recipe_id, (run.result or {}).get("recipe_id"))
        return self.recipe.id in ids and not (run.folder / PLAN_FILE).exists()

    def _can_go_on(self, run: Run) -> bool:
        """Whether an unfinished run computes this recipe in another way: in other processes, say."""
        unfinished = run.result is None and run.last_step() > 0 and not (run.folder / PLAN_FILE).exists()
        return unfinished and self.recipe.goes_on_from(run.recipe)

    def _known(self, is_it: Callable[[Run], bool]) -> Run | None:
        for run in reversed(self.lab.runs()):
            if run.name == slug(self.wish.name) and run.header.task_id == self.task_id and is_it(run):
                return run
        return None

    def _new_run(self, recipe: Recipe) -> Run:
        wish = self.wish
        self._say_what_is_left_behind(recipe)
        ancestor = None if wish.parent is None else self.lab.run(wish.parent)
        return self.lab.new_run(
            recipe, self.task_id, self.data.id, ancestor, wish.hypothesis, name=wish.name, metric=self.task.metric
        )

    def _say_what_is_left_behind(self, recipe: Recipe) -> None:
        """Name an unfinished run of this name that another recipe or other data keeps from going on."""
        run = self._known(lambda run: run.result is None and run.last_step() > 0)
        if run is None:
            return
        differences = Recipe.model_validate(run.recipe).differences(recipe)
        changed = ", ".join(f"{key} {before} -> {now}" for key, (before, now) in differences.items())
        self.watched.say(
            f"run {run.folder.name} is {run.status} at step {run.last_step():,} and stays so: it was asked for with "
            f"another {'box' if not changed else 'recipe or other data'}{changed and f' ({changed})'}; a new run begins"
        )

    def planned(self, asked: str, seconds: float) -> Plan:
        """Measure and plan a box; what was planned is said."""
        say, wish = self.watched.say, self.wish
        used_s = time.monotonic() - wish.started
        say(f"box: {seconds:.0f} s from the start of the command; {used_s:.1f} s were used when measuring began")
        if too_small := early_line(used_s, seconds):
            say(too_small)
        order = {
            "recipe": self.recipe,
            "sizes": wish.sizes,
            "kept": wish.kept,
            "box_s": seconds,
            "ends": wish.started + seconds,
            "most_epochs": MOST_EPOCHS.get(self.task.kind, MOST_EPOCHS["classify"]),
        }
        found = self._work("measure", plan_box, order, 1, self.watched)
        found, line = self._threads_or_processes(order, found)
        recipe, times = Recipe.model_validate(found["recipe"]), {key: found[key] for key in MEASURED}
        lines = [*found["lines"], line]
        for text in lines:
            say(text)
        return Plan(asked=asked, seconds=seconds, recipe=recipe, lines=lines, **times)

    def measured(self, function: Any, recipe: Recipe, *, processes: int | None = None, **more: Any) -> Any:
        """What ``function`` finds out about a recipe, in as many forks as it has processes by default."""
        order = {"recipe": recipe, "seconds": TRIAL_S, **more}
        return self._work("measure", function, order, processes or recipe.processes, self.watched)

    def _threads_or_processes(self, order: dict[str, Any], found: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """The plan of whichever is faster, measured, where nobody has chosen and there is time; with a line on it."""
        cores, rate, box_s = usable_cores(), found["tokens_per_second"], order["box_s"]
        recipe = Recipe.model_validate(found["recipe"])
        chosen = recipe.processes > 1 or {"threads", "processes"} & self.wish.kept
        if chosen or self.joined or found["device"] != "cpu" or cores == 1:
            return found, f"processes: {recipe.processes}, threads {recipe.threads}, as the recipe says"
        plain = f"one with threads {recipe.threads} makes {rate:,.0f} tokens/s"
        left = max(0.0, self.wish.started + box_s - time.monotonic())
        if min(box_s, left) < GROUP_BOX_S or not rate:
            told = f"{left:.0f} s are left, and processes are measured where {GROUP_BOX_S:.0f} s are"
            return found, f"processes: 1; {told}"
        if recipe.batch_tokens is None and recipe.batch_size % (cores * recipe.accumulate):
            why = f"{plain}; a batch of {recipe.batch_size} rows does not divide by {cores}"
            return found, f"processes: 1; {why}"
        group = recipe.child(processes=cores, threads=1)
        measured, why = self._group_speed(group, GROUP_SHARE * left)
        if measured is None:
            return found, f"processes: 1; {plain}; {cores} processes were not measured: {why}"
        group_rate = measured["speed"]["tokens_per_second"]
        both = f"{plain}, {cores} processes of 1 thread {group_rate:,.0f}, measured"
        if group_rate < GROUP_GAIN * rate:
            return found, f"processes: 1; {both}"
        return plan_group(order, found, group, measured), f"processes: {cores}; {both}"

    def _group_speed(self, group: Recipe, most_s: float) -> tuple[dict[str, Any] | None, str]:
        """The speed of a group of processes; or None and why: a box goes on without, whatever keeps them from it."""
        until = time.monotonic() + most_s

        def is_over() -> bool:
            return time.monotonic() > until or self.watched.should_stop()

        self.watched.on_event({"kind": "stage", "status": f"measuring {group.processes} processes"})
        order = {"recipe": group, "seconds": TRIAL_S, "most_s": most_s / 4}
        try:
            return self._work(
                "measure", group_speed, order, group.processes, replace(self.watched, should_stop=is_over)
            ), ""
        except KeyboardInterrupt:
            if self.watched.should_stop():
                raise
            return None, f"they took longer than {most_s:.0f} s"
        except HoneError as error:
            return None, str(error).strip().splitlines()[-1]

    def _work(self, name: str, function: Any, order: dict[str, Any], processes: int, watched: Watched) -> Any:
        order = {"folder": str(self.wish.folder), "task": self.task, "data": self.data, **order}
        if self.joined or (not self.forked and processes == 1):
            return function(Here(watched), order)

        def on_event(event: dict[str, Any]) -> None:
            Here(watched).send(event)

        return launch(
            name,
            function,
            order,
            processes,
            on_event=on_event,
            should_stop=watched.should_stop,
            patient=name == "train",
        )

    def _pause_at(self) -> float:
        return math.inf if self.wish.pause_after is None else self.wish.started + 60 * self.wish.pause_after
