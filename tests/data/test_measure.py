"""Measuring: once per content and parameters, in order, the same for any number of workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from hone.data import table
from hone.data.ingest import ingest
from hone.data.measure import measure
from hone.data.rows import Row
from hone.data.signals.exact import Exact
from hone.data.signals.near import Near
from hone.data.signals.own import Own
from hone.data.store import TextStore
from hone.data.table import TextRow, batches, texts
from hone.data.view import Of, View
from hone.errors import InputError


@dataclass(frozen=True)
class Letters:
    """Counts a letter; writes down each batch that it sees."""

    letter: str
    seen: Path

    name: ClassVar[str] = "letters"
    version: ClassVar[str] = "1"

    @property
    def params(self) -> Mapping[str, Any]:
        return {"letter": self.letter}

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        with self.seen.open("a") as file:
            file.write(f"{rows.num_rows}\n")
        counts = [text.count(self.letter) for text in texts(rows)]
        return pa.RecordBatch.from_arrays([pa.array(counts, pa.int32())], names=["letters.count"])


@dataclass(frozen=True)
class Shout:
    """Upper case."""

    name: ClassVar[str] = "shout"
    version: ClassVar[str] = "1"
    params: ClassVar[Mapping[str, Any]] = {}

    def apply(self, text: str) -> str:
        return text.upper()


@dataclass(frozen=True)
class Beside:
    """One more than the column of another signal that it goes by; 0 without any."""

    name: str
    column: str = ""
    first: int = 0

    version: ClassVar[str] = "1"

    @property
    def params(self) -> Mapping[str, Any]:
        return {"column": self.column, "first": self.first}

    def sketch(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict({"none": [0] * rows.num_rows})

    def columns(self, sketches: pa.Table) -> pa.Table:
        before = sketches.column(self.column).to_pylist() if self.column else [self.first - 1] * sketches.num_rows
        return pa.table({f"{self.name}.value": [value + 1 for value in before]})


def rows(words: list[str], file: str = "f") -> list[TextRow]:
    return [
        TextRow(row=f"{file}:{n}", source=file, split="train", text=w, input=w, answer=None, label=None, fields="{}")
        for n, w in enumerate(words, 1)
    ]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "BATCH_ROWS", 10)


def store_of(words: list[str], folder: Path, file: str = "f") -> TextStore:
    return TextStore.of(batches(rows(words, file)), folder)


def test_columns_are_in_the_order_of_the_rows(tmp_path: Path, small_batches: None) -> None:
    words = ["a" * (n % 7) + "b" for n in range(95)]
    measured = measure(store_of(words, tmp_path), [Letters("a", tmp_path / "seen")], tmp_path)
    assert measured.columns.column("letters.count").to_pylist() == [n % 7 for n in range(95)]
    assert measured.columns.column("row").to_pylist() == [f"f:{n}" for n in range(1, 96)]
    assert len(measured.store.parts) == 10


def test_the_same_content_and_parameters_are_measured_once(tmp_path: Path, small_batches: None) -> None:
    seen = tmp_path / "seen"
    words = [f"word {n}" for n in range(25)]
    first = measure(store_of(words, tmp_path), [Letters("o", seen)], tmp_path)
    again = measure(store_of(words, tmp_path), [Letters("o", seen)], tmp_path)
    # Other row ids, the same texts: another file, or the file under another name.
    renamed = measure(store_of(words, tmp_path, "g"), [Letters("o", seen)], tmp_path)
    assert (first.fresh, again.fresh, renamed.fresh) == (3, 0, 0)
    assert seen.read_text().split() == ["10", "10", "5"]
    assert renamed.columns.column("row")[0].as_py() == "g:1"
    other = measure(store_of(words, tmp_path), [Letters("w", seen)], tmp_path)
    assert other.fresh == 3
    longer = measure(store_of([*words, "one more"], tmp_path), [Letters("o", seen)], tmp_path)
    assert longer.fresh == 1


def test_a_corpus_signal_names_rows_of_its_own_data(tmp_path: Path, small_batches: None) -> None:
    words = [f"row {n % 12}" for n in range(24)]
    one = measure(store_of(words, tmp_path), [Exact()], tmp_path)
    other = measure(store_of(words, tmp_path, "g"), [Exact()], tmp_path)
    assert one.columns.column("exact.survivor").to_pylist()[12:] == [f"f:{n}" for n in range(1, 13)]
    assert other.columns.column("exact.survivor").to_pylist()[12:] == [f"g:{n}" for n in range(1, 13)]


def test_texts_are_taken_by_position_in_any_order(tmp_path: Path, small_batches: None) -> None:
    words = [f"word {n}" for n in range(57)]
    store = store_of(words, tmp_path)
    positions = np.random.default_rng(0).integers(0, 57, 200)
    assert store.take(positions).column("text").to_pylist() == [words[at] for at in positions]
    assert store.take([]).num_rows == 0
    assert (store.num_rows, store.chars) == (57, sum(map(len, words)))


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_change_nothing(workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hone.data import ingest as ingesting

    monkeypatch.setattr(ingesting, "BATCH_ROWS", 16)
    view = View(kind="language-model", sentence="", text_columns=("text",), input=Of(column="text"))
    source = [("train", Row(f"f:{n}", {"text": f"text {n % 30} of row", "n": n})) for n in range(100)]
    made = {}
    for count in (1, workers):
        cache = tmp_path / str(count)
        ingested = ingest(source, view, [], cache, workers=count)
        measured = measure(ingested.store, [Exact()], cache, workers=count)
        made[count] = (ingested.store.parts, measured.columns, list(ingested.store.batches()))
    assert made[1] == made[workers]


def test_transforms_give_another_content_and_are_counted(tmp_path: Path) -> None:
    view = View(kind="classify", sentence="", text_columns=("text",), input=Of(column="text"), label=Of(column="label"))
    source = [("train", Row(f"f:{n}", {"text": text, "label": "keep"})) for n, text in enumerate(["a", "B", "c"])]
    plain, loud = ingest(source, view, [], tmp_path), ingest(source, view, [Shout()], tmp_path)
    assert loud.changed == {"shout": 2}
    assert loud.store.parts[0].content != plain.store.parts[0].content
    taken = loud.store.take([0, 1, 2])
    assert taken.column("text").to_pylist() == ["A", "B", "C"]
    assert taken.column("label").to_pylist() == ["keep"] * 3
    assert taken.column("fields")[0].as_py() == '{"label":"keep","text":"A"}'
    again = ingest([("train", Row("f:9", {"text": "A", "label": "keep"}))], view, [Shout()], tmp_path)
    assert again.changed == {"shout": 0}


def test_a_store_is_found_again_only_while_it_is_whole(tmp_path: Path) -> None:
    view = View(kind="language-model", sentence="", text_columns=("text",), input=Of(column="text"))
    source = [("train", Row("f:1", {"text": "a"}))]
    assert not ingest(source, view, [], tmp_path, key="k").known
    assert ingest([], view, [], tmp_path, key="k").known
    next((tmp_path / "text").iterdir()).unlink()
    assert not ingest(source, view, [], tmp_path, key="k").known
    assert not ingest(source, view, [], tmp_path, key="bad", is_whole=lambda: False).known
    assert not ingest(source, view, [], tmp_path, key="bad").known


def cut_off(path: Path, size: int) -> None:
    """A file as a power cut leaves it; by a new file of that name, because the old one may be mapped in this test."""
    content = path.read_bytes()[:size]
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("keep", [0.5, 0.0])
def test_files_of_the_cache_that_were_cut_off_are_made_again_and_counted(
    keep: float, workers: int, tmp_path: Path, small_batches: None
) -> None:
    words = [f"word {n % 20}" for n in range(25)]
    signals = [Letters("o", tmp_path / "seen"), Exact()]
    before = measure(store_of(words, tmp_path), signals, tmp_path)
    assert (before.mended, before.notes) == (0, ())
    files = [path for path in tmp_path.rglob("*") if path.suffix in {".arrow", ".parquet"}]
    assert len(files) == 3 + 3 + 3 + 1  # texts, columns, sketches, and what the sketches gave together
    for path in files:
        cut_off(path, int(keep * path.stat().st_size))
    after = measure(store_of(words, tmp_path), signals, tmp_path, workers=workers)
    assert after.columns.equals(before.columns)
    assert after.mended == len(files)
    assert "10 files were broken" in after.notes[0]
    assert measure(store_of(words, tmp_path), signals, tmp_path).mended == 0


def test_a_store_with_a_file_that_was_cut_off_is_laid_out_again(tmp_path: Path) -> None:
    view = View(kind="language-model", sentence="", text_columns=("text",), input=Of(column="text"))
    source = [("train", Row("f:1", {"text": "a"}))]
    ingest(source, view, [], tmp_path, key="k")
    file = next((tmp_path / "text").iterdir())
    cut_off(file, file.stat().st_size - 20)
    again = ingest(source, view, [], tmp_path, key="k")
    assert not again.known
    assert measure(again.store, [], tmp_path).mended == 1
    known = ingest([], view, [], tmp_path, key="k")
    assert known.known
    assert measure(known.store, [], tmp_path).mended == 0


def test_signals_that_go_by_each_other_in_a_chain_are_measured_in_turn(tmp_path: Path) -> None:
    store = store_of(["one", "two"], tmp_path / "store")
    for first in (0, 7):
        chain = [Beside("a", "b.value"), Beside("b", "c.value"), Beside("c", first=first)]
        found = measure(store, chain, tmp_path / "cache").columns
        assert found.column_names[-3:] == ["a.value", "b.value", "c.value"]
        assert found.select(found.column_names[-3:]).to_pylist() == [
            {"a.value": first + 2, "b.value": first + 1, "c.value": first}
        ] * 2  # fmt: skip


@pytest.mark.parametrize(
    ("signals", "said"),
    [
        (
            [Exact(survivor="best", column="near.size"), Near(survivor="best", column="exact.size")],
            "clean.signals.exact goes by near.size and clean.signals.near goes by exact.size: each waits for the other",
        ),
        ([Near(survivor="best", column="near.size")], "clean.signals.near goes by near.size: which is measured only"),
        (
            [Beside("a", "b.value"), Beside("b", "c.value"), Beside("c", "b.value")],
            "clean.signals.b goes by c.value and clean.signals.c goes by b.value: each waits for the other",
        ),
    ],
)
def test_signals_that_wait_for_each_other_are_said_so(signals: list[Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        measure(store_of(["one", "two"], tmp_path / "store"), signals, tmp_path / "cache")
    (problem,) = caught.value.problems
    assert problem.startswith(said)
    assert not (tmp_path / "cache").exists()


def test_each_stage_that_compares_rows_is_told_at_its_begin_and_end(tmp_path: Path, small_batches: None) -> None:
    words = [f"word {n}" for n in range(25)]
    told: list[tuple[str, int, int]] = []
    measure(
        store_of(words, tmp_path),
        [Exact(), Letters("o", tmp_path / "seen")],
        tmp_path,
        on_progress=lambda *stage: told.append(stage),
    )
    assert told[0] == ("measuring", 0, sum(map(len, words)))
    assert [stage for stage in told if stage[0] == "exact"] == [("exact", 0, 25), ("exact", 25, 25)]
    assert told.index(("exact", 0, 25)) == 4  # after the begin and three parts


def test_a_function_that_gives_numbers_and_then_words_is_named_with_both_kinds(
    tmp_path: Path, small_batches: None
) -> None:
    (tmp_path / "mine.py").write_text("def f(text):\n    return len(text) if len(text) < 3 else 'long'\n")
    words = ["a"] * 10 + ["long"] * 10
    with pytest.raises(InputError, match=r"^own:mine:f gives numbers from row 1 on but words from row 11 on: .*-> str"):
        measure(store_of(words, tmp_path), [Own(path="mine:f", folder=tmp_path)], tmp_path)
