"""What a run keeps: complete states to go on from, judgements, the best weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hone.errors import FailedError
from hone.task.recipe import Recipe
from hone.train.checkpoints import Checkpoints, Say
from hone.train.fabric import broadcast
from hone.train.generators import generator_states, set_generator_states
from hone.train.records import Evaluated, Judgement
from hone.train.state import (
    Progress,
    check_same_run,
    header,
    load_state,
    own_generators,
    state_tensors,
)
from hone.train.tensors import model_tensors
from hone.train.trainable import Trainable

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STATES_ON_DISK = 4
"""Two states, one being written, and the best weights (smaller than a state)."""


class Keeper:
    """Saves and restores a :class:`Trainable`. All processes call it; the first one writes."""

    def __init__(
        self, fabric: Fabric, trainable: Trainable, recipe: Recipe, data_id: str, folder: Path, say: Say
    ) -> None:
        self._fabric = fabric
        self._trainable = trainable
        self._recipe = recipe
        self._data_id = data_id
        self._loud = say if fabric.is_global_zero else None
        self._checkpoints = Checkpoints(folder / "checkpoints", self._say)
        self._saved_step = 0
        self.evaluations: list[Evaluated] = []
        self.best: Evaluated | None = None
        self.best_weights: Path | None = None

    def restore(self) -> Progress:
        """Put the run back into the newest whole state; the counters, at zero when there is none.

        Raises:
            InputError: when that state belongs to another recipe or other data.
        """
        if self._fabric.is_global_zero:
            self._checkpoints.prepare()
        self._fabric.barrier()
        saved = self._checkpoints.newest()
        if saved is None:
            self._check_disk()
            return Progress()
        check_same_run(saved, self._recipe, self._data_id)
        trainable = self._trainable
        progress = load_state(saved, trainable.model, trainable.parts, trainable.average, self._fabric.global_rank)
        if saved.header["torch"] != torch.__version__:
            self._say(
                f"the checkpoint was written by torch {saved.header['torch']}, this is {torch.__version__}: "
                "the run goes on, equal up to rounding only"
            )
        self.evaluations = self._checkpoints.evaluations(progress.step)
        if (best := self._checkpoints.best()) is not None:
            self.best_weights, self.best = best
        self._saved_step = progress.step
        self._say(f"going on from step {progress.step:,} of {self._recipe.steps:,} ({saved.folder.name})")
        return progress

    def save(self, progress: Progress) -> None:
        """Write the complete state, unless it is on disk already."""
        if progress.step == self._saved_step:
            return
        trainable = self._trainable
        generators = self._all_generators()
        if self._fabric.is_global_zero:
            tensors = state_tensors(trainable.model, trainable.parts, trainable.average, generators)
            self._checkpoints.save(
                progress.step, tensors, header(progress, self._recipe, self._data_id, trainable.average)
            )
        self._saved_step = progress.step

    def judge(self, evaluate: Callable[[nn.Module, int], Judgement], step: int) -> Evaluated:
        """Judge the kept weights in the first process, and keep them on disk when they are the best so far.

        An evaluation of this step that is on record already is not made again.
        """
        known = next((item for item in self.evaluations if item.step == step), None)
        if known is not None:
            return known
        with self._trainable.kept_weights():
            evaluated: Evaluated = broadcast(self._fabric, self._call(evaluate, step))
            self.evaluations.append(evaluated)
            if self.best is None or evaluated.score.better_than(self.best.score):
                self._keep_best(evaluated, step)
        if self._fabric.is_global_zero:
            self._checkpoints.save_evaluations(self.evaluations)
        return evaluated

    def keep_last(self, step: int) -> None:
        """Keep the weights of the end as the best, for a run that nobody judges."""
        if self.best_weights is None or self.best is None:
            with self._trainable.kept_weights():
                self._keep_best(None, step)

    def _say(self, line: str) -> None:
        """Say a line once, however many processes there are."""
        if self._loud is not None:
            self._loud(line)

    def _call(self, evaluate: Callable[[nn.Module, int], Judgement], step: int) -> Evaluated | None:
        """The judgement, with mode and generators of the process as they were before."""
        if not self._fabric.is_global_zero:
            return None
        model, states = self._trainable.model, generator_states()
        model.eval()
        try:
            with torch.no_grad():
                judgement = evaluate(model, step)
        finally:
            model.train()
            set_generator_states(states)
        return Evaluated(step=step, score=judgement.score, numbers=dict(judgement.numbers))

    def _keep_best(self, evaluated: Evaluated | None, step: int) -> None:
        self.best = evaluated
        path: Path | None = None
        if self._fabric.is_global_zero:
            path = self._checkpoints.save_best(evaluated, step, model_tensors(self._trainable.model))
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
        """Refuse to start a run whose checkpoints cannot fit on the disk."""
        if not self._fabric.is_global_zero:
            return
        weights = sum(value.numel() * value.element_size() for value in model_tensors(self._trainable.model).values())
        state = weights * (4 if self._trainable.average is not None else 3)
        free = shutil.disk_usage(self._checkpoints.folder).free
        self._say(f"checkpoints: {state / 1e6:,.1f} MB each (weights, two moments and the average where there is one)")
        if free < STATES_ON_DISK * state:
            raise FailedError(
                f"{self._checkpoints.folder} has {free / 1e6:,.0f} MB free, and {STATES_ON_DISK} states of "
                f"{state / 1e6:,.0f} MB need {STATES_ON_DISK * state / 1e6:,.0f} MB; free some space first"
            )
