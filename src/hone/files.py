"""Files that are whole or absent: atomic writes, content hashes, folder locks.

A writer that dies half way (a kill, a full disk, a file-size limit) leaves the old file or none, and
a ``.part-*`` leftover that nobody reads (law 10). A living writer holds a lock on its part, so that
:func:`clear_parts` tells one from the other.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hone.errors import BusyError, FailedError

PART_PREFIX = ".part-"
_OLD_PREFIX = f"{PART_PREFIX}.old-"
"""Holds a folder that is being replaced, under its own name, until the new one has that name."""


def content_hash(value: object, length: int = 12) -> str:
    """First ``length`` hex digits of SHA-256 over the canonical JSON of ``value`` (keys sorted)."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def file_hash(path: Path, length: int = 64) -> str:
    """SHA-256 of a file's bytes in hex, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:length]


def atomic_write(path: Path, content: str | bytes) -> Path:
    """Write a file so that readers see the old content or the new one, never a part.

    Raises:
        FailedError: when the disk refuses (full, file-size limit, permissions); nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8") if isinstance(content, str) else content
    part = path.with_name(f"{PART_PREFIX}{os.getpid()}-{path.name}")
    try:
        with part.open("wb") as handle:
            _try_lock(handle.fileno())
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
            part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FailedError(
            f"could not write {path} ({len(data):,} bytes): {error}; the old file is untouched"
        ) from error
    return path


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that takes its name only when the block succeeds.

    An existing folder of that name is replaced. When the block fails nothing appears under ``path``.
    """
    with part_folder(path) as part:
        try:
            yield part
            replace_folder(part, path)
        except OSError as error:
            raise FailedError(
                f"could not write the folder {path}: {error}; nothing new was left under that name"
            ) from error


@contextlib.contextmanager
def part_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` that goes at the end; while this process lives nobody clears it.

    Folders above ``path`` that were made for it go as well where nothing came to lie in them.

    Raises:
        FailedError: when the disk refuses.
    """
    new = [one for one in path.parents if not one.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part, lock = _locked_part(f"{PART_PREFIX}{path.name}-", path.parent)
    except OSError as error:
        _remove_empty(new)
        raise FailedError(f"could not make a folder beside {path}: {error}; nothing was left there") from error
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        os.close(lock)
        _remove_empty(new)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Folders in which nothing lies, the innermost first; one that holds something ends it."""
    with contextlib.suppress(OSError):
        for one in folders:
            one.rmdir()


def _locked_part(prefix: str, parent: Path) -> tuple[Path, int]:
    """A new folder, and the open descriptor that locks it."""
    while True:
        part = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            lock = os.open(part, os.O_RDONLY)
        except FileNotFoundError:  # cleared in the moment before it was locked
            continue
        if _try_lock(lock) and part.exists():
            return part, lock
        os.close(lock)


def _try_lock(handle: int) -> bool:
    """Take the lock of an open file or folder; False where another has it. A disk without locks gives it to all."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def replace_folder(part: Path, path: Path) -> None:
    """Give the whole folder ``part`` its name ``path`` beside it; an older folder of that name goes only then.

    Where the new one does not get the name the older one has it again: at once, or by :func:`clear_parts` after a kill.
    """
    _as_usual(part)
    _sync_folder(part)
    if not path.exists():
        part.replace(path)
        return
    old, lock = _locked_part(_OLD_PREFIX, path.parent)
    try:
        path.replace(old / path.name)
        try:
            part.replace(path)
        except BaseException:
            (old / path.name).replace(path)
            raise
        # Under another name it is not put back by anybody once it is partly removed.
        gone = old.replace(old.with_name(old.name.replace(_OLD_PREFIX, f"{PART_PREFIX}gone-")))
        shutil.rmtree(gone, ignore_errors=True)
    finally:
        with contextlib.suppress(OSError):
            old.rmdir()
        os.close(lock)


def _as_usual(folder: Path) -> None:
    """Give a folder and its files the modes that new ones have here: temporary ones are for their owner alone."""
    probe = folder / PART_PREFIX
    probe.mkdir()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.rmdir()
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():  # whose mode would be that of a file elsewhere
            with contextlib.suppress(OSError):  # some file systems have no modes to set, and a save is worth more
                path.chmod(mode if path.is_dir() else stat.S_IMODE(path.stat().st_mode) | mode & 0o666)


def _sync_folder(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())


def write_json(path: Path, value: Any) -> Path:
    """Write ``value`` as indented JSON, atomically. NaN and infinities are refused (not JSON)."""
    return atomic_write(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        FailedError: when the file is not whole JSON, with the line and column.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise FailedError(f"{path}:{error.lineno}:{error.colno}: not valid JSON ({error.msg})") from error
    except UnicodeDecodeError as error:
        raise FailedError(f"{path}: not UTF-8 at byte {error.start:,}") from error


def clear_parts(folder: Path) -> int:
    """Remove leftovers of writers that died in ``folder``; the number removed. What a living one writes stays.

    A folder that was about to be replaced when its writer died gets its name back where that is free.
    """
    removed = 0
    for part in folder.glob(f"{PART_PREFIX}*"):
        try:
            lock = os.open(part, os.O_RDONLY)
        except OSError:  # finished in the meantime, or not ours
            continue
        try:
            if _try_lock(lock):
                _clear(part)
                removed += 1
        finally:
            os.close(lock)
    return removed


def _clear(part: Path) -> None:
    if not part.is_dir():
        part.unlink(missing_ok=True)
        return
    for old in part.iterdir() if part.name.startswith(_OLD_PREFIX) else ():
        if not (part.parent / old.name).exists():
            old.replace(part.parent / old.name)
    shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock file; the kernel lets go of it when the process dies, however it dies.

    Raises:
        BusyError: at once, when another process holds it, with that process's id.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        holder = handle.read().strip() or "unknown"
        handle.close()
        raise BusyError(
            f"{what} is in use by process {holder} (lock {path}); wait for it, stop it, or use another folder"
        ) from None
    try:
        handle.truncate(0)
        with contextlib.suppress(OSError):  # the id is a courtesy: a full disk keeps nobody from what he has
            os.write(handle.fileno(), str(os.getpid()).encode())
        yield
    finally:
        handle.close()
