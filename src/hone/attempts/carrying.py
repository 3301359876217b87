"""One recipe carried out in its run folder: trained, judged, its best model kept and scored."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.attempts.before import FIRST_STEPS, Start, opened, time_line, unsaid
from hone.attempts.bench import Bench, Say, build_model, prepare_bench, source_of
from hone.attempts.boxed import Box
from hone.attempts.checking import check_recipe
from hone.attempts.concluding import conclude
from hone.attempts.judging import Judge
from hone.attempts.rationing import measured_line, ration_of
from hone.attempts.report import AttemptReport
from hone.attempts.timed_judging import TimedJudge
from hone.attempts.training_for import minimised, rounded_to, rounding_lines
from hone.data.prepare import DataVersion
from hone.lab.locks import waiting_for
from hone.lab.run import Run
from hone.processes import Channel
from hone.task.own_metric import load_metric
from hone.task.recipe import Recipe
from hone.task.spec import Task
from hone.train.loss_units import loss_unit

if TYPE_CHECKING:
    from torch import nn

    from hone.train.horizon import BentHorizon
    from hone.train.records import FitResult, StepRecord
    from hone.train.rehearsal import Rehearsal
    from hone.train.source import BatchSource

BENCH_PATIENCE_S = 24 * 3600.0
"""How long the other processes of a run wait for the first one's tokenizer and tokens, which they then find."""
LOG_EVERY, LOG_ALL = 10, 200
"""Every tenth step is written down, and each one of a run of so many steps: a diagnosis needs a curve."""
SPEED_STEPS = 50


def carry_out(  # noqa: PLR0913  (five things are needed; the others are named and have defaults)
    run: Run,
    task: Task,
    data: DataVersion,
    recipe: Recipe,
    cache: Path,
    *,
    until_step: int | None = None,
    box: Box | None = None,
    say: Say = unsaid,
    say_data: Say | None = None,
    say_before: Say = unsaid,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
    time_is_up: Callable[[], bool] = lambda: False,
) -> AttemptReport:
    """Train one recipe in its run folder, resuming what is there, up to its end or ``until_step``.

    The best model by the task's metric is kept in ``run.model``, saved before it is scored on all dev rows. A run that
    ``should_stop`` ended has a model only where ``time_is_up`` says that nobody will take it further for now. In a
    ``box`` the schedule bends to the clock (:mod:`hone.train.horizon`). ``say_data`` takes the lines on tokenizer and
    tokens where somebody has said them already, ``say_before`` those on what the run will cost.

    Where the recipe has several processes, each of them calls this; the first one writes the lab, judges and says.

    Raises:
        InputError: wrong data or recipe. FailedError: non-finite values, a full disk.
    """
    import torch

    from hone.train.launch import my_rank

    check_recipe(recipe, task)
    torch.set_num_threads(recipe.threads)
    first = recipe.processes == 1 or my_rank() == 0
    bench = _shared_bench(task, data, recipe, cache, (say if say_data is None else say_data) if first else unsaid)
    model = build_model(recipe, bench.tokenizer, data.labels)
    base = opened(bench)
    source = source_of(bench, base_id=None if base is None else base.id)
    listeners = _Listeners(say=say, say_before=say_before, on_event=on_event, should_stop=should_stop)
    if not first:
        return _followed(run, _follow(run, bench, model, source, box, until_step))
    start = Start.of(bench, model, source, say_before, fresh=run.last_step() == 0)
    with run.working():
        timed, result = _trained(run, bench, model, source, box, until_step, listeners)
        keep = result.status == "finished" or (result.status == "stopped" and result.step > 0 and time_is_up())
        report = conclude(run, bench, model, result, on_event, keep=keep, start=start, say=say, timed=timed)
        if box is not None:
            report = replace(report, box=box.to_json(run.folder))
        if result.status == "finished":
            run.finish({**report.to_json(), "recipe_id": recipe.id, "base_id": start.base_id})
    return report


@dataclass(frozen=True, kw_only=True)
class _Listeners:
    """Who is told of the training, and who may stop it; the first process of a run has them."""

    say: Say
    say_before: Say
    on_event: Callable[[dict[str, Any]], None]
    should_stop: Callable[[], bool]


def _follow(
    run: Run, bench: Bench, model: nn.Module, source: BatchSource, box: Box | None, until_step: int | None
) -> FitResult:
    """Train the model in place as one of the other processes of a run.

    It judges nothing, but must come to the evaluations where the first one does.
    """
    from hone.train.engine import fit
    from hone.train.guards.standard import standard_watchers

    recipe = bench.recipe
    return fit(
        model,
        source,
        recipe,
        run.folder,
        evaluate=Judge(bench, run, lambda event: None, ration_of(bench, source.tokens_per_step(0), box)),
        watchers=standard_watchers(recipe),
        objective=minimised(bench, model),
        transform=rounded_to(bench),
        until_step=until_step,
        save_every=_save_every(model, recipe, box),
        horizon=None if box is None else box.horizon(recipe, run.folder, first=False),
    )


def _trained(
    run: Run,
    bench: Bench,
    model: nn.Module,
    source: BatchSource,
    box: Box | None,
    until_step: int | None,
    listeners: _Listeners,
) -> tuple[TimedJudge, FitResult]:
    """Train the model in place, as the only or the first process of a run; also what judged it."""
    from hone.train.engine import fit
    from hone.train.guards.standard import standard_watchers

    recipe = bench.recipe
    horizon = None if box is None else box.horizon(recipe, run.folder, first=True)
    ration = ration_of(bench, source.tokens_per_step(0), box)
    timed = TimedJudge(
        Judge(bench, run, listeners.on_event, ration),
        listeners.on_event,
        listeners.say,
        lambda: recipe.steps if horizon is None else horizon.end,
        box,
    )
    for line in () if run.last_step() else (*ration.lines, *rounding_lines(recipe, bench.task)):
        listeners.say_before(line)

    if not run.last_step():
        run.log(0, loss_unit=loss_unit(recipe.objective, several=bench.task.kind == "multi-label"))

    def tell(event: Mapping[str, Any]) -> None:
        run.guard(**event)

    result = fit(
        model,
        source,
        recipe,
        run.folder,
        evaluate=timed,
        on_step=_Reporter(run, recipe, horizon, box, timed, listeners),
        on_guard=tell,
        watchers=standard_watchers(recipe, tell),
        should_stop=listeners.should_stop,
        say=listeners.say,
        on_rehearsal=None if box else partial(_say_time, run, bench, source, listeners),
        objective=minimised(bench, model),
        transform=rounded_to(bench),
        until_step=until_step,
        save_every=_save_every(model, recipe, box),
        horizon=horizon,
    )
    return timed, result


def _save_every(model: nn.Module, recipe: Recipe, box: Box | None) -> int | None:
    """Steps between states; None leaves it to the evaluations."""
    return None if box is None else box.save_every(recipe, sum(param.numel() for param in model.parameters()))


def _say_time(run: Run, bench: Bench, source: BatchSource, listeners: _Listeners, found: Rehearsal) -> None:
    """How long the rest of the run will take, before its next step."""
    listeners.say_before(time_line(found, bench, source, bench.recipe.steps - run.last_step()))


def _followed(run: Run, result: FitResult) -> AttemptReport:
    """What a process that is not the first has to say."""
    return AttemptReport(run=run.number, status=result.status, step=result.step, score=None, dev_loss=None)


def work(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """:func:`carry_out` in a worker: events go up the channel, the report comes back as plain values."""
    from hone.lab.lab import Lab

    folder = Path(order["folder"])
    # A metric of the user's own is a file of the task folder: imported here it is found by its name alone.
    load_metric(order["task"].metric, folder)
    lab = Lab(folder, trackers=order.get("trackers", ()), say=lambda line: channel.send({"kind": "line", "line": line}))
    report = carry_out(
        lab.run(order["run"]),
        order["task"],
        order["data"],
        order["recipe"],
        folder / ".hone" / "cache",
        until_step=order.get("until_step"),
        box=Box(**order["box"]) if order.get("box") else None,
        say=lambda line: channel.send({"kind": "line", "line": line}),
        say_data=unsaid if order.get("data_was_said") else None,
        say_before=(lambda line: channel.send({"kind": "line", "line": line})) if order.get("say_before") else unsaid,
        on_event=channel.send,
        should_stop=channel.should_stop,
        time_is_up=lambda: channel.time_is_up,
    )
    return report.to_json()


def _shared_bench(task: Task, data: DataVersion, recipe: Recipe, cache: Path, say: Say) -> Bench:
    """The bench; of several processes one makes it and the others find it."""
    if recipe.processes == 1:
        return prepare_bench(task, data, recipe, cache, say)
    cache.mkdir(parents=True, exist_ok=True)
    with waiting_for(cache / ".bench.lock", f"the cache {cache}", BENCH_PATIENCE_S):
        return prepare_bench(task, data, recipe, cache, say)


class _Reporter:
    """Writes steps down and sends two a second up, with the steps and seconds that are left."""

    def __init__(
        self,
        run: Run,
        recipe: Recipe,
        horizon: BentHorizon | None,
        box: Box | None,
        timed: TimedJudge,
        listeners: _Listeners,
    ) -> None:
        self.run, self.recipe, self.horizon, self.box, self.listeners = run, recipe, horizon, box, listeners
        self.timed = timed
        self._said, self._sent = False, 0.0
        self._told_of_evaluations = False
        self._log_every = 1 if recipe.steps <= LOG_ALL else LOG_EVERY
        self._seconds: deque[float] = deque(maxlen=SPEED_STEPS)

    def __call__(self, record: StepRecord) -> None:
        self._seconds.append(record.seconds)
        if self.box is not None:
            self.box.stepped(record.seconds)
        if len(self._seconds) == FIRST_STEPS and not self._said and self.box is None:
            self._said = True
            step_s, left = statistics.median(self._seconds), self.recipe.steps - record.step
            self.listeners.say_before(
                f"training time: {step_s * 1000:,.0f} ms a step over the first {FIRST_STEPS}, about "
                f"{left * step_s:,.0f} s for the {left:,} that are left; evaluations come on top"
            )
        self._tell_of_evaluations(record.step)
        last = record.step == (self.recipe.steps if self.horizon is None else self.horizon.end)
        if record.step % self._log_every == 0 or last:
            values = record.to_json()
            self.run.log(values.pop("step"), **values)
        now = time.monotonic()
        if now - self._sent >= 0.5 or last:
            self._sent = now
            left_s, steps = self._left(record.step)
            self.listeners.on_event({"kind": "step", "steps": steps, "left_s": left_s, **record.to_json()})

    def _tell_of_evaluations(self, step: int) -> None:
        """What evaluations take, once one and the steps between two were measured; a box has planned it in seconds."""
        enough = min(FIRST_STEPS, self.recipe.eval_every)
        if self.box is not None or self._told_of_evaluations or not self.timed.took_s or len(self._seconds) < enough:
            return
        self._told_of_evaluations = True
        line = measured_line(self.recipe, self.timed.took_s, statistics.median(self._seconds))
        if line and step < self.recipe.steps:
            self.listeners.say(line)

    def _left(self, step: int) -> tuple[float, int]:
        """Seconds and steps to the end, with what is judged and scored until then."""
        step_s = sum(self._seconds) / len(self._seconds)
        if self.box is None or self.horizon is None:
            return self._by_steps(step, self.recipe.steps, step_s), self.recipe.steps
        fitting = self.horizon.fitting(step) or int(self.box.left_s() / max(1e-6, step_s))
        steps = min(self.horizon.end, step + max(0, fitting))
        left_s = self.box.to_end_s()
        return min(left_s, self._by_steps(step, steps, step_s)) if self.box.most_steps else left_s, steps

    def _by_steps(self, step: int, steps: int, step_s: float) -> float:
        return (steps - step) * step_s + self.timed.to_come_s(step, steps)
