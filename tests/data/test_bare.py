"""Bare files: columns that rows lack, files of one name, what is said while reading, bad rows of tests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from hone.data.bare import BareFiles
from hone.data.cleaned_files import clean_files
from hone.data.survey import Survey, Wishes, survey_files
from hone.errors import InputError
from hone.task.spec import Clean


def write(path: Path, *rows: dict[str, Any] | str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path.name


def texts(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"text": f"row number {n} says something of its own", "label": f"{n % 2}"} for n in range(start, count)]


def survey(folder: Path, *files: str, said: list[str] | None = None, **wishes: Any) -> Survey:
    against = wishes.pop("against", [])
    lines = said if said is not None else []
    return survey_files(
        files,
        folder,
        Clean(preset="task", against=against),
        folder / ".cache",
        lines.append,
        wishes=Wishes(**wishes),
        looking=False,
    )


def row_ids(found: Survey) -> list[str]:
    return list(found.columns.column("row").to_pylist())


# Columns that rows lack.


def test_a_row_without_the_column_of_the_text_is_bad_and_a_null_is_empty(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", *texts(5), {"text": None, "label": "1"}, {"question": "what?", "label": "0"})
    with pytest.raises(InputError) as caught:
        survey(tmp_path, "a.jsonl")
    assert "1 bad of 7 rows: expected the column text; a.jsonl:7 has question, label" in caught.value.problems[0]
    found = survey(tmp_path, "a.jsonl", bad_rows="drop")
    assert [bad.id for bad in found.bad] == ["a.jsonl:7"]
    assert found.measured.store.take([5]).column("text").to_pylist() == [""]


def test_a_second_source_of_other_columns_is_refused_also_where_a_schema_is_known(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", {"question": "what?", "kind": "x"})
    write(tmp_path / "plain.jsonl", *texts(4))
    write(tmp_path / "alpaca.jsonl", *({"instruction": f"say {n}", "input": "", "output": f"{n}!"} for n in range(4)))
    for first in ("plain.jsonl", "alpaca.jsonl"):
        with pytest.raises(InputError, match=r"b\.jsonl: 1 bad of 1 row: expected the column") as caught:
            survey(tmp_path, first, "b.jsonl")
        assert "--text COLUMN" in caught.value.problems[-1]


def test_a_lacking_label_is_counted_and_said(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", *texts(6), {"text": "without a label"})
    said: list[str] = []
    survey(tmp_path, "a.jsonl", said=said)
    assert any('a.jsonl: 1 of 7 rows lack the column "label"' in line for line in said)


def test_a_test_of_another_column_is_seen_by_its_own_and_its_leak_is_found(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", *texts(8))
    leaked = texts(8)[3]["text"]
    write(tmp_path / "test.jsonl", {"question": leaked, "label": "1"}, {"question": "other words", "label": "0"})
    said: list[str] = []
    found = survey(tmp_path, "train.jsonl", said=said, test="test.jsonl")
    assert found.decisions.keep.tolist() == [n != 3 for n in range(8)]
    assert any("test.jsonl: lacks the column text of the training rows" in line for line in said)


def test_a_test_without_text_is_refused_with_the_nearest_column(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", *texts(8))
    write(tmp_path / "test.jsonl", *({"texts": n, "n": n} for n in range(4)))
    with pytest.raises(InputError, match='no column of it holds text; did you mean "texts"'):
        survey(tmp_path, "train.jsonl", test="test.jsonl")


# Files of one name.


@pytest.mark.parametrize(
    "files",
    [
        ("a/x.jsonl", "b/x.jsonl", "x.jsonl"),
        ("a/x.jsonl", "b/*.jsonl", "x.jsonl"),
        ("a", "b", "*.jsonl"),
        ("x.jsonl", "b", "a/x.js*"),
    ],
)
def test_ids_are_unique_and_each_source_has_the_hash_of_its_file(files: tuple[str, ...], tmp_path: Path) -> None:
    digests = {}
    for start, name in enumerate(("a/x.jsonl", "b/x.jsonl", "x.jsonl")):
        write(tmp_path / name, *texts(start + 4, start))
        digests[texts(start + 1, start)[0]["text"]] = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    reading = BareFiles(files, tmp_path, lambda line: None)
    rows = [row for _, row in reading.rows()]
    assert len({row.id for row in rows}) == len(rows) == 12
    first = {row.id.removesuffix(":1"): row.fields["text"] for row in rows if row.id.endswith(":1")}
    assert {name: digests[text] for name, text in first.items()} == reading.hashes


def test_a_version_names_each_source_with_the_hash_of_its_own_file(tmp_path: Path) -> None:
    write(tmp_path / "a" / "x.jsonl", *texts(4))
    write(tmp_path / "b" / "x.jsonl", *texts(9, 4))
    found = survey(tmp_path, "a/x.jsonl", "b/*.jsonl")
    version = clean_files(found, Clean(), tmp_path / "out", lambda line: None)
    of = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a/x.jsonl", "b/x.jsonl")}
    named = {source.name: (source.sha256, source.rows) for source in version.sources}
    assert named == {"x.jsonl": (of["a/x.jsonl"], 4), "b/x.jsonl": (of["b/x.jsonl"], 5)}


@pytest.mark.parametrize("files", [("a/x.jsonl", "a/x.jsonl"), ("a", "a/x.jsonl"), ("a/x.jsonl", "a/../a/*.jsonl")])
def test_a_file_named_twice_is_refused(files: tuple[str, ...], tmp_path: Path) -> None:
    write(tmp_path / "a" / "x.jsonl", *texts(3))
    with pytest.raises(InputError, match="is named twice, by"):
        BareFiles(files, tmp_path, lambda line: None)


# What is said.


def test_what_is_recognised_and_noted_in_later_files_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hone.data.survey.PEEK_ROWS", 3)
    write(tmp_path / "a.jsonl", *({"prompt": f"say {n}", "completion": f"it is {n}"} for n in range(9)))
    write(tmp_path / "b.jsonl", *({"instruction": f"tell {n}", "input": "", "output": f"{n}."} for n in range(9)))
    (tmp_path / "c.jsonl").write_text("")
    said: list[str] = []
    survey(tmp_path, "a.jsonl", "b.jsonl", "c.jsonl", said=said)
    assert sum("recognised as alpaca" in line for line in said) == 1
    assert sum("is empty (0 bytes)" in line for line in said) == 1
    assert len(set(said)) == len(said)


# Bad rows of tests.


@pytest.mark.parametrize("role", ["test", "against"])
def test_bad_rows_of_a_test_are_refused_or_dropped_as_asked_and_said(role: str, tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", *texts(8))
    write(tmp_path / "held.jsonl", texts(8)[2], "{broken", {"other": "x"})
    given: dict[str, Any] = {role: ["held.jsonl"] if role == "against" else "held.jsonl"}
    with pytest.raises(InputError, match=r"held\.jsonl: 1 bad of 3 rows"):
        survey(tmp_path, "train.jsonl", **given)
    said: list[str] = []
    found = survey(tmp_path, "train.jsonl", said=said, bad_rows="drop", **given)
    assert sum(line.startswith("bad rows left out: held.jsonl: 1 bad of 3 rows") for line in said) == 2
    assert found.bad == ()
    assert row_ids(found)[2] == "train.jsonl:3"
    if role == "test":
        assert not found.decisions.keep[2]


@pytest.mark.parametrize("bad_rows", ["error", "drop"])
def test_values_of_bad_rows_of_a_test_are_not_shown_and_their_places_are(bad_rows: str, tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", *texts(8))
    broken = ['{"text": "zebra', '["zebra"]', '{"text": NaN, "zebra": 1}', '{"text": "a", "text": "zebra"}', '"zebra"']
    write(tmp_path / "test.jsonl", texts(8)[2], *broken)
    said: list[str] = []
    try:
        survey(tmp_path, "train.jsonl", said=said, bad_rows=bad_rows, test="test.jsonl")
    except InputError as error:
        said += error.problems
    assert any("1 bad of 6 rows: expected one whole JSON object per line; test.jsonl:2, with" in line for line in said)
    assert any("test.jsonl:3, test.jsonl:6, with content that is not shown" in line for line in said)
    assert not any("zebra" in line for line in said)
    write(tmp_path / "train.jsonl", *texts(8), '{"text": "zebra')
    with pytest.raises(InputError, match=r"train\.jsonl:9 has .*zebra"):
        survey(tmp_path, "train.jsonl")


# A store of texts that is found again.


def test_a_store_that_is_found_again_says_what_was_said_when_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hone.data import ingest as ingesting

    write(tmp_path / "pages" / "a.jsonl", *texts(2_100), {"text": "this row has none of the labels that others have"})
    write(tmp_path / "pages" / "b.jsonl", '{"text": "a pair of \\ud83d\\ude00 escapes", "label": "0"}')
    (tmp_path / "pages" / "LICENCE").write_text("mine")
    first: list[str] = []
    found = survey(tmp_path, "pages", said=first)
    assert "pages: left out: LICENCE" in first
    assert 'a.jsonl: 1 of 2,101 rows lack the column "label", which counts as empty there' in first
    monkeypatch.setattr(ingesting, "write_part", None)  # nothing is laid out again
    again: list[str] = []
    assert survey(tmp_path, "pages", said=again).columns.equals(found.columns)
    assert again == first


def test_another_version_of_hone_reads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hone
    from hone.data.ingest import ingest_key
    from hone.data.view import Of, View

    view = View(kind="language-model", sentence="", text_columns=("text",), input=Of(column="text"))
    before = ingest_key({"a.jsonl": "00"}, view, [])
    assert ingest_key({"a.jsonl": "00"}, view, []) == before
    monkeypatch.setattr(hone, "__version__", "99.0")
    assert ingest_key({"a.jsonl": "00"}, view, []) != before


def test_a_file_that_is_left_out_no_more_is_not_said_to_be(tmp_path: Path) -> None:
    write(tmp_path / "pages" / "a.jsonl", *texts(5))
    (tmp_path / "pages" / "LICENCE").write_text("mine")
    survey(tmp_path, "pages")
    (tmp_path / "pages" / "LICENCE").unlink()
    said: list[str] = []
    survey(tmp_path, "pages", said=said)
    assert not any("LICENCE" in line for line in said)
