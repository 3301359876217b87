"""A model that is being trained: the module as it is wrapped for processes, its optimizers, its averaged weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from hone.errors import InputError
from hone.task.recipe import Recipe
from hone.train.averaging import Average
from hone.train.compiling import LossModule
from hone.train.layers import freeze
from hone.train.objectives import Objective
from hone.train.optimizers import build_optimizers
from hone.train.sharding import copy_to_shard, whole
from hone.train.tensors import gather, model_tensors
from hone.train.transforms import MakeTransform, Underneath

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Trainable:
    """Everything of a run that a step changes.

    Attributes:
        given: the caller's module, whole. It is what is judged, and it holds the last weights behind :meth:`finish`.
        model: the module whose parameters are trained: ``given``, or a sharded copy of it.
        inner: the model with its objective, before it is wrapped.
        loss_module: ``batch -> TokenLoss``, wrapped for the devices and processes.
        parts: the optimizers.
        average: averaged weights, where the recipe wants them.
        params: the trainable parameters.
        underneath: the trained values, where the parameters carry transformed ones.
    """

    def __init__(
        self,
        fabric: Fabric,
        model: nn.Module,
        objective: Objective,
        recipe: Recipe,
        *,
        precision: str = "32-true",
        transform: MakeTransform | None = None,
    ) -> None:
        self._device = fabric.device
        self.objective = objective
        self.given = model
        self.sharded = recipe.strategy == "fsdp" and fabric.world_size > 1
        self.model = copy_to_shard(model, fabric.device) if self.sharded else model
        freeze(self.model, recipe.freeze)  # before it is wrapped: the wrapper remembers what is trained
        self._checkpointing = recipe.gradient_checkpointing and save_activations_again(self.model)
        self.inner = LossModule(self.model, objective, mixed=precision == "bf16-mixed")
        wrapped: Any = fabric.setup_module(self.inner)
        self.loss_module: nn.Module = wrapped
        self.parts = build_optimizers(self.model, recipe)
        self.params = [param for param in self.model.parameters() if param.requires_grad]
        self.average = Average(self.model, recipe.average) if recipe.average else None
        self.underneath = Underneath(transform(self.model)) if transform else None

    def update(self, factor: float) -> float:
        """Apply the gradients with rates of ``factor`` times their peaks, and clear them; the first part's rate."""
        rates = [part.set_rate(factor) for part in self.parts]
        with self.trained_weights():
            for part in self.parts:
                part.optimizer.step()
            self.clear_gradients()
            if self.average is not None:
                self.average.update()
        return rates[0]

    def trained_weights(self) -> contextlib.AbstractContextManager[None]:
        """Inside the block the model carries the values that are trained, and not what it computes with."""
        return contextlib.nullcontext() if self.underneath is None else self.underneath.shown()

    def held_bytes(self) -> int:
        """What this process holds between steps: weights, the average, the optimizers' moments; of shards its own."""
        held = list(model_tensors(self.model).values())
        if self.sharded:
            held += model_tensors(self.given).values()
        if self.average is not None:
            held += self.average.tensors().values()
        if self.underneath is not None:
            held += self.underneath.tensors()
        for part in self.parts:
            moments = (value for each in part.optimizer.state.values() for value in each.values())
            held += [value for value in moments if torch.is_tensor(value)]
        own = [value.to_local() if isinstance(value, DTensor) else value for value in held]
        return sum(value.numel() * value.element_size() for value in own)

    def clear_gradients(self) -> None:
        """Forget the gradients."""
        for param in self.params:
            param.grad = None

    @contextlib.contextmanager
    def kept_weights(self) -> Iterator[nn.Module]:
        """Inside the block the whole model carries the weights that are judged and kept: the average, if there is one.

        All processes enter it together.
        """
        averaged = self.average is not None and self.average.updates > 0
        with self.average.applied() if averaged and self.average else contextlib.nullcontext():
            if averaged and self.underneath is not None:
                self.underneath.transform_again()
            if self.sharded:
                self.given.to(self._device)
                gather(self.model, self.given)
            yield self.given

    def whole_model(self) -> nn.Module:
        """The caller's module with weights and gradients as they are now. All processes call it together."""
        if self.sharded:
            self.given.to(self._device)
            gather(self.model, self.given)
            for name, param in self.given.named_parameters():
                grad = self.model.get_parameter(name).grad
                param.grad = None if grad is None else whole(grad)
        return self.given

    def finish(self) -> None:
        """Leave the last weights in the caller's module, and the module as it was. All processes call it together."""
        if self.sharded:
            gather(self.model, self.given)
        elif self._checkpointing:
            _keep_activations(self.model)


def save_activations_again(model: nn.Module) -> bool:
    """Switch gradient checkpointing on, in the way of Transformers that leaves gradients equal; True.

    Raises:
        InputError: when the model does not offer it.
    """
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise InputError(
            f"gradient_checkpointing is on, and {type(model).__name__} does not offer it; switch it off, "
            "or raise accumulate to need less memory"
        )
    trained: Any = model
    # The newer name; the older one warns where both are there.
    enable = getattr(trained, "activation_checkpointing_enable", trained.gradient_checkpointing_enable)
    enable({"use_reentrant": False})
    return True


def _keep_activations(model: nn.Module) -> None:
    """Switch gradient checkpointing off, with the hook that it left on the embeddings."""
    trained: Any = model
    getattr(trained, "activation_checkpointing_disable", trained.gradient_checkpointing_disable)()
    trained.disable_input_require_grads()
