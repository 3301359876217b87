"""From what a task names to the files that are there, without reading them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hone.data.readers import hub
from hone.data.readers.addresses import Query, as_query, is_address, without_secrets
from hone.data.readers.columnar import is_saved_dataset
from hone.data.readers.contents import COMPRESSED, HEAD_BYTES, SQLITE, kind_of_content, plain_suffix
from hone.data.readers.made_here import without_made
from hone.data.readers.opening import DataFile
from hone.data.readers.stores import listed
from hone.errors import InputError, nearest

PROSE = (".txt", ".text", ".md", ".markdown", ".html", ".htm", ".xhtml")
TABLES = (
    ".jsonl",
    ".ndjson",
    ".json",
    ".csv",
    ".tsv",
    ".parquet",
    ".arrow",
    ".feather",
    ".warc",
    ".wet",
    ".sql",
    *SQLITE,
)
KNOWN = frozenset({*PROSE, *TABLES})
_LOCAL = re.compile(r"file:/{2}(?=/)")
_SHOWN = 3
_PARTS = frozenset({".json", ".sql", *SQLITE})


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a source stands for: files, a saved dataset, a hub id, or a query against a database."""

    files: tuple[DataFile, ...] = ()
    left_out: tuple[str, ...] = ()
    saved: Path | None = None
    hub: str = ""
    split: str = ""
    query: Query | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that lie on this machine."""
        return tuple(file.path for file in self.files if file.path is not None)

    @property
    def places(self) -> tuple[str, ...]:
        """Where rows come from, such that equal places have equal rows: no two splits may share one."""
        if self.query is not None:
            return (f"{self.query.url}::{self.query.query}",)
        whole = (str(file.path.resolve()) if file.path is not None else file.address for file in self.files)
        return tuple(
            f"{place}:{file.part}" if file.part else place for place, file in zip(whole, self.files, strict=True)
        )

    @property
    def names(self) -> set[str]:
        """What row ids begin with."""
        if self.files:
            return {file.name for file in self.files}
        return {"query" if self.query is not None else self.hub or str(self.saved and self.saved.name)}

    @property
    def is_elsewhere(self) -> bool:
        """Whether the source is no path on this machine."""
        return bool(self.hub) or self.query is not None or any(file.path is None for file in self.files)


def find(source: str | Path, base: Path) -> Found:
    """Resolve a source to what is there, without reading it.

    A source is a path, folder or glob (relative to ``base``), an address in a store that fsspec knows, a hub id
    (``owner/name``, ``hf://...``), or a database and a query, ``URL::SELECT ...``. A file of several tables or arrays
    takes the wanted one after a colon: ``rows.db:table``, ``dump.sql:table``, ``rows.json:key``.

    Raises:
        InputError: when nothing is there (with the nearest name), or the format is unknown.
    """
    text = str(source)
    if not text.strip():
        raise InputError("a source is empty text; expected a path, an address, a hub id or a query")
    if local := _LOCAL.match(text):
        text = text[local.end() :]
    if is_address(text):
        query = None if text.startswith(hub.PREFIX) else as_query(text)
        return Found(query=query) if query else Found(hub=text) if text.startswith(hub.PREFIX) else _in_store(text)
    path = base / Path(text).expanduser()
    if path.is_file():
        return Found(files=(_known(DataFile(name=path.name, path=path, size=path.stat().st_size)),))
    if path.is_dir():
        return Found(saved=path) if is_saved_dataset(path) else _folder(path)
    if re.search(r"[*?\[]", text):
        return _matches(path, text)
    for at in (at for at in range(len(text) - 1, 0, -1) if text[at] == ":"):
        stem, part = text[:at], text[at + 1 :]
        if is_saved_dataset(base / stem):
            return Found(saved=base / stem, split=part)
        if (base / stem).is_file():
            return Found(files=(_with_part(find(stem, base).files[0], part),))
    if hub.is_hub_id(text) and plain_suffix(text) not in KNOWN:
        return Found(hub=text)
    raise InputError(_missing(path))


def _with_part(file: DataFile, part: str) -> DataFile:
    if plain_suffix(file.stored_name) not in _PARTS:
        raise InputError(f'{file}: a file of this format has no parts; leave ":{part}" out')
    return replace(file, part=part)


def _known(file: DataFile) -> DataFile:
    suffix = plain_suffix(file.stored_name)
    if suffix not in KNOWN:
        raise InputError(
            f'{file}: the format "{suffix or "without a suffix"}" is not known{_by_content(file)}; known: '
            f"{', '.join(sorted(KNOWN))}, also compressed ({', '.join(COMPRESSED)})"
        )
    return file


def _by_content(file: DataFile) -> str:
    if file.path is None:
        return ""
    with file.path.open("rb") as handle:
        kind = kind_of_content(handle.read(HEAD_BYTES))
    return f" (it holds {kind[0]}" + (f"; name it *{kind[1][0]})" if kind[1] else ")") if kind else ""


def _in_store(address: str) -> Found:
    stem, colon, part = address.rpartition(":")
    if not (colon and plain_suffix(stem) in _PARTS and re.fullmatch(r"[\w.$-]+", part)):
        stem, part = address, ""
    entries = listed(stem)
    files = [DataFile(name=name, address=where, size=size, part=part) for name, where, size in entries]
    if len(files) == 1:
        return Found(files=(_known(files[0]),))
    if not files:
        raise InputError(f"{without_secrets(address)}: there is no file at this address")
    return _chosen(files, without_secrets(address))


def _folder(folder: Path) -> Found:
    paths = sorted(p for p in folder.rglob("*") if not p.is_dir() and not _hidden(p.relative_to(folder)))
    paths, made = without_made(folder, _unbroken(paths))
    files = [DataFile(name=p.relative_to(folder).as_posix(), path=p, size=p.stat().st_size) for p in paths]
    return _chosen(files, str(folder), made)


def _chosen(files: list[DataFile], where: str, made: tuple[str, ...] = ()) -> Found:
    known = [file for file in files if plain_suffix(file.stored_name) in KNOWN]
    # A README or a licence beside tables is not data.
    tables = [file for file in known if plain_suffix(file.stored_name) not in PROSE]
    chosen = tables or known
    if not chosen:
        there = ", ".join([*(file.name for file in files[:5]), *made]) or "nothing"
        raise InputError(f"{where}: no data file in this folder (known: {', '.join(sorted(KNOWN))}); found {there}")
    taken = {file.name for file in chosen}
    return Found(files=tuple(chosen), left_out=(*made, *(file.name for file in files if file.name not in taken)))


def _matches(path: Path, text: str) -> Found:
    root = Path(re.split(r"[^/]*[*?\[]", str(path), maxsplit=1)[0])
    pattern = path.relative_to(root)
    # As in a shell, a name that begins with a dot is matched only by a pattern that has one.
    takes_hidden = _hidden(pattern)
    paths = sorted(p for p in root.glob(pattern.as_posix()) if takes_hidden or not _hidden(p.relative_to(root)))
    paths, made = without_made(root, _unbroken(paths), text)
    if not paths:
        but = f" but {', '.join(made)}" if made else ""
        raise InputError(f"{text}: no file matches this pattern under {root}{but}")
    files = tuple(DataFile(name=p.relative_to(root).as_posix(), path=p, size=p.stat().st_size) for p in paths)
    unknown = [file for file in files if plain_suffix(file.stored_name) not in KNOWN]
    if unknown:
        names = ", ".join(file.name for file in unknown[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN:,} more" if len(unknown) > _SHOWN else ""
        raise InputError(
            f"{text}: {len(unknown):,} of {len(files):,} files that match are of no known format: {names}{more}; "
            "match fewer, or name the folder, of which only data is taken"
        )
    return Found(files=files, left_out=made)


def _unbroken(paths: Sequence[Path]) -> list[Path]:
    """The files among paths. A link to data that is not there is refused: it would be fewer rows without a word."""
    broken = [path for path in paths if path.is_symlink() and not path.exists() and plain_suffix(path.name) in KNOWN]
    if broken:
        raise InputError([f"{path}: is a link to {path.readlink()}, which is not there" for path in broken])
    return [path for path in paths if path.is_file()]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _missing(path: Path) -> str:
    if path.is_symlink():
        return f"{path}: is a link to {path.readlink()}, which is not there"
    if not path.parent.is_dir():
        return f"{path}: there is no such file, and no folder {path.parent}"
    names = [p.name for p in path.parent.iterdir() if p.is_dir() or plain_suffix(p.name) in KNOWN]
    hint = nearest(path.name, names) if names else "the folder holds no data"
    return f"{path}: there is no such file; {hint}"
