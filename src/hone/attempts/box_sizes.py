"""Which size a box of minutes trains: the largest that fits the task's device and sees enough of the data."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hone.attempts.calibrate import Speed
from hone.task.recipe import Recipe
from hone.task.spec import Task

SIZES = ("tiny", "500k", "1m", "2m", "5m", "15m", "30m")
"""Presets that a box chooses among, where the task says no more than ``scratch``."""
LAST_RESORT = "scratch:tiny"
"""Looked at only where no other size makes enough steps."""
BYTES_PER_PARAMETER = 34 / 32
"""Of a quantized artifact, Q8_0: 32 weights in 34 bytes."""
TOKENS_PER_PARAMETER = 20.0
"""Below this a smaller model is the better use of the same arithmetic (J. Hoffmann et al., arXiv:2203.15556)."""
EPOCHS_SHARE = 0.5
"""Share of the most epochs that gain anything which a size must get, for a larger one to be taken."""


def sizes_for(task: Task, recipe: Recipe) -> tuple[str, ...]:
    """The sizes that a box may choose among, ascending: those whose artifact fits the task's device."""
    from hone.model.presets import parameters, shape_of

    room = math.inf if task.device.size_mb is None else 1e6 * task.device.size_mb
    fitting = []
    for size in SIZES:
        shape = shape_of(recipe.child(base=f"scratch:{size}"), recipe.vocab_size)
        if BYTES_PER_PARAMETER * parameters(shape) <= room:
            fitting.append(f"scratch:{size}")
    return tuple(fitting) or (LAST_RESORT,)


def of_size(recipe: Recipe, base: str, kept: Collection[str] = ()) -> Recipe:
    """The recipe with another size from scratch; the initial weights shrink with the root of the width."""
    if base == recipe.base:
        return recipe
    from hone.model.presets import DEFAULT_PRESET, preset

    widths = [preset(name.partition(":")[2] or DEFAULT_PRESET).hidden for name in (recipe.base, base)]
    std = round(recipe.init_std * math.sqrt(widths[0] / widths[1]), 4)
    return recipe.child(base=base, **({} if "init_std" in kept else {"init_std": std}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A size that was measured, and what the box affords with it."""

    base: str
    parameters: int
    speed: Speed
    tokens: float
    """Tokens, padding included, that the box affords."""
    epochs: float
    steps: float = math.inf

    def line(self) -> str:
        """One line for people."""
        return (
            f"  {self.base}: {self.parameters:,} parameters, {self.speed.tokens_per_second:,.0f} tokens/s measured, "
            f"so {self.tokens / 1e6:,.1f} M tokens = {self.tokens / self.parameters:,.1f} per parameter, "
            f"{self.epochs:,.1f} epochs"
        )


def is_enough(candidate: Candidate, kind: str, most_epochs: float) -> bool:
    """Whether the box affords this size what it needs; a larger one is looked at only then."""
    if kind == "language-model":
        useful = candidate.tokens * min(1.0, most_epochs / max(1e-9, candidate.epochs))
        return useful >= TOKENS_PER_PARAMETER * candidate.parameters
    return candidate.epochs >= EPOCHS_SHARE * most_epochs


def why_this_size(chosen: Candidate, measured: Sequence[Candidate], kind: str, most_epochs: float) -> str:
    """A line that says why a size was taken."""
    if kind == "language-model":
        bound = f"{TOKENS_PER_PARAMETER:g} tokens per parameter, of at most {most_epochs:g} epochs"
    else:
        bound = f"{EPOCHS_SHARE * most_epochs:g} epochs (half of {most_epochs:g}, beyond which nothing is gained)"
    if not is_enough(chosen, kind, most_epochs):
        return f"size: {chosen.base}, the smallest: the box affords none {bound}"
    larger = [item for item in measured if item.parameters > chosen.parameters]
    end = "a larger one would not get them" if larger else "no larger one was looked at"
    return f"size: {chosen.base}, the largest that gets {bound}; {end}"
