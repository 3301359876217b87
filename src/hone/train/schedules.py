"""Learning-rate schedules: pure functions from the number of the step to a factor of the peak rate.

``step`` counts from 0; the factor is for the update that step ``step`` makes. Warmup is linear and the first
update is already above zero: ``(step + 1) / warmup_steps``.
"""

from __future__ import annotations

import math

from hone.task.recipe import Recipe


def constant(step: int, *, warmup_steps: int) -> float:
    """Linear warmup, then 1."""
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


def warmup_cosine(step: int, *, steps: int, warmup_steps: int) -> float:
    """Linear warmup, then half a cosine from 1 to 0 at ``steps``. I. Loshchilov, F. Hutter, arXiv:1608.03983."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def warmup_stable_decay(step: int, *, steps: int, warmup_steps: int, decay_share: float) -> float:
    """Linear warmup, 1, then linear to 0 over the last ``decay_share`` of ``steps``.

    Until the decay starts, a run does not depend on its horizon, so a paused run can be promoted without having
    been trained on a shortened schedule. S. Hu et al., MiniCPM, arXiv:2404.06395.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    decay_steps = steps * decay_share
    left = steps - step
    return 1.0 if decay_steps <= 0 or left >= decay_steps else max(0.0, left / decay_steps)


def rate_factor(recipe: Recipe, step: int) -> float:
    """The factor of a recipe's peak rates at ``step``."""
    if recipe.schedule == "constant":
        return constant(step, warmup_steps=recipe.warmup_steps)
    if recipe.schedule == "warmup-cosine":
        return warmup_cosine(step, steps=recipe.steps, warmup_steps=recipe.warmup_steps)
    return warmup_stable_decay(
        step, steps=recipe.steps, warmup_steps=recipe.warmup_steps, decay_share=recipe.decay_share
    )
