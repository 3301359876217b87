"""What a run keeps: complete states to go on from, judgements, the best weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hone.errors import FailedError
from hone.task.recipe import Recipe
from hone.train.checkpoints import Checkpoints, Saved, Say
from hone.train.fabric import broadcast
from hone.train.generators import generator_states, set_generator_states
from hone.train.measuring import Stopwatch
from hone.train.records import Evaluated, Judgement, PassedOver
from hone.train.source import Cursor
from hone.train.state import (
    Progress,
    base_identity,
    check_same_run,
    header,
    load_state,
    own_generators,
    state_tensors,
)
from hone.train.tensors import model_tensors
from hone.train.trainable import Trainable
from hone.train.watching import Lookout

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from hone.train.optimizers import Part

MOMENTS = {"adamw": 2.0, "muon": 1.0, "adafactor": 0.1}
"""State of an optimizer in sizes of what it trains; Adafactor keeps a row and a column of each matrix."""
SETS = 2
"""Sets of best weights on disk at once: one is being written while the old one is still there."""


class Keeper:
    """Saves, restores and rewinds a :class:`Trainable`. All processes call it; the first one writes."""

    def __init__(
        self,
        fabric: Fabric,
        trainable: Trainable,
        recipe: Recipe,
        data_id: str,
        folder: Path,
        say: Say,
        *,
        lookout: Lookout,
        watch: Stopwatch,
        precision: str = "32-true",
    ) -> None:
        self._fabric = fabric
        self._trainable = trainable
        self._recipe = recipe
        self._data_id = data_id
        self._base_id = base_identity(trainable.given, recipe)
        self._loud = say if fabric.is_global_zero else None
        self._lookout = lookout
        self._watch = watch
        self._precision = precision
        self.may_rewind = recipe.on_spike == "rewind"
        fixed_every = recipe.eval_every if self.may_rewind else None
        self._checkpoints = Checkpoints(
            folder / "checkpoints", self._say, keep=recipe.keep_states, fixed_every=fixed_every
        )
        self._saved_step: int | None = None
        self.peaks_before: Mapping[str, int] = {}
        """Peak memory of earlier calls that computed as this one does, by type of device."""
        self.evaluations: list[Evaluated] = []
        self.best: Evaluated | None = None
        self.best_weights: Path | None = None
        self._on_kept: Callable[[], None] | None = None

    def restore(self) -> Progress:
        """Put the run back into the newest whole state; the counters, at zero when there is none.

        Raises:
            InputError: when that state belongs to another recipe, other data or another base.
            FailedError: when the disk has no room for what the run will keep.
        """
        if self._fabric.is_global_zero:
            self._checkpoints.prepare()
        self._fabric.barrier()
        saved = self._checkpoints.newest()
        self._check_disk()
        if saved is None:
            return Progress()
        computed_otherwise = check_same_run(saved, self._recipe, self._data_id, self._base_id)
        for line in computed_otherwise:
            self._say(line)
        progress = self._load(saved)
        # A state is written before it is judged, so what was measured behind it is in a file of its own.
        spent = self._checkpoints.spent(progress.step)
        self._watch.go_on_from(spent.get("seconds") or saved.header.get("seconds_by_part", {}))
        if not computed_otherwise:  # with other parts of a step another peak is to be expected
            self.peaks_before = spent.get("peak_bytes") or saved.header.get("peak_bytes", {})
        if saved.header["torch"] != torch.__version__:
            self._say(
                f"the checkpoint was written by torch {saved.header['torch']}, this is {torch.__version__}: "
                "the run goes on, equal up to rounding only"
            )
        if (before := saved.header.get("precision", self._precision)) != self._precision:
            self._say(
                f"the checkpoint was computed in {before}, this device computes in {self._precision}: the run goes on, "
                "equal up to rounding only"
            )
        self.evaluations = self._checkpoints.evaluations(progress.step)
        if (best := self._checkpoints.best()) is not None:
            self.best_weights, self.best = best
            self._put_best_on_record()
        self._say(f"going on from step {progress.step:,} of {self._recipe.steps:,} ({saved.folder.name})")
        return progress

    def save(self, progress: Progress, peak_bytes: Mapping[str, int]) -> None:
        """Write the complete state, unless it is on disk already; ``peak_bytes`` of the steps so far, by device."""
        if progress.step == self._saved_step:
            return
        trainable = self._trainable
        generators = self._all_generators()
        if self._fabric.is_global_zero or trainable.sharded:
            tensors = state_tensors(trainable.model, trainable.parts, trainable.average, generators)
        if self._fabric.is_global_zero:
            head = header(
                progress,
                self._recipe,
                data_id=self._data_id,
                base_id=self._base_id,
                average=trainable.average,
                watchers=self._lookout.state(),
                seconds_by_part=self._watch.seconds(),
                peak_bytes=peak_bytes,
                precision=self._precision,
            )
            self._checkpoints.save(progress.step, tensors, head)
        broadcast(self._fabric, None)  # a disk may be slower than a process waits for the others inside a step
        self._saved_step = progress.step

    def rewind(self, now: Progress, reason: str, behind: Cursor) -> Progress | None:
        """Go back to the newest state on a fixed step, and read on behind the rows of the step that was found bad.

        Fixed steps are those of evaluations, which are part of the recipe: states of pauses and of other saving
        intervals are passed by, so that a run comes to the same weights however often it was interrupted.

        Args:
            now: the counters before the bad step.
            reason: what was found.
            behind: where the step after it would have read.

        Returns:
            The counters there; None where no fixed state is left on the disk.
        """
        self._fabric.barrier()
        saved = self._checkpoints.newest(until_step=now.step, fixed=True)
        if saved is None:
            return None
        back = self._load(saved)
        self._fabric.barrier()
        if self._fabric.is_global_zero:
            self._checkpoints.forget_after(back.step)
        passed = PassedOver(
            step=now.step + 1,
            back_to=back.step,
            first=(back.cursor.epoch, back.cursor.index),
            behind=(behind.epoch, behind.index),
            reason=reason,
        )
        self.evaluations = [item for item in self.evaluations if item.undone or item.step <= back.step]
        self._put_best_on_record()
        if self._fabric.is_global_zero:
            self._checkpoints.save_evaluations(self.evaluations)
        return replace(back, cursor=behind, passed_over=(*now.passed_over, passed))

    def go_back(self, now: Progress) -> Progress | None:
        """Go back to the newest state up to here, knowing of rewinds since; None where there is none."""
        self._fabric.barrier()
        saved = self._checkpoints.newest(until_step=now.step)
        return None if saved is None else replace(self._load(saved), passed_over=now.passed_over)

    def judge(self, evaluate: Callable[[nn.Module, int], Judgement | None], step: int) -> Evaluated | None:
        """Judge the kept weights in the first process, and keep them on disk when they are the best so far.

        Only a score that leads is asked to be confirmed, on more rows. What is no candidate is on record alone.
        An evaluation of this step that is on record already is not made again; one that ``evaluate`` leaves out (None)
        is not on record.
        """
        known = next((item for item in self.evaluations if item.step == step and not item.undone), None)
        if known is not None:
            return known
        with self._trainable.kept_weights() as model:
            with self._watch.running("evaluation"):
                evaluated: Evaluated | None = broadcast(self._fabric, self._call(evaluate, model, step))
            if evaluated is None:
                return None
            if better := evaluated.beats(self.best):
                self.evaluations = [item for item in self.evaluations if not item.undone]
            self.evaluations.append(evaluated)
            if better:
                self._keep_best(evaluated, step, model)
                if self._on_kept is not None:
                    self._on_kept()
        if self._fabric.is_global_zero:
            self._checkpoints.save_evaluations(self.evaluations)
        return evaluated

    def evaluations_without_gain(self) -> int:
        """Candidates in a row, up to the last one, that were not better than the best before them."""
        best: Evaluated | None = None
        since = 0
        for item in self.evaluations:
            if item.beats(best):
                best, since = item, 0
            else:
                since += item.candidate
        return since

    def keep_last(self, step: int) -> None:
        """Keep the weights of the end as the best, for a run that nobody judges."""
        if self.best_weights is None or self.best is None:
            with self._trainable.kept_weights() as model:
                self._keep_best(None, step, model)

    def save_spent(self, step: int, seconds_by_part: Mapping[str, float], peak_bytes: Mapping[str, int]) -> None:
        """Write down where the time went and the memory, for the call that goes on from here."""
        if self._fabric.is_global_zero:
            self._checkpoints.save_spent(step, seconds_by_part, peak_bytes)

    def _put_best_on_record(self) -> None:
        """The best stays when a rewind or a damaged state undoes its step: it was truly measured, and is on the disk.

        It then stands among the evaluations as undone, so that what is kept and what is on record never differ.
        """
        best = self.best
        if best is None:
            return
        found = next((item for item in self.evaluations if item.same_as(best)), None)
        if found is None:
            found = replace(best, undone=True)
            self.evaluations.append(found)
        self.best = found

    def _load(self, saved: Saved) -> Progress:
        trainable = self._trainable
        with trainable.trained_weights():
            progress = load_state(
                saved,
                trainable.model,
                trainable.parts,
                trainable.average,
                rank=self._fabric.global_rank,
                seed=self._recipe.seed,
            )
        self._lookout.load(saved.header.get("watchers", {}))
        self._saved_step = progress.step
        return progress

    def _say(self, line: str) -> None:
        """Say a line once, however many processes there are."""
        if self._loud is not None:
            self._loud(line)

    def _call(
        self, evaluate: Callable[[nn.Module, int], Judgement | None], model: nn.Module, step: int
    ) -> Evaluated | None:
        """The judgement, with mode and generators of the process as they were before."""
        if not self._fabric.is_global_zero:
            return None
        states = generator_states()
        model.eval()
        try:
            with torch.no_grad():
                judgement = evaluate(model, step)
                if judgement is None:
                    return None
                self._on_kept = judgement.on_kept
                found = Evaluated(
                    step=step,
                    score=judgement.score,
                    numbers=dict(judgement.numbers),
                    candidate=judgement.candidate,
                )
                if judgement.confirm is not None and found.leads(self.best):
                    found = replace(found, full=judgement.confirm())
        finally:
            model.train()
            set_generator_states(states)
        return found

    def _keep_best(self, evaluated: Evaluated | None, step: int, model: nn.Module) -> None:
        self.best = evaluated
        path: Path | None = None
        with self._watch.running("saving"):
            if self._fabric.is_global_zero:
                path = self._checkpoints.save_best(evaluated, step, model_tensors(model))
            self.best_weights = broadcast(self._fabric, path)

    def _all_generators(self) -> dict[str, Tensor]:
        """The generators of all processes, in the first one."""
        own = own_generators(self._fabric.global_rank)
        if self._fabric.world_size == 1:
            return own
        every: list[dict[str, Tensor]] = [{} for _ in range(self._fabric.world_size)]
        torch.distributed.all_gather_object(every, own)
        return {name: value for states in every for name, value in states.items()}

    def _check_disk(self) -> None:
        """Refuse to train where the disk has no room for the states that the run will keep."""
        if not self._fabric.is_global_zero:
            return
        trainable = self._trainable
        averaged = trainable.params if trainable.average is not None else ()
        weights, state = state_bytes(trainable.model, trainable.parts, averaged)
        # One state and one set of weights are being written while the old ones are still there.
        states, sets = self._recipe.keep_states + 1 + self.may_rewind, SETS
        there = self._checkpoints.bytes()
        need = max(states * state + sets * weights - there, state + weights)
        free = shutil.disk_usage(self._checkpoints.folder).free
        self._say(state_line(weights, state, states))
        if free < need:
            raise FailedError(
                f"{self._checkpoints.folder} has {free / 1e6:,.0f} MB free, and {states} states of "
                f"{state / 1e6:,.0f} MB with {sets} sets of weights need {need / 1e6:,.0f} MB more than is there; free "
                f"some space first, or lower keep_states (now {self._recipe.keep_states})"
            )


def state_bytes(model: nn.Module, parts: Iterable[Part], averaged: Iterable[Tensor] = ()) -> tuple[int, int]:
    """Bytes of a set of weights, and of a whole state with the optimizers' moments and the averaged weights."""
    weights = _bytes(model_tensors(model).values())
    moments = sum(MOMENTS.get(part.name, 2.0) * _bytes(part.names) for part in parts)
    return weights, round(weights + moments + _bytes(averaged))


def state_line(weights: int, state: int, states: int) -> str:
    """What the states of a run take on disk."""
    return (
        f"checkpoints: {state / 1e6:,.1f} MB each (weights, moments, the average where there is one), "
        f"at most {states} at a time, and {SETS} sets of weights of {weights / 1e6:,.1f} MB"
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in tensors)
