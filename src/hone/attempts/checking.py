"""Keys of a recipe that cannot act together, each refused by a sentence: an option never does nothing in silence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from hone.attempts.training_for import is_taught_by_its_base
from hone.errors import InputError
from hone.evaluate.reading import MASKED_METRICS
from hone.task.recipe import Recipe, of_length
from hone.task.spec import Task
from hone.train.refusals import refusals

OBJECTIVES = {
    "classify": ("next-token", "classify-sequence"),
    "multi-label": ("classify-sequence",),
    "tag": ("tag-tokens",),
    "extract": ("next-token",),
    "generate": ("next-token",),
    "language-model": ("next-token", "masked-tokens"),
}
"""What may be minimised for each kind of task; of an encoder the last one."""


def check_recipe(recipe: Recipe, task: Task) -> None:
    """Refuse a recipe in which a key that was set could not act.

    Raises:
        InputError: with all such keys, what each needs, and what to set instead.
    """
    if problems := problems_of(recipe, task):
        raise InputError(problems)


def problems_of(recipe: Recipe, task: Task) -> list[str]:
    """What :func:`check_recipe` refuses: combinations that cannot be carried out, and keys that could not act."""
    return [
        *_start(recipe),
        *_objective(recipe, task),
        *_batches(recipe),
        *_several(recipe),
        *_rows(recipe),
        *(
            f"{key} {getattr(recipe, key)} would do nothing: {why}; leave it out"
            for key, why in idle(recipe, task).items()
        ),
    ]


def idle(recipe: Recipe, task: Task) -> dict[str, str]:
    """Keys that are set and would do nothing, each with the reason."""
    return {key: why for keys, why in _idle_rules(recipe, task) for key in keys if is_set(recipe, key)}


def acting(recipe: Recipe, task: Task) -> list[str]:
    """Keys of a recipe that do something in a run: not idle, not off, not None."""
    without = {key for keys, _ in _idle_rules(recipe, task) for key in keys}
    off: tuple[Any, ...] = (None, False, 0, "", (), "none", "ignore")
    values = {key: getattr(recipe, key) for key in type(recipe).model_fields if key not in without}
    return [key for key, value in values.items() if key == "seed" or value not in off]


def without_idle(recipe: Recipe, task: Task, kept: Collection[str]) -> tuple[Recipe, dict[str, str]]:
    """The recipe with idle keys put back to their defaults, but for those of ``kept``; the reasons of the others.

    For keys that somebody's default or parent had set before another change made them idle.
    """
    reasons: dict[str, str] = {}
    while found := {key: why for key, why in idle(recipe, task).items() if key not in kept}:
        reasons |= found
        recipe = recipe.child(**{key: type(recipe).model_fields[key].default for key in found})
    return recipe, reasons


def changed(start: Recipe, changes: Mapping[str, Any], task: Task) -> tuple[Recipe, dict[str, int], dict[str, str]]:
    """A recipe with somebody's changes, the values that follow from them, and the keys put back, each with why.

    A schedule of another length keeps its proportions (:func:`hone.task.recipe.of_length`), and what a default or a
    parent had set for something else is not what the user is to be blamed for.

    Raises:
        InputError: for changes that are not a recipe's, and those that cannot act together, all at once.
    """
    follows: dict[str, int] = {}
    if "steps" in changes:
        # As the recipe reads it: 2e2 is 200.
        length = start.tried({"steps": changes["steps"]})[0].steps
        follows = {key: value for key, value in of_length(length).items() if key not in changes}
    recipe, problems = start.tried({**follows, **changes})
    recipe, reasons = without_idle(recipe, task, changes)
    problems += problems_of(recipe, task)
    if problems:
        raise InputError(problems)
    return recipe, follows, reasons


def is_set(recipe: Recipe, key: str) -> bool:
    """Whether a key has another value than every recipe has by default; what the device chooses is not set."""
    default: Any = type(recipe).model_fields[key].default
    return getattr(recipe, key) not in (default, "auto")


Rules = list[tuple[tuple[str, ...], str]]
"""Keys, and why they would do nothing."""


def _idle_rules(recipe: Recipe, task: Task) -> Rules:
    return [*_idle_start(recipe), *_idle_objective(recipe, task), *_idle_rates(recipe), *_idle_rows(recipe, task)]


FROM_SCRATCH = ("architecture", "initial", "init_std", "rope_theta", "vocab_size")


def _start(recipe: Recipe) -> list[str]:
    if not recipe.base.startswith("scratch"):
        return []
    if problem := _unknown_preset(recipe.base):
        return [problem]
    if recipe.add_tokens:
        count = len(recipe.add_tokens)
        return [f"add_tokens names {count} texts, and {recipe.base} trains its own tokenizer; set vocab_size instead"]
    return []


def _idle_start(recipe: Recipe) -> Rules:
    if recipe.base.startswith("scratch:bert"):
        return [(("architecture", "initial", "rope_theta"), f"{recipe.base} is an encoder without it")]
    if recipe.base.startswith("scratch"):
        return []
    return [(FROM_SCRATCH, f"it shapes a model from scratch; {recipe.base} brings its own")]


def _unknown_preset(base: str) -> str:
    from hone.model.encoders import encoder_preset, is_encoder
    from hone.model.presets import DEFAULT_PRESET, preset

    name = base.partition(":")[2] or DEFAULT_PRESET
    try:
        encoder_preset(name) if is_encoder(base) else preset(name)
    except InputError as error:
        return f"base {base}: {error}"
    return ""


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
    return problems


def _idle_objective(recipe: Recipe, task: Task) -> Rules:
    rules: Rules = []
    if recipe.objective != "masked-tokens":
        rules.append((("mask_share",), "only objective masked-tokens masks"))
    if recipe.objective not in ("classify-sequence", "tag-tokens"):
        rules.append((("class_weights",), "only objectives classify-sequence and tag-tokens weigh their classes"))
    if recipe.objective != "classify-sequence":
        rules.append((("pooling",), "only objective classify-sequence pools a row"))
    if recipe.objective != "tag-tokens":
        rules.append((("subtokens",), "only objective tag-tokens has tags"))
    if is_taught_by_its_base(recipe, task):
        why = f"with aware {recipe.aware} the base's own answers are learned, and not the rows"
        rules.append((("label_smoothing", "class_weights"), why))
    if task.kind == "multi-label":
        rules.append((("label_smoothing",), "rows of this task can have several labels"))
    return rules


def _idle_rates(recipe: Recipe) -> Rules:
    rules: Rules = []
    if recipe.optimizer != "muon":
        rules.append((("matrix_learning_rate",), f"only muon has it, the optimizer is {recipe.optimizer}"))
    if recipe.optimizer == "adafactor":
        rules.append((("beta1", "beta2"), "adafactor has no momentum, and its decay follows from the step"))
    if recipe.schedule == "constant":
        rules.append((("least_rate",), "schedule constant never falls"))
    if recipe.schedule != "warmup-stable-decay":
        rules.append((("decay_share",), f"only schedule warmup-stable-decay has it, the schedule is {recipe.schedule}"))
    return rules


def _batches(recipe: Recipe) -> list[str]:
    problems = []
    if recipe.batch_tokens is not None and recipe.batch_tokens < recipe.context:
        problems.append(
            f"batch_tokens {recipe.batch_tokens:,} is less than the context of {recipe.context:,} tokens, so the "
            f"longest row would fit into no step; set batch_tokens to at least {recipe.context:,}"
        )
    if recipe.on_spike == "rewind" and recipe.eval_every >= recipe.steps:
        problems.append(
            f"on_spike rewind goes back to the state of the last evaluation, and with eval_every {recipe.eval_every:,} "
            f"of {recipe.steps:,} steps there is none before the end but the start; lower eval_every"
        )
    return problems


def _several(recipe: Recipe) -> list[str]:
    if recipe.strategy == "fsdp" and recipe.processes == 1:
        return ["strategy fsdp shards the model over processes, and there is 1; set processes=2 or more"]
    return refusals(recipe)


def _rows(recipe: Recipe) -> list[str]:
    problems = []
    if bool(recipe.replay) != bool(recipe.replay_share):
        have, miss = ("replay", "replay_share") if recipe.replay else ("replay_share", "replay")
        problems.append(f"{have} {getattr(recipe, have)} does nothing without {miss}; set both")
    if recipe.replay and recipe.objective != "next-token":
        problems.append(f"replay mixes in documents for objective next-token; the objective is {recipe.objective}")
    return problems


def _idle_rows(recipe: Recipe, task: Task) -> Rules:
    rules: Rules = []
    if recipe.batch_tokens is not None:
        rules.append((("batch_size",), f"a step has {recipe.batch_tokens:,} tokens (batch_tokens), however many rows"))
    if task.kind != "extract":
        rules.append((("swap_values",), f"values of fields are swapped in extract; the kind is {task.kind}"))
        rules.append((("layout",), f"objects are written in extract; the kind is {task.kind}"))
    if not recipe.swap_values:
        rules.append((("random_words",), "it is a share of the swapped values, and swap_values is 0"))
    return rules
