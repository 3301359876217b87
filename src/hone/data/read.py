"""From a source to rows: a file, a folder, a glob, a dataset or a Python iterable. Everything streams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.data import from_datasets, from_json, from_tables, from_text
from hone.data.opening import COMPRESSED, plain_suffix
from hone.data.rows import Bad, Row, kind_of
from hone.errors import InputError, nearest

Source = str | Path | Iterable[Mapping[str, Any]]

_READERS = {
    ".jsonl": from_json.read_lines,
    ".ndjson": from_json.read_lines,
    ".json": from_json.read_json,
    ".csv": from_tables.read_csv,
    ".tsv": lambda path, name: from_tables.read_csv(path, name, "\t"),
    ".parquet": from_tables.read_parquet,
    ".arrow": from_tables.read_arrow,
    ".txt": from_text.read_text,
    ".text": from_text.read_text,
    ".md": from_text.read_text,
}
_PROSE = frozenset({".txt", ".text", ".md"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a source stands for: files with the names that ids carry, a saved dataset, or a hub id."""

    files: tuple[tuple[str, Path], ...] = ()
    left_out: tuple[str, ...] = ()
    saved: Path | None = None
    hub: str = ""
    split: str = ""


def read(source: Source, base: Path, prefix: str = "") -> Iterator[Row | Bad]:
    """Stream the rows of a source.

    Args:
        source: path, folder or glob (relative to ``base``), hub id, or iterable of dicts.
        base: the task folder.
        prefix: put before every id, to tell two files of one name apart.

    Raises:
        InputError: the source is missing, damaged or of an unknown format. A bad *row* is yielded as
            :class:`Bad` instead, so that the caller can gather all of them.
    """
    for row in _read(source, base):
        yield row if not prefix else _renamed(row, prefix)


def _read(source: Source, base: Path) -> Iterator[Row | Bad]:
    if not isinstance(source, str | Path):
        yield from _from_iterable(source)
        return
    found = find(source, base)
    if found.hub:
        yield from from_datasets.read_hub(found.hub)
    elif found.saved is not None:
        yield from from_tables.read_saved_dataset(found.saved, found.split)
    for name, path in found.files:
        yield from _READERS[plain_suffix(path.name)](path, name)


def find(source: str | Path, base: Path) -> Found:
    """Resolve a source to what is there, without reading it.

    Raises:
        InputError: when nothing is there (with the nearest name), or the format is unknown.
    """
    text = str(source)
    if text.startswith(from_datasets.PREFIX):
        return Found(hub=text)
    if "://" in text:
        raise InputError(f"{text}: addresses are not read; fetch the file and name it instead")
    path = base / Path(text).expanduser()
    if path.is_file():
        return Found(files=((path.name, _known(path)),))
    if path.is_dir():
        return Found(saved=path) if from_tables.is_saved_dataset(path) else _folder(path)
    if re.search(r"[*?\[]", text):
        return _matches(path, text)
    stem, colon, split = text.rpartition(":")
    if colon and from_tables.is_saved_dataset(base / stem):
        return Found(saved=base / stem, split=split)
    if from_datasets.is_hub_id(text) and plain_suffix(text) not in _READERS:
        return Found(hub=text)
    raise InputError(_missing(path))


def _known(path: Path) -> Path:
    suffix = plain_suffix(path.name)
    if suffix not in _READERS:
        raise InputError(
            f'{path}: the format "{suffix or "without a suffix"}" is not known; known: {", ".join(sorted(_READERS))}, '
            f"also compressed ({', '.join(COMPRESSED)})"
        )
    if suffix in (".parquet", ".arrow") and path.suffix.lower() in COMPRESSED:
        raise InputError(f"{path}: {suffix} is compressed inside; unpack {path.suffix}")
    return path


def _folder(folder: Path) -> Found:
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and not _hidden(p.relative_to(folder)))
    known = [p for p in paths if plain_suffix(p.name) in _READERS]
    # A README or a licence beside tables is not data.
    tables = [p for p in known if plain_suffix(p.name) not in _PROSE]
    chosen = tables or known
    if not chosen:
        there = ", ".join(p.name for p in paths[:5]) or "nothing"
        raise InputError(f"{folder}: no data file in this folder (known: {', '.join(sorted(_READERS))}); found {there}")
    names = tuple((p.relative_to(folder).as_posix(), _known(p)) for p in chosen)
    taken = set(chosen)
    return Found(files=names, left_out=tuple(p.relative_to(folder).as_posix() for p in paths if p not in taken))


def _matches(path: Path, text: str) -> Found:
    root = Path(re.split(r"[^/]*[*?\[]", str(path), maxsplit=1)[0])
    paths = sorted(p for p in root.glob(path.relative_to(root).as_posix()) if p.is_file())
    if not paths:
        raise InputError(f"{text}: no file matches this pattern under {root}")
    return Found(files=tuple((p.relative_to(root).as_posix(), _known(p)) for p in paths))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _missing(path: Path) -> str:
    if not path.parent.is_dir():
        return f"{path}: there is no such file, and no folder {path.parent}"
    names = [p.name for p in path.parent.iterdir() if p.is_dir() or plain_suffix(p.name) in _READERS]
    hint = nearest(path.name, names) if names else "the folder holds no data"
    return f"{path}: there is no such file; {hint}"


def _from_iterable(source: Iterable[Any]) -> Iterator[Row | Bad]:
    for number, fields in enumerate(source, 1):
        row_id = f"rows:{number}"
        if isinstance(fields, Mapping):
            yield Row(row_id, dict(fields))
        else:
            yield Bad(row_id, "", "a dict with one key per column", kind_of(fields))


def _renamed(row: Row | Bad, prefix: str) -> Row | Bad:
    if isinstance(row, Row):
        return Row(prefix + row.id, row.fields)
    return Bad(prefix + row.id, row.field, row.expected, row.found)
