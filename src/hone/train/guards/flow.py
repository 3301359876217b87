"""Gradient flow: how much gradient reaches each layer, how far a step moves it, and layers that nothing reaches."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from hone.train.guards.spikes import Tell
from hone.train.sharding import whole
from hone.train.watching import Say, StepView, Verdict, Watcher

VANISHED = 1e-6
"""A layer's gradient norm over that of the middle one of the others, below which nothing reaches it."""
DEAD_SHARE = 0.9
"""Share of a matrix's output units without any gradient from which on a layer counts as dead."""
_LOOKS = 2
_COLUMNS, _ROWS = 64, 32
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerFlow:
    """One layer in one step."""

    layer: str
    gradient: float
    """Norm of its gradient, as the optimizer gets it (mean per token, clipped)."""
    weight: float
    """Norm of its weights."""
    dead_share: float
    """Largest share, over its matrices, of output units whose gradient is zero."""


def layer_name(parameter: str) -> str:
    """The layer of a parameter: ``layer 3``, ``embedding``, ``head``, or ``other``."""
    found = _LAYER.search(parameter)
    if found:
        return f"layer {found[1]}"
    if "embed" in parameter:
        return "embedding"
    return "head" if re.search(r"lm_head|classifier|score|cls|predictions", parameter) else "other"


@torch.no_grad()
def flow_of(model: nn.Module) -> list[LayerFlow]:
    """Gradients and weights by layer, in the model's order. Frozen parameters are left out."""
    named = [(name, param) for name, param in model.named_parameters() if param.requires_grad]
    reached = [(name, whole(param), whole(param.grad)) for name, param in named if param.grad is not None]
    sums: dict[str, list[float]] = {layer_name(name): [0.0, 0.0, 0.0] for name, _ in named}
    for (name, _, grad), norm, weight in zip(
        reached, _norms([grad for _, _, grad in reached]), _norms([param for _, param, _ in reached]), strict=True
    ):
        layer = layer_name(name)
        dead = _dead_share(grad) if grad.ndim == 2 and layer.startswith("layer ") else 0.0
        before = sums[layer]
        sums[layer] = [before[0] + norm**2, before[1] + weight**2, max(before[2], dead)]
    return [
        LayerFlow(layer=layer, gradient=grad**0.5, weight=weight**0.5, dead_share=dead)
        for layer, (grad, weight, dead) in sums.items()
    ]


def _norms(tensors: Sequence[Tensor]) -> list[float]:
    """All norms with one wait for the device."""
    return torch.stack(torch._foreach_norm(list(tensors))).tolist() if tensors else []


def _dead_share(grad: Tensor) -> float:
    """Share of output units without gradient; some columns tell, since a unit has one factor for all of them."""
    largest = grad[:, :_COLUMNS].abs().amax(dim=1)
    return float((largest <= 1e-9 * largest.max()).float().mean())


class FlowGuard(Watcher):
    """Records gradient over weight and update over weight by layer; says which layers nothing reaches.

    A layer is named when its gradient is zero, a million times smaller than the others', or when nine in ten of the
    output units of a matrix have none, on two looks in a row.
    """

    name = "flow"

    def __init__(self, every: int, tell: Tell | None = None) -> None:
        self.every = every
        self.update_ratio: float | None = None
        """Median over layers of a step's change over the weights' norm, the largest of all looks: that at the peak."""
        self._tell = tell
        self._suspects: dict[str, int] = {}
        self._flow: list[LayerFlow] = []
        self._before: dict[str, tuple[nn.Parameter, Tensor]] = {}

    def before_update(self, view: StepView) -> Verdict | None:
        """Look at the gradients, and copy some rows of each layer to see how far the step moves them."""
        self._flow = flow_of(view.model)
        with view.trained():  # rounded values stand still for many steps, and jump at one
            self._before = _samples(view.model)
        faults = _faults(self._flow, view.record.loss)
        self._suspects = {layer: self._suspects.get(layer, 0) + 1 for layer in faults}
        lines = [fault for layer, fault in faults.items() if self._suspects[layer] == _LOOKS]
        if not lines:
            return None
        line = "; ".join(lines)
        if self._tell is not None:
            self._tell({"step": view.record.step, "guard": self.name, "kind": "say", "line": line})
        return Say(f"step {view.record.step:,}: {line}")

    def after_step(self, view: StepView) -> Verdict | None:
        """Measure how far the step moved each layer, and keep the table."""
        with view.trained():
            moved = {layer: _moved(param, before) for layer, (param, before) in self._before.items()}
        self._before = {}
        if moved:
            self.update_ratio = max(self.update_ratio or 0.0, median(moved.values()))
        if self._tell is not None:
            layers = [
                {
                    "layer": one.layer,
                    "gradient": one.gradient,
                    "weight": one.weight,
                    "dead_share": one.dead_share,
                    "update": moved.get(one.layer),
                }
                for one in self._flow
            ]
            self._tell({"step": view.record.step, "guard": self.name, "kind": "flow", "layers": layers})
        return None

    def state(self) -> dict[str, Any]:
        """See :class:`hone.train.watching.Watcher`."""
        return {"suspects": dict(self._suspects), "update_ratio": self.update_ratio}

    def load(self, state: Mapping[str, Any]) -> None:
        """See :class:`hone.train.watching.Watcher`."""
        self._suspects = dict(state["suspects"])
        self.update_ratio = state["update_ratio"]
        self._before = {}


def _faults(flow: list[LayerFlow], loss: float) -> dict[str, str]:
    """What is wrong with which layer, in words."""
    layers = [one for one in flow if one.layer.startswith("layer ")]
    if all(one.gradient == 0.0 for one in flow):
        # A loss of zero has no gradient, and that is no fault.
        return {"all": "no layer has any gradient"} if loss > 1e-3 else {}
    found = {}
    for one in layers:
        others = [other.gradient for other in layers if other is not one] or [other.gradient for other in flow]
        middle = median(others)
        if one.gradient == 0.0:
            found[one.layer] = f"{one.layer} gets no gradient at all: nothing in it is trained"
        elif one.gradient < VANISHED * middle:
            times = middle / one.gradient
            found[one.layer] = f"{one.layer} gets {times:,.0f} times less gradient than the others ({one.gradient:.1e})"
        elif one.dead_share >= DEAD_SHARE:
            found[one.layer] = f"{one.layer} is dead: {one.dead_share:.0%} of the units of a matrix get no gradient"
    return found


@torch.no_grad()
def _samples(model: nn.Module) -> dict[str, tuple[nn.Parameter, Tensor]]:
    """Some rows of the first matrix of each layer, copied."""
    found: dict[str, tuple[nn.Parameter, Tensor]] = {}
    for name, param in model.named_parameters():
        layer = layer_name(name)
        if param.ndim == 2 and param.grad is not None and layer not in found:
            found[layer] = (param, whole(param)[:_ROWS].clone())
    return found


@torch.no_grad()
def _moved(param: nn.Parameter, before: Tensor) -> float:
    return float((whole(param)[:_ROWS] - before).norm() / before.norm().clamp_min(1e-12))
