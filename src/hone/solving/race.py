"""Running attempts in workers and telling what happens: rows of the table, seconds of the box, reports kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hone import processes
from hone.attempts import AttemptReport
from hone.attempts import work as attempt_work
from hone.data.prepare import DataVersion
from hone.errors import FailedError
from hone.lab.lab import Lab
from hone.solving.check import estimated_when_opened
from hone.solving.show import Clock, Show, TableRow
from hone.solving.state import SolveState
from hone.task.recipe import Recipe
from hone.task.scores import Score
from hone.task.spec import Task

SAVE_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Box:
    """The time that a solve may take, and whether somebody pressed ctrl-C."""

    seconds: float
    pressed: threading.Event

    def left(self, state: SolveState) -> float:
        """Seconds left, not below 0."""
        return max(0.0, self.seconds - state.used_s)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One attempt in the race: its name in the table and the state, its recipe and why."""

    name: str
    what: str
    recipe: Recipe
    hypothesis: str = ""
    predicted: str = ""
    parent: int | None = None


class Race:
    """Starts attempts as workers, follows them, keeps their reports in the state."""

    def __init__(
        self,
        folder: Path,
        task: Task,
        data: DataVersion,
        state: SolveState,
        show: Show,
        box: Box,
        lab: Lab,
        trackers: tuple[str, ...] = (),
    ) -> None:
        self.folder, self.task, self.data = folder, task, data
        self.state, self.show, self.box, self.lab = state, show, box, lab
        self.trackers = trackers
        self.rows: dict[str, TableRow] = {}

    def run(self, entries: list[Entry], *, until_step: int | None = None, deadline_s: float | None = None) -> None:
        """Carry entries on to ``until_step`` (or their end), side by side; finished ones are not run again.

        Args:
            entries: attempts, new or known by name.
            until_step: pause there; None is the end of the schedule.
            deadline_s: seconds from now after which they are asked to save and stop.

        Raises:
            FailedError: when every one of them failed, with their errors.
            KeyboardInterrupt: when ctrl-C was pressed; all have saved their state.
        """
        started = time.monotonic()
        workers: dict[str, tuple[Entry, processes.Worker]] = {}
        for entry in entries:
            record = self._record(entry)
            self._show_known(entry, record)
            if not _is_done(record, until_step):
                workers[entry.name] = (entry, self._start(entry, record, until_step))
        end = None if deadline_s is None else started + deadline_s
        try:
            self._follow(workers, until_step, end)
        except BaseException:
            # Nobody listens any more: a worker would train on to its end, and this process would wait for it.
            for _, worker in workers.values():
                if not worker.done:
                    worker.kill()
            raise
        for entry, worker in workers.values():
            self._finish(entry, worker)
        self.state.save()
        if self.box.pressed.is_set():
            raise KeyboardInterrupt
        errors = [f"{name}: {worker.error}" for name, (_, worker) in workers.items() if worker.error]
        if errors and len(errors) == len(workers):
            raise FailedError("; ".join(errors))

    def _follow(
        self, workers: dict[str, tuple[Entry, processes.Worker]], until_step: int | None, end: float | None
    ) -> None:
        """Events of the workers until all are done; at ``end`` they are asked to make the best of what they have."""
        saved = time.monotonic()
        kept: set[str] = set()
        for item in processes.events([worker for _, worker in workers.values()], pressed=self.box.pressed):
            now = time.monotonic()
            if item is not None:
                self._event(item[0], item[1])
            self._tick(workers, until_step)
            if end is not None and now > end:
                end = None
                for _, worker in workers.values():
                    worker.ask_to_stop(processes.TIME_IS_UP)
            done = {name for name, (_, worker) in workers.items() if worker.done} - kept
            for name in done:
                self._finish(*workers[name])
            kept |= done
            if done or now - saved > SAVE_EVERY_S:
                self.state.save()
                saved = now

    def report(self, name: str) -> AttemptReport | None:
        """The newest report of an attempt."""
        record = self.state.attempt(name)
        return AttemptReport.from_json(record["report"]) if record and record.get("report") else None

    def with_model(self) -> list[tuple[dict[str, Any], AttemptReport]]:
        """Attempts that have a model: they came to the end of their schedule, or their time was up."""
        found = []
        for record in self.state.attempts:
            report = AttemptReport.from_json(record["report"]) if record.get("report") else None
            if report is not None and report.model is not None and report.score is not None:
                found.append((record, report))
        return found

    def best(self) -> tuple[dict[str, Any], AttemptReport] | None:
        """The attempt that a solve ends with; subsets for the scaling curve do not count.

        One whose artifact holds comes first, one whose artifact was too large or too slow for the device last; among
        equals the pessimistic end decides.
        """

        def rank(item: tuple[dict[str, Any], AttemptReport]) -> tuple[bool, bool, float]:
            return bool(item[0].get("holds")), not item[0].get("over_budget"), _pessimistic(item[1].score)

        candidates = [item for item in self.with_model() if not item[0].get("subset")]
        return max(candidates, key=rank) if candidates else None

    def reaching(self) -> tuple[dict[str, Any], AttemptReport] | None:
        """The best attempt whose model reaches the target and whose artifact has not failed to; None without one."""
        found = [
            (record, report)
            for record, report in self.with_model()
            if report.score is not None and report.score.reaches(self.task.target)
            if not record.get("subset") and not record.get("rejected")
        ]
        return max(found, key=lambda item: _pessimistic(item[1].score)) if found else None

    def accept(self, record: dict[str, Any]) -> None:
        """The attempt's artifact holds: the search is over."""
        record["holds"] = True
        self.state.save()

    def reject(self, record: dict[str, Any], *, over_budget: bool) -> None:
        """The attempt's artifact misses the target or the budget: look for a better one."""
        record["rejected"], record["over_budget"] = True, over_budget
        self.state.save()

    def _record(self, entry: Entry) -> dict[str, Any]:
        record = self.state.attempt(entry.name)
        if record is not None:
            # A worker whose parent was killed may have come to its end unseen; its run has the report.
            done = self.lab.run(record["run"]).result
            if done is not None and not _is_done(record, None):
                record["report"] = {key: value for key, value in done.items() if key != "recipe_id"}
            return record
        run = self.lab.new_run(
            entry.recipe,
            self.task.name,
            self.data.id,
            entry.parent,
            entry.hypothesis,
            name=entry.name,
            predicted=entry.predicted,
            metric=self.task.metric,
        )
        record = {
            "name": entry.name,
            "what": entry.what,
            "run": run.number,
            "recipe": entry.recipe.model_dump(mode="json"),
            "hypothesis": entry.hypothesis,
            "subset": entry.recipe.train_share < 1,
            "report": None,
            "failed": None,
            "rejected": False,
            "holds": False,
            "over_budget": False,
        }
        self.state.attempts.append(record)
        self.state.save()
        return record

    def _start(self, entry: Entry, record: dict[str, Any], until_step: int | None) -> processes.Worker:
        order = {
            "folder": str(self.folder),
            "run": record["run"],
            "task": self.task,
            "data": self.data,
            "recipe": Recipe.model_validate(record["recipe"]),
            "until_step": until_step,
            "trackers": self.trackers,
            # By the calibration, and by the first child that has a tokenizer of its own.
            "data_was_said": "vocab_size" not in record["what"] and not record["subset"],
            # What it costs and what it starts from; the others start from the same, or from a change that is named.
            "say_before": record is self.state.attempts[0] and estimated_when_opened(entry.recipe),
        }
        self._put(replace(self.rows[entry.name], status="starting"))
        return processes.start(entry.name, attempt_work, order)

    def _show_known(self, entry: Entry, record: dict[str, Any]) -> None:
        report = AttemptReport.from_json(record["report"]) if record.get("report") else None
        steps = Recipe.model_validate(record["recipe"]).steps
        row = TableRow(name=entry.name, what=record["what"], steps=steps, status="waiting")
        if report is not None:
            row = replace(
                row,
                score=report.score,
                dev_loss=report.dev_loss,
                step=report.step,
                seconds=report.seconds,
                status=report.status,
            )
        self._put(row)

    def _event(self, worker: processes.Worker, event: dict[str, Any]) -> None:
        row = self.rows[worker.name]
        if event["kind"] == "line":
            self.show.say(f"  {worker.name}: {event['line']}")
        elif event["kind"] == "step":
            self._put(
                replace(
                    row,
                    step=event["step"],
                    tokens_per_second=event["tokens_per_second"],
                    seconds=time.monotonic() - worker.started,
                    status="running",
                )
            )
        elif event["kind"] == "evaluated":
            score = Score.from_json(event["score"])
            at = event["step"]
            self._put(replace(row, score=score, dev_loss=event["dev_loss"], scored_at=at, step=at, status="running"))
        elif event["kind"] == "stage":
            self._put(replace(row, status=event["status"]))

    def _finish(self, entry: Entry, worker: processes.Worker) -> None:
        record = self.state.attempt(entry.name)
        assert record is not None
        if worker.error is not None:
            if record["failed"] != worker.error:
                self.show.say(f"{entry.name} failed: {worker.error.strip().splitlines()[-1]}")
            record["failed"] = worker.error
            self._put(replace(self.rows[entry.name], status="failed"))
            return
        record["failed"] = None
        # Stopped by ctrl-C it has no model; the one of an earlier time-up stays the attempt's until a better comes.
        if record["report"] is None or worker.result["model"] is not None or record["report"]["model"] is None:
            record["report"] = worker.result
        self._show_known(entry, record)

    def _tick(self, workers: dict[str, tuple[Entry, processes.Worker]], until_step: int | None) -> None:
        left = [self._left_s(entry, until_step) for entry, worker in workers.values() if not worker.done]
        known = [seconds for seconds in left if seconds is not None]
        self.show.clock(
            Clock(
                used_s=self.state.used_s,
                box_s=self.box.seconds,
                stage="attempts",
                stage_left_s=max(known) if known else None,
            )
        )

    def _left_s(self, entry: Entry, until_step: int | None) -> float | None:
        row = self.rows[entry.name]
        goal = min(until_step or row.steps, row.steps)
        if row.step < 5 or not row.seconds:
            return None
        return (goal - row.step) * row.seconds / row.step

    def _put(self, row: TableRow) -> None:
        self.rows[row.name] = row
        self.show.row(row)


def run_stage(
    name: str,
    function: Callable[..., Any],
    order: dict[str, Any],
    state: SolveState,
    show: Show,
    box: Box,
) -> Any:
    """Run one worker that is not an attempt, its lines shown, its seconds counted under ``name``.

    Raises:
        KeyboardInterrupt: when ctrl-C was pressed while it ran.
        HoneError: the worker's own.
    """
    with state.stage(name):
        worker = processes.start(name, function, order)
        for item in processes.events([worker], pressed=box.pressed):
            if item is not None and item[1]["kind"] == "line":
                show.say(f"  {item[1]['line']}")
            show.clock(Clock(used_s=state.used_s, box_s=box.seconds, stage=name))
            if box.pressed.is_set():
                worker.kill()
                raise KeyboardInterrupt
        return processes.result_of(worker)


def _is_done(record: dict[str, Any], until_step: int | None) -> bool:
    report = record.get("report")
    if not report:
        return False
    return report["status"] == "finished" or (until_step is not None and report["step"] >= until_step)


def _pessimistic(score: Score | None) -> float:
    if score is None:
        return float("-inf")
    return score.low if score.higher_is_better else -score.high
