"""``hone look --sensitive``: texts are laid out in a folder of their own, which goes however the look ends."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pyarrow as pa

from hone.data.rules import Rule, evidence
from hone.data.wording import counted
from hone.errors import BusyError
from hone.files import locked

_PREFIX = "hone-sensitive-"
_LOCK = ".lock"
_NAMING = (
    "exact.survivor",
    "near.survivor",
    "leak.test",
    "leak.dev",
    "content.missing",
    "contamination.against",
    "language.code",
    "script.main",
)
"""Columns of words that name rows, files, columns, languages and scripts, and never repeat what a row says."""


@contextlib.contextmanager
def place_of_texts(args: argparse.Namespace, say: Callable[[str], None]) -> Iterator[Path | None]:
    """The folder in which a look lays out texts and measures; None for the cache beside the report.

    With ``--sensitive`` it is a temporary one, for this user alone. It is removed at the end, after an error, and when
    the look is interrupted or asked to end (SIGTERM, SIGHUP). A process that is killed outright leaves it to the next
    look of this kind, which removes it.
    """
    if not args.sensitive:
        yield None
        return
    with _ending_is_an_interrupt(), contextlib.ExitStack() as held:
        if count := _remove_left():
            killed = counted(count, "look that was killed", "looks that were killed")
            say(f"--sensitive: removed what {killed} had left")
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            held.enter_context(locked(folder / _LOCK, str(folder)))
            say(f"--sensitive: texts are laid out in {folder}, which is removed at the end (TMPDIR takes another disk)")
            yield folder
        except BaseException as error:
            # What the traceback holds may be worker processes: they end here, before they write the folder anew.
            traceback.clear_frames(error.__traceback__)
            raise
        finally:
            shutil.rmtree(folder)


def _remove_left() -> int:
    """Remove the folders that nobody holds any more: the kernel lets go of a lock however its process ends."""
    count = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(BusyError, OSError):
            if folder.stat().st_uid == os.getuid() and (folder / _LOCK).is_file():
                with locked(folder / _LOCK, str(folder)):
                    shutil.rmtree(folder)
                count += 1
    return count


def earlier_texts(cache: Path) -> list[str]:
    """A line on texts that commands without ``--sensitive`` have left; none where they left none."""
    if not (cache / "text").is_dir() and not (cache / "data" / "text").is_dir():
        return []
    return [f"--sensitive: {cache} holds texts of earlier commands; remove it where none may lie"]


def proof_without_text(rule: Rule, columns: pa.Table, position: int) -> str:
    """What shows that a row fails a rule, as :func:`hone.data.rules.evidence`, without labels and other words of rows.

    A column of the user's own is not shown either: it may hold words of the text, or a number out of it.
    """
    if not _is_no_text(columns, rule.column):
        return rule.sentence()
    further = tuple(name for name in rule.evidence if _is_no_text(columns, name))
    return evidence(replace(rule, evidence=further), columns, position)


def _is_no_text(columns: pa.Table, name: str) -> bool:
    kind = columns.schema.field(name).type
    if name.startswith("own:"):
        return False
    spans = pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return bool(number or spans or name in _NAMING)


@contextlib.contextmanager
def _ending_is_an_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP as ctrl-C, so that what has to be removed is removed."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
