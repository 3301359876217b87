"""Keys that act on parts of the model are refused where it has none, on a model without numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hone.attempts.shaping import acts_on_parts, part_problems
from hone.data.task_file import load_task
from hone.model.presets import from_scratch, shape_of
from hone.task.recipe import Recipe
from hone.train.layers import frozen_names

BANKING = load_task(Path(__file__).parents[1] / "data" / "banking")
ENCODER: dict[str, Any] = {"base": "scratch:bert-tiny", "objective": "classify-sequence"}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"freeze": "*embed_tokens*"}, 0),
        ({"freeze": ("*embd*", "*.layers.9.*", "*norm*")}, 2),
        ({"freeze": "*"}, 1),
        ({"layer_decay": 0.9, "gradient_checkpointing": True}, 0),
        ({"rope_theta": 2.0}, 1),
        ({"rope_theta": 2.0, "initial": "random"}, 0),
        ({**ENCODER, "freeze": "bert.embeddings.*"}, 0),
        ({**ENCODER, "freeze": "*embed_tokens*", "layer_decay": 0.9}, 1),
    ],
)
def test_each_part_that_is_not_there_is_named(changes: dict[str, Any], found: int) -> None:
    recipe = Recipe(**changes)
    assert acts_on_parts(recipe)
    assert len(part_problems(recipe, BANKING, ["a", "b"])) == found


def test_the_parts_are_those_of_the_model_that_is_trained() -> None:
    recipe = Recipe(freeze=("*.layers.0.*",))
    assert not part_problems(recipe, BANKING, ["a", "b"])
    assert frozen_names(from_scratch(shape_of(recipe, 300), 0), recipe.freeze)
    assert torch.get_default_device().type == "cpu", "the look has changed nothing"


def test_a_recipe_without_such_keys_asks_nothing() -> None:
    assert not acts_on_parts(Recipe())
