"""The guards that every run has."""

from __future__ import annotations

from hone.task.recipe import Recipe
from hone.train.guards.flow import FlowGuard
from hone.train.guards.rates import RateGuard
from hone.train.guards.spikes import SpikeGuard, Tell
from hone.train.watching import Watcher

LOOKS = 20
"""Looks at the layers in a short run."""


def standard_watchers(recipe: Recipe, tell: Tell | None = None) -> list[Watcher]:
    """Spikes (unless ``on_spike`` is ``ignore``), gradient flow by layer, and the rate by its curve.

    Args:
        recipe: decides what a spike asks for, and how often layers are looked at: each 50th step, and 20 times in a
            shorter run, each 10th step at most.
        tell: takes what they see as plain values: ``step``, ``guard``, ``kind`` (``say``, ``rewind``, ``flow``), and
            a ``line`` or the ``layers``. Call it in the first process only.
    """
    flow = FlowGuard(min(50, max(10, recipe.steps // LOOKS)), tell)
    spikes: list[Watcher] = [] if recipe.on_spike == "ignore" else [SpikeGuard(recipe, tell)]
    return [*spikes, flow, RateGuard(recipe, flow, tell)]
