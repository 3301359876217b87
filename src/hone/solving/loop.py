"""``hone solve``: check, baselines, smoke, attempts, artifact, verdict, until target and budget hold or time is up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hone import processes
from hone.attempts import AttemptReport, calibrate
from hone.errors import InputError
from hone.evaluate.baselines import baselines as baselines_of
from hone.files import clear_parts, content_hash, locked, write_json
from hone.lab.lab import Lab
from hone.solving import artifact as artifact_room
from hone.solving.check import check
from hone.solving.defaults import FIRST_SHARE, Rate, default_recipe, planned
from hone.solving.race import Box, Entry, Race, run_stage
from hone.solving.result import result_of
from hone.solving.search import scaling_points, search
from hone.solving.show import Clock, Show, TableRow
from hone.solving.state import SolveState
from hone.solving.verdict import advice, baseline_lines, distance_line, score_test
from hone.task.metrics import METRICS
from hone.task.own_metric import load_metric
from hone.task.recipe import Recipe
from hone.task.scores import Score

CALIBRATE_S = 2.5
ENDING_S = 20.0
"""Seconds kept for artifact and verdict."""
RESULT_FILE = "result.json"


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
        self._attempts(race)
        return self._ending(race)

    def _warm(self) -> None:
        """Called once the input is known to be right, before data is read: importing runs beside that."""
        processes.warm_up()

    def _finished(self) -> dict[str, Any] | None:
        result = self.state.content["result"]
        if result is None:
            return None
        if not result["solved"] and self.box.left(self.state) > ENDING_S and result["box_s"] < self.box.seconds:
            self.show.say(
                f"the box has grown to {self.box.seconds:.0f} s: going on from {len(self.state.attempts)} attempts. "
                "The test was scored already and is not scored again; dev decides"
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
            self.state.keep("baselines", known)
        for item in known:
            score = Score.from_json(item["score"])
            self.show.row(TableRow(name=item["name"], what=item["how"], score=score, seconds=item["seconds"]))

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

    def _attempts(self, race: Race) -> None:
        self.show.heading("attempts")
        with self.state.stage("attempts"):
            first = self._first()
            if self._is_open(race):
                deadline = max(30.0, self.box.left(self.state) - ENDING_S)
                race.run([first], deadline_s=deadline)
            if self._is_open(race):
                search(race, Rate(**self.state.value("rate")), ENDING_S)

    def _is_open(self, race: Race) -> bool:
        best = race.best()
        reached = best is not None and best[1].score is not None and best[1].score.reaches(self.task.target)
        return not reached and not self._box_ended()

    def _box_ended(self) -> bool:
        return self.box.left(self.state) <= ENDING_S

    def _first(self) -> Entry:
        """The default recipe with its plan, made once."""
        stored = self.state.value("plan")
        if stored is None:
            from hone.hardware import usable_cores

            recipe = default_recipe(self.task, self.data, seed=self.seed, threads=usable_cores())
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

    def _ending(self, race: Race) -> dict[str, Any]:
        best = race.best()
        if best is None:
            result = self._unfinished(race)
        else:
            record, report = best
            made = self._artifact(record, report)
            result = self._result(race, record, report, made)
        self.state.content["result"] = result
        self.state.save()
        write_json(self.folder / RESULT_FILE, result)
        self.show.close()
        return result

    def _artifact(self, record: dict[str, Any], report: AttemptReport) -> dict[str, Any]:
        stored = self.state.value("artifact")
        if stored is not None and stored["run"] == record["run"] and Path(stored["path"]).exists():
            return dict(stored)
        self.show.heading("artifact")
        order = {
            "folder": str(self.folder),
            "model": report.model,
            "name": self.task.name,
            "task": self.task,
            "data": self.data,
            "longest_answer": report.longest_answer,
        }
        made = run_stage("artifact", artifact_room.work, order, self.state, self.show, self.box)
        made["run"] = record["run"]
        self.lab.record_artifact(Path(made["path"]), record["run"], certificate=made["certificate"])
        self.state.keep("artifact", made)
        return dict(made)

    def _test(self, record: dict[str, Any], made: dict[str, Any], longest: int) -> dict[str, Any]:
        stored = self.state.value("test")
        if stored is not None:
            return dict(stored)
        self.show.heading("verdict: the certified artifact on the sealed test, once")
        with self.state.stage("verdict"):
            scored = score_test(self.lab, self.task, self.data, Path(made["path"]), record["run"], longest)
        scored["run"] = record["run"]
        self.state.keep("test", scored)
        return scored

    def _result(
        self, race: Race, record: dict[str, Any], report: AttemptReport, made: dict[str, Any]
    ) -> dict[str, Any]:
        score = Score.from_json(made["evaluation"]["scores"][self.task.metric])
        test = self._test(record, made, report.longest_answer)
        solved = score.reaches(self.task.target) and made["within"] and made["certificate"]["status"] == "certified"
        lines = self._advice(race, record, report, made, score, solved)
        found = result_of(self.task, self.folder, self.state, record, made, test)
        box = {"seed": self.seed, "box_s": self.box.seconds, "seconds": round(self.state.used_s, 1)}
        return {"task": self.task.name, "solved": solved, **found, "advice": lines, **box, "stages": self._stages()}

    def _stages(self) -> dict[str, float]:
        return {name: round(seconds, 1) for name, seconds in self.state.stages.items()}

    def _advice(
        self,
        race: Race,
        record: dict[str, Any],
        report: AttemptReport,
        made: dict[str, Any],
        score: Score,
        solved: bool,
    ) -> list[str]:
        if solved:
            return baseline_lines(score, self.state.value("baselines"))
        lines = [] if score.reaches(self.task.target) else [distance_line(score, self.task.target)]
        lines += [f"over the device budget: {sentence}" for sentence in made["over"]]
        higher = METRICS[self.task.metric].higher_is_better if self.task.metric in METRICS else score.higher_is_better
        with self.state.stage("scaling"):
            curve = scaling_points(race, record, report, Rate(**self.state.value("rate")), higher)
        recipe = Recipe.model_validate(record["recipe"])
        spent = self._box_ended()
        slices = made["evaluation"]["slices"]
        return lines + advice(recipe, report, slices, self.state.value("baselines"), curve, spent)

    def _unfinished(self, race: Race) -> dict[str, Any]:
        """The box ended before any attempt had a model: an honest result without one."""
        tried = [asdict(row) | {"score": row.score.to_json() if row.score else None} for row in race.rows.values()]
        return {
            "task": self.task.name,
            "solved": False,
            "metric": self.task.metric,
            "target": self.task.target,
            "score": None,
            "attempts": len(self.state.attempts),
            "unfinished": tried,
            "artifact": None,
            "box_s": self.box.seconds,
            "seed": self.seed,
            "advice": ["no attempt has a model within the box: repeat `hone solve` with more --minutes, it goes on"],
            "seconds": round(self.state.used_s, 1),
            "stages": self._stages(),
        }


def _nothing(channel: processes.Channel) -> bool:
    """Runs in a fork of the warm process: it returns when the imports are done."""
    del channel
    return True
