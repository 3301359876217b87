"""The shipped default recipe of each kind of task, and how its length follows from the box."""

from __future__ import annotations

from dataclasses import dataclass

from hone.attempts.checking import OBJECTIVES
from hone.data.prepare import DataVersion
from hone.model.base import is_encoder_base
from hone.task.recipe import EVALUATIONS, Recipe, of_length
from hone.task.spec import LISTED, Task
from hone.wording import counted

FIRST_SHARE = 0.70
"""Share of the box by whose end the first attempt is planned to be done."""
MOST_EPOCHS = {
    "classify": 12.0,
    "multi-label": 12.0,
    "tag": 12.0,
    "extract": 14.0,
    "generate": 12.0,
    "language-model": 8.0,
}
"""Passes over the training rows beyond which the default recipe gains nothing: a large box does not make it longer."""
FROM_SCRATCH = {"extract": "scratch:500k"}
"""What a kind of task starts from where it says only ``scratch``, and it is not the usual million parameters.

Copying needs two layers, not four: in the same CPU-seconds two of them see the rows nearly twice as often, and come
further for it (benchmarks/README.md)."""
LEAST_STEPS = 40
NARROW = 512
"""Hidden width up to which a pretrained encoder takes the higher rate that was measured on MiniLM (384 wide)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """What was measured on this machine with this recipe's model and data."""

    step_s: float
    """Seconds of one optimizer step."""
    tokens_per_second: float
    steps_per_epoch: int
    evaluation_s: float
    """Seconds of one evaluation on the way."""
    final_s: float
    """Seconds of scoring all dev rows at the end."""


def default_recipe(task: Task, data: DataVersion | None, *, seed: int, threads: int, base: str | None = None) -> Recipe:
    """The recipe that ``hone solve`` tries first; its number of steps is set by :func:`planned`.

    With a ``base`` it is that for this base instead of the task's: what a model is trained with follows from it.
    Without ``data``, before that is read, it lacks the data's id, and the vocabulary is that for a few labels.
    """
    base = base or task.base
    if base == "scratch":
        base = FROM_SCRATCH.get(task.kind, "scratch:bert-1m" if task.kind in LISTED else "scratch:1m")
    values: dict[str, object] = {
        "base": base,
        "data": "" if data is None else data.id,
        "context": task.device.context,
        "seed": seed,
        "threads": threads,
        # Chosen by the device; on a CPU what every recipe has without them.
        "precision": "auto",
        "compile": "auto",
    }
    from_scratch = base.startswith("scratch")
    if task.kind == "extract":
        values |= {"batch_size": 24, "decay_share": 0.5, "swap_values": 0.4}
        values |= {"vocab_size": 1632} if from_scratch else {}
    if task.kind == "classify" and from_scratch:
        values |= {"vocab_size": max(2048, 1280 + (0 if data is None else len(data.labels)))}
    if task.kind == "language-model":
        # A row is a whole context of supervised tokens: a few rows are a batch.
        values |= {"batch_size": 8}
    if is_encoder_base(base):
        return Recipe.model_validate(values | _of_encoder(task, base))
    if not from_scratch:
        # A pretrained model is moved gently: AdamW at a small rate, its own layout of text.
        values |= {"optimizer": "adamw", "learning_rate": 1e-4, "batch_size": 16}
        values |= {"layout": "json"} if task.kind == "extract" else {}
    return Recipe.model_validate(values)


def _of_encoder(task: Task, base: str) -> dict[str, object]:
    """What an encoder is trained with: the objective follows from the task."""
    values: dict[str, object] = {
        "objective": OBJECTIVES[task.kind][-1],
        "optimizer": "adamw",
        "schedule": "warmup-linear",
        "beta2": 0.999,
        "batch_size": 32,
    }
    if base.startswith("scratch"):
        return values | {"learning_rate": 1e-3, "init_std": 0.02, "vocab_size": 2048}
    # A new head has to move further than what lies under it, and a wide encoder moves more gently.
    return values | {"learning_rate": 1e-3 if _width(base) <= NARROW else 2e-4, "layer_decay": 0.8}


def _width(base: str) -> int:
    """Width of the hidden states of a pretrained encoder, as its config says it."""
    from hone.data.tokenizer import TextTokenizer
    from hone.model.base import open_base

    config = open_base(base, TextTokenizer, head="masked-tokens").config
    return int(config.get("hidden_size") or config.get("dim") or 2 * NARROW)


def _of(recipe: Recipe) -> str:
    """What a step consists of, for people."""
    if recipe.batch_tokens is None:
        return counted(recipe.batch_size, "row")
    return f"at most {counted(recipe.batch_tokens, 'token')}"


def planned(task: Task, recipe: Recipe, rate: Rate, available_s: float) -> tuple[Recipe, str]:
    """The recipe with as many steps as fit, and a line that says how the number came about."""
    for_steps = available_s - EVALUATIONS * rate.evaluation_s - rate.final_s
    fitting = int(for_steps / rate.step_s)
    most = max(LEAST_STEPS, round(MOST_EPOCHS[task.kind] * rate.steps_per_epoch))
    steps = max(LEAST_STEPS, min(fitting, most))
    changed = recipe.child(steps=steps, **of_length(steps))
    why = "the box" if fitting < most else f"{MOST_EPOCHS[task.kind]:g} epochs, beyond which the default gains nothing"
    if fitting < LEAST_STEPS:
        why = f"the least that is worth training; the box has room for {max(0, fitting)}"
    line = (
        f"plan: {counted(steps, 'step')} of {_of(recipe)} = {steps / rate.steps_per_epoch:.1f} epochs, "
        f"limited by {why}; "
        f"{rate.step_s * 1000:.0f} ms a step measured, about {steps * rate.step_s:.0f} s"
    )
    return changed, line
