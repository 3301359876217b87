"""Metrics against examples worked by hand or printed in the papers that define them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.errors import InputError
from hone.task.metrics import DEFAULT_METRIC, METRICS
from hone.task.overlap import pairs, rouge_l, same
from hone.task.own_metric import load_metric, own_metric

GOLD = {"intent": "play", "slots": {"artist": ["a", "b"], "year": "1"}}
ANSWER = {"intent": "play", "slots": {"artist": ["b", "b"], "album": "x"}}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


# field_f1


def test_a_list_makes_one_pair_of_each_element():
    assert pairs(GOLD).total() == 4
    assert {path for path, _ in pairs(GOLD)} == {("intent",), ("slots", "artist"), ("slots", "year")}


def test_field_f1_worked_by_hand():
    # Both have 4 pairs; intent and one artist b are in both: 2 * 2 / (4 + 4).
    assert METRICS["field_f1"].per_row(ANSWER, GOLD) == pytest.approx(0.5)


def test_an_answer_that_cannot_be_parsed_claims_nothing_and_misses_everything():
    score = METRICS["field_f1"].score([ANSWER, None], [GOLD, {"intent": "stop", "slots": {"a": "1"}}])
    assert score.mean == pytest.approx(2 * 2 / (4 + 4 + 0 + 2))
    assert METRICS["field_f1"].per_row(None, {}) == 0.0


def test_field_f1_is_micro_so_rich_rows_weigh_more():
    references = [{"a": "1"}, {"a": "1", "b": "2", "c": "3"}]
    assert METRICS["field_f1"].score([{"a": "x"}, references[1]], references).mean == pytest.approx(3 / 4)


@settings(max_examples=60, deadline=None)
@given(json_values)
def test_an_answer_equals_itself_and_the_order_of_a_list_counts_only_for_equality(value):
    assert same(value, value)
    assert METRICS["field_f1"].per_row(value, value) == (0.0 if value is None else 1.0)
    if isinstance(value, list) and not same(value, value[::-1]):
        assert pairs(value) == pairs(value[::-1])


def test_json_types_are_kept_apart():
    assert same({"a": 1, "b": 2.0}, {"b": 2, "a": 1.0})
    assert not same({"a": 1}, {"a": True})
    assert not same({"a": 1}, {"a": "1"})
    assert not same(["a", "b"], ["b", "a"])
    assert pairs({"a": True}) != pairs({"a": 1})


def test_null_and_empty_say_that_there_is_no_value():
    assert pairs({"a": None, "b": {}, "c": []}) == pairs({})


def test_a_dot_in_a_key_is_not_a_path():
    assert pairs({"a.b": "1"}) != pairs({"a": {"b": "1"}})


# classes


def test_macro_f1_worked_by_hand():
    references, predictions = ["a", "a", "a", "b"], ["a", "a", "b", "b"]
    # a: 2 * 2 / (2 + 3); b: 2 * 1 / (2 + 1).
    assert METRICS["macro_f1"].score(predictions, references).mean == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_macro_f1_counts_an_answer_that_is_no_label_as_a_miss_only():
    # a: 2 * 1 / (1 + 2); b: 2 * 1 / (1 + 1); there is no class "None".
    assert METRICS["macro_f1"].score(["a", None, "b"], ["a", "a", "b"]).mean == pytest.approx((2 / 3 + 1) / 2)


def test_accuracy_is_the_share_of_equal_labels():
    score = METRICS["accuracy"].score(["a", "b", None, "d"], ["a", "b", "c", "c"])
    assert (score.mean, score.n) == (0.5, 4)


# texts


@pytest.mark.parametrize(
    ("candidate", "expected"), [("police kill the gunman", 3 / 4), ("the gunman kill police", 2 / 4)]
)
def test_rouge_l_has_the_values_of_lins_paper(candidate, expected):
    # Lin 2004, section 3.1, reference S1 and candidates S2 and S3, beta 1.
    assert rouge_l(candidate, "police killed the gunman") == pytest.approx(expected)


def test_rouge_l_of_different_lengths():
    # The common subsequence "a c e" has 3 words: 2 * 3 / (3 + 5).
    assert rouge_l("a c e", "A, b c d e.") == pytest.approx(6 / 8)
    assert rouge_l("", "") == 1.0
    assert rouge_l(None, "a") == 0.0
    assert rouge_l("straße zur", "Straße zum") == pytest.approx(1 / 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
def test_rouge_l_agrees_with_the_textbook_recursion(left, right):
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    if left or right:
        assert rouge_l(" ".join(left), " ".join(right)) == pytest.approx(2 * table[-1][-1] / (len(left) + len(right)))


def test_chrf_worked_by_hand():
    chrf = METRICS["chrf"]
    # Orders 1, 2, 3 match 2 of 3, 1 of 2, 0 of 1 on both sides; longer ones exist on neither.
    assert chrf.per_row("abc", "abd") == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    # P = (1 + 1) / 2, R = (2/4 + 1/3) / 2 = 5/12, F = 5 P R / (4 P + R).
    assert chrf.per_row("ab", "abcd") == pytest.approx(5 * (5 / 12) / (4 + 5 / 12))
    assert chrf.per_row("a b c", "abc") == 1.0
    assert chrf.per_row("xyz", "abc") == 0.0


def test_chrf_of_several_rows_sums_counts():
    # Order 1: 3 of 3 and 3 of 5; order 2: 1 of 1 and 1 of 3 (prediction, reference); order 3: prediction has none.
    precision, recall = 1.0, (3 / 5 + 1 / 3) / 2
    score = METRICS["chrf"].score(["ab", "c"], ["ab", "cde"])
    assert score.mean == pytest.approx(5 * precision * recall / (4 * precision + recall))


# bits per byte


def test_a_uniform_guess_over_bytes_costs_eight_bits():
    nats = [10 * math.log(256), 30 * math.log(256)]
    score = METRICS["bits_per_byte"].score(nats, [10, 30])
    assert score.mean == pytest.approx(8.0)
    assert not score.higher_is_better


def test_bits_per_byte_weighs_documents_by_their_bytes():
    score = METRICS["bits_per_byte"].score([1 * math.log(2), 30 * math.log(2)], [1, 10])
    assert score.mean == pytest.approx(31 / 11)
    assert score.low <= score.mean <= score.high


# all of them


@pytest.mark.parametrize("name", ["exact_match", "accuracy", "macro_f1", "field_f1", "rouge_l", "chrf"])
def test_all_right_is_one_and_a_few_rows_do_not_prove_it(name):
    answers = [{"a": str(index % 2)} for index in range(20)] if name == "field_f1" else ["yes", "no no"] * 10
    score = METRICS[name].score(answers, answers)
    assert (score.mean, score.high) == (1.0, 1.0)
    # Wilson's low of 20 right out of 20.
    assert score.low == pytest.approx(20 / (20 + 3.8415), abs=1e-4)
    assert METRICS[name].score([None] * 20, answers).mean == 0.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["a", "b", "c", None])), min_size=1, max_size=30))
def test_the_interval_holds_the_mean_and_stays_in_range(rows):
    references, predictions = [row[0] for row in rows], [row[1] for row in rows]
    for name in ("accuracy", "macro_f1", "exact_match", "rouge_l", "chrf", "field_f1"):
        score = METRICS[name].score(predictions, references)
        assert 0.0 <= score.low <= score.mean <= score.high <= 1.0


def test_one_row_proves_little():
    assert METRICS["bits_per_byte"].score([10.0], [10]).reaches(7.9) is False
    assert METRICS["field_f1"].score([{"a": "1"}], [{"a": "1"}]).low < 0.3


def test_unequal_numbers_are_refused_with_both():
    with pytest.raises(InputError, match="2 predictions for 1 references"):
        METRICS["accuracy"].score(["a", "b"], ["a"])
    with pytest.raises(InputError, match="n > 0"):
        METRICS["accuracy"].score([], [])


def test_targets_out_of_reach_are_sentences():
    assert METRICS["field_f1"].check_target(0.8) is None
    assert METRICS["field_f1"].check_target(1.2) == "target: 1.2 is out of reach, field_f1 is from 0 to 1"
    assert METRICS["field_f1"].check_target(80).endswith("did you mean 0.8?")
    assert METRICS["bits_per_byte"].check_target(12.0) is None
    assert "at least 0" in METRICS["bits_per_byte"].check_target(-1)
    assert "not a finite number" in METRICS["accuracy"].check_target(math.nan)


def test_every_kind_has_a_default_that_fits_it():
    for kind, name in DEFAULT_METRIC.items():
        assert METRICS[name].check_kind(kind) is None
    assert "accuracy, exact_match, macro_f1" in METRICS["chrf"].check_kind("classify")


# the user's own


def test_a_dotted_path_is_found_in_the_task_folder(tmp_path):
    (tmp_path / "judging_for_tests.py").write_text(
        "def short(prediction, reference):\n    return float(len(prediction or '') <= 2)\n"
        "short.higher_is_better = False\nshort.lowest, short.highest = 0, 1\n"
    )
    metric = load_metric("judging_for_tests:short", tmp_path)
    score = metric.score(["a", "bb", "ccc", None], ["x"] * 4)
    assert (score.name, score.mean, score.higher_is_better) == ("judging_for_tests:short", 0.75, False)
    assert load_metric("judging_for_tests.short", tmp_path).per_row("ccc", "x") == 0.0
    assert "from 0 to 1" in metric.check_target(1.2)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fieldf1", 'did you mean "field_f1"'),
        ("json:dumpss", 'did you mean "dumps"'),
        ("no_such_module_here:f", "cannot be imported"),
        ("math:pi", "is a float, not a function"),
    ],
)
def test_a_wrong_name_is_a_sentence(name, sentence):
    with pytest.raises(InputError, match=sentence):
        load_metric(name)


def test_values_that_are_no_numbers_are_refused_with_the_row():
    metric = own_metric(lambda prediction, reference: math.nan if prediction == "b" else 1.0, "mine")
    assert metric.score(["a", "a"], ["x", "x"]).mean == 1.0
    with pytest.raises(InputError, match="mine gave nan for row 1"):
        metric.score(["a", "b"], ["x", "x"])
