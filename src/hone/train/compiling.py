"""The model with its objective as one module, compiled first where the recipe wants it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from hone.train.batches import Batch, PackedRow
from hone.train.objectives import Objective, TokenLoss

LOOKED_AT = 64
"""Steps of the first epoch that are looked at to see whether shapes vary."""


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
