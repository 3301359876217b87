"""``hone solve``: check, baselines, smoke, attempts, artifact, verdict, until target and budget hold or time is up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hone import processes
from hone.attempts import calibrate, untouched
from hone.data.making import record
from hone.data.task_file import load_task
from hone.deploy.runtime import check_can_be_exported
from hone.errors import InputError
from hone.evaluate.baselines import baselines as baselines_of
from hone.files import clear_parts, content_hash, locked, write_json
from hone.lab.lab import Lab
from hone.solving.check import check
from hone.solving.defaults import FIRST_SHARE, Rate, default_recipe, planned
from hone.solving.ending import Ending
from hone.solving.race import Box, Entry, Race, run_stage
from hone.solving.result import RESULT_FILE
from hone.solving.search import search_round
from hone.solving.show import Clock, Show, TableRow
from hone.solving.state import SolveState
from hone.task.own_metric import load_metric
from hone.task.recipe import Recipe
from hone.task.scores import Score

CALIBRATE_S = 2.5
ENDING_S = 20.0
"""Seconds kept for artifact and verdict."""


def solve(
    folder: Path,
    *,
    minutes: float,
    seed: int = 0,
    show: Show,
    pressed: threading.Event | None = None,
    smoke: Callable[..., dict[str, Any]] | None = None,
    trackers: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Solve the task of a folder within a box of minutes; go on where an earlier call stopped.

    Args:
        folder: the task folder.
        minutes: the box, over all calls for this task, data and seed.
        seed: of everything random.
        show: the watcher.
        pressed: set when the user asks to stop; workers then save and the call raises KeyboardInterrupt.
        smoke: the smoke run, handed in by the caller; None leaves the stage out and says so.
        trackers: mirrors of the runs.

    Returns:
        The result as it is written to ``result.json``.

    Raises:
        InputError, FailedError, BusyError; KeyboardInterrupt, with everything saved.
    """
    if not minutes > 0:
        raise InputError(f"--minutes must be above 0; got {minutes:g}")
    check_can_be_exported(load_task(folder))
    with locked(folder / ".hone" / "solve.lock", f"the task folder {folder}"):
        return _Solve(folder, minutes, seed, show, pressed or threading.Event(), smoke, trackers).go()


class _Solve:
    """One call of :func:`solve`."""

    def __init__(
        self,
        folder: Path,
        minutes: float,
        seed: int,
        show: Show,
        pressed: threading.Event,
        smoke: Callable[..., dict[str, Any]] | None,
        trackers: tuple[str, ...],
    ) -> None:
        self.folder, self.seed, self.show, self.smoke, self.trackers = folder, seed, show, smoke, trackers
        self.box = Box(seconds=minutes * 60, pressed=pressed)
        self.started = time.monotonic()
        self.lab = Lab(folder, trackers=trackers, say=show.say)
        for place in (folder, folder / "artifacts", folder / "runs"):
            if place.is_dir():
                clear_parts(place)

    def go(self) -> dict[str, Any]:
        """All stages in order."""
        checked = check(self.folder, self.seed, self.show.say, self.show.heading, self._warm, whole_schema=False)
        self.task, self.data = checked.task, checked.data
        record(self.folder, self.data, self.show.say)
        key = content_hash([self.task.to_json(), self.data.id, self.seed])
        self.state, line = SolveState.open(self.folder / ".hone" / "solve.json", key)
        self.state.start_clock(self.started)
        if line:
            self.show.say(line)
        self.state.add_seconds("check", time.monotonic() - self.started)
        metric = load_metric(self.task.metric, self.folder)
        self.show.target(self.task.metric, self.task.target, metric.higher_is_better)
        self._baselines()
        if (finished := self._finished()) is not None:
            return finished
        self._imports()
        self._smoke()
        race = Race(self.folder, self.task, self.data, self.state, self.show, self.box, self.lab, self.trackers)
        ending = Ending(race, self.seed)
        self._attempts(race, ending)
        return self._end(race, ending)

    def _warm(self) -> None:
        """Called once the input is known to be right, before data is read: importing runs beside that."""
        processes.warm_up()

    def _finished(self) -> dict[str, Any] | None:
        result = self.state.content["result"]
        if result is None:
            return None
        if not result["solved"] and self.box.left(self.state) > ENDING_S and result["box_s"] < self.box.seconds:
            self.show.say(
                f"the box has grown to {self.box.seconds:.0f} s: going on from {len(self.state.attempts)} attempts"
            )
            return None
        self.show.say(
            "this solve is finished; nothing is computed again (change the task, the data or --seed for a new one)"
        )
        write_json(self.folder / RESULT_FILE, result)
        return dict(result)

    def _baselines(self) -> None:
        known = self.state.value("baselines")
        if known is None:
            self.show.heading("baselines")
            with self.state.stage("baselines"):
                found = baselines_of(
                    self.task, self.data.train, self.data.dev, metric=load_metric(self.task.metric, self.folder)
                )
            known = [item.to_json() for item in found]
            if not self.task.base.startswith("scratch"):
                known.append(self._untouched_base())
            self.state.keep("baselines", known)
            self._heed_interrupt()
        for item in known:
            score = Score.from_json(item["score"])
            self.show.row(TableRow(name=item["name"], what=item["how"], score=score, seconds=item["seconds"]))

    def _untouched_base(self) -> dict[str, Any]:
        """The base before any training, as a line of the table: what the training adds is seen against it."""
        recipe = default_recipe(self.task, self.data, seed=self.seed, threads=1)
        order = {"folder": str(self.folder), "task": self.task, "data": self.data, "recipe": recipe}
        scored: dict[str, Any] = run_stage("baselines", untouched, order, self.state, self.show, self.box)
        return scored

    def _imports(self) -> None:
        begin = time.monotonic()
        self.show.clock(Clock(used_s=self.state.used_s, box_s=self.box.seconds, stage="imports"))
        processes.run("imports", _nothing)
        # What check and baselines did not cover of the imports is what was waited for here.
        self.state.add_seconds("imports", time.monotonic() - begin)

    def _smoke(self) -> None:
        if self.state.value("smoke") is not None:
            return
        if self.smoke is None:
            self.show.say("smoke: left out on request")
            return
        self.show.heading("smoke: the whole way on a shrunken model")
        with self.state.stage("smoke"):
            outcome = self.smoke(self.folder, self.task, self.data, self.show.say)
        self.state.keep("smoke", outcome)
        self._heed_interrupt()

    def _heed_interrupt(self) -> None:
        """Between stages that are too short to be stopped inside."""
        if self.box.pressed.is_set():
            raise KeyboardInterrupt

    def _attempts(self, race: Race, ending: Ending) -> None:
        """The first attempt, then rounds of children, until an artifact holds or the box ends."""
        self.show.heading("attempts")
        first = self._first()
        rate = Rate(**self.state.value("rate"))
        if race.reaching() is None and not self._box_ended():
            with self.state.stage("attempts"):
                race.run([first], deadline_s=max(30.0, self.box.left(self.state) - ENDING_S - rate.final_s))
        over = False
        while race.best() is not None:
            if (found := race.reaching()) is not None:
                made = ending.artifact(*found)
                if ending.holds(made):
                    race.accept(found[0])
                    return
                over = bool(made["over"])
                race.reject(found[0], over_budget=over)
            if self._box_ended():
                return
            with self.state.stage("attempts"):
                if not search_round(race, rate, ENDING_S, over_budget=over):
                    return

    def _box_ended(self) -> bool:
        return self.box.left(self.state) <= ENDING_S

    def _first(self) -> Entry:
        """The default recipe with its plan, made once."""
        stored = self.state.value("plan")
        if stored is None:
            from hone.hardware import threads_to_use

            recipe = default_recipe(self.task, self.data, seed=self.seed, threads=threads_to_use())
            order = {"folder": str(self.folder), "task": self.task, "data": self.data, "recipe": recipe}
            measured = run_stage(
                "calibrate",
                calibrate,
                {**order, "seconds": CALIBRATE_S},
                self.state,
                self.show,
                self.box,
            )
            available = max(10.0, FIRST_SHARE * self.box.seconds - self.state.used_s)
            recipe, line = planned(self.task, recipe, Rate(**measured), available)
            self.show.say(line)
            stored = recipe.model_dump(mode="json")
            self.state.content["values"]["rate"] = measured
            self.state.keep("plan", stored)
        return Entry(
            name="default",
            what="the shipped default",
            recipe=Recipe.model_validate(stored),
            hypothesis="the shipped default solves tasks of this kind",
        )

    def _end(self, race: Race, ending: Ending) -> dict[str, Any]:
        best = race.best()
        result = ending.unfinished() if best is None else ending.result(*best)
        self.state.content["result"] = result
        self.state.save()
        write_json(self.folder / RESULT_FILE, result)
        return result


def _nothing(channel: processes.Channel) -> bool:
    """Runs in a fork of the warm process: it returns when the imports are done."""
    del channel
    return True
