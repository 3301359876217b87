"""Entities and tags, worked by hand and as conlleval and seqeval count them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.task.entities import Entity, entities_of, located, problem_of, span_counts, tag_names, tags_of
from hone.task.metrics import METRICS

TEXT = "John Smith flew from New York to York"
WORDS = [(0, 4), (5, 10), (11, 15), (16, 20), (21, 24), (25, 29), (30, 32), (33, 37)]


def spans(*triples: tuple[int, int, str]) -> list[dict[str, object]]:
    return [{"start": start, "end": end, "type": kind} for start, end, kind in triples]


def test_entities_are_found_in_the_order_of_the_text():
    found = located(TEXT, [{"type": "city", "text": "York"}, {"type": "city", "text": "York"}])
    assert [(one.start, one.end) for one in found.entities] == [(25, 29), (33, 37)]


def test_a_span_is_taken_at_its_word_unless_its_text_stands_elsewhere():
    items = [{"type": "city", "start": 33, "end": 37}, {"type": "person", "text": "John", "start": 3, "end": 7}]
    assert located(TEXT, items).entities == (Entity(0, 4, "person"), Entity(33, 37, "city"))


def test_an_entity_that_stands_nowhere_is_kept_where_no_prediction_can_meet_it():
    found = located(TEXT, [{"type": "city", "text": "Oslo"}])
    assert found.entities == ()
    answer = found.to_json(TEXT)
    assert (answer[0]["start"], answer[0]["end"]) == (-1, -1)
    assert span_counts(spans((0, 4, "city")), answer) == (0, 1, 1)


def test_tags_of_a_sentence_worked_by_hand():
    entities = [Entity(0, 10, "person"), Entity(21, 29, "city"), Entity(33, 37, "city")]
    tags = ["B-person", "I-person", "O", "O", "B-city", "I-city", "O", "B-city"]
    assert tags_of(entities, WORDS) == tags
    assert list(entities_of(tags, WORDS)) == entities


def test_neighbours_of_one_type_stay_two():
    entities = [Entity(0, 4, "x"), Entity(5, 10, "x")]
    assert tags_of(entities, WORDS)[:3] == ["B-x", "B-x", "O"]
    assert list(entities_of(tags_of(entities, WORDS), WORDS)) == entities


# seqeval's rules for tags that no annotator would write: get_entities(['O', 'I-PER', 'I-LOC', 'I-LOC', 'B-LOC', 'O']).
def test_an_inside_without_a_beginning_opens_an_entity_as_in_conlleval():
    tags = ["O", "I-PER", "I-LOC", "I-LOC", "B-LOC", "O"]
    found = entities_of(tags, WORDS[:6])
    assert [(one.start, one.end, one.kind) for one in found] == [(5, 10, "PER"), (11, 20, "LOC"), (21, 24, "LOC")]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(tag_names(["a", "b"])), min_size=1, max_size=8))
def test_tags_to_entities_to_tags_says_the_same_entities(tags: list[str]):
    units = WORDS[: len(tags)]
    found = entities_of(tags, units)
    assert entities_of(tags_of(found, units), units) == found


# The example of seqeval's documentation: two gold entities (MISC at 3-5, PER at 0-1), predicted MISC at 2-5 and PER.
def test_span_f1_of_seqevals_own_example():
    gold = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    said = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    answers = [[[one.to_json(TEXT) for one in entities_of(t, WORDS[: len(t)])] for t in tags] for tags in (said, gold)]
    assert METRICS["span_f1"].score(*answers).mean == pytest.approx(0.50)


def test_span_f1_counts_type_and_both_ends():
    gold = spans((0, 4, "a"), (5, 10, "b"))
    assert METRICS["span_f1"].per_row(spans((0, 4, "b"), (5, 9, "b")), gold) == 0.0
    assert METRICS["span_f1"].per_row(spans((0, 4, "a")), gold) == pytest.approx(2 / 3)
    assert METRICS["span_f1"].per_row([], []) == 1.0


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("x", "no list"),
        ([{"text": "a"}], "type"),
        ([{"type": "a"}], "neither"),
        ([{"type": "a", "start": 0}], "neither"),
    ],
)
def test_what_is_wrong_with_a_list_of_entities_is_said(value: object, says: str):
    problem = problem_of(value)
    assert problem is not None
    assert says in problem


# Labels: scikit-learn's f1_score on the multi-label table [[1,0,1],[0,1,0],[1,1,0]] against [[1,0,0],[0,1,1],[1,0,0]]:
# hits 1+1+1 = 3, claimed 1+2+1 = 4, wanted 2+1+2 = 5: micro 6/9; per class 1, 2/3, 0: macro 5/9.
def test_micro_and_macro_f1_of_rows_with_several_labels():
    wanted, claimed = [["a", "c"], ["b"], ["a", "b"]], [["a"], ["b", "c"], ["a"]]
    assert METRICS["micro_f1"].score(claimed, wanted).mean == pytest.approx(6 / 9)
    assert METRICS["macro_f1"].score(claimed, wanted).mean == pytest.approx(5 / 9)


def test_of_rows_with_one_label_micro_f1_is_accuracy():
    wanted, claimed = ["a", "b", "a", "c"], ["a", "b", "c", "c"]
    assert METRICS["micro_f1"].score(claimed, wanted).mean == pytest.approx(0.75)
