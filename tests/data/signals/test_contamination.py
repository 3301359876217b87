"""Contamination: planted passages are found, spans are right, and a plain search in Python agrees."""

from __future__ import annotations

import csv
import json
import pickle
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hone.data.decontamination import overlaps, prove
from hone.data.fingerprints import PLANTED, Fingerprints, Table, canaries
from hone.data.rows import fold
from hone.data.signals.base import Signal
from hone.data.signals.contamination import Contamination
from hone.data.table import TextRow, text_batch
from hone.errors import InputError

DATA = Path(__file__).parents[1]


def _batch(given: Sequence[str], inputs: Sequence[str] | None = None) -> pa.RecordBatch:
    return text_batch(
        [
            TextRow(
                row=f"f:{i}", source="f", split="train", text=text, input=inputs[i] if inputs else text, answer=None,
                label=None, fields="{}",
            )
            for i, text in enumerate(given)
        ]
    )  # fmt: skip


def _signal(*rows: str, **tests: Sequence[tuple[str, str]]) -> Contamination:
    named = tests or {"test": [(row, row) for row in rows]}
    return Contamination(fingerprints=Fingerprints.of(named, lambda reason: None))


def _measured(signal: Contamination, given: Sequence[str], inputs: Sequence[str] | None = None) -> list[dict[str, Any]]:
    rows = signal.columns(_batch(given, inputs)).to_pylist()
    return [{key.partition(".")[2]: value for key, value in row.items()} for row in rows]


def _banking(split: str) -> list[str]:
    with (DATA / "banking" / f"{split}.csv").open(encoding="utf-8") as file:
        return [row["text"] for row in csv.DictReader(file)]


def test_planted_passages_of_every_length_are_found_in_real_rows() -> None:
    proof = prove(_signal(*_banking("test")), _banking("train"))
    assert proof.ok
    assert set(proof.passages) == {4, 9, 20, 60}
    assert all(found == planted == 12 for planted, found in proof.passages.values())
    assert all(canary["found"] for canary in proof.canaries())


@pytest.mark.parametrize("n", [(13, 8), (13,), (50, 13, 5)])
@pytest.mark.parametrize("samples", [[], ["一張卡片不見了" * 9, "", "don't   stop"], ["word " * 3000]])
def test_planted_passages_are_found_for_other_lengths_and_rows(n: tuple[int, ...], samples: list[str]) -> None:
    prints = Fingerprints.of({"test": [("a b", "a b c")]}, lambda reason: None, n=n)
    assert prove(Contamination(fingerprints=prints), samples).ok


def test_a_search_that_finds_nothing_says_so() -> None:
    real = _signal("some test row").fingerprints
    none = Table(np.zeros(0, np.uint64), np.zeros(0, np.int32))
    blind = Fingerprints(
        names=real.names, owner=real.owner, n=real.n, max_matches=10, whole=none, grams={}, common=real.common
    )
    proof = prove(Contamination(fingerprints=blind), ["a row"])
    assert not proof.ok
    assert "found 0 of 48" in proof.sentence()
    assert "cannot be trusted" in proof.sentence()


def test_no_canary_is_in_real_text() -> None:
    found = _measured(_signal("a b c d e f g h"), _banking("train"))
    assert not any(PLANTED in (row["against"] or "") for row in found)
    assert canaries(0) == canaries(0) != canaries(1)


def test_spans_and_share_of_a_row_worked_out_by_hand() -> None:
    signal = _signal("one two three four five six seven eight", "red green blue grey")
    text = "Well: ONE two, three -- four\nfive six seven EIGHT! nine. Red/green/blue/grey?"
    (row,) = _measured(signal, [text])
    assert [(span["kind"], text[span["start"] : span["end"]]) for span in row["spans"]] == [
        ("8-gram", "ONE two, three -- four\nfive six seven EIGHT"),
        ("whole", "Red/green/blue/grey"),
    ]
    assert row["share"] == pytest.approx(12 / 14)
    assert row["whole"] is False
    assert row["against"] == "test"
    assert row["ngrams"] == 0, "only runs of the longest n-gram, 13 words, count as certain"


def test_touching_matches_are_one_span_named_after_the_longest() -> None:
    words = [f"w{i}" for i in range(20)]
    signal = _signal(" ".join(words))
    (row,) = _measured(signal, ["before " + " ".join(words[2:17]) + " after"])
    (span,) = row["spans"]
    assert span["kind"] == "13-gram"
    assert (span["start"], span["end"]) == (7, 7 + len(" ".join(words[2:17])))
    assert row["ngrams"] == 3


def test_a_short_test_row_counts_inside_a_row_from_four_words_and_as_a_whole_row_from_one() -> None:
    signal = _signal("lost card", "where is my card")
    found = _measured(signal, ["Lost card!", "i have a lost card", "so where is my card now", "?!", ""])
    assert [row["whole"] for row in found] == [True, False, False, False, False]
    assert [row["against"] for row in found] == ["test", None, "test", None, None]
    assert found[0]["spans"] == [{"kind": "whole", "start": 0, "end": 10}]
    assert found[3]["share"] is None, "a row without words has no share"


def test_texts_without_words_are_compared_as_they_stand() -> None:
    assert [row["whole"] for row in _measured(_signal(":-)"), [" :-) ", ":-(", ""])] == [True, False, False]


def test_rows_equal_after_folding_as_the_fixtures_say() -> None:
    def utterances(split: str) -> list[str]:
        lines = (DATA / "voice" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["text"] for line in lines]

    test, train = utterances("test"), utterances("train")
    signal = _signal(*test)
    found = _measured(signal, train)
    assert [row["whole"] for row in found] == [fold(text) in set(map(fold, test)) for text in train]
    table = _with_rows(signal, train)
    (overlap,) = overlaps(signal, table, lambda at: _batch([train[i] for i in at]))
    assert overlap.test_rows_equal == 2
    assert overlap.test_rows == len(test)


def test_a_plain_search_in_python_covers_the_same_words() -> None:
    draw = random.Random(5)
    vocabulary = ["the", "card", "Straße", "ночь", "x1", "don't", "é", "a_b"]

    def sentence(length: int) -> str:
        return " ".join(draw.choice(vocabulary) + draw.choice(["", ",", "!", " -"]) for _ in range(length))

    test = [sentence(draw.randint(1, 24)) for _ in range(60)]
    train = [sentence(draw.randint(0, 30)) for _ in range(150)] + [
        f"{sentence(4)} {draw.choice(test)} {sentence(4)}" for _ in range(60)
    ]
    grams: dict[int, set[tuple[str, ...]]] = {size: set() for size in (13, 8, 4, 5, 6, 7)}
    for words in (re.findall(r"\w+", text.lower()) for text in test):
        for size, held in grams.items():
            if size >= 8 or len(words) == size:
                held.update(tuple(words[i : i + size]) for i in range(len(words) - size + 1))
    signal = _signal(*test)
    assert signal.fingerprints.common == {13: 0, 8: 0}
    for text, row in zip(train, _measured(signal, train), strict=True):
        words = re.findall(r"\w+", text.lower())
        covered = set()
        for size, held in grams.items():
            for i in range(len(words) - size + 1):
                if tuple(words[i : i + size]) in held:
                    covered |= set(range(i, i + size))
        whole = fold(text) in set(map(fold, test))
        assert row["whole"] == whole
        assert (row["share"] or 0) == pytest.approx(1 if whole else len(covered) / max(1, len(words)))


def test_a_template_of_the_test_is_common_and_a_repeated_row_is_not() -> None:
    template = "please answer the following question as well as you can"
    eleven = [f"{template} number {i}" for i in range(11)]
    (row,) = _measured(_signal(*eleven), [f"{template} now"])
    assert row["spans"] == []
    assert _signal(*eleven).fingerprints.common[8] == 3 + 1, "its three 8-grams, and the one with the word after it"
    (row,) = _measured(_signal(*eleven[:10]), [f"{template} now"])
    assert row["share"] == pytest.approx(10 / 11)
    (row,) = _measured(_signal(*[f"{template} today"] * 11), [f"{template} now"])
    assert row["share"] == pytest.approx(10 / 11), "one test row repeated eleven times is one place"


def test_input_alone_and_input_with_output_are_both_held_against() -> None:
    question = "how many apples are left after tom eats two of five"
    answer = "five apples minus two apples leaves three apples in the end"
    signal = _signal(benchmark=[(question, f"{question} {answer}")])
    given = [question, f"{question}\n{answer}", f"so {answer}", f"{question} nobody knows"]
    inputs = [question, question, "so", question]
    found = _measured(signal, given, inputs)
    assert [row["whole"] for row in found] == [True, True, False, True]
    assert found[2]["share"] == pytest.approx(11 / 12)


def test_a_reading_is_recorded_before_it_begins_and_refused_readings_read_nothing() -> None:
    events: list[str] = []

    def rows() -> Iterator[tuple[str, str]]:
        events.append("read")
        yield "a b", "a b"

    Fingerprints.of({"exam": rows()}, events.append)
    assert events[1:] == ["read"]
    assert "exam" in events[0]

    def refuse(reason: str) -> None:
        raise PermissionError(reason)

    with pytest.raises(PermissionError):
        Fingerprints.of({"exam": rows()}, refuse)
    assert events[1:] == ["read"]


def test_a_file_holds_no_text_and_gives_the_same_fingerprints_back(tmp_path: Path) -> None:
    test = _banking("test")
    signal = _signal(*test)
    path = signal.fingerprints.save(tmp_path / "prints.safetensors")
    content = path.read_bytes()
    assert not any(word.encode() in content for text in test for word in text.split() if len(word) > 7)
    opened = Contamination(fingerprints=Fingerprints.open(path))
    assert opened.params == signal.params != _signal(*test[1:]).params
    given = _banking("train") + test
    assert opened.columns(_batch(given)).equals(signal.columns(_batch(given)))
    path.write_bytes(b"{}")
    with pytest.raises(Exception, match="not a whole safetensors file"):
        Fingerprints.open(path)


def test_columns_do_not_depend_on_the_batch_or_the_process() -> None:
    signal = pickle.loads(pickle.dumps(_signal(*_banking("test"))))
    assert isinstance(signal, Signal)
    given = _banking("train")[:60] + _banking("test")[:5]
    assert _measured(signal, given) == [row for text in given for row in _measured(signal, [text])]


def test_wrong_input_is_refused_with_numbers() -> None:
    def made(tests: dict[str, list[tuple[str, str]]], **params: Any) -> None:
        Fingerprints.of(tests, lambda reason: None, **params)

    with pytest.raises(InputError, match="n-grams of 1 words"):
        made({"t": [("a", "a")]}, n=(1, 8))
    with pytest.raises(InputError, match="2 problems"):
        made({"t": [("a", "a")]}, n=(), max_matches=0)
    with pytest.raises(InputError, match="holds no rows"):
        made({"t": [("a", "a")], "empty": []})
    with pytest.raises(InputError, match=f'named "{PLANTED}"'):
        made({PLANTED: [("a", "a")]})


def test_overlaps_tell_each_test_and_the_training_rows_that_cause_it() -> None:
    run = [f"w{i}" for i in range(30)]
    signal = _signal(
        first=[(" ".join(run[:15]),) * 2, (" ".join(run[10:30]),) * 2, ("nobody has this row at all",) * 2],
        second=[("same words",) * 2],
    )
    train = ["unrelated words of a row", "Same words!", " ".join(run), " ".join(run[:9])]
    table = _with_rows(signal, train)
    first, second = overlaps(signal, table, lambda at: _batch([train[i] for i in at]))
    assert (first.test, first.test_rows, first.test_rows_equal, first.rows) == ("first", 3, 0, 2)
    assert first.test_rows_sharing == {"13-gram": 2, "8-gram": 2, "whole": 0}
    assert [(position, row, touched) for position, row, _, touched in first.causes] == [(2, "f:2", 2), (3, "f:3", 1)]
    assert (second.test_rows_equal, second.rows_equal, second.causes) == (1, 1, ((1, "f:1", 1.0, 1),))


def _with_rows(signal: Contamination, given: Sequence[str]) -> pa.Table:
    batch = _batch(given)
    columns = signal.columns(batch)
    named = {name: columns[name] for name in columns.schema.names}
    return pa.table({"row": batch["row"], "split": batch["split"], **named})
