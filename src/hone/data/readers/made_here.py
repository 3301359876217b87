"""Files that hone itself has written into a folder of data: versions, their ledgers, reports, and its cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_CACHE = ".hone"
_VERSIONS = "versions"
_REPORT = b'{"schema": "hone.look/'
_RECORD_BYTES = 200
_REPORT_SUFFIXES = (".html", ".json")


def without_made(root: Path, paths: Sequence[Path], asked: str = "") -> tuple[list[Path], tuple[str, ...]]:
    """Paths under a folder without those that hone made, and for each folder of these how many they are.

    They are known by what lies beside them, not by their names alone: a folder ``versions`` with a record in it, a page
    and its JSON. Read again, cleaned rows would stand beside the rows that they come from.

    Args:
        root: the folder.
        paths: files under it.
        asked: the pattern that found them; a folder of versions that it names is taken as it is.
    """
    named = frozenset(Path(asked).parts)
    left: list[Path] = []
    made: Counter[str] = Counter()
    for path in paths:
        place = _place(root, path, named)
        if place is None:
            left.append(path)
        else:
            made[place.relative_to(root).as_posix()] += 1
    return left, tuple(_told(place, count) for place, count in made.items())


def _told(place: str, count: int) -> str:
    many = "1 file" if count == 1 else f"{count:,} files"
    return f"{many} that hone made in {place}" if place != "." else f"{many} that hone made"


def _place(root: Path, path: Path, named: frozenset[str]) -> Path | None:
    """The folder of what hone made that a file belongs to; None for a file of somebody else."""
    for above in path.parents:
        if above == root:
            break
        if above.name not in named and (above.name == _CACHE or _has_version(above)):
            return above
    return path.parent if path.suffix in _REPORT_SUFFIXES and _is_report(path) else None


def _has_version(folder: Path) -> bool:
    return folder.name == _VERSIONS and any(map(_is_record, folder.glob("*/version.json")))


def _is_record(path: Path) -> bool:
    """Whether a file is the record of a version, which begins with its id; a writer that was killed left no more."""
    with path.open("rb") as handle:
        return f'"id": "{path.parent.name}"'.encode() in handle.read(_RECORD_BYTES)


def _is_report(path: Path) -> bool:
    # A report's page, its JSON, and the profile of columns beside them.
    whole = path.with_name(path.stem.removesuffix("-columns") + path.suffix)
    page, record = (whole.with_suffix(suffix) for suffix in _REPORT_SUFFIXES)
    if not (page.is_file() and record.is_file()):
        return False
    with record.open("rb") as handle:
        return handle.read(len(_REPORT)) == _REPORT
