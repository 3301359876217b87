"""A model that is being trained: the module as Fabric wraps it, its optimizers, its averaged weights."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from torch import nn

from hone.task.recipe import Recipe
from hone.train.averaging import Average
from hone.train.objectives import Objective
from hone.train.optimizers import build_optimizers
from hone.train.stepping import LossModule

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Trainable:
    """Everything of a run that a step changes.

    Attributes:
        model: the module that was given, on its device; its weights are the run's weights.
        loss_module: ``batch -> TokenLoss``, wrapped for the devices and processes.
        parts: the optimizers.
        average: averaged weights, where the recipe wants them.
        params: the trainable parameters.
    """

    def __init__(self, fabric: Fabric, model: nn.Module, objective: Objective, recipe: Recipe) -> None:
        self.model = model
        self.objective = objective
        self.parts = build_optimizers(model, recipe)
        optimizers = [part.optimizer for part in self.parts]
        wrapped: Any = fabric.setup(LossModule(model, objective), *optimizers)
        self.loss_module: nn.Module = wrapped[0]
        self._steppers = list(wrapped[1:])
        self.params = [param for param in model.parameters() if param.requires_grad]
        self.average = Average(model, recipe.average) if recipe.average else None

    def update(self, factor: float) -> float:
        """Apply the gradients with rates of ``factor`` times their peaks, and clear them; the first part's rate."""
        rates = [part.set_rate(factor) for part in self.parts]
        for optimizer in self._steppers:
            optimizer.step()
        self.clear_gradients()
        if self.average is not None:
            self.average.update()
        return rates[0]

    def clear_gradients(self) -> None:
        """Forget the gradients."""
        for param in self.params:
            param.grad = None

    def kept_weights(self) -> contextlib.AbstractContextManager[None]:
        """Inside the block the model carries the weights that are judged and kept: the average, where there is one."""
        if self.average is None or self.average.updates == 0:
            return contextlib.nullcontext()
        return self.average.applied()
