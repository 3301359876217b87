"""Keys of a recipe that act on parts of the model: whether it has them, asked before a text is made into tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hone.attempts.bench import base_of, build_model
from hone.attempts.checking import is_set
from hone.attempts.encoding import outputs_of, reads_both_ways
from hone.errors import InputError
from hone.processes import Channel
from hone.task.recipe import Recipe
from hone.task.render import task_marks
from hone.task.spec import Task

if TYPE_CHECKING:
    from torch import nn

ON_PARTS = ("freeze", "layer_decay", "gradient_checkpointing", "rope_theta", "dropout", "pooling")
"""Keys that a model may have no part for."""


def acts_on_parts(recipe: Recipe) -> bool:
    """Whether something is set that has to be asked of the model."""
    return any(is_set(recipe, key) for key in ON_PARTS)


def check_parts(channel: Channel, order: dict[str, Any]) -> None:
    """Refuse what the model of a recipe has no part for; ``order``: task, data, recipe.

    Raises:
        InputError: with a sentence for each pattern and key.
    """
    del channel
    problems = part_problems(order["recipe"], order["task"], order["data"].labels)
    if problems:
        raise InputError(problems)


def part_problems(recipe: Recipe, task: Task, labels: Sequence[str]) -> list[str]:
    """A sentence for each key that acts on parts which the model does not have.

    A model from scratch is made without its numbers, whatever its size; a base is loaded.
    """
    from hone.model.induction import check_room
    from hone.train.layers import frozen_names, rate_shares, trained_names
    from hone.train.trainable import save_activations_again

    try:
        model = _model(recipe, task, labels)
    except InputError as error:
        return list(error.problems)
    looks: list[Callable[[], object]] = [lambda: frozen_names(model, recipe.freeze)]
    looks.append(lambda: rate_shares(model, trained_names(model, ()), recipe.layer_decay))
    if recipe.gradient_checkpointing:
        looks.append(lambda: save_activations_again(model))
    if recipe.base.startswith("scratch") and recipe.initial == "induction" and not reads_both_ways(recipe):
        looks.append(lambda: check_room(model))
    problems: list[str] = []
    for look in looks:
        try:
            look()
        except InputError as error:
            problems += error.problems
    return problems


def _model(recipe: Recipe, task: Task, labels: Sequence[str]) -> nn.Module:
    """A model with the names and shapes of the recipe's."""
    if not recipe.base.startswith("scratch"):
        base = base_of(recipe, labels, task_marks(task))
        return build_model(recipe, base.tokenizer, labels)  # type: ignore[arg-type]  # open_base wraps with ours
    import torch

    from hone.model.encoders import encoder_from_scratch, encoder_shape_of
    from hone.model.presets import from_scratch, shape_of

    with torch.device("meta"):
        if not reads_both_ways(recipe):
            return from_scratch(shape_of(recipe, recipe.vocab_size), recipe.seed)
        outputs = outputs_of(recipe, labels)
        shape = encoder_shape_of(recipe, recipe.vocab_size)
        return encoder_from_scratch(shape, recipe.seed, recipe.objective, len(outputs))  # type: ignore[arg-type]
