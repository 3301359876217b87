"""Dumps as mysqldump, pg_dump and the SQLite shell write them, SQLite files, and databases by their URL."""

from __future__ import annotations

import gzip
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.data.read import Progress, find, read
from hone.data.readers import opening
from hone.data.rows import Bad, Row
from hone.errors import InputError

MYSQL = r"""-- MySQL dump 10.13  Distrib 8.0
/*!40101 SET NAMES utf8mb4 */;
CREATE TABLE `rows` (
  `id` int NOT NULL AUTO_INCREMENT,
  `text` varchar(20) DEFAULT 'a,b (c)' COMMENT 'it''s; (odd)',
  `price` decimal(10,2),
  PRIMARY KEY (`id`),
  KEY `k` (`text`)
) ENGINE=InnoDB;
LOCK TABLES `rows` WRITE;
INSERT INTO `rows` VALUES (1,'it\'s; \"x\"\nü',1.50),(2,NULL,-3),
 (3,'a''b)',0x4142);
INSERT INTO `rows` VALUES (4,_binary 'z',now()),(5,'-- no comment',1e3);
UNLOCK TABLES;
-- Dump completed"""

POSTGRES = r"""--
-- PostgreSQL database dump
--
\restrict abc
SET standard_conforming_strings = on;
CREATE FUNCTION public.f() RETURNS void LANGUAGE sql AS $$ select ';'; $$;
CREATE TABLE public.rows (
    id integer NOT NULL,
    "Text" text DEFAULT 'x'::text,
    CONSTRAINT c CHECK ((id > 0))
);
COPY public.rows (id, "Text") FROM stdin;
1	tab\there\nline \\N
2	\N
three
\.

SELECT pg_catalog.setval('public.rows_id_seq', 2, true);
INSERT INTO public.rows VALUES (3, 'back\slash ''q''');
INSERT INTO public.rows (id, "Text") VALUES (4, E'a\tb'), (5, 'q'::character varying(20)) ON CONFLICT DO NOTHING;
"""

SQLITE = r"""PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE t(a integer, b text, unique(a,b));
INSERT INTO t VALUES(1,replace('it''s\na','\n',char(10)));
INSERT INTO t VALUES(2,unistr('x\u000ay'));
INSERT INTO "t" VALUES(3,replace(replace('a\r\nb','\r',char(13)),'\n',char(10)));
COMMIT;
"""


def fields_of(source: str, folder: Path) -> list[dict[str, Any]]:
    return [row.fields for row in read(source, folder) if isinstance(row, Row)]


@pytest.mark.parametrize("block", [5, 1 << 20])
def test_dumps_of_three_databases(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "BLOCK_BYTES", block)
    monkeypatch.setattr("hone.data.readers.sql_dump._HEAD_BYTES", 256)
    for name, text in (("my.sql", MYSQL), ("pg.sql", POSTGRES), ("lite.sql", SQLITE)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    rows = list(read("my.sql", tmp_path))
    assert fields_of("my.sql", tmp_path) == [
        {"id": 1, "text": 'it\'s; "x"\nü', "price": 1.5},
        {"id": 2, "text": None, "price": -3},
        {"id": 3, "text": "a'b)", "price": b"AB"},
        {"id": 5, "text": "-- no comment", "price": 1000.0},
    ]
    assert [row.id for row in rows] == [f"my.sql:{n}" for n in range(1, 6)]
    (bad,) = (row for row in rows if isinstance(row, Bad))
    assert bad.found == "(4,_binary 'z',now()) on line 13"
    assert fields_of("pg.sql", tmp_path) == [
        {"id": "1", "Text": "tab\there\nline \\N"},
        {"id": "2", "Text": None},
        {"id": 3, "Text": "back\\slash 'q'"},
        {"id": 4, "Text": "a\tb"},
        {"id": 5, "Text": "q"},
    ]
    assert [row.found for row in read("pg.sql", tmp_path) if isinstance(row, Bad)] == ["1"]
    assert [row["b"] for row in fields_of("lite.sql", tmp_path)] == ["it's\na", "x\ny", "a\r\nb"]


@given(
    rows=st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1) | st.none(),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
            st.floats(allow_nan=False, allow_infinity=False) | st.none(),
        ),
        max_size=5,
    )
)
@settings(max_examples=60, deadline=None)
def test_what_sqlite_dumps_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int | None, str, float | None]]
) -> None:
    folder = tmp_path_factory.mktemp("dump")
    with closing(sqlite3.connect(folder / "a.db")) as database, database:
        database.execute("CREATE TABLE t (n, text TEXT, x REAL)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        (folder / "a.sql").write_text("\n".join(database.iterdump()), encoding="utf-8", newline="")
    expected = [dict(zip(("n", "text", "x"), row, strict=True)) for row in rows]
    assert fields_of("a.sql", folder) == expected
    assert fields_of("a.db", folder) == expected


def test_several_tables_are_listed_and_one_can_be_named(tmp_path: Path) -> None:
    two = SQLITE + "CREATE TABLE other (x);\nINSERT INTO other VALUES (7);\nINSERT INTO t VALUES (4,'end');\n"
    (tmp_path / "a.sql.gz").write_bytes(gzip.compress(two.encode()))
    with pytest.raises(InputError, match=r"rows of 2 tables \(other, t\); name one after a colon: a.sql.gz:other"):
        list(read("a.sql.gz", tmp_path))
    assert fields_of("a.sql.gz:other", tmp_path) == [{"x": 7}]
    assert len(fields_of("a.sql.gz:t", tmp_path)) == 4
    with pytest.raises(InputError, match='no rows of a table "tt"'):
        list(read("a.sql.gz:tt", tmp_path))
    with closing(sqlite3.connect(tmp_path / "a.db")) as database, database:
        database.executescript("CREATE TABLE one (a); CREATE TABLE two (b); INSERT INTO two VALUES ('x')")
    with pytest.raises(InputError, match=r"2 tables \(one, two\); name one after a colon: a.db:one"):
        list(read("a.db", tmp_path))
    assert fields_of("a.db:two", tmp_path) == [{"b": "x"}]
    with pytest.raises(InputError, match='no table "tow"; did you mean "two"'):
        list(read("a.db:tow", tmp_path))


def test_rows_that_are_not_literals_are_noted_and_names_in_two_schemas_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text(SQLITE + "INSERT INTO t SELECT * FROM s;\nINSERT INTO t SET a = 1;\n")
    progress = Progress()
    assert sum(1 for _ in read("a.sql", tmp_path, progress=progress)) == 3
    assert [times for note, times in progress.notes.items() if "not read" in note] == [2]
    (tmp_path / "b.sql").write_text('INSERT INTO x.t (a) VALUES (1);\nINSERT INTO "y"."t" (a) VALUES (2);\n')
    assert fields_of("b.sql:y.t", tmp_path) == [{"a": 2}]
    with pytest.raises(InputError, match=r'"t" could be x\.t or y\.t'):
        list(read("b.sql:t", tmp_path))


@pytest.mark.parametrize(
    "end", ["INSERT INTO t VALUES (4,'cut of", "INSERT INTO t VALUES (4,'x'),", "COPY t FROM stdin;\n1\ta\n"]
)
def test_a_dump_that_is_cut_off_is_an_error(tmp_path: Path, end: str) -> None:
    (tmp_path / "a.sql").write_text(SQLITE + end)
    with pytest.raises(InputError, match=r"a\.sql:\d+: expected .* the rest of the file cannot be read"):
        list(read("a.sql", tmp_path))


def test_text_of_sqlite_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as database, database:
        database.execute("CREATE TABLE t (a, b TEXT)")
        database.execute("INSERT INTO t VALUES ('ok', cast(x'41ff' AS TEXT))")
        database.execute("INSERT INTO t VALUES ('ok', 'fine')")
    bad, good = read("a.db", tmp_path)
    assert isinstance(bad, Bad)
    assert (bad.id, bad.field) == ("a.db:1", "b")
    assert "byte 0xff at byte 1 of the value" in bad.found
    assert isinstance(good, Row)


def test_an_sqlite_file_is_only_read(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as database, database:
        database.execute("CREATE TABLE t AS SELECT 1 AS a")
    before = (tmp_path / "a.db").read_bytes()
    (tmp_path / "a.db").chmod(0o444)
    assert fields_of("a.db", tmp_path) == [{"a": 1}]
    assert (tmp_path / "a.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]


def test_a_query_against_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    source = f"sqlite:///{tmp_path / 'a.db'}::SELECT a, a || ':b' AS text FROM t WHERE a < 3 ORDER BY a"
    with pytest.raises(InputError, match=r'needs the package sqlalchemy: pip install "hone-lm\[sql\]"'):
        list(read(source, tmp_path))
    monkeypatch.undo()
    pytest.importorskip("sqlalchemy")
    with closing(sqlite3.connect(tmp_path / "a.db")) as database, database:
        database.execute("CREATE TABLE t (a)")
        database.executemany("INSERT INTO t VALUES (?)", [(3,), (2,), (1,)])
    rows = list(read(source, tmp_path))
    assert [row.id for row in rows] == ["query:1", "query:2"]
    assert fields_of(source, tmp_path) == [{"a": 1, "text": "1:b"}, {"a": 2, "text": "2:b"}]
    assert find(source, tmp_path).is_elsewhere
    for wrong, message in (
        (source.replace("t WHERE", "nowhere WHERE"), "the database refuses: no such table: nowhere"),
        (source.replace("AS text", "AS a"), 'gives the column "a" twice'),
        (f"sqlite:///{tmp_path / 'a.db'}", "a database needs a query; write URL::SELECT"),
        ("nothing://me:hunter2@host/x::SELECT 1", r"nothing://me:\*\*\*@host/x: no database URL"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            list(read(wrong, tmp_path))
        assert "hunter2" not in str(caught.value)
