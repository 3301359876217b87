"""Training for a weight format: whose answers are learned, what is said of it, and what cannot act beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone.attempts.checking import check_recipe, problems_of
from hone.attempts.training_for import grid_of, grid_to_train, is_taught_by_its_base, rounding_lines
from hone.data.task_file import load_task
from hone.errors import InputError
from hone.files import write_json
from hone.task.recipe import Recipe
from hone.train.refusals import refusals

VOICE = load_task(Path(__file__).parents[1] / "data" / "voice")


@pytest.fixture
def base(tmp_path: Path) -> str:
    """A folder that says it was trained for the voice task."""
    write_json(tmp_path / "hone.json", {"task": VOICE.name})
    return str(tmp_path)


def test_only_a_base_that_does_the_task_teaches_and_only_where_weights_are_rounded(base: str, tmp_path: Path) -> None:
    assert is_taught_by_its_base(Recipe(base=base, aware="q4_0"), VOICE)
    assert not is_taught_by_its_base(Recipe(base=base), VOICE)
    assert not is_taught_by_its_base(Recipe(aware="q4_0"), VOICE)
    write_json(tmp_path / "hone.json", {"task": VOICE.name, "objective": "masked-tokens"})
    assert not is_taught_by_its_base(Recipe(base=base, aware="q4_0"), VOICE)
    write_json(tmp_path / "hone.json", {"task": "another"})
    assert not is_taught_by_its_base(Recipe(base=base, aware="q4_0"), VOICE)


@pytest.mark.parametrize(
    ("weights", "grid"),
    [
        *(("q4_0", "q4_0"), ("int4", "q4_0"), ("int4-g16", "q4_0"), ("q8_0", "q8_0"), ("int8", "q8_0")),
        # A group of 64 shares one scale where blocks of 32 have two; the others have scales and minima, or none.
        *((name, "") for name in ("int4-g64", "int4-g128", "q4_k_m", "q5_0", "q6_k", "f16", "fp32")),
    ],
)
def test_a_format_is_trained_for_on_a_grid_whose_values_it_can_hold(weights: str, grid: str) -> None:
    assert grid_to_train(weights) == grid


def test_what_is_learned_is_said(base: str) -> None:
    assert rounding_lines(Recipe(), VOICE) == []
    assert "learns the rows" in rounding_lines(Recipe(aware="q8_0"), VOICE)[0]
    assert (
        "learns the answers that its base gives in floats" in rounding_lines(Recipe(base=base, aware="q4_0"), VOICE)[0]
    )


def test_what_cannot_act_beside_it_is_refused(base: str) -> None:
    with pytest.raises(
        InputError, match=r"label_smoothing 0\.1 would do nothing: with aware q4_0 the base's own answers"
    ):
        check_recipe(Recipe(base=base, aware="q4_0", label_smoothing=0.1), VOICE)
    assert not any("label_smoothing" in one for one in problems_of(Recipe(aware="q4_0", label_smoothing=0.1), VOICE))
    sharded = Recipe(aware="q4_0", strategy="fsdp", processes=2)
    assert any("aware does not go with strategy fsdp" in one for one in refusals(sharded))


def test_a_recipe_that_trains_for_a_format_is_another_recipe() -> None:
    assert len({Recipe(aware=weights).id for weights in ("none", "q4_0", "q8_0")}) == 3


def test_a_model_that_was_trained_for_a_format_says_by_content_which_base_it_had(base: str, tmp_path: Path) -> None:
    assert grid_of(Recipe(base=base)) == {}
    assert grid_of(Recipe(aware="q4_0")) == grid_of(Recipe(aware="q4_0", base=base)) == {"aware": "q4_0"}
    said = []
    for digits in ("a", "b", "a"):
        write_json(tmp_path / "hone.json", {"task": VOICE.name, "hashes": {"model.safetensors": digits}})
        said.append(grid_of(Recipe(aware="q4_0", base=base))["base_files"])
    assert said[0] == said[2] != said[1]
