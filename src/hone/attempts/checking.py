"""Keys of a recipe that cannot act together, each refused by a sentence: an option never does nothing in silence."""

from __future__ import annotations

from typing import Any

from hone.errors import InputError
from hone.evaluate.reading import MASKED_METRICS
from hone.task.recipe import Recipe
from hone.task.spec import Task

OBJECTIVES = {
    "classify": ("next-token", "classify-sequence"),
    "multi-label": ("classify-sequence",),
    "tag": ("tag-tokens",),
    "extract": ("next-token",),
    "generate": ("next-token",),
    "language-model": ("next-token", "masked-tokens"),
}
"""What may be minimised for each kind of task."""


def check_recipe(recipe: Recipe, task: Task) -> None:
    """Refuse a recipe in which a key that was set could not act.

    Raises:
        InputError: with all such keys, what each needs, and what to set instead.
    """
    problems = [
        *_start(recipe),
        *_objective(recipe, task),
        *_rates(recipe),
        *_batches(recipe),
        *_several(recipe),
        *_rows(recipe, task),
    ]
    if problems:
        raise InputError(problems)


def is_set(recipe: Recipe, key: str) -> bool:
    """Whether a key has another value than every recipe has by default."""
    default: Any = type(recipe).model_fields[key].default
    return bool(getattr(recipe, key) != default)


def _start(recipe: Recipe) -> list[str]:
    if recipe.base.startswith("scratch"):
        if problem := _unknown_preset(recipe.base):
            return [problem]
        if recipe.add_tokens:
            count = len(recipe.add_tokens)
            return [
                f"add_tokens names {count} texts, and {recipe.base} trains its own tokenizer; set vocab_size instead"
            ]
        if recipe.base.startswith("scratch:bert"):
            return _unused(recipe, ("architecture", "initial", "rope_theta"), f"{recipe.base} is an encoder without it")
        return []
    from_scratch = ("architecture", "initial", "init_std", "rope_theta")
    return _unused(recipe, from_scratch, f"it shapes a model from scratch; {recipe.base} brings its own")


def _unknown_preset(base: str) -> str:
    from hone.model.encoders import encoder_preset, is_encoder
    from hone.model.presets import DEFAULT_PRESET, preset

    name = base.partition(":")[2] or DEFAULT_PRESET
    try:
        encoder_preset(name) if is_encoder(base) else preset(name)
    except InputError as error:
        return f"base {base}: {error}"
    return ""


def _unused(recipe: Recipe, keys: tuple[str, ...], why: str) -> list[str]:
    return [
        f"{key} {getattr(recipe, key)} would do nothing: {why}; leave it out" for key in keys if is_set(recipe, key)
    ]


def _objective(recipe: Recipe, task: Task) -> list[str]:
    problems = []
    allowed = OBJECTIVES.get(task.kind, ("next-token",))
    if recipe.objective not in allowed:
        problems.append(
            f"objective {recipe.objective} does not fit a task of kind {task.kind}; it takes {' or '.join(allowed)}"
        )
    bert = recipe.base.startswith("scratch:bert")
    if recipe.base.startswith("scratch") and bert == (recipe.objective == "next-token"):
        need = "needs an encoder, such as base scratch:bert-5m" if not bert else "needs a decoder, such as scratch:5m"
        problems.append(f"objective {recipe.objective} {need}; the base is {recipe.base}")
    if recipe.objective != "masked-tokens":
        problems += _unused(recipe, ("mask_share",), "only objective masked-tokens masks")
    if recipe.objective not in ("classify-sequence", "tag-tokens"):
        problems += _unused(
            recipe, ("class_weights",), "only objectives classify-sequence and tag-tokens weigh their classes"
        )
    if recipe.objective == "classify-sequence" and recipe.packing:
        problems.append(
            "packing puts several rows into one sequence, which objective classify-sequence has one answer for; "
            "set packing=false"
        )
    if task.kind == "language-model" and (recipe.objective == "masked-tokens") != (task.metric in MASKED_METRICS):
        wanted = (
            f"metric {' or '.join(MASKED_METRICS)}" if task.metric not in MASKED_METRICS else "metric bits_per_byte"
        )
        problems.append(
            f"metric {task.metric} does not go with objective {recipe.objective}; set {wanted} in hone.yaml"
        )
    if recipe.objective != "classify-sequence":
        problems += _unused(recipe, ("pooling",), "only objective classify-sequence pools a row")
    if recipe.objective != "tag-tokens":
        problems += _unused(recipe, ("subtokens",), "only objective tag-tokens has tags")
    if task.kind == "multi-label":
        problems += _unused(recipe, ("label_smoothing",), "rows of this task can have several labels")
    return problems


def _rates(recipe: Recipe) -> list[str]:
    problems = []
    if recipe.optimizer != "muon":
        problems += _unused(recipe, ("matrix_learning_rate",), f"only muon has it, the optimizer is {recipe.optimizer}")
    if recipe.schedule == "constant":
        problems += _unused(recipe, ("least_rate",), "schedule constant never falls")
    return problems


def _batches(recipe: Recipe) -> list[str]:
    problems = []
    if recipe.batch_tokens is not None and recipe.batch_tokens < recipe.context:
        problems.append(
            f"batch_tokens {recipe.batch_tokens:,} is less than the context of {recipe.context:,} tokens, so the "
            f"longest row would fit into no step; set batch_tokens to at least {recipe.context:,}"
        )
    return problems


def _several(recipe: Recipe) -> list[str]:
    if recipe.strategy == "fsdp" and recipe.processes == 1:
        return ["strategy fsdp shards the model over processes, and there is 1; set processes=2 or more"]
    return []


def _rows(recipe: Recipe, task: Task) -> list[str]:
    problems = []
    if task.kind != "extract":
        problems += _unused(
            recipe, ("swap_values",), f"values of fields are swapped in extract; the kind is {task.kind}"
        )
    if not recipe.swap_values:
        problems += _unused(recipe, ("random_words",), "it is a share of the swapped values, and swap_values is 0")
    if bool(recipe.replay) != bool(recipe.replay_share):
        have, miss = ("replay", "replay_share") if recipe.replay else ("replay_share", "replay")
        problems.append(f"{have} {getattr(recipe, have)} does nothing without {miss}; set both")
    if recipe.replay and recipe.objective != "next-token":
        problems.append(f"replay mixes in documents for objective next-token; the objective is {recipe.objective}")
    return problems
