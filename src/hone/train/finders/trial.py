"""A copy of a model that takes steps as the engine does and is thrown away."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from hone.hardware import machine, peak_rss_bytes, reset_peak_rss, rss_bytes
from hone.task.recipe import Recipe
from hone.train.batches import Batch, PackedRow, collate
from hone.train.fabric import connect, cpu_threads, precision_of, undisturbed
from hone.train.generators import generators_of_a_run
from hone.train.objectives import Objective, objective_for
from hone.train.source import share_of
from hone.train.stepping import accumulate_gradients, normalise
from hone.train.trainable import Trainable


class Trial:
    """Optimizer steps on a copy, in one process, without averaging and compiling."""

    def __init__(self, model: nn.Module, recipe: Recipe, objective: Objective | None) -> None:
        self.recipe = recipe.child(processes=1, strategy="ddp", average=0.0, compile=False, early_stop=0)
        self.fabric = connect(self.recipe)
        trial = copy.deepcopy(model).train()
        for param in trial.parameters():
            param.grad = None
        precision, _ = precision_of(self.recipe)
        self._trainable = Trainable(
            self.fabric,
            trial,
            objective or objective_for(model, recipe.label_smoothing),
            self.recipe,
            precision=precision,
        )

    @property
    def device(self) -> torch.device:
        """Where the copy computes."""
        device: torch.device = self.fabric.device
        return device

    def batches(self, rows: Sequence[PackedRow], *, accumulate: int) -> list[Batch]:
        """The micro-batches of a step."""
        return [collate(part) for part in share_of(rows, rank=0, processes=1, accumulate=accumulate) if part]

    def step(self, batches: Sequence[Batch], factor: float) -> float:
        """One step with rates of ``factor`` times their peaks; its mean loss per token, before the update.

        A loss or gradient that is not finite leaves the weights as they are.
        """
        trainable = self._trainable
        try:
            sums = accumulate_gradients(self.fabric, trainable.loss_module, batches)
            norm = normalise(trainable.params, num_tokens=sums.num_tokens, processes=1, clip_norm=self.recipe.clip_norm)
            read = sums.read(norm)
            loss = read.loss_total / max(1, read.num_tokens)
            if math.isfinite(loss) and math.isfinite(read.grad_norm):
                trainable.update(factor)
        finally:
            trainable.clear_gradients()
        return loss


@contextlib.contextmanager
def tried(model: nn.Module, recipe: Recipe, objective: Objective | None) -> Iterator[Trial]:
    """A trial with the generators, threads and collector of a run, which are the caller's again behind the block."""
    with generators_of_a_run(recipe.seed, 0), cpu_threads(recipe.threads), undisturbed():
        yield Trial(model, recipe, objective)


class Memory:
    """What trials take on a device on top of what was there at the beginning."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cuda = device.type == "cuda"
        self._before = torch.cuda.memory_allocated(device) if self._cuda else rss_bytes()

    def reset(self) -> None:
        """Measure the peak from here."""
        if self._cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            reset_peak_rss()

    def peak_bytes(self) -> int:
        """The most since :meth:`reset`, without what was there at the beginning."""
        peak = torch.cuda.max_memory_allocated(self._device) if self._cuda else peak_rss_bytes(since_reset=True)
        return max(0, peak - self._before)

    def room_bytes(self) -> int:
        """How much trials may take in all: what they hold already and what is free."""
        if self._cuda:
            free, _ = torch.cuda.mem_get_info(self._device)
            return int(free + torch.cuda.memory_reserved(self._device) - self._before)
        return machine().free_memory_bytes + max(0, rss_bytes() - self._before)
