"""Texts that training rows must not hold: the test split and benchmark files, read once for their fingerprints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from hone.data.bare import BareFiles, viewed
from hone.data.fingerprints import Fingerprints
from hone.data.rows import Row
from hone.data.sealed import SealedTest
from hone.data.view import View, view_of_task
from hone.files import content_hash
from hone.task.spec import Task

TEST = "test"
FORMAT = 2
"""Raised when the same texts would give other fingerprints."""
Say = Callable[[str], None]
Pair = tuple[str, str]
"""The prompt alone, and all text with the answer."""


def task_fingerprints(
    task: Task, against: Sequence[str], test: SealedTest | None, folder: Path, cache: Path, say: Say
) -> Fingerprints:
    """N-grams of a task's test split and of benchmark files.

    Args:
        task: the task.
        against: benchmark files, relative to ``folder``.
        test: the sealed test, or None where it is only hashed out of train later.
        folder: the task folder.
        cache: folder in which the fingerprints of an unchanged test are found again.
        say: takes each reading of the test, and what was recognised.

    Raises:
        InputError: for files that cannot be read or hold no rows.
    """
    view = view_of_task(task)
    if test is None or against:
        tests = {name: benchmark_texts(name, folder, say, task.data.bad_rows) for name in against}
        if test is not None:
            tests = {TEST: _sealed_texts(test, view, say), **tests}
        return fingerprints(tests, say)
    key = content_hash([test.digest, view.describe(), FORMAT], 32)
    path = cache / "data" / "fingerprints" / f"{key}.safetensors"
    if path.is_file():
        return Fingerprints.open(path)
    made = fingerprints({TEST: _sealed_texts(test, view, say)}, say)
    made.save(path)
    return made


def fingerprints(tests: Mapping[str, Iterable[Pair]], say: Say) -> Fingerprints:
    """Fingerprints of named texts; each reading is said, no text is kept."""
    return Fingerprints.of(tests, say)


def benchmark_texts(file: str, base: Path, say: Say, bad_rows: str = "error") -> Iterator[Pair]:
    """The texts of a benchmark file, by what its columns suggest; with ``bad_rows`` drop what cannot be used is said.

    Raises:
        InputError: when it cannot be read, or holds rows that cannot be used.
    """
    reading = BareFiles([file], base, say)
    view, rows = viewed(file, reading, say)
    for _, row in rows:
        yield pair(view, row)
    reading.settle(bad_rows)


def pair(view: View, row: Row) -> Pair:
    """Prompt, and all text, of a row."""
    laid = view.row(row, "", TEST)
    return laid.input, laid.text


def _sealed_texts(test: SealedTest, view: View, say: Say) -> Iterator[Pair]:
    rows = test.read(lambda reason: say(f"test: read for {reason}"), "n-gram fingerprints; no text is kept or shown")
    for row in rows:
        yield pair(view, row)
