"""A key of a recipe that could not act is refused, with what it needs, and all such keys at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hone.attempts.checking import check_recipe
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
        (VOICE, {"batch_tokens": 100, "context": 256}, "set batch_tokens to at least 256"),
        (BANKING, {"swap_values": 0.5}, "the kind is classify"),
        (VOICE, {"random_words": 0.5}, "swap_values is 0"),
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


@pytest.mark.parametrize("name", ["voice", "banking", "shakespeare"])
def test_the_shipped_defaults_pass(name: str, tmp_path: Path) -> None:
    task = load_task(FIXTURES / name)
    data = prepare(task, FIXTURES / name, tmp_path, lambda line: None)
    check_recipe(default_recipe(task, data, seed=0, threads=1), task)
