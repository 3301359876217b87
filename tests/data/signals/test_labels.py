"""Labels: contradictions by hand, wrong labels that were put in are found, no row is judged by its own copy."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hone.data.signals.base import CorpusSignal
from hone.data.signals.labels import Labels
from hone.data.table import TextRow, text_batch
from hone.errors import InputError

BANKING = Path(__file__).parents[1] / "banking" / "train.csv"
WORDS = {
    "fruit": ["apple", "pear", "cherry", "banana", "melon", "grape", "plum", "kiwi", "lemon", "mango"],
    "vehicle": ["train", "bus", "tram", "lorry", "bicycle", "ferry", "plane", "scooter", "van", "taxi"],
    "weather": ["rain", "snow", "cloud", "storm", "hail", "wind", "sunshine", "fog", "thunder", "frost"],
}


def _measured(rows: Sequence[tuple[str, str | None]], batch_rows: int = 1000) -> list[dict[str, Any]]:
    signal = Labels()
    laid = [
        TextRow(
            row=str(i), source="f", split="train" if i % 5 else "dev", text=f"{text}\n{label}", input=text,
            answer=label, label=label, fields="{}",
        )
        for i, (text, label) in enumerate(rows)
    ]  # fmt: skip
    sketches = pa.Table.from_batches(
        [signal.sketch(text_batch(laid[begin : begin + batch_rows])) for begin in range(0, len(laid), batch_rows)]
    )
    table = signal.columns(sketches)
    assert table.num_rows == len(rows)
    return [{key.partition(".")[2]: value for key, value in row.items()} for row in table.to_pylist()]


def _made_up(count: int, seed: int = 0) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    labels = [draw.choice(list(WORDS)) for _ in range(count)]
    return [(f"{' '.join(draw.sample(WORDS[label], 5))} {draw.randint(0, 999)}", label) for label in labels]


def test_the_same_text_with_another_label_is_a_conflict_and_a_copy_is_not() -> None:
    found = _measured(
        [("Lost card!", "loss"), ("lost card", "theft"), ("LOST  CARD", "loss"), ("lost card", "other"),
         ("new card", "order"), ("New card.", "order"), ("old card", "loss"), ("lost card", None), ("", "loss"),
         (":-)", "good"), (":-(", "bad")]
    )  # fmt: skip
    assert [row["conflict"] for row in found] == [True] * 4 + [False] * 3 + [None, None] + [False] * 2
    assert [row["others"] for row in found[:5]] == ["other, theft", "loss, other", "other, theft", "loss, theft", None]


def test_wrong_labels_that_were_put_in_are_found_and_the_right_one_is_suggested() -> None:
    rows = _made_up(400)
    wrong = random.Random(1).sample(range(len(rows)), 40)
    others = {"fruit": "vehicle", "vehicle": "weather", "weather": "fruit"}
    spoiled = [(text, others[label] if i in set(wrong) else label) for i, (text, label) in enumerate(rows)]
    found = _measured(spoiled)
    suspects = [i for i, row in enumerate(found) if row["suspect"]]
    right = set(suspects) & set(wrong)
    assert len(right) >= 0.8 * len(wrong)
    assert len(right) >= 0.95 * len(suspects)
    assert all(found[i]["suggested"] == rows[i][1] for i in right)
    assert all((row["suggested"] is None) != row["suspect"] for row in found)
    assert all(0 <= row["probability"] <= 1 for row in found)
    assert all(found[i]["suggested_probability"] > found[i]["probability"] for i in suspects)


def test_wrong_labels_among_real_requests_are_found() -> None:
    with BANKING.open(encoding="utf-8") as file:
        rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    draw = random.Random(2)
    wrong = set(draw.sample(range(len(rows)), len(rows) // 10))
    labels = sorted({label for _, label in rows})
    spoiled = [
        (text, draw.choice([other for other in labels if other != label]) if i in wrong else label)
        for i, (text, label) in enumerate(rows)
    ]
    suspects = {i for i, row in enumerate(_measured(spoiled)) if row["suspect"]}
    assert len(suspects & wrong) >= 0.6 * len(wrong)
    assert len(suspects & wrong) >= 0.6 * len(suspects)


def test_copies_of_a_row_do_not_vouch_for_its_label() -> None:
    copies = [("apple pear cherry", "weather"), ("Apple, pear, cherry!", "weather")] * 4
    found = _measured(_made_up(300) + copies)
    assert all(row["suspect"] and row["suggested"] == "fruit" for row in found[-len(copies) :])


def test_what_cannot_be_judged_is_null() -> None:
    rare = [("snow in june", "rare")] * 4
    found = _measured([*_made_up(60), *rare, ("apple", None), ("", "fruit")])
    judged = ("probability", "suggested", "suggested_probability", "suspect")
    assert all(row["suspect"] is not None for row in found[:60])
    assert all(row[figure] is None for row in found[60:] for figure in judged)
    assert all(row["conflict"] is False for row in found[60:64])
    assert all(value is None for row in _measured([("apple", None), ("pear", None)]) for value in row.values())
    assert all(row["suspect"] is None for row in _measured([("apple", "only")] * 20))


def test_more_labels_than_can_be_classes_are_not_judged() -> None:
    many = [(f"question {i} {k}", f"answer {i}") for i in range(1001) for k in range(5)]
    found = _measured(many)
    assert all(row["suspect"] is None and row["conflict"] is False for row in found)


def test_columns_do_not_depend_on_the_batches() -> None:
    rows = _made_up(90)
    assert _measured(rows, batch_rows=7) == _measured(rows)


def test_the_signal_keeps_its_protocol_and_refuses_one_fold() -> None:
    assert isinstance(Labels(), CorpusSignal)
    with pytest.raises(InputError, match="folds is 1; expected at least 2"):
        Labels(folds=1)
