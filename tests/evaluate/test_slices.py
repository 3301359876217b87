"""Slices add up to the whole and name what fails most first."""

from __future__ import annotations

from hone.evaluate.slices import slices_of


def test_labels_name_what_they_are_taken_for():
    found = {part.name: part for part in slices_of("classify", ["a", "b", "b", None], ["a", "a", "b", "b"])}
    # a: one of two found, nothing claimed wrongly: 2 * 1 / (1 + 2). b: 2 * 1 / (2 + 2).
    assert (found["a"].f1, found["a"].n, found["a"].errors, found["a"].note) == (0.6667, 2, 1, "taken for b 1x")
    assert (found["b"].f1, found["b"].n, found["b"].errors, found["b"].note) == (0.5, 2, 2, "taken for None 1x")


def test_fields_and_groups_worked_by_hand():
    references = [{"intent": "p" if index % 2 else "q", "slots": {"x": str(index)}} for index in range(10)]
    predictions = [None, *references[1:9], {"intent": "p", "slots": {"x": "?", "y": "!"}}]
    found = slices_of("extract", predictions, references)
    by_name = {part.name: part for part in found}
    assert (by_name["slots.x"].n, by_name["slots.x"].errors, by_name["slots.x"].f1) == (10, 3, round(16 / 19, 4))
    assert (by_name["slots.y"].n, by_name["slots.y"].errors, by_name["slots.y"].f1) == (0, 1, 0.0)
    assert (by_name["intent"].n, by_name["intent"].errors) == (10, 1)
    # Rows whose gold intent is q: the unparsed one misses 2 pairs. p: the last row has 1 missing, 2 too many.
    assert (by_name["intent=q"].kind, by_name["intent=q"].errors, by_name["intent=p"].errors) == ("group", 2, 3)
    assert [part.errors for part in found] == sorted((part.errors for part in found), reverse=True)
    fields = [part.errors for part in found if part.kind == "field"]
    groups = [part.errors for part in found if part.kind == "group"]
    assert sum(fields) == sum(groups) == 5


def test_a_field_with_a_value_per_row_is_no_grouping():
    references = [{"id": str(index)} for index in range(30)]
    assert {part.kind for part in slices_of("extract", references, references)} == {"field"}


def test_plain_text_has_no_slices():
    assert slices_of("generate", ["a"], ["a"]) == ()


def test_a_slice_reads_as_one_line():
    (part,) = slices_of("classify", [None], ["a"])
    assert part.line() == "label a: F1 0.00 on 1, 1 errors; taken for None 1x"
