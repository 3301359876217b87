"""Exact duplicates: equal after the pinned folding, and only then; who survives; what an answer changes."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hone.data.clusters import notes
from hone.data.kernels.folding import fingerprints, folded
from hone.data.rows import fingerprint
from hone.data.signals.base import CorpusSignal
from hone.data.signals.exact import Exact
from hone.data.table import TextRow, batches
from hone.errors import InputError

BANKING = Path(__file__).parent.parent / "banking" / "train.csv"
# Dotted and dotless I, three sigmas, sharp s, a mark, a circled digit, letters beyond the basic plane, a Han sign.
LETTERS = "aA\u0130\u0131\u03a3\u03c3\u03c2\u00df_\u00e9\u0301 .-\n1\u2460\U0001d400\U0001d538\u4e2d"


def measured(
    texts: Sequence[str],
    signal: Exact | None = None,
    *,
    answers: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    cut: int = 0,
    **beside: Sequence[object],
) -> pa.Table:
    """Columns of texts; ``cut`` rows in each batch."""
    signal = signal or Exact()
    rows = [
        TextRow(
            row=f"r{n}",
            source="s",
            split="train",
            text=text,
            input=text,
            answer=answers[n] if answers else None,
            label=labels[n] if labels else None,
            fields="{}",
        )
        for n, text in enumerate(texts)
    ]
    groups = [rows[at : at + cut] for at in range(0, len(rows), cut)] if cut else [rows]
    table = pa.Table.from_batches([signal.sketch(batch) for group in groups for batch in batches(group)])
    beside = {"row": [row.row for row in rows], "split": ["train"] * len(rows), **beside}
    for name, values in beside.items():
        table = table.append_column(name, pa.array(values))
    return signal.columns(table)


def pinned(text: str) -> str:
    """The formula; a text that folds to nothing stands for itself."""
    return re.sub(r"\W+", " ", text.lower()).strip() or text.strip()


def expected(texts: Sequence[str]) -> list[str | None]:
    first: dict[str, str] = {}
    found: list[str | None] = []
    for n, text in enumerate(texts):
        key = pinned(text)
        found.append(first.get(key) if key else None)
        first.setdefault(key, f"r{n}")
    return found


def test_it_is_a_corpus_signal() -> None:
    assert isinstance(Exact(), CorpusSignal)


def test_a_worked_example() -> None:
    texts = ["Hello,  World!", "hello world", "helloworld", "?!", "!?", "", "  ", "HELLO\nWORLD", "?!"]
    columns = measured(texts).to_pydict()
    assert columns["exact.survivor"] == [None, "r0", None, None, None, None, None, "r0", "r3"]
    assert columns["exact.cluster"] == [0, 0, None, 3, None, None, None, 0, 3]
    assert columns["exact.size"] == [3, 3, 1, 2, 1, None, None, 3, 2]


@given(st.lists(st.text(alphabet=LETTERS, max_size=4), max_size=30), st.integers(0, 9))
def test_duplicates_are_those_of_the_pinned_formula(texts: list[str], cut: int) -> None:
    assert measured(texts or ["a"], cut=cut).column("exact.survivor").to_pylist() == expected(texts or ["a"])


@given(st.lists(st.text(max_size=20), max_size=20))
def test_folding_many_texts_is_folding_each(texts: list[str]) -> None:
    assert folded(texts) == [pinned(text).encode("utf-8", "surrogatepass") for text in texts]
    assert fingerprints(texts) == [fingerprint(text) for text in texts]


def test_every_code_point_folds_like_the_formula() -> None:
    texts = [f"{chr(code)}b" for code in range(0x11000)]
    assert folded(texts) == [pinned(text).encode("utf-8", "surrogatepass") for text in texts]


def test_banking_questions() -> None:
    with BANKING.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [row["text"] for row in rows] + [row["text"].upper().replace(" ", "  ") + "!" for row in rows[:40]]
    found = measured(texts).column("exact.survivor").to_pylist()
    assert found == expected(texts)
    assert len(texts) - found.count(None) >= 40


def test_the_same_input_with_another_answer_is_no_duplicate() -> None:
    texts, answers = ["What?", "what", "what", "WHAT"], ["yes", "yes", "no", "No"]
    assert measured(texts, answers=answers).column("exact.survivor").to_pylist() == [None, "r0", None, None]
    assert measured(texts, labels=answers).column("exact.survivor").to_pylist() == [None, "r0", None, None]
    inputs = measured(texts, Exact(with_answer=False), answers=answers)
    assert inputs.column("exact.survivor").to_pylist() == [None, "r0", "r0", "r0"]


def sketched(*rows: TextRow) -> pa.Table:
    table = pa.Table.from_batches([Exact().sketch(batch) for batch in batches(rows)])
    return Exact().columns(table.append_column("row", pa.array([row.row for row in rows])))


def text_row(name: str, prompt: str, answer: str | None, text: str) -> TextRow:
    return TextRow(row=name, source="", split="train", text=text, input=prompt, answer=answer, label=None, fields="{}")


def test_a_pair_with_another_worse_answer_is_no_duplicate() -> None:
    pairs = [("2 + 2?", "4", "5"), ("2+2", "4", "6"), ("2 + 2", "4", "5")]
    rows = [text_row(f"r{n}", ask, good, f"{ask}\n\n{good}\n\n{bad}") for n, (ask, good, bad) in enumerate(pairs)]
    found = sketched(*rows)
    assert found.column("exact.survivor").to_pylist() == [None, None, "r0"]
    assert found.column("exact.repeats").to_pylist() == [False, True, True]


def test_rows_of_a_table_are_equal_where_their_values_are() -> None:
    found = sketched(*(text_row(f"r{n}", f'{{"x":{n}}}', None, str(n)) for n in (1, -1, 1)))
    assert found.column("exact.survivor").to_pylist() == [None, None, "r1"]


@given(st.lists(st.tuples(st.text(LETTERS, max_size=3), st.sampled_from("ab")), min_size=1))
def test_repeats_are_counted_by_the_formula_whatever_the_answer(pairs: list[tuple[str, str]]) -> None:
    texts = [text for text, _ in pairs]
    repeats = measured(texts, labels=[label for _, label in pairs]).column("exact.repeats").to_pylist()
    folds = [re.sub(r"\W+", " ", text.lower()).strip() for text in texts]
    keys = [fold if text.strip() else None for text, fold in zip(texts, folds, strict=True)]
    assert [bool(one) for one in repeats] == [key is not None and key in keys[:n] for n, key in enumerate(keys)]
    assert [one is None for one in repeats] == [not text.strip() for text in texts]


def test_the_key_begins_with_the_fingerprint_of_the_row() -> None:
    rows = [
        TextRow(row="r", source="s", split="train", text=text, input=text, answer=None, label=None, fields="{}")
        for text in ("Some text.", "¿Qué?", "…")
    ]
    (batch,) = batches(rows)
    keys = np.asarray(Exact().sketch(batch).column("key_0").to_numpy(), "<u8")
    assert [key.tobytes().hex() for key in keys] == [fingerprint(row.text) for row in rows]


def test_the_survivor_is_the_one_that_the_policy_wants() -> None:
    texts = ["same text", "Same, text!", "SAME TEXT"]

    def kept(signal: Exact, **beside: Sequence[object]) -> int:
        found = measured(texts, signal, **beside).column("exact.survivor").to_pylist()
        assert found.count(None) == 1
        return found.index(None)

    assert kept(Exact()) == 0
    assert kept(Exact(survivor="longest")) == 1
    assert kept(Exact(survivor="best", column="score"), score=[0.5, None, 0.7]) == 2
    assert kept(Exact(survivor="source", sources=("b", "a")), source=["a", "b", "b"]) == 1
    assert kept(Exact(), split=["train", "dev", "dev"]) == 1


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        Exact(survivor="sources", sources=("a",), column="b")
    assert len(caught.value.problems) == 3
    with pytest.raises(InputError, match='no column "source"'):
        measured(["a"], Exact(survivor="source", sources=("a",)))


def test_rows_that_repeat_a_text_with_another_answer_are_told_and_stay() -> None:
    texts = ["What?", "what", "WHAT", "Why?"]
    (line,) = notes(measured(texts, labels=["yes", "no", "yes", "no"]))
    told = "exact: 2 rows equal an earlier one by folded text, 1 of them one with the same answer"
    assert line == f"{told}; only these are duplicates"
    (line,) = notes(measured(texts[1:], labels=["yes", "no", "no"]))
    assert line == "exact: 1 row equals an earlier one by folded text, none with the same answer: no duplicates"
    assert notes(measured(texts)) == []
