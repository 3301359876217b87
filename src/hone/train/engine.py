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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from hone.files import locked
from hone.task.recipe import Recipe
from hone.train.batches import Batch, PackedRow, collate
from hone.train.fabric import COLLECT_EVERY, connect, cpu_threads, quiet_collector
from hone.train.generators import generators_of_a_run
from hone.train.guards import first_loss_line, stop_non_finite
from hone.train.keeping import Keeper
from hone.train.objectives import NextToken, Objective
from hone.train.records import FitResult, Judgement, Status, StepRecord
from hone.train.rehearsal import rehearse
from hone.train.schedules import rate_factor
from hone.train.source import BatchSource, Cursor, share_of
from hone.train.state import Progress
from hone.train.stepping import StepSums, accumulate_gradients, normalise
from hone.train.trainable import Trainable
from hone.train.watching import Lookout, StepView, Stop, Verdict, Watcher, weightiest

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, kw_only=True, slots=True)
class _Caller:
    """What the caller handed in; none of it can change a weight."""

    evaluate: Callable[[nn.Module, int], Judgement] | None
    on_step: Callable[[StepRecord], None] | None
    should_stop: Callable[[], bool] | None
    say: Callable[[str], None]
    lookout: Lookout


def fit(  # noqa: PLR0913  (four things are needed; the others are named and have defaults)
    model: nn.Module,
    source: BatchSource,
    recipe: Recipe,
    folder: Path,
    *,
    evaluate: Callable[[nn.Module, int], Judgement] | None = None,
    objective: Objective | None = None,
    until_step: int | None = None,
    save_every: int | None = None,
    on_step: Callable[[StepRecord], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    say: Callable[[str], None] | None = None,
    watchers: Sequence[Watcher] = (),
) -> FitResult:
    """Train ``model`` in place by a recipe, from the newest whole state in ``folder/checkpoints`` where there is one.

    Args:
        model: a causal language model; it holds the last weights when the call returns.
        source: the batches.
        recipe: everything that decides the result; ``recipe.steps`` is the schedule's horizon.
        folder: the run's folder.
        evaluate: ``(model, steps done) -> judgement``, called in the first process at step 0, each
            ``recipe.eval_every`` steps and at the end, without gradients and with the generators put back
            afterwards. It sees the averaged weights where the recipe has them. The state is saved first.
        objective: what is minimised; next-token cross entropy by default.
        until_step: pause after this many steps of the full schedule.
        save_every: steps between states, ``recipe.eval_every`` by default; it does not change the result.
        on_step: takes one record per step, in the first process.
        should_stop: asked before each step, in the first process; when it says so the run ends after that step, saved.
        say: takes each line that a person should read.
        watchers: look at the steps, and may ask to stop or to go back (:mod:`hone.train.watching`).

    Raises:
        InputError: when the checkpoint belongs to another recipe or other data, with each difference.
        FailedError: when a loss or gradient is not finite, or the disk refuses a checkpoint.
        BusyError: when another process trains in this folder.
    """
    fabric = connect(recipe)
    caller = _Caller(
        evaluate=evaluate,
        on_step=on_step,
        should_stop=should_stop,
        say=say or _unsaid,
        lookout=Lookout(watchers),
    )
    lock = locked(folder / ".training", f"the run {folder}") if fabric.is_global_zero else contextlib.nullcontext()
    generators = generators_of_a_run(recipe.seed, fabric.global_rank)
    with lock, generators, cpu_threads(recipe.threads), quiet_collector():
        trainable = Trainable(fabric, model, objective or NextToken(recipe.label_smoothing), recipe)
        keeper = Keeper(fabric, trainable, recipe, source.data_id, folder, caller.say)
        run = _Run(fabric, trainable, keeper, source, recipe, caller, folder)
        return run.go(min(recipe.steps, until_step or recipe.steps), save_every or recipe.eval_every)


def _unsaid(line: str) -> None:
    """Where lines go when nobody listens."""
    del line


class _Run:
    """One call of :func:`fit`."""

    def __init__(
        self,
        fabric: Fabric,
        trainable: Trainable,
        keeper: Keeper,
        source: BatchSource,
        recipe: Recipe,
        caller: _Caller,
        folder: Path,
    ) -> None:
        self.fabric = fabric
        self.trainable = trainable
        self.keeper = keeper
        self.source = source
        self.recipe = recipe
        self.caller = caller
        self.folder = folder
        self.progress = Progress()
        self.last_loss: float | None = None
        self.reason = ""

    def go(self, horizon: int, save_every: int) -> FitResult:
        """Steps until ``horizon``, with saving and judging between them."""
        self.progress = self.keeper.restore()
        self.trainable.model.train()
        if self.progress.step < horizon:
            largest = self._my_batches(self.source.largest_step())
            rehearse(self.fabric, self.trainable, largest, self.recipe)
        self._judge_if_due()
        stopped = False
        while self.progress.step < horizon and not stopped:
            stopped = self._step() or bool(self.reason)
            if stopped or self.progress.step in (horizon, self.recipe.steps) or self._is_due(save_every):
                self.keeper.save(self.progress)
            self._judge_if_due()
        return self._result(stopped)

    def _step(self) -> bool:
        """One optimizer step; whether the run is to stop after it."""
        begin = time.perf_counter()
        asked = self.caller.should_stop is not None and self.fabric.is_global_zero and self.caller.should_stop()
        cursor_read = self.progress.cursor
        rows, cursor = self.source.read(cursor_read)
        batches = self._my_batches(rows)
        sums = accumulate_gradients(self.fabric, self.trainable.loss_module, batches, stop=asked)
        loss = sums.loss_total / max(1, sums.num_tokens)
        norm = normalise(
            self.trainable.params,
            num_tokens=sums.num_tokens,
            processes=self.fabric.world_size,
            clip_norm=self.recipe.clip_norm,
        )
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._fail(batches)
        due = self.caller.lookout.due(self.progress.step + 1)
        factor = rate_factor(self.recipe, self.progress.step)
        rate = factor * self.trainable.parts[0].peak_rate
        if due:
            record = self._recorded(1, cursor_read.epoch, loss, norm, rate, sums, time.perf_counter() - begin)
            view = self._view(record, cursor_read, batches)
            if self._heed([watcher.before_update(view) for watcher in due]):
                self.trainable.clear_gradients()
                return sums.stop
        self.trainable.update(factor)
        if self.progress.step % COLLECT_EVERY == COLLECT_EVERY - 1:
            gc.collect()
        seconds = time.perf_counter() - begin
        self.progress = self.progress.advanced(cursor, sums, seconds)
        record = self._recorded(0, cursor.epoch, loss, norm, rate, sums, seconds)
        self._tell(record)
        if due:
            view = self._view(record, cursor_read, batches)
            self._heed([watcher.after_step(view) for watcher in due])
        return sums.stop

    def _view(self, record: StepRecord, cursor: Cursor, batches: Sequence[Batch]) -> StepView:
        trainable = self.trainable
        return StepView(
            record=record,
            model=trainable.model,
            objective=trainable.objective,
            batches=batches,
            cursor=cursor,
            folder=self.folder,
        )

    def _heed(self, verdicts: Sequence[Verdict | None]) -> bool:
        """Say what watchers have to say; whether the step ends here."""
        lines, act = weightiest(verdicts)
        if self.fabric.is_global_zero:
            for line in lines:
                self.caller.say(line)
        if isinstance(act, Stop):
            self.reason = act.reason
        return isinstance(act, Stop)

    def _my_batches(self, rows: Sequence[PackedRow]) -> list[Batch]:
        """This process's micro-batches of a step."""
        shares = share_of(
            rows,
            rank=self.fabric.global_rank,
            processes=self.fabric.world_size,
            accumulate=self.recipe.accumulate,
        )
        return [collate(share) for share in shares]

    def _is_due(self, every: int) -> bool:
        return self.progress.step % every == 0 or self._evaluation_is_due()

    def _evaluation_is_due(self) -> bool:
        """Evaluations fall on fixed steps of the schedule, wherever the run is paused or stopped."""
        step = self.progress.step
        return step % self.recipe.eval_every == 0 or step == self.recipe.steps

    def _judge_if_due(self) -> None:
        if self.caller.evaluate is not None and self._evaluation_is_due():
            self.keeper.judge(self.caller.evaluate, self.progress.step)

    def _recorded(
        self, ahead: int, epoch: int, loss: float, norm: float, rate: float, sums: StepSums, seconds: float
    ) -> StepRecord:
        return StepRecord(
            step=self.progress.step + ahead,
            epoch=epoch,
            loss=loss,
            learning_rate=rate,
            grad_norm=norm,
            supervised_tokens=sums.num_tokens,
            tokens=sums.computed_tokens,
            seconds=seconds,
            tokens_per_second=sums.computed_tokens / seconds,
        )

    def _tell(self, record: StepRecord) -> None:
        self.last_loss = record.loss
        if not self.fabric.is_global_zero:
            return
        if record.step == 1 and self.recipe.base.startswith("scratch"):
            vocab_size = self.trainable.model.config.vocab_size  # type: ignore[union-attr]
            self.caller.say(first_loss_line(record.loss, int(vocab_size)))  # type: ignore[arg-type]
        if self.caller.on_step is not None:
            self.caller.on_step(record)

    def _fail(self, batches: Sequence[Batch]) -> None:
        rank = f"-process-{self.fabric.global_rank}" if self.fabric.world_size > 1 else ""
        step = self.progress.step
        stop_non_finite(
            self.trainable.model,
            self.trainable.objective,
            batches,
            self.folder / f"non-finite-step-{step}{rank}",
            step=step,
            recipe=self.recipe,
        )

    def _result(self, stopped: bool) -> FitResult:
        progress = self.progress
        finished = progress.step == self.recipe.steps
        if finished:
            self.keeper.keep_last(progress.step)
        status: Status = "finished" if finished else "stopped" if stopped else "paused"
        return FitResult(
            status=status,
            step=progress.step,
            epoch=progress.cursor.epoch,
            tokens=progress.tokens,
            seconds=progress.seconds,
            loss=self.last_loss,
            evaluations=tuple(self.keeper.evaluations),
            best=self.keeper.best,
            best_weights=self.keeper.best_weights,
        )
