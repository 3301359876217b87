"""What a Lightning ``Trainer`` and a recipe have to agree on, and what is said where they need not."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info

from hone.errors import InputError
from hone.task.recipe import Recipe
from hone.wording import every


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """A Trainer's arguments that carry a recipe out; it counts validations in micro-batches."""
    return {
        "max_steps": recipe.steps,
        "accumulate_grad_batches": recipe.accumulate,
        "val_check_interval": recipe.eval_every * recipe.accumulate,
        "check_val_every_n_epoch": None,
        "log_every_n_steps": 1,
    }


def check_agreement(trainer: Trainer, recipe: Recipe) -> None:
    """Compare the steps of both.

    Raises:
        InputError: when the Trainer accumulates other numbers of batches than the recipe cuts a step into.
    """
    if trainer.accumulate_grad_batches != recipe.accumulate:
        raise InputError(
            f"the recipe cuts a step into {recipe.accumulate} micro-batches and the Trainer accumulates "
            f"{trainer.accumulate_grad_batches}; give it accumulate_grad_batches={recipe.accumulate}"
        )
    planned = trainer.estimated_stepping_batches
    if planned != recipe.steps and not _is_dev_run(trainer):
        rank_zero_info(
            f"the schedule is planned for {recipe.steps:,} steps and the Trainer will make {planned:,}; "
            f"max_steps={recipe.steps} makes them equal"
        )
    if trainer.gradient_clip_val is not None:
        rank_zero_info(
            f"gradients are clipped at the Trainer's gradient_clip_val {trainer.gradient_clip_val:g}, "
            f"and not at the recipe's clip_norm {recipe.clip_norm:g}"
        )


def check_judging(trainer: Trainer, recipe: Recipe) -> None:
    """Look whether dev is judged before the Trainer ends; it knows so when its loaders are made.

    Raises:
        InputError: when it is not and a callback watches what would be measured on dev.
    """
    last = trainer.estimated_stepping_batches * recipe.accumulate
    first = _first_judged(trainer)
    if _is_dev_run(trainer) or first <= last:
        return
    watching = [
        f"{type(one).__name__} watches {one.monitor}"
        for one in getattr(trainer, "callbacks", ())
        if str(getattr(one, "monitor", None) or "").startswith("dev_")
    ]
    never = (
        "dev is not judged at all (limit_val_batches=0)"
        if first == float("inf")
        else f"the Trainer ends after {last:,} batches and judges dev after {first:,} for the first time"
    )
    if watching:
        raise InputError(
            f"{' and '.join(watching)}, and {never}; give it **module.trainer_settings(), which judges dev "
            f"{every(recipe.eval_every, 'step')}"
        )
    if first < float("inf"):  # who switched judging off knows
        rank_zero_info(f"{never}; **module.trainer_settings() makes that {every(recipe.eval_every, 'step')}")


def _first_judged(trainer: Trainer) -> float:
    """Batches before dev is judged for the first time; infinite where it never is."""
    if trainer.limit_val_batches == 0:
        return float("inf")
    every = trainer.check_val_every_n_epoch or 1  # None: it counts batches over all epochs
    return float(trainer.val_check_batch or 0) + (every - 1) * trainer.num_training_batches


def _is_dev_run(trainer: Trainer) -> bool:
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]
