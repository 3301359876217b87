"""The model with its objective as one module, compiled first where the recipe wants it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from hone.hardware import accelerator
from hone.task.recipe import Recipe
from hone.train.batches import Batch, PackedRow
from hone.train.objectives import Objective, TokenLoss

if TYPE_CHECKING:
    from hone.train.source import BatchSource

LOOKED_AT = 64
"""Steps of the first epoch that are looked at to see whether shapes vary."""


COMPILED_PARAMETERS = 30e6
"""Below so many parameters ``auto`` never compiles: a run is over in minutes, and steps wait for other things."""
WARM_UP_S, GAIN, REACHED_FLOPS = 60.0, 0.25, 100e12
"""What ``auto`` assumes of a GPU: seconds until all programs are compiled, the share of the time that they then save,
and the operations per second without them."""


def compile_of(recipe: Recipe, model: nn.Module, source: BatchSource) -> tuple[bool, str]:
    """Whether a run is compiled on this machine, and why.

    With ``auto`` it is where the run saves more than the warm-up takes: on CUDA, for a large model and many tokens.
    The answer follows from recipe, model, data and kind of device, never from a clock, so that a resumed run has the
    same one.
    """
    if recipe.compile != "auto":
        return recipe.compile, "the recipe says so"
    kind = accelerator()
    if kind == "cpu":
        return False, "a CPU: the warm-up takes longer than most runs gain, and hone's own passes for CPUs would be off"
    if kind != "cuda":
        return False, f"{kind}: it is not known to be faster there"
    if recipe.strategy == "fsdp" and recipe.processes > 1:
        return False, "it does not go with strategy fsdp"
    parameters = sum(param.numel() for param in model.parameters())
    if parameters < COMPILED_PARAMETERS:
        return False, f"{parameters:,} parameters, and it is worth its warm-up from {COMPILED_PARAMETERS:,.0f} on"
    operations = 6.0 * parameters * recipe.steps * source.tokens_per_step(0)
    saved_s = GAIN * operations / (REACHED_FLOPS * recipe.processes)
    figures = (
        f"{operations:.1e} operations (6 * parameters * tokens) are {saved_s:,.0f} s less if {GAIN:.0%} is saved at "
        f"{REACHED_FLOPS / 1e12:.0f} TFLOP/s, and the warm-up takes about {WARM_UP_S:.0f} s"
    )
    return saved_s > WARM_UP_S, figures


class LossModule(nn.Module):
    """A model with its objective as one module, so that data-parallel wrappers see the whole forward pass.

    Args:
        model: what is trained.
        objective: what is minimised.
        mixed: the forward pass runs in bfloat16 where that is safe (torch.autocast); weights stay float32.
    """

    def __init__(self, model: nn.Module, objective: Objective, *, mixed: bool = False) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.mixed = mixed
        self._loss: Callable[[nn.Module, Batch], TokenLoss] = objective.loss

    def forward(self, batch: Batch) -> TokenLoss:
        """The summed loss of a batch."""
        if not self.mixed:
            return self._loss(self.model, batch)
        with torch.autocast(batch.ids.device.type, dtype=torch.bfloat16):
            return self._loss(self.model, batch)


class Compiler:
    """Compiles the loss of a module, counts what it compiled, and takes it back where that fails."""

    def __init__(self, module: LossModule, *, shapes_vary: bool) -> None:
        self._module = module
        self._begin = time.perf_counter()
        self._graphs = _graphs()
        self.shapes_vary = shapes_vary
        self.seconds = 0.0
        # Where all steps have one shape the programs for it are faster; else one is made for all shapes at once.
        compiled = torch.compile(module.objective.loss, dynamic=True if shapes_vary else None)
        # Names of rows would be constants of the program, and every batch would be compiled again.
        module._loss = lambda model, batch: compiled(model, batch._replace(rows=()))

    def warmed_up(self) -> str:
        """Call behind the first step; a line for people."""
        self.seconds = time.perf_counter() - self._begin
        shapes = "for shapes that vary" if self.shapes_vary else "for steps of one shape"
        return f"compiled the forward and backward pass in {self.seconds:.1f} s, programs: {self.programs}, {shapes}"

    def take_back(self, error: BaseException) -> str:
        """Compute without compiling from now on; a line for people."""
        self._module._loss = self._module.objective.loss
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
        return f"compile failed ({type(error).__name__}: {reason[:200]}); the run goes on without it, slower"

    def summary(self) -> str:
        """How many programs the run needed; a line for people."""
        if self._module._loss == self._module.objective.loss:
            return "computed without compiling"
        limit = int(torch._dynamo.config.recompile_limit)
        line = f"programs that were compiled: {self.programs}, the first step's included"
        if self.programs >= limit:
            line += f", and past {limit} of one place the rest runs without: shapes vary in too many ways, use packing"
        return line

    @property
    def programs(self) -> int:
        """Programs compiled so far."""
        return _graphs() - self._graphs


def _graphs() -> int:
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


def first_steps(source: BatchSource, epoch: int) -> list[list[PackedRow]]:
    """The rows of the steps that are looked at to see whether shapes vary."""
    from hone.train.source import Cursor

    return [source.read(Cursor(epoch, index))[0] for index in range(min(LOOKED_AT, source.num_steps(epoch)))]


def shapes_vary(steps: Sequence[Sequence[PackedRow]]) -> bool:
    """Whether steps differ in rows, longest row or supervised tokens, by these."""
    shapes = {
        (
            len(rows),
            max(sum(len(example.ids) for example in row) for row in rows),
            sum(int(example.supervised.sum()) for row in rows for example in row),
        )
        for rows in steps
    }
    return len(shapes) > 1
