"""Recipes: complete, hashable, changed by name."""

from __future__ import annotations

import pytest

from hone.errors import InputError
from hone.task.recipe import Recipe
from hone.task.schema import infer_schema


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


def test_a_wrong_value_is_said_with_what_was_given() -> None:
    with pytest.raises(InputError) as caught:
        Recipe().child(learning_rate="abc", steps=0, optimizer="adm")
    said = " | ".join(caught.value.problems)
    assert len(caught.value.problems) == 3
    assert "learning_rate must be a valid number; got 'abc'" in said
    assert "steps must be greater than or equal to 1; got 0" in said
    assert "optimizer must be 'adamw', 'adafactor' or 'muon'; got 'adm'" in said


def test_an_unknown_key_hides_no_wrong_value() -> None:
    with pytest.raises(InputError) as caught:
        Recipe().child(learning_rat=1, batch_size=0)
    assert len(caught.value.problems) == 2
    assert 'did you mean "learning_rate"' in caught.value.problems[0]
    assert "batch_size must be greater than or equal to 1; got 0" in caught.value.problems[1]
