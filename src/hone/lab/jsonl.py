"""Append-only JSON lines: whole lines or none, from several processes, whatever dies in between.

A line is written by one process at a time (a lock on the file itself) and a write that the disk refuses half way
is taken back. What a kill in the middle of a write leaves, a last line without its end, is *torn*: readers leave
it out and say so, and the next writer begins on a new line, so that it can never swallow a good one.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.errors import FailedError

NOT_FINITE = "not_finite"
"""Key under which the values that JSON has no word for are kept: ``{"loss": "nan"}``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """The rows of a file and one sentence per line that was left out."""

    rows: tuple[dict[str, Any], ...]
    torn: tuple[str, ...] = ()


def append(path: Path, row: Mapping[str, Any], *, sync: bool = False) -> None:
    """Append one row as one line; with ``sync`` it is on the disk when this returns.

    NaN and infinities are written as ``null`` and named under ``not_finite``; :func:`read` restores them.
    Numbers of numpy and torch (anything with ``item``) become plain ones.

    Raises:
        FailedError: when the disk refuses; the file is then what it was before.
    """
    line = (json.dumps(_with_finite_numbers(row), ensure_ascii=False, allow_nan=False) + "\n").encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            _append_or_take_back(handle, line)
            if sync:
                os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise FailedError(f"could not append {len(line):,} bytes to {path}: {error}; the file is as it was") from error


def read(path: Path) -> Lines:
    """Read a file of rows; a missing file has none. Torn lines are left out and said in :attr:`Lines.torn`."""
    if not path.exists():
        return Lines(rows=())
    rows: list[dict[str, Any]] = []
    torn: list[str] = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        row = _parse(line)
        if row is None:
            torn.append(f"{path}:{number}: left out a line of {len(line):,} bytes that is not one whole JSON object")
        else:
            rows.append(row)
    return Lines(rows=tuple(rows), torn=tuple(torn))


def last_row(path: Path, block_bytes: int = 65_536) -> dict[str, Any] | None:
    """The last whole row, from the file's last block when it is there; ``None`` without one."""
    if not path.exists():
        return None
    with path.open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(0, size - block_bytes))
        lines = handle.read().split(b"\n")
    for line in reversed(lines if size <= block_bytes else lines[1:]):
        if line.strip() and (row := _parse(line)) is not None:
            return row
    rows = read(path).rows if size > block_bytes else ()
    return rows[-1] if rows else None


def plain_number(value: Any) -> Any:
    """A number of numpy or torch as Python's own; anything else as it is."""
    return value.item() if hasattr(value, "item") else value


def _append_or_take_back(handle: int, line: bytes) -> None:
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        line = b"\n" + line
    written = 0
    try:
        while written < len(line):
            written += os.write(handle, line[written:])
    except OSError:
        os.ftruncate(handle, size)
        raise


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    if not isinstance(row, dict):
        return None
    for key, word in row.pop(NOT_FINITE, {}).items():
        row[key] = float(word)
    return row


def _with_finite_numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for key, value in row.items():
        number = plain_number(value)
        if isinstance(number, float) and not math.isfinite(number):
            plain[key], missing[key] = None, str(number)
        else:
            plain[key] = number
    return {**plain, NOT_FINITE: missing} if missing else plain
