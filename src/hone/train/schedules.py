"""Learning-rate schedules: pure functions from the number of the step to a factor of the peak rate.

``step`` counts from 0; the factor is for the update that step ``step`` makes. Warmup is linear and the first
update is already above zero: ``(step + 1) / warmup_steps``. (Transformers' schedules count the warmup from 0, so
their first update moves nothing; behind the warmup they are equal to these.) ``least`` is the factor at which a
falling schedule ends.
"""

from __future__ import annotations

import math

from hone.task.recipe import Recipe


def constant(step: int, *, warmup_steps: int) -> float:
    """Linear warmup, then 1."""
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


def warmup_linear(step: int, *, steps: int, warmup_steps: int, least: float = 0.0) -> float:
    """Linear warmup, then linear from 1 to ``least`` at ``steps``."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return _between(least, 1.0 - _progress(step, steps, warmup_steps))


def warmup_cosine(step: int, *, steps: int, warmup_steps: int, least: float = 0.0) -> float:
    """Linear warmup, then half a cosine to ``least`` at ``steps``. I. Loshchilov, F. Hutter, arXiv:1608.03983."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return _between(least, 0.5 * (1.0 + math.cos(math.pi * _progress(step, steps, warmup_steps))))


def warmup_stable_decay(step: int, *, steps: int, warmup_steps: int, decay_share: float, least: float = 0.0) -> float:
    """Linear warmup, 1, then linear to ``least`` over the last ``decay_share`` of ``steps``.

    Until the decay starts, a run does not depend on its horizon, so a paused run can be promoted without having
    been trained on a shortened schedule. S. Hu et al., MiniCPM, arXiv:2404.06395.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    decay_steps = steps * decay_share
    left = steps - step
    return 1.0 if decay_steps <= 0 or left >= decay_steps else _between(least, max(0.0, left / decay_steps))


def rate_factor(recipe: Recipe, step: int) -> float:
    """The factor of a recipe's peak rates at ``step``."""
    steps, warmup_steps, least = recipe.steps, recipe.warmup_steps, recipe.least_rate
    match recipe.schedule:
        case "constant":
            return constant(step, warmup_steps=warmup_steps)
        case "warmup-linear":
            return warmup_linear(step, steps=steps, warmup_steps=warmup_steps, least=least)
        case "warmup-cosine":
            return warmup_cosine(step, steps=steps, warmup_steps=warmup_steps, least=least)
        case "warmup-stable-decay":
            return warmup_stable_decay(
                step, steps=steps, warmup_steps=warmup_steps, decay_share=recipe.decay_share, least=least
            )


def _progress(step: int, steps: int, warmup_steps: int) -> float:
    """Share of the steps behind the warmup that is done, at most 1."""
    return min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))


def _between(least: float, share: float) -> float:
    """From ``least`` at 0 to 1 at 1."""
    return least + (1.0 - least) * share
