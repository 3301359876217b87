"""Files that hone itself has written into a folder: versions, ledgers, reports, runs, edits of rows, and its cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path

from hone.data.patch_record import FILE as PATCHES
from hone.lab.bookkeeping import ARTIFACTS_PATH, READINGS_PATH
from hone.lab.record import HEADER
from hone.wording import counted

_CACHE = ".hone"
_TASK = "hone.yaml"
_BESIDE_TASK = (PATCHES, READINGS_PATH.name)
_REPORT = b'{"schema": "hone.look/'
_HEAD_BYTES = 2_000
_VERSION_BYTES = 200
_REPORT_SUFFIXES = (".html", ".json")


def without_made(root: Path, paths: Sequence[Path], asked: str = "") -> tuple[list[Path], tuple[str, ...]]:
    """Paths under a folder without those that hone made, and for each folder of these how many they are.

    They are known by what lies beside them, not by their names alone: a folder ``versions`` with a record in it, a
    folder ``runs`` with a run, edits of rows beside a ``hone.yaml``, a page and its JSON. Read again, cleaned rows
    would stand beside the rows that they come from.

    Args:
        root: the folder.
        paths: files under it.
        asked: the pattern that found them; a folder of versions or runs that it names is taken as it is.
    """
    named = frozenset(Path(asked).parts)
    # Remembered for each folder: asked anew for each file, folders in folders take the square of their number.
    is_made = cache(_is_made)
    left: list[Path] = []
    made: Counter[str] = Counter()
    for path in paths:
        inner = takewhile(lambda above: above != root, path.parents)
        place = next((above for above in inner if above.name not in named and is_made(above)), None)
        if place is None and (_is_report(path) or _is_beside_task(path)):
            place = path.parent
        if place is None:
            left.append(path)
        else:
            made[place.relative_to(root).as_posix()] += 1
    return left, tuple(_told(place, count) for place, count in made.items())


def _told(place: str, count: int) -> str:
    return f"{counted(count, 'file')} that hone made{f' in {place}' if place != '.' else ''}"


def _is_made(folder: Path) -> bool:
    """Whether all in a folder is made by hone."""
    if folder.name == "versions":
        return any(map(_is_version, folder.glob("*/version.json")))
    if folder.name == "runs":
        return any(map(_is_run, folder.glob(f"*/{HEADER}")))
    if folder.name == ARTIFACTS_PATH.parent.name:
        return all((folder.parent / name).is_file() for name in (ARTIFACTS_PATH, _TASK))
    return folder.name == _CACHE


def _is_version(path: Path) -> bool:
    """Whether a file is the record of a version, which begins with its id; a writer that was killed left no more."""
    return f'"id": "{path.parent.name}"'.encode() in _head(path, _VERSION_BYTES)


def _is_run(path: Path) -> bool:
    """Whether a file is the header of a run, which names what was trained on what."""
    head = _head(path, _HEAD_BYTES)
    return all(f'"{key}": '.encode() in head for key in ("number", "task_id", "data_id", "recipe_id"))


def _is_beside_task(path: Path) -> bool:
    return path.name in _BESIDE_TASK and path.with_name(_TASK).is_file()


def _is_report(path: Path) -> bool:
    # A report's page, its JSON, and the profile of columns beside them.
    if path.suffix not in _REPORT_SUFFIXES:
        return False
    whole = path.with_name(path.stem.removesuffix("-columns") + path.suffix)
    page, record = (whole.with_suffix(suffix) for suffix in _REPORT_SUFFIXES)
    return page.is_file() and record.is_file() and _head(record, len(_REPORT)) == _REPORT


def _head(path: Path, size_bytes: int) -> bytes:
    with path.open("rb") as handle:
        return handle.read(size_bytes)
