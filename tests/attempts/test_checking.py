"""A key of a recipe that could not act is refused, with what it needs, and all such keys at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hone.attempts.checking import acting, changed, check_recipe, is_set, without_idle
from hone.data.prepare import prepare
from hone.data.task_file import load_task
from hone.errors import InputError
from hone.solving.defaults import default_recipe
from hone.task.recipe import Recipe

FIXTURES = Path(__file__).parents[1] / "data"
VOICE, BANKING, SHAKESPEARE = (load_task(FIXTURES / name) for name in ("voice", "banking", "shakespeare"))


@pytest.mark.parametrize(
    ("task", "changes", "sentence"),
    [
        (VOICE, {"objective": "classify-sequence"}, "does not fit a task of kind extract"),
        (BANKING, {"objective": "classify-sequence"}, "needs an encoder, such as base scratch:bert-5m"),
        (VOICE, {"base": "scratch:bert-1m"}, "needs a decoder, such as scratch:5m"),
        (VOICE, {"mask_share": 0.3}, "only objective masked-tokens masks"),
        (BANKING, {"class_weights": "balanced"}, "weigh their classes"),
        (VOICE, {"optimizer": "adamw", "matrix_learning_rate": 0.1}, "only muon has it, the optimizer is adamw"),
        (VOICE, {"schedule": "constant", "least_rate": 0.1}, "schedule constant never falls"),
        (VOICE, {"add_tokens": ("<x>",)}, "trains its own tokenizer; set vocab_size instead"),
        (VOICE, {"base": "some/base", "initial": "random"}, "some/base brings its own"),
        (VOICE, {"strategy": "fsdp"}, "there is 1; set processes=2 or more"),
        (
            VOICE,
            {"strategy": "fsdp", "processes": 2, "optimizer": "adafactor"},
            "adafactor does not go with strategy fsdp",
        ),
        (VOICE, {"strategy": "fsdp", "processes": 2, "compile": True}, "compile does not go with strategy fsdp"),
        (VOICE, {"batch_tokens": 100, "context": 256}, "set batch_tokens to at least 256"),
        (BANKING, {"swap_values": 0.5}, "the kind is classify"),
        (VOICE, {"random_words": 0.5}, "swap_values is 0"),
        (VOICE, {"optimizer": "adafactor", "beta1": 0.8}, "beta1 0.8 would do nothing: adafactor has no momentum"),
        (VOICE, {"optimizer": "adafactor", "beta2": 0.9}, "beta2 0.9 would do nothing"),
        (VOICE, {"schedule": "warmup-linear", "decay_share": 0.5}, "the schedule is warmup-linear"),
        (VOICE, {"base": "some/base", "vocab_size": 2000}, "vocab_size 2000 would do nothing"),
        (BANKING, {"layout": "json"}, "objects are written in extract; the kind is classify"),
        (VOICE, {"batch_tokens": 4096, "batch_size": 8}, "a step has 4,096 tokens (batch_tokens), however many rows"),
        (VOICE, {"on_spike": "rewind", "steps": 100, "eval_every": 100}, "none before the end but the start"),
        (SHAKESPEARE, {"replay": "old.txt"}, "does nothing without replay_share; set both"),
        (SHAKESPEARE, {"replay_share": 0.2}, "does nothing without replay; set both"),
    ],
)
def test_a_key_that_cannot_act_is_refused(task: Any, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        check_recipe(Recipe(**changes), task)
    assert sentence in str(caught.value)


def test_all_are_named_at_once() -> None:
    wrong = Recipe(mask_share=0.3, random_words=0.5, strategy="fsdp", replay_share=0.1)
    with pytest.raises(InputError) as caught:
        check_recipe(wrong, VOICE)
    assert len(caught.value.problems) == 4


def test_what_a_default_had_set_is_put_back_where_a_change_made_it_idle() -> None:
    """The user asked for batch_tokens and cosine; nobody asked for the default's batch_size and decay_share."""
    default = Recipe(batch_size=24, decay_share=0.5, swap_values=0.4, random_words=0.2)
    asked = {"batch_tokens": 4096, "schedule": "warmup-cosine", "swap_values": 0.0}
    recipe, reasons = without_idle(default.child(**asked), VOICE, asked)
    assert set(reasons) == {"batch_size", "decay_share", "random_words"}
    assert recipe == Recipe(**asked)
    check_recipe(recipe, VOICE)
    kept, reasons = without_idle(default.child(**asked), VOICE, [*asked, "batch_size"])
    assert kept.batch_size == 24, "what was set by hand is refused and not taken back"


def test_what_the_device_chooses_is_not_set_by_anybody() -> None:
    assert not is_set(Recipe(precision="auto", compile="auto"), "precision")
    assert is_set(Recipe(precision="bf16-mixed"), "precision")


@pytest.mark.parametrize("name", ["voice", "banking", "shakespeare"])
def test_the_shipped_defaults_pass(name: str, tmp_path: Path) -> None:
    task = load_task(FIXTURES / name)
    data = prepare(task, FIXTURES / name, tmp_path, lambda line: None)
    recipe = default_recipe(task, data, seed=0, threads=1)
    check_recipe(recipe, task)
    assert (recipe.precision, recipe.compile) == ("auto", "auto")


def test_the_default_for_another_base_is_that_bases_own(tmp_path: Path) -> None:
    data = prepare(BANKING, FIXTURES / "banking", tmp_path, lambda line: None)
    recipe = default_recipe(BANKING, data, seed=0, threads=1, base="scratch:bert-1m")
    assert (recipe.objective, recipe.optimizer) == ("classify-sequence", "adamw")
    check_recipe(recipe, BANKING)


def test_keys_that_act_are_those_that_are_neither_idle_nor_off() -> None:
    bert = Recipe(base="scratch:bert-tiny", objective="classify-sequence", optimizer="adamw")
    for recipe, task, without in (
        (
            bert,
            BANKING,
            {"architecture", "initial", "rope_theta", "matrix_learning_rate", "freeze", "replay"},
        ),
        (Recipe(), BANKING, {"layout", "pooling", "class_weights", "random_words", "average"}),
        (Recipe(base="a/folder"), BANKING, {"vocab_size", "init_std", "initial"}),
    ):
        acts = acting(recipe, task)
        assert without.isdisjoint(acts)
        assert {"base", "learning_rate", "batch_size", "seed", "steps"} <= set(acts)


@pytest.mark.parametrize("steps", [200, 200.0, "200"])
def test_what_follows_from_the_steps_follows_from_what_the_recipe_reads(steps: Any) -> None:
    recipe, follows, _ = changed(Recipe(), {"steps": steps}, VOICE)
    assert (recipe.steps, recipe.warmup_steps, recipe.eval_every) == (200, 10, 50)
    assert follows == {"warmup_steps": 10, "eval_every": 50}
