"""The training loop, one for every objective: read, step, record, save, judge.

Everything that decides a weight is in the recipe, the data and the state; what the caller hands in (recording,
judging, stopping) only watches. So a run that was paused, stopped or killed goes on to the same weights, bit for
bit (law 1), on the CPU with the same number of threads and processes.
"""

from __future__ import annotations

import contextlib
import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from hone.errors import InputError
from hone.files import locked
from hone.task.recipe import Recipe
from hone.train.batches import Batch, PackedRow, collate
from hone.train.compiling import Compiler, compile_of, first_steps, shapes_vary
from hone.train.fabric import COLLECT_EVERY, connect, cpu_threads, forward_of, precision_of, undisturbed
from hone.train.generators import generators_of_a_run
from hone.train.guards import choices, first_loss_line, stop_non_finite
from hone.train.horizon import FixedHorizon, Horizon
from hone.train.keeping import Keeper
from hone.train.loss_units import loss_unit
from hone.train.measuring import PeakMemory, Stopwatch
from hone.train.objectives import Objective, objective_for
from hone.train.overseeing import Looked, Overseer
from hone.train.records import FitResult, Judgement, Status, StepRecord, early_stop_line
from hone.train.refusals import refusals
from hone.train.rehearsal import Rehearsal, rehearse
from hone.train.source import BatchSource, share_of
from hone.train.state import Progress
from hone.train.stepping import StepSums, accumulate_gradients, normalise
from hone.train.trainable import Trainable
from hone.train.transforms import MakeTransform
from hone.train.watching import Lookout, Watcher

if TYPE_CHECKING:
    from lightning_fabric import Fabric

FRESH_HEADS = ("classify-sequence", "tag-tokens")
"""Objectives whose output layer is new even on a base, so that the first loss is that of a guess."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Caller:
    """What the caller handed in; none of it can change a weight but by stopping or rewinding."""

    evaluate: Callable[[nn.Module, int], Judgement | None] | None
    on_step: Callable[[StepRecord], None] | None
    on_guard: Callable[[Mapping[str, Any]], None] | None
    should_stop: Callable[[], bool] | None
    say: Callable[[str], None]
    lookout: Lookout
    horizon: Horizon
    on_rehearsal: Callable[[Rehearsal], None] | None


def fit(  # noqa: PLR0913  (four things are needed; the others are named and have defaults)
    model: nn.Module,
    source: BatchSource,
    recipe: Recipe,
    folder: Path,
    *,
    evaluate: Callable[[nn.Module, int], Judgement | None] | None = None,
    objective: Objective | None = None,
    until_step: int | None = None,
    save_every: int | None = None,
    on_step: Callable[[StepRecord], None] | None = None,
    on_guard: Callable[[Mapping[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    say: Callable[[str], None] | None = None,
    watchers: Sequence[Watcher] = (),
    horizon: Horizon | None = None,
    on_rehearsal: Callable[[Rehearsal], None] | None = None,
    transform: MakeTransform | None = None,
) -> FitResult:
    """Train ``model`` in place by a recipe, from the newest whole state in ``folder/checkpoints`` where there is one.

    Args:
        model: a decoder or an encoder; it holds the last weights when the call returns.
        source: the batches.
        recipe: everything that decides the result; ``recipe.steps`` is the schedule's horizon.
        folder: the run's folder.
        evaluate: ``(model, steps done) -> judgement``, called in the first process at step 0, each ``eval_every`` steps
            and at the end, after saving, with the averaged weights if any, without effect on generators; None: not now.
        objective: what is minimised; by default what the model's head is made for.
        until_step: pause after this many steps of the full schedule.
        save_every: steps between states, ``recipe.eval_every`` by default; evaluations and a decided end have one too.
        on_step: takes one record per step, in the first process.
        on_guard: takes each rewind as plain values, in the first process.
        should_stop: asked before each step, in the first process; when it says so the run ends after that step, saved.
        say: takes each line that a person should read.
        watchers: look at the steps, and may ask to stop or to go back (:mod:`hone.train.watching`).
        horizon: where the run ends and how its rate gets there; ``recipe.steps`` and its schedule by default.
        on_rehearsal: takes the time of the largest step before the first one, in the first process.
        transform: what the model computes with and is kept as, from the trained values; it must follow from the recipe.

    Raises:
        InputError: a checkpoint of another recipe, data or base, with each difference; keys that cannot act here.
        FailedError: a loss or gradient that is not finite, a full disk. BusyError: another process trains here.
    """
    _check(recipe, judged=evaluate is not None)
    fabric = connect(recipe)
    first = fabric.is_global_zero
    caller = _Caller(
        evaluate=evaluate,
        on_step=on_step,
        on_guard=on_guard if first else None,
        should_stop=should_stop,
        say=say if say and first else _unsaid,
        lookout=Lookout(watchers),
        horizon=horizon or FixedHorizon(recipe),
        on_rehearsal=on_rehearsal if first else None,
    )
    lock = locked(folder / ".training", f"the run {folder}") if first else contextlib.nullcontext()
    with lock, generators_of_a_run(recipe.seed, fabric.global_rank), cpu_threads(recipe.threads), undisturbed():
        return _Run(fabric, model, objective, source, recipe, caller, folder, transform).go(until_step, save_every)


def _unsaid(line: str) -> None:
    """Where lines go when nobody listens."""
    del line


def _check(recipe: Recipe, *, judged: bool) -> None:
    """Refuse keys that cannot act."""
    problems = refusals(recipe)
    if recipe.early_stop and not judged:
        problems.append(
            f"early_stop is {recipe.early_stop}, and nothing judges this run; set it to 0 or give an evaluation"
        )
    if problems:
        raise InputError(problems)


class _Run:
    """One call of :func:`fit`."""

    def __init__(
        self,
        fabric: Fabric,
        model: nn.Module,
        objective: Objective | None,
        source: BatchSource,
        recipe: Recipe,
        caller: _Caller,
        folder: Path,
        transform: MakeTransform | None,
    ) -> None:
        self.fabric = fabric
        self.source = source
        self.recipe = recipe
        self.caller = caller
        self.folder = folder
        self.watch = Stopwatch()
        self.memory = PeakMemory(fabric.device)
        self.precision, self.why = precision_of(recipe)
        with self.watch.running("start"):
            objective = objective or objective_for(model, recipe.label_smoothing)
            self.trainable = Trainable(fabric, model, objective, recipe, precision=self.precision, transform=transform)
            self.keeper = Keeper(
                fabric,
                self.trainable,
                recipe,
                source.data_id,
                folder,
                caller.say,
                lookout=caller.lookout,
                watch=self.watch,
                precision=self.precision,
            )
        self.compiler: Compiler | None = None
        self.progress = Progress()
        self.last_loss: float | None = None
        self.overseer = Overseer(
            caller.lookout, self.keeper, self.trainable, recipe, folder, say=caller.say, on_guard=caller.on_guard
        )

    def go(self, until_step: int | None, save_every: int | None) -> FitResult:
        """Steps until the end or the pause, with saving and judging between them."""
        with self.watch.running("start"):
            self.progress = self.keeper.restore()
            self.memory.go_on_from(self.keeper.peaks_before)
            self.trainable.model.train()
            self.forward = forward_of(self.trainable.model, self.recipe)
            if not self._is_over(until_step):
                self._rehearse()
                self.memory.begin(self.trainable.held_bytes())
        if self.keeper.may_rewind and self.progress.step == 0:
            self._save()
        self._judge_if_due()
        stopped = False
        while not (stopped or self._is_over(until_step) or self._has_stopped_gaining()):
            stopped = self._step()
            if stopped or self._is_over(until_step) or self._is_due(save_every or self.recipe.eval_every):
                self._save()
            self._judge_if_due()
        return self._result(stopped)

    def _is_over(self, until_step: int | None) -> bool:
        end = self.caller.horizon.end
        return self.progress.step >= (end if until_step is None else min(end, until_step))

    def _rehearse(self) -> None:
        epoch, trainable = self.progress.cursor.epoch, self.trainable
        if compile_of(self.recipe, trainable.given, self.source)[0]:
            self.compiler = Compiler(trainable.inner, shapes_vary=shapes_vary(first_steps(self.source, epoch)))
        largest = self._my_batches(self.source.largest_step(epoch))
        caller, timed = self.caller, self.caller.on_rehearsal is not None
        more: dict[str, Any] = {"compiler": self.compiler, "timed": timed, "say": caller.say}
        found = rehearse(self.fabric, trainable, largest, self.recipe, **more)
        if caller.on_rehearsal is not None:
            caller.on_rehearsal(found)

    def _step(self) -> bool:
        """One optimizer step; whether the run is to stop after it."""
        begin = time.perf_counter()
        before, horizon, first = self.progress, self.caller.horizon, self.fabric.is_global_zero
        asked = first and self.caller.should_stop is not None and self.caller.should_stop()
        wish = horizon.wish(before.step) if first else 0
        rows, behind = self.source.read(before.cursor)
        batches = self._my_batches(rows)
        read = time.perf_counter()
        due = self.overseer.due(before.step + 1)
        looked = Looked(due=due, before=before, behind=behind, batches=batches)
        sums = self._gradient(batches, asked, wish)
        factor = horizon.factor(before.step)
        if due:
            record = self._record(looked, sums, factor, time.perf_counter() - begin)
            if (instead := self.overseer.before_update(looked, record)) is not None:
                return self._turn(instead)
        self.trainable.update(factor)
        if before.step % COLLECT_EVERY == COLLECT_EVERY - 1:
            gc.collect()
        end = time.perf_counter()
        self.watch.add("data", read - begin)
        self.watch.add("compute", end - read)
        self.progress = before.advanced(behind, sums, end - begin)
        record = self._record(looked, sums, factor, end - begin)
        self._tell(record, batches)
        if sums.wish:
            horizon.settle(self.progress.step, sums.wish)
        if due and (back := self.overseer.after_step(looked, record)) is not None:
            return self._turn(back)
        return sums.stop or bool(self.overseer.reason)

    def _gradient(self, batches: Sequence[Batch], asked: bool, wish: int) -> StepSums:
        """The gradient of the mean loss of the step, clipped, in ``param.grad``; the step's sums."""
        trainable = self.trainable
        summed = accumulate_gradients(self.fabric, trainable.loss_module, batches, stop=asked, wish=wish)
        norm = normalise(
            trainable.params,
            num_tokens=summed.num_tokens,
            processes=self.fabric.world_size,
            clip_norm=self.recipe.clip_norm,
        )
        sums = summed.read(norm)
        if not (math.isfinite(sums.loss_total) and math.isfinite(sums.grad_norm)):
            self._fail(batches)
        return sums

    def _turn(self, progress: Progress) -> bool:
        """Go on from other counters than those of the step; whether the run stops here."""
        self.progress = progress
        self.trainable.clear_gradients()
        return bool(self.overseer.reason)

    def _my_batches(self, rows: Sequence[PackedRow]) -> list[Batch]:
        """This process's micro-batches of a step."""
        shares = share_of(
            rows,
            rank=self.fabric.global_rank,
            processes=self.fabric.world_size,
            accumulate=self.recipe.accumulate,
        )
        return [collate(share) for share in shares]

    def _save(self) -> None:
        peaks = self.memory.peaks()  # before saving takes memory of its own
        with self.watch.running("saving"), self.memory.apart(), self.trainable.trained_weights():
            self.keeper.save(self.progress, peaks)

    def _is_due(self, every: int) -> bool:
        """A run that goes on repeats its steps up to the last bend of its horizon, so the first one is saved at."""
        step = self.progress.step
        return step % every == 0 or step == self.caller.horizon.decided_at or self._evaluation_is_due()

    def _evaluation_is_due(self) -> bool:
        """Evaluations fall on fixed steps of the schedule, wherever the run is paused or stopped."""
        step = self.progress.step
        return step % self.recipe.eval_every == 0 or step == self.caller.horizon.end

    def _judge_if_due(self) -> None:
        if self.caller.evaluate is not None and self._evaluation_is_due():
            with self.memory.apart():
                self.keeper.judge(self.caller.evaluate, self.progress.step)

    def _has_stopped_gaining(self) -> bool:
        patience = self.recipe.early_stop
        return bool(patience) and self.keeper.evaluations_without_gain() >= patience

    def _record(self, looked: Looked, sums: StepSums, factor: float, seconds: float) -> StepRecord:
        return StepRecord(
            step=looked.before.step + 1,
            epoch=looked.behind.epoch,
            loss=sums.loss_total / max(1, sums.num_tokens),
            learning_rate=self.trainable.parts[0].peak_rate * factor,
            grad_norm=sums.grad_norm,
            supervised_tokens=sums.num_tokens,
            tokens=sums.computed_tokens,
            seconds=seconds,
            tokens_per_second=sums.computed_tokens / seconds,
        )

    def _tell(self, record: StepRecord, batches: Sequence[Batch]) -> None:
        self.last_loss = record.loss
        fresh = self.recipe.base.startswith("scratch") or self.recipe.objective in FRESH_HEADS
        if record.step == 1 and fresh:
            several = batches[0].labels is not None
            options = choices(self.trainable.model, self.trainable.objective, several=several)
            self.caller.say(first_loss_line(record.loss, options, loss_unit(self.recipe.objective, several=several)))
        if self.caller.on_step is not None:
            self.caller.on_step(record)

    def _fail(self, batches: Sequence[Batch]) -> None:
        rank = f"-process-{self.fabric.global_rank}" if self.fabric.world_size > 1 else ""
        step = self.progress.step
        stop_non_finite(
            self.trainable.whole_model(),
            self.trainable.objective,
            batches,
            self.folder / f"non-finite-step-{step}{rank}",
            step=step,
            recipe=self.recipe,
        )

    def _result(self, stopped: bool) -> FitResult:
        progress, keeper = self.progress, self.keeper
        ended_early = self._has_stopped_gaining()
        finished = progress.step >= self.caller.horizon.end or ended_early
        with self.watch.running("saving"):
            if finished:
                keeper.keep_last(progress.step)
            self.trainable.finish()
        seconds_by_part = self.watch.seconds()
        keeper.save_spent(progress.step, seconds_by_part, self.memory.peaks())
        status: Status = "finished" if finished else "stopped" if stopped else "paused"
        reason = self.overseer.reason
        if ended_early:
            reason = early_stop_line(progress.step, keeper.best, self.recipe.early_stop)
            self.caller.say(reason)
        if self.compiler is not None:
            self.caller.say(self.compiler.summary())
        return FitResult(
            status=status,
            step=progress.step,
            epoch=progress.cursor.epoch,
            tokens=progress.tokens,
            seconds=progress.seconds,
            loss=self.last_loss,
            evaluations=tuple(keeper.evaluations),
            best=keeper.best,
            best_weights=keeper.best_weights,
            reason=reason,
            passed_over=progress.passed_over,
            seconds_by_part=seconds_by_part,
            peak_bytes=self.memory.bytes(),
            used=self._used(),
        )

    def _used(self) -> dict[str, Any]:
        recipe, compiler = self.recipe, self.compiler
        return {
            "device": str(self.fabric.device),
            "precision": self.precision,
            "precision_reason": self.why,
            "forward": self.forward[0],
            "forward_reason": self.forward[1],
            "processes": self.fabric.world_size,
            "threads": recipe.threads,
            "strategy": recipe.strategy if self.fabric.world_size > 1 else "one process",
            "accumulate": recipe.accumulate,
            "gradient_checkpointing": recipe.gradient_checkpointing,
            "compiled_programs": 0 if compiler is None else compiler.programs,
            "compile_seconds": 0.0 if compiler is None else round(compiler.seconds, 2),
            "states_kept": recipe.keep_states,
        }
