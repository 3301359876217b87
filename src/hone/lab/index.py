"""The lab's index: SQLite tables over what the files say, for questions that span runs.

The files are the truth. Every row here can be made again from them, and the same files give the same rows: deleting
``.hone/index.db`` loses nothing. Several processes may write at once: write-ahead log, a busy timeout, and each
change reads its files and writes its rows inside one immediate transaction, so that the last writer saw the newest
files. Connections live for one operation, which makes the index safe to use after a fork.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hone.lab.locks import waiting_for

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 30.0
Rows = Mapping[str, Sequence[tuple[Any, ...]]]
"""Rows by table, in the order of its columns; the first column is the owner."""

TABLES: dict[str, tuple[str, ...]] = {
    "runs": (
        "owner", "number", "name", "created", "status", "reason", "task_id", "data_id", "recipe_id", "metric",
        "parent", "hypothesis", "change", "predicted", "effect", "effect_low", "effect_high", "verdict",
    ),
    "scores": ("owner", "run", "split", "step", "final", "metric", "mean", "low", "high", "n", "higher_is_better"),
    "artifacts": (
        "owner", "id", "path", "content_hash", "size_bytes", "run", "checkpoint", "status", "certificate", "recorded",
    ),
    "test_readings": ("owner", "number", "reason", "data_id", "artifact", "run", "read"),
    "edges": ("owner", "source_kind", "source", "target_kind", "target"),
    "sources": ("owner", "fingerprint"),
}  # fmt: skip
"""Columns by table. ``owner`` names the files that a row comes from: ``run:7``, ``artifacts`` or ``readings``, and
``sources`` holds their sizes and times when they were read, by which a stale row is found."""


class Index:
    """The index file of one task folder; made on first use."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def put(self, owner: str, read: Callable[[], Rows]) -> None:
        """Replace all rows of one owner by what ``read`` finds in its files, in one transaction."""
        with self._change() as db:
            _replace(db, owner, read())

    def forget(self, owner: str) -> None:
        """Remove all rows of an owner whose files are gone."""
        self.put(owner, dict)

    def fingerprints(self) -> dict[str, str]:
        """What is known of each owner's files."""
        return {row["owner"]: row["fingerprint"] for row in self.rows("SELECT * FROM sources")}

    def rebuild(self, read: Callable[[], Mapping[str, Rows]]) -> dict[str, int]:
        """Replace everything by what ``read`` finds (rows by owner); the number of rows by table."""
        with self._change() as db:
            for table in TABLES:
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of tables are our own
            for owner, rows in read().items():
                _replace(db, owner, rows)
            return {table: len(found) for table, found in _dump(db).items()}

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows of a SELECT as mappings by column."""
        with self._open() as db:
            cursor = db.execute(query, tuple(values))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, sorted: equal dumps are equal indexes."""
        with self._open() as db:
            return _dump(db)

    def remove(self) -> None:
        """Delete the file (a later operation makes an empty one). For an index that SQLite cannot read any more."""
        with waiting_for(self._lock, "the lab's index"):
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    @property
    def _lock(self) -> Path:
        return self.path.with_name(self.path.name + ".lock")

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            self._make()
        db = self._connect()
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
                db.close()
                self._make()
                db = self._connect()
            yield db
        finally:
            db.close()

    def _connect(self) -> sqlite3.Connection:
        # Autocommit: transactions are begun and ended in sight.
        db = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        db.execute("PRAGMA synchronous=NORMAL")  # a power cut may lose the last rows; the files have them
        return db

    def _make(self) -> None:
        """Make the tables, or make them anew when they are of another version (the files hold everything)."""
        # Switching to the write-ahead log does not wait for other openers, so one process does it, under a lock.
        with waiting_for(self._lock, "the lab's index"), contextlib.closing(self._connect()) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION:
                return
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("BEGIN IMMEDIATE")
            for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
                db.execute(f'DROP TABLE "{table}"')
            for table, columns in TABLES.items():
                db.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
                db.execute(f"CREATE INDEX {table}_by_owner ON {table}(owner)")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            db.execute("COMMIT")


def _dump(db: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    select = "SELECT * FROM "
    return {table: sorted(db.execute(select + table).fetchall(), key=repr) for table in TABLES}


def _replace(db: sqlite3.Connection, owner: str, rows: Rows) -> None:
    for table, columns in TABLES.items():
        marks = ", ".join("?" * len(columns))
        db.execute(f"DELETE FROM {table} WHERE owner = ?", (owner,))  # noqa: S608 - names of tables are our own
        db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows.get(table, ()))  # noqa: S608
