"""Scanned signals: together as alone, whatever else is in the batch; lengths; redaction markers are no blemish."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from hone.data.kernels import codepoints
from hone.data.signals.base import SPAN, Signal
from hone.data.signals.c4 import C4
from hone.data.signals.disclaimer import Disclaimer
from hone.data.signals.fineweb import FineWeb
from hone.data.signals.language import Language
from hone.data.signals.length import Length
from hone.data.signals.quality import Quality
from hone.data.signals.repetition import Repetition
from hone.data.signals.scanned import ScannedSignal, TextSignals, measured
from hone.data.signals.script import Script
from hone.data.tokenizer import train_tokenizer

Rows = Callable[..., pa.RecordBatch]
ALL: tuple[ScannedSignal, ...] = (
    Length(), Script(), Quality(), C4(words=("word",)), FineWeb(), Repetition(), Disclaimer(),
)  # fmt: skip
TEXTS = [
    "", "\n\n", "a", "One line. Another one!\n\n- bullet…\n- bullet…", "Мир и pa\u0431", "東京は 2008年。", "🎵🎵 ok",
    "as an AI language model I cannot help with that", "x" * 3000, "word " * 800, "ﷺ\u202e\ufeff",
    "\r\nwin\r\ndows\r\n",
]  # fmt: skip


def test_together_as_alone_and_whatever_the_neighbours(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = rows(TEXTS)
    together = TextSignals(signals=ALL).columns(batch)
    alone = [column for signal in ALL for column in signal.columns(batch).columns]
    assert together.columns == alone
    singly = [TextSignals(signals=ALL).columns(rows([text])).to_pylist()[0] for text in TEXTS]
    assert together.to_pylist() == singly
    monkeypatch.setattr(codepoints.pieces, "__defaults__", (50,))  # many pieces instead of one
    assert TextSignals(signals=ALL).columns(batch) == together


def test_signals_that_read_by_themselves_keep_their_place(rows: Rows) -> None:
    batch = rows(TEXTS)
    signals = (Length(), Language(), Quality())
    assert measured(signals, batch) == [signal.columns(batch) for signal in signals]
    assert measured((), batch) == []


def test_no_rows_give_no_rows_of_the_same_types(rows: Rows) -> None:
    batch = rows(TEXTS)
    some, none = TextSignals(signals=ALL).columns(batch), TextSignals(signals=ALL).columns(batch.slice(0, 0))
    assert none.num_rows == 0
    assert none.schema == some.schema
    assert {str(field.type) for field in some.schema} == {"int32", "float", "string", str(pa.list_(SPAN))}
    assert TextSignals(signals=ALL).columns(batch.slice(3, 4)) == some.slice(3, 4)


def test_names_and_parameters(rows: Rows) -> None:
    for signal, columns in zip(ALL, measured(ALL, rows(["a"])), strict=True):
        assert isinstance(signal, Signal)
        assert {name.partition(".")[0] for name in columns.schema.names} == {signal.name}
        assert pickle.loads(pickle.dumps(signal)) == signal
        json.dumps(dict(signal.params))
    assert dict(TextSignals(signals=(Length(splitter="whitespace"),)).params)["length"]["splitter"] == "whitespace"
    assert C4(words=["a", "b"]) == C4(words=("a", "b"))  # type: ignore[arg-type]  # a list, as YAML gives it


@pytest.mark.parametrize("text", ["", "plain", "naïve Ångström", "日本語", "🎵 𝄞", "a\u0301"])
def test_lengths_are_those_of_python(rows: Rows, text: str) -> None:
    (found,) = Length(splitter="whitespace").columns(rows([text])).to_pylist()
    assert found == {
        "length.chars": len(text),
        "length.bytes": len(text.encode()),
        "length.words": len(text.split()),
        "length.lines": len([line for line in text.split("\n") if line.strip()]),
    }


def test_tokens_are_those_of_the_tokenizer(rows: Rows, tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["a text to learn from " * 20], 300, ())
    tokenizer.save(tmp_path)
    signal = Length(tokenizer=str(tmp_path), tokenizer_hash=tokenizer.hash)
    found = signal.columns(rows(["a text", "unknown ñ"])).column("length.tokens").to_pylist()
    assert found == [len(tokenizer.encode("a text")), len(tokenizer.encode("unknown ñ"))]


def test_redaction_markers_are_words_like_others(rows: Rows) -> None:
    """A second clean measures text with markers; nothing may then look worse than with the words that they replaced."""
    line = "Please write to {} about order {} before the end of the month.\n"
    texts = [
        "".join(line.format(f"person{n}@example.org", f"10.0.0.{n}") for n in range(8)),
        "".join(line.format("<EMAIL>", "<IP>") for n in range(8)),
        "".join(line.format("someone", "twelve") for n in range(8)),
    ]
    _, marked, worded = TextSignals(signals=ALL).columns(rows(texts)).to_pylist()
    lengths = {"length.chars", "length.bytes", "quality.mean_word_length"}
    for name in marked.keys() - lengths:
        assert marked[name] == pytest.approx(worded[name], abs=0.1), name
    assert marked["quality.alphabetic_words"] == 1
    assert marked["quality.hash_ratio"] == marked["c4.curly_braces"] == marked["script.mixed"] == 0
    (blanks,) = Quality(splitter="whitespace").columns(rows(["<EMAIL> or <PHONE>"])).to_pylist()
    assert blanks["quality.words"] == 3
    assert blanks["quality.alphabetic_words"] == 1
