"""Sources with blanks, colons and signs of patterns in their names, hidden files, links to nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hone.data.read import find, read
from hone.errors import InputError

LINE = '{"text": "a"}\n'


def ids(source: str, folder: Path) -> list[str]:
    return [row.id for row in read(source, folder)]


@pytest.mark.parametrize(
    "name",
    ["a b.jsonl", " a.jsonl", "a::b.jsonl", "a:b.jsonl", "what?.jsonl", "[1].jsonl", "ü 😀.jsonl", "a#%20.jsonl"],
)
def test_a_file_is_found_by_its_name_whatever_signs_it_has(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(LINE)
    assert ids(name, tmp_path) == ids("://".join(("file", str(tmp_path / name))), tmp_path) == [f"{name}:1"]
    folder = tmp_path / "x::y z"
    folder.mkdir()
    (folder / name).write_text(LINE)
    assert ids("x::y z", tmp_path) == ids("x::y z/*.jsonl", tmp_path) == [f"{name}:1"]


def test_a_table_is_named_as_the_list_of_tables_names_it(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a b.db")) as database, database:
        for table in ("t::u", "two words"):
            database.execute(f'CREATE TABLE "{table}" AS SELECT 1 AS n')
    with pytest.raises(InputError, match=r"2 tables \(t::u, two words\); name one after a colon: a b\.db:t::u"):
        list(read("a b.db", tmp_path))
    assert ids("a b.db:t::u", tmp_path) == ids("a b.db:two words", tmp_path) == ["a b.db:1"]


def test_a_pattern_matches_hidden_files_only_when_it_asks_for_them(tmp_path: Path) -> None:
    for name in ("a.jsonl", ".b.jsonl", ".git/c.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(LINE)
    assert ids("*.jsonl", tmp_path) == ids("**/*.jsonl", tmp_path) == ids(".", tmp_path) == ["a.jsonl:1"]
    assert ids(".*.jsonl", tmp_path) == [".b.jsonl:1"]
    assert ids(".git/*.jsonl", tmp_path) == ["c.jsonl:1"]


def test_a_pattern_that_matches_other_files_names_them_and_counts(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.bak", "c.bak", "d.bak", "e.bak", "LICENCE"):
        (tmp_path / name).write_text(LINE)
    with pytest.raises(InputError) as caught:
        find("*", tmp_path)
    (problem,) = caught.value.problems
    assert problem.startswith("*: 5 of 6 files that match are of no known format: LICENCE, b.bak, c.bak and 2 more;")
    with pytest.raises(InputError, match=r"\*\.csv: no file matches this pattern under"):
        find("*.csv", tmp_path)


def test_links_to_nothing_are_named_and_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(LINE)
    (tmp_path / "b.jsonl").symlink_to("nowhere.jsonl")
    for source in (".", "*.jsonl", "b.jsonl"):
        with pytest.raises(InputError, match=r"b\.jsonl: is a link to nowhere\.jsonl, which is not there"):
            find(source, tmp_path)
    (tmp_path / "nowhere.jsonl").write_text(LINE)
    assert len(find(".", tmp_path).files) == 3


@pytest.mark.parametrize("source", ["", "  "])
def test_empty_text_is_no_folder(source: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(LINE)
    with pytest.raises(InputError, match="a source is empty text"):
        find(source, tmp_path)


def test_a_query_against_a_missing_file_makes_none(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    with pytest.raises(InputError, match=r"there is no file .*none\.db"):
        list(read(f"sqlite:///{tmp_path / 'none.db'}::SELECT 1 AS n", tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert ids("sqlite://::SELECT 1 AS n", tmp_path) == ["query:1"]


@pytest.mark.parametrize(
    "address", ["file:no%20ne.db?uri=true", "file:{0}/no%20ne.db?mode=rwc&uri=true", "file:no ne.db"]
)
def test_a_query_against_the_uri_of_a_missing_file_makes_none(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"there is no file .*no ne\.db"):
        list(read(f"sqlite:///{address.format(tmp_path)}::SELECT 1 AS n", tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address", ["file:a%20b.db?uri=true", "file:{0}/a%20b.db?mode=ro&uri=true", "file::memory:?uri=true"]
)
def test_a_query_against_a_uri_reads_what_is_there(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)
    sqlite3.connect(tmp_path / "a b.db").close()
    (tmp_path / "a b.db").touch()
    before = sorted(tmp_path.iterdir())
    assert ids(f"sqlite:///{address.format(tmp_path)}::SELECT 1 AS n", tmp_path) == ["query:1"]
    assert sorted(tmp_path.iterdir()) == before
