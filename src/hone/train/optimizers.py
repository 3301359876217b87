"""Which optimizer moves which parameter, and its state as named tensors.

Matrices decay, gains and biases do not. With ``muon`` the hidden matrices go to Muon; embeddings, the output
matrix and all vectors stay with AdamW, as Muon's authors say. ``adafactor`` is torch's: no momentum, and of a matrix's
second moments only the means of rows and columns are kept; its rate is relative, a step moves a tensor by the rate
times the tensor's own root mean square (N. Shazeer, M. Stern, arXiv:1804.04235).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hone.errors import FailedError
from hone.task.recipe import Recipe
from hone.train.layers import LAYER, describe_layers, freeze, rate_shares, trained_names
from hone.train.muon import Muon

SHARE = "rate_share"
"""Key of a parameter group: its rate over the optimizer's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One optimizer with its peak rate and its parameters' names."""

    name: str
    optimizer: torch.optim.Optimizer
    peak_rate: float
    names: Mapping[nn.Parameter, str]

    def set_rate(self, factor: float) -> float:
        """Set the rate to ``factor`` of the peak, of each group to its share of that; the rate."""
        rate = self.peak_rate * factor
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group[SHARE]
        return rate

    def tensors(self) -> dict[str, Tensor]:
        """The whole state under ``optimizer/KEY/PARAMETER``."""
        state = self.optimizer.state
        return {
            f"{self.name}/{key}/{name}": value
            for param, name in self.names.items()
            for key, value in state.get(param, {}).items()
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`tensors` gave, on the device where each optimizer wants it.

        Raises:
            FailedError: when the tensors name a parameter that this optimizer does not have.
        """
        params = {name: param for param, name in self.names.items()}
        for full, value in tensors.items():
            owner, key, name = full.split("/", 2)
            if owner != self.name:
                continue
            if name not in params:
                raise FailedError(f"the checkpoint has optimizer state for {name}, which {self.name} does not train")
            # A step count that is not fused into a kernel stays on the CPU, where reading it does not wait.
            on_cpu = key == "step" and not self.optimizer.defaults.get("fused")
            device = value.device if on_cpu else params[name].device
            self.optimizer.state[params[name]][key] = value.to(device, copy=True)


def build_optimizers(model: nn.Module, recipe: Recipe) -> list[Part]:
    """The optimizers of a recipe over the trainable parameters of ``model``, after freezing what it says.

    Raises:
        InputError: for a pattern of ``freeze`` that matches nothing, or that leaves nothing to train; for rates by
            layer where no name says a layer.
    """
    freeze(model, recipe.freeze)
    shares = _shares(model, recipe)
    hidden = hidden_matrices(model) if recipe.optimizer == "muon" else set()
    params = dict(model.named_parameters())
    rest = {name: params[name] for name in shares if name not in hidden}
    matrices = {name: params[name] for name in shares if name in hidden}
    parts = []
    if rest:
        groups = _groups(rest, shares, recipe.weight_decay)
        optimizer = _adafactor(groups, recipe) if recipe.optimizer == "adafactor" else _adamw(groups, recipe)
        parts.append(_part(optimizer, recipe.learning_rate, rest))
    if matrices:
        muon = Muon(_groups(matrices, shares, recipe.weight_decay), lr=recipe.matrix_learning_rate)
        parts.append(_part(muon, recipe.matrix_learning_rate, matrices))
    return parts


def describe(model: nn.Module, recipe: Recipe) -> list[str]:
    """What a recipe trains of a model and what it freezes, and how fast each layer moves, as lines for a person.

    The model is left as it is. Raises what :func:`build_optimizers` would.
    """
    shares = _shares(model, recipe)
    hidden = hidden_matrices(model) if recipe.optimizer == "muon" else set()
    peaks = {}
    if not hidden.issuperset(shares):
        peaks["adafactor" if recipe.optimizer == "adafactor" else "adamw"] = recipe.learning_rate
    if hidden & set(shares):
        peaks["muon"] = recipe.matrix_learning_rate
    return describe_layers(model, shares, peaks)


def _shares(model: nn.Module, recipe: Recipe) -> dict[str, float]:
    """The share of its optimizer's rate of each parameter that the recipe trains."""
    return rate_shares(model, trained_names(model, recipe.freeze), recipe.layer_decay)


def hidden_matrices(model: nn.Module) -> set[str]:
    """Names of trainable matrices inside the layers: not embeddings, not the output matrix or a classifier."""
    outside = {
        id(param) for module in model.modules() if isinstance(module, nn.Embedding) for param in module.parameters()
    }
    head = getattr(model, "get_output_embeddings", lambda: None)()
    outside |= {id(param) for param in head.parameters()} if head is not None else set()
    matrices = {
        name
        for name, param in model.named_parameters()
        if param.ndim == 2 and param.requires_grad and id(param) not in outside
    }
    inside = {name for name in matrices if LAYER.search(name)}
    return inside or matrices


def _groups(
    named: Mapping[str, nn.Parameter], shares: Mapping[str, float], weight_decay: float
) -> list[dict[str, Any]]:
    """Parameter groups by share of the rate and by decay, in the order of the parameters."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, param in named.items():
        groups.setdefault((shares[name], weight_decay if param.ndim >= 2 else 0.0), []).append(param)
    return [
        {"params": params, SHARE: share, "weight_decay": decay}
        for (share, decay), params in sorted(groups.items(), key=lambda item: (-item[0][0], -item[0][1]))
    ]


def _adamw(groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    # One kernel per tensor instead of a dozen: 1 ms instead of 3 for a million parameters on one core.
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2), fused=True)


def _adafactor(groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    return torch.optim.Adafactor(groups, lr=recipe.learning_rate)


def _part(optimizer: torch.optim.Optimizer, rate: float, named: Mapping[str, nn.Parameter]) -> Part:
    name = type(optimizer).__name__.lower()
    return Part(name=name, optimizer=optimizer, peak_rate=rate, names={p: n for n, p in named.items()})
