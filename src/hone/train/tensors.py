"""A model's weights as named tensors: each one once, under its first name, however it is tied."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hone.errors import InputError
from hone.train.sharding import sharded_like, whole


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name; a tied parameter appears once, under its first name."""
    own = dict(model.named_parameters())
    params = {id(param) for param in own.values()}
    kept = model.state_dict(keep_vars=True)
    buffers = {name: value for name, value in kept.items() if name not in own and id(value) not in params}
    return {**own, **buffers}


@torch.no_grad()
def load_model_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors of :func:`model_tensors` into ``model``.

    Raises:
        InputError: when names or shapes differ, with the first three of each kind.
    """
    own = model_tensors(model)
    problems = [f"{name} is in the file and not in the model" for name in sorted(tensors.keys() - own.keys())[:3]]
    problems += [f"{name} is in the model and not in the file" for name in sorted(own.keys() - tensors.keys())[:3]]
    problems += [
        f"{name} is {tuple(tensors[name].shape)} in the file, {tuple(own[name].shape)} in the model"
        for name in sorted(own.keys() & tensors.keys())
        if tensors[name].shape != own[name].shape
    ][:3]
    if problems:
        raise InputError(problems)
    for name, value in own.items():
        value.copy_(sharded_like(tensors[name], value))


@torch.no_grad()
def gather(model: nn.Module, into: nn.Module) -> None:
    """Copy the weights of a sharded model into a whole one of the same names. All processes call it together."""
    targets = model_tensors(into)
    for name, value in model_tensors(model).items():
        targets[name].copy_(whole(value))
