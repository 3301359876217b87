"""Recipes: complete, hashable, changed by name."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hone.errors import InputError
from hone.task.expected import expected
from hone.task.recipe import Recipe
from hone.task.schema import infer_schema
from hone.task.spec import Clean, Data, Device, Message, RuleWish, Task


def test_equal_recipes_have_equal_ids_and_any_change_another() -> None:
    plain = Recipe()
    assert Recipe().id == plain.id
    values = plain.model_dump()
    changes = {"seed": 1, "steps": values["steps"] + 1, "packing": True, "threads": 2}
    assert len({plain.child(**{key: value}).id for key, value in changes.items()} | {plain.id}) == 5


def test_a_child_names_its_change() -> None:
    parent = Recipe(seed=3)
    child = parent.child(batch_size=64)
    assert parent.differences(child) == {"batch_size": (parent.batch_size, 64)}


def test_wrong_changes_are_sentences() -> None:
    with pytest.raises(InputError, match='"learning_rat" is not part of a recipe; did you mean "learning_rate"'):
        Recipe().child(learning_rat=1)
    with pytest.raises(InputError, match="batch_size 10 must be a multiple of accumulate x processes = 4 x 1 = 4"):
        Recipe().child(batch_size=10, accumulate=4)


def test_an_inferred_schema_accepts_every_answer_it_was_inferred_from() -> None:
    import jsonschema

    answers = [{"intent": "a", "slots": {"x": "1"}}, {"intent": "b", "slots": {"x": ["1", "2"], "y": "z"}}] * 5
    schema = infer_schema(answers)
    for answer in answers:
        jsonschema.validate(answer, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"intent": "c", "slots": {}}, schema)


@pytest.mark.parametrize(
    ("key", "given", "sentence"),
    [
        ("learning_rate", "abc", 'learning_rate must be a number above 0, such as 0.005; got "abc"'),
        ("learning_rate", float("inf"), "learning_rate must be a number above 0, such as 0.005; got inf"),
        ("steps", 0, "steps must be a whole number of at least 1, such as 1600; got 0"),
        ("steps", 2.5, "steps must be a whole number of at least 1, such as 1600; got 2.5"),
        ("mask_share", 1.5, "mask_share must be a number above 0 and below 1, such as 0.15; got 1.5"),
        ("optimizer", "adm", 'optimizer must be adamw, adafactor or muon; got "adm"'),
        ("packing", "perhaps", 'packing must be true or false; got "perhaps"'),
        ("compile", 7, "compile must be true, false or auto; got 7"),
        ("base", 7, "base must be a text, such as scratch:1m; got 7"),
        ("freeze", {"a": 1}, "freeze must be a list of texts, such as [a, b]; got a table"),
        ("batch_tokens", "many", 'batch_tokens must be a whole number of at least 1 (or nothing); got "many"'),
    ],
)
def test_a_wrong_value_is_said_with_what_is_expected_and_what_was_given(key: str, given: Any, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        Recipe().child(**{key: given})
    assert caught.value.problems == (sentence,)


def test_every_key_says_what_it_takes() -> None:
    assert [key for key in Recipe.model_fields if not expected(Recipe, key)] == []


def test_what_a_key_takes_is_never_said_with_a_default_that_there_is_not() -> None:
    for section in (Recipe, Task, Data, Clean, Device, Message, RuleWish):
        for key in section.model_fields:
            assert not re.search("Undefined|None", expected(section, key)), key


def test_an_unknown_key_hides_no_wrong_value_and_that_no_rule_between_keys() -> None:
    with pytest.raises(InputError) as caught:
        Recipe().child(learning_rat=1, optimizer="adm", batch_size=10, accumulate=4)
    unknown, wrong, between = caught.value.problems
    assert 'did you mean "learning_rate"' in unknown
    assert wrong.startswith("optimizer must be")
    assert "batch_size 10 must be a multiple" in between


def test_a_word_of_another_tool_leads_to_the_key() -> None:
    with pytest.raises(InputError, match=r'"preset" is not part of a recipe; .* base=scratch:1m'):
        Recipe().child(preset="nonsense")


def test_what_is_right_is_kept_beside_what_is_wrong() -> None:
    recipe, problems = Recipe().tried({"learning_rat": 1, "steps": "x", "optimizer": "adafactor"})
    assert len(problems) == 2
    assert recipe == Recipe(optimizer="adafactor")
