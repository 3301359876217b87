"""``hone look --sensitive``: texts are laid out in a folder of their own, which goes however the look ends."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import stat
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from hone.cli.interrupt import ENDING, endable, handled_by
from hone.data.rules import Rule, evidence
from hone.errors import BusyError
from hone.files import locked
from hone.wording import counted

_PREFIX = "hone-sensitive-"
_LOCK = ".lock"
_UNLOCKED_SECONDS = 60.0
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
    with endable(), contextlib.ExitStack() as held:
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
            with handled_by(signal.SIG_IGN, (signal.SIGINT, *ENDING)):
                _remove(folder)


def _remove_left() -> int:
    """Remove the folders that nobody holds any more: the kernel lets go of a lock however its process ends."""
    count = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(BusyError, OSError):
            about = folder.lstat()
            # One without a lock is about to be locked, or was left by what had removed the lock first.
            is_left = (folder / _LOCK).is_file() or time.time() - about.st_mtime > _UNLOCKED_SECONDS
            if stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and is_left:
                with locked(folder / _LOCK, str(folder)):
                    _remove(folder)
                count += 1
    return count


def _remove(folder: Path) -> None:
    """Remove a folder, its lock last: the next look finds what a kill leaves of it."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()
    shutil.rmtree(folder)


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
