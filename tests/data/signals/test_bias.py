"""Groups that rows name, the company they are in, and counterfactual pairs."""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hone.data.associations import bias_summary
from hone.data.counterfactuals import SHIPPED as SWAPS
from hone.data.counterfactuals import counterfactuals, read_swaps
from hone.data.groups import read_groups
from hone.data.qualities import read_qualities
from hone.data.signals.bias import Bias
from hone.data.swap_effects import swap_effects
from hone.data.table import TextRow, text_batch
from hone.data.wordlists import FOLDER
from hone.errors import InputError


def batch(texts: Sequence[str], labels: Sequence[str] | None = None) -> pa.RecordBatch:
    rows = [
        TextRow(
            row=f"f:{n}",
            source="f",
            split="train",
            text=text,
            input=text,
            answer=None,
            label=labels[n] if labels else None,
            fields="{}",
        )
        for n, text in enumerate(texts)
    ]
    return text_batch(rows)


def association(summary: dict[str, Any], group: str, name: str) -> dict[str, Any]:
    return next(entry for entry in summary["associations"] if (entry["group"], entry["class"]) == (group, name))


# ------------------------------------------------------------------------------------------------ the signal


def test_groups_are_counted_and_shown_where_they_stand() -> None:
    signal = Bias()
    columns = signal.columns(batch(["A Black woman and her Muslim friend", "black paint", "", "é trans-woman"]))
    named = {name: columns.column(name).to_pylist() for name in columns.schema.names if name != "bias.spans"}
    assert {name: counts for name, counts in named.items() if any(counts)} == {
        "bias.female": [1, 0, 0, 0],
        "bias.black": [1, 0, 0, 0],
        "bias.muslim": [1, 0, 0, 0],
        "bias.transgender": [0, 0, 0, 1],
    }
    assert columns.column("bias.spans").to_pylist()[0][1] == {"kind": "female", "start": 18, "end": 21}
    assert columns.column("bias.spans").to_pylist()[3] == [{"kind": "transgender", "start": 2, "end": 13}]
    assert len(columns.schema.names) == len(signal.read) + 1
    assert pickle.loads(pickle.dumps(signal)) == signal


def test_a_list_of_ones_own_replaces_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("persons: chef\nclub / red: red ~, reds\nclub / blue: blues\n", encoding="utf-8")
    signal = Bias(groups="mine.txt", folder=tmp_path)
    columns = signal.columns(batch(["The Reds met a red chef in a red room"]))
    assert columns.schema.names == ["bias.red", "bias.blue", "bias.spans"]
    assert columns.column("bias.red").to_pylist() == [2]
    assert signal.params != Bias().params


# ------------------------------------------------------------------------------------------------ the summary


def test_log_odds_are_those_worked_by_hand() -> None:
    texts = ["she was brilliant"] * 30 + ["she was late"] * 10 + ["he was brilliant"] * 20 + ["he was late"] * 40
    found = association(bias_summary([batch(texts)]), "female", "positive")
    log_odds = math.log(30.5 * 40.5 / (10.5 * 20.5))  # every count with its half
    half = 1.959964 * math.sqrt(1 / 30.5 + 1 / 10.5 + 1 / 20.5 + 1 / 40.5)
    assert (found["count"], found["mentions"], found["other_count"], found["other_mentions"]) == (30, 40, 20, 60)
    assert found["log_odds"] == pytest.approx(log_odds, abs=1e-4)
    assert (found["low"], found["high"]) == pytest.approx((log_odds - half, log_odds + half), abs=1e-3)


def test_mentions_of_one_row_count_for_less_than_mentions_of_many_rows() -> None:
    women, men = ["she was brilliant"] * 40, ["he was here"] * 40
    apart = association(bias_summary([batch(women + men + ["she sat", "he is brilliant"] * 4)]), "female", "positive")
    far = " and so on" * 10 + " "  # keeps one mention's window from the next one's
    together = [far.join(women), far.join(men), *(["she sat", "he is brilliant"] * 4)]
    joined = association(bias_summary([batch(together)]), "female", "positive")
    assert joined["log_odds"] == apart["log_odds"]
    assert joined["high"] - joined["low"] > 1.5 * (apart["high"] - apart["low"])


def test_intervals_cover_nothing_where_there_is_nothing() -> None:
    """Companions drawn without regard to the group: about one interval in twenty misses zero."""
    random.seed(3)
    missed = 0
    for _ in range(60):
        texts = [f"{random.choice(['she', 'he'])} {random.choice(['smart', 'tall', 'tall'])}" for _ in range(300)]
        found = association(bias_summary([batch(texts)]), "female", "positive")
        missed += found["low"] > 0 or found["high"] < 0
    assert missed <= 8  # binomial(60, 0.05) is over 8 once in two thousand


def test_a_planted_association_is_found_and_only_that_one() -> None:
    random.seed(4)
    texts = []
    for _ in range(1200):
        who = random.choice(["he", "she"])
        work = (
            "nurse" if who == "she" and random.random() < 0.3 else random.choice(["lawyer", "cook", "doctor", "nurse"])
        )
        texts.append(f"yesterday {who} met a {work} at noon")
    summary = bias_summary([batch(texts)])
    assert {(entry["group"], entry["word"], entry["log_odds"] > 0) for entry in summary["words"]} >= {
        ("female", "nurse", True),
        ("male", "nurse", False),
    }
    assert all(
        entry["word"] == "nurse" for entry in summary["words"] if entry["group"] == "female" and entry["low"] > 0
    )


def test_company_ends_with_the_window_and_with_the_row() -> None:
    texts = ["she a b c d smart", "she a b c d e smart", "smart", "he", "smart he"] * 20
    found = association(bias_summary([batch(texts)], window=5), "female", "positive")
    assert (found["count"], found["other_count"]) == (20, 20)


def test_batches_can_be_cut_anywhere() -> None:
    random.seed(5)
    words = ["she", "he", "smart", "nurse", "Muslim", "Jewish", "violent", "table"]
    texts = [" ".join(random.choices(words, k=random.randint(1, 30))) for _ in range(300)]
    labels = random.choices(["a", "b"], k=300)
    whole = bias_summary([batch(texts, labels)])
    cut = bias_summary(batch(texts[at : at + 37], labels[at : at + 37]) for at in range(0, 300, 37))
    assert cut == whole


def test_labels_of_rows_that_name_a_group_stand_beside_the_others() -> None:
    texts = ["the muslim family"] * 40 + ["the family"] * 60
    labels = ["bad"] * 30 + ["good"] * 10 + ["bad"] * 6 + ["good"] * 54
    rates = bias_summary([batch(texts, labels)])["labels"]["rates"]
    bad = next(rate for rate in rates if rate["label"] == "bad")
    assert (bad["group"], bad["named"]["count"], bad["named"]["n"]) == ("muslim", 30, 40)
    assert (bad["others"]["count"], bad["others"]["n"]) == (6, 60)
    assert bad["named"]["low"] == pytest.approx(0.5981, abs=1e-4)  # Wilson, 30 of 40
    assert bad["named"]["low"] > bad["others"]["high"]


def test_nothing_is_compared_on_a_handful() -> None:
    summary = bias_summary([batch(["she is smart"] * 19 + ["he is late"] * 30, ["x"] * 49)])
    assert summary["groups"]["female"]["rows"]["count"] == 19
    assert summary["associations"] == []
    assert {rate["group"] for rate in summary["labels"]["rates"]} == set()
    assert bias_summary([])["groups"] == {}


# ------------------------------------------------------------------------------------------------ counterfactuals


@pytest.mark.parametrize(
    ("text", "kind", "swapped"),
    [
        ("He is a waiter.", "gender: male -> female", "She is a waitress."),
        ("SHE is an ACTRESS", "gender: female -> male", "HE is an ACTOR"),
        ("her dog saw her", "gender: female -> male", "his dog saw him"),
        ("I gave him his hat; it is his.", "gender: male -> female", "I gave her her hat; it is hers."),
        ("She told him", "gender: male <-> female", "He told her"),
        ("an aunt", "gender: female -> male", "an uncle"),
        ("a Muslim at an American mosque", "religion: muslim -> christian", "a Christian at an American church"),
        ("an atheist", "religion: atheist -> muslim", "a Muslim"),
        ("Muslims and Jews", "religion: muslim <-> jewish", "Jews and Muslims"),
        ("muslims", "religion: muslim -> hindu", "hindus"),
        ("Old people, old books", "age: old -> young", "Young people, old books"),
        ("Will James be there?", "name: male -> female", "Will Mary be there?"),
        ("James and his dog", "gender, name: male -> female", "Mary and her dog"),
    ],
)
def test_a_text_about_another_group(text: str, kind: str, swapped: str) -> None:
    assert dict(counterfactuals(text))[kind] == swapped


def test_a_text_that_names_nobody_has_no_counterfactual() -> None:
    assert counterfactuals("The kettle boils. john went there") == []
    assert counterfactuals("") == []


def test_a_form_without_counterpart_gives_no_pair() -> None:
    kinds = dict(counterfactuals("the mosque"))
    assert "religion: muslim -> christian" in kinds
    assert "religion: muslim -> buddhist" not in kinds


def test_exchanging_twice_gives_the_text_again() -> None:
    for axis, groups in read_swaps().axes:
        (a, forms), (b, others) = groups[:2]
        for form, other in zip(forms, others, strict=True):
            if form is None or other is None or axis == "orientation":  # its lists name one form twice
                continue
            text = f"We met the {form} and the {other} there"
            ((_, once),) = [(kind, new) for kind, new in counterfactuals(text) if kind == f"{axis}: {a} <-> {b}"]
            assert dict(counterfactuals(once))[f"{axis}: {a} <-> {b}"] == text


def test_effects_are_the_mean_difference_by_direction() -> None:
    texts = ["a Muslim man", "the Muslim", "two Christians", "a kettle"]
    effects = swap_effects(texts, lambda many: [float("hristian" in text) for text in many], threshold=0.5)
    there = effects["religion: muslim -> christian"]
    assert (there["n"], there["mean"], there["rises"], there["falls"]) == (2, 1.0, 2, 0)
    back = effects["religion: christian -> muslim"]
    assert (back["n"], back["mean"], back["low"]) == (1, -1.0, None)
    assert effects["religion: muslim -> jewish"]["mean"] == 0.0


def test_the_interval_is_students() -> None:
    scores = {
        "the man 1": 0.0,
        "the man 2": 0.0,
        "the man 3": 0.0,
        "the woman 1": 1.0,
        "the woman 2": 2.0,
        "the woman 3": 6.0,
    }
    effect = swap_effects(list(scores)[:3], lambda many: [scores[text] for text in many])["gender: male -> female"]
    half = 4.302653 * math.sqrt(7.0 / 3)  # t of 2 degrees, sample variance 7
    assert (effect["mean"], effect["low"], effect["high"]) == pytest.approx((3.0, 3.0 - half, 3.0 + half), abs=1e-5)


def test_a_scorer_that_sees_no_group_has_no_effect() -> None:
    effects = swap_effects(["He is here", "A Muslim"], lambda many: [1.0 for _ in many])
    assert effects
    assert {effect["mean"] for effect in effects.values()} == {0.0}


# ------------------------------------------------------------------------------------------------ the lists


def test_the_shipped_lists_are_whole_and_their_sources_are_told() -> None:
    read_groups()
    read_qualities()
    read_swaps()
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{path.name}`" in readme for path in FOLDER.glob("*.txt"))


def test_lists_with_mistakes_name_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("a / x: one | two\na / y: three\nb / z: four\nnothing\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_swaps(path)
    assert len(caught.value.problems) == 3
    assert "x has 2" in caught.value.problems[0]
    path.write_text("good: fine, kind\nbad: kind\n: x\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_qualities(path)
    assert [problem.partition("list.txt:")[2][0] for problem in caught.value.problems] == ["2", "3"]
    assert SWAPS.is_file()
