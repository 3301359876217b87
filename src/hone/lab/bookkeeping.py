"""Keeping the index in step with the files: one owner after a change, the stale ones before a question, or all."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hone.errors import FailedError
from hone.lab import rows
from hone.lab.index import Index, Rows
from hone.lab.record import FOLDER_NAME, HEADER
from hone.lab.run import Run

INDEX_PATH = Path(".hone") / "index.db"
ARTIFACTS_PATH = Path("artifacts") / "artifacts.jsonl"
READINGS_PATH = Path("test_readings.jsonl")


class Bookkeeping:
    """The index of one task folder and how it is kept.

    The index must never stop a run: a change that SQLite or the disk refuses is said once and counted in
    ``failures``, and found again by the next :meth:`refresh`, because the files have it.
    """

    def __init__(self, folder: Path, open_run: Callable[[Path], Run], say: Callable[[str], None]) -> None:
        self.index = Index(folder / INDEX_PATH)
        self.failures = 0
        self._folder = folder
        self._open_run = open_run
        self._say = say

    def put(self, owner: str) -> None:
        """Read one owner's files again: ``run:7``, ``artifacts`` or ``readings``."""
        try:
            self.index.put(owner, lambda: self._rows_of(owner))
        except (sqlite3.Error, OSError, FailedError) as error:
            self.failures += 1
            if self.failures == 1:
                self._say(f"{self.index.path}: {owner} is not in it ({error}); the files have it: hone runs --reindex")

    def query(self, select: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Answer a SELECT from an index that is up to date with the files.

        Where the index cannot be written (a read-only folder), a temporary one answers, and that is said.
        """
        try:
            self.refresh()
            return self.index.rows(select, values)
        except (sqlite3.OperationalError, OSError, FailedError) as error:
            self._say(f"{self.index.path} cannot be used ({error}); read from the files instead")
        with tempfile.TemporaryDirectory(prefix="hone-index-") as folder:
            index = Index(Path(folder) / "index.db")
            index.rebuild(self._all_rows)
            return index.rows(select, values)

    def reindex(self) -> dict[str, int]:
        """Make the whole index anew from the files; the number of rows by table."""
        try:
            return self.index.rebuild(self._all_rows)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, read-only: nothing is wrong with the file
                raise FailedError(f"{self.index.path} could not be written: {error}") from error
            self._say(f"{self.index.path} is not a readable database ({error}); it is made anew from the files")
            self.index.remove()
            return self.index.rebuild(self._all_rows)

    def refresh(self) -> int:
        """Read again what changed since the index saw it; the number of owners (runs, ledgers) concerned."""
        try:
            known = self.index.fingerprints()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self.reindex()
            return len(self._current())
        current = self._current()
        stale = [owner for owner, mark in current.items() if known.get(owner) != mark]
        for owner in stale:
            self.index.put(owner, lambda owner=owner: self._rows_of(owner))  # type: ignore[misc]
        gone = [owner for owner in known if owner not in current]
        for owner in gone:
            self.index.forget(owner)
        return len(stale) + len(gone)

    def run_folders(self) -> Iterator[Path]:
        """Folders of whole runs by number; one without its header is left out and said."""
        runs = self._folder / "runs"
        found = [entry for entry in runs.iterdir() if FOLDER_NAME.match(entry.name)] if runs.is_dir() else []
        for folder in sorted(found, key=number_of):
            if (folder / HEADER).exists():
                yield folder
            else:
                self._say(f"{folder} has no {HEADER} and is left out: it is not a whole run")

    def _current(self) -> dict[str, str]:
        marks = {
            rows.ARTIFACTS: rows.fingerprint([self._folder / ARTIFACTS_PATH]),
            rows.READINGS: rows.fingerprint([self._folder / READINGS_PATH]),
        }
        return marks | {rows.run_owner(number_of(item)): rows.run_fingerprint(item) for item in self.run_folders()}

    def _rows_of(self, owner: str) -> Rows:
        if owner == rows.ARTIFACTS:
            return rows.artifact_rows(self._folder / ARTIFACTS_PATH)
        if owner == rows.READINGS:
            return rows.reading_rows(self._folder / READINGS_PATH)
        folder = next((item for item in self.run_folders() if rows.run_owner(number_of(item)) == owner), None)
        if folder is None:  # deleted meanwhile
            return {}
        try:
            return rows.run_rows(self._open_run(folder))
        except FailedError as error:
            self._say(f"{folder} is left out of the index: {error}")
            return {"sources": [(owner, rows.run_fingerprint(folder))]}

    def _all_rows(self) -> dict[str, Rows]:
        return {owner: self._rows_of(owner) for owner in self._current()}


def number_of(folder: Path) -> int:
    """The number of a run folder, by its name."""
    match = re.match(r"\d+", folder.name)
    if match is None:
        raise ValueError(f"not a run folder: {folder}")
    return int(match.group())
