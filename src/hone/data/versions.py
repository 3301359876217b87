"""Data versions on disk: ``versions/<id>/`` in the task folder, each made once and never changed.

The id is the hash of the content, by which runs know their data, and after a dash a hash over how it was made: other
rules that leave the same rows are another version, with a ledger of its own.
``version.json`` says how it was made and from which parent, ``rows.parquet`` holds every kept row, ``ledger.jsonl``
every other one with its reasons. Undo is choosing the parent: its ``clean`` section and edits are taken again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hone.data.ledger import Ledger
from hone.data.rows import Row, canonical
from hone.errors import InputError, nearest
from hone.files import PART_PREFIX, atomic_folder, clear_parts, content_hash, read_json, write_json
from hone.lab.locks import waiting_for

FOLDER = "versions"
HEAD = "head"
LOCK = ".lock"
_BATCH_ROWS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRecord:
    """A source as it was read: name, SHA-256 of its bytes (empty where it is no file), rows, licences of its rows."""

    name: str
    split: str
    sha256: str
    rows: int
    licences: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """How a data version was made.

    ``data`` is the hash of its content (runs record it as ``data_id``), ``clean`` the section of ``hone.yaml``,
    ``transforms`` and ``signals`` the steps with versions and parameters, ``rules`` each rule with its sentence, source
    and counts, ``patches`` how many edits, their digest, and row and digest of each.
    """

    id: str
    data: str
    parent: str
    made: str
    sources: tuple[SourceRecord, ...]
    clean: Mapping[str, Any]
    transforms: tuple[Mapping[str, Any], ...]
    signals: Mapping[str, Any]
    rules: tuple[Mapping[str, Any], ...]
    patches: Mapping[str, Any]
    counts: Mapping[str, int]


def save_version(
    folder: Path,
    version: Version,
    rows: Iterable[tuple[str, Row]],
    ledger: Ledger,
    also: Callable[[Path], None] | None = None,
) -> Path:
    """Write a version unless it is there, and make it the head. The folder appears whole or not at all.

    Args:
        folder: the task folder.
        version: its record.
        rows: kept rows with their splits, in order.
        ledger: of the rows that were not kept.
        also: writes further files into the version's folder.
    """
    place = folder / FOLDER / version.id
    with waiting_for(folder / FOLDER / LOCK, str(folder / FOLDER)):
        clear_parts(folder / FOLDER)
        if not (place / "version.json").is_file():
            with atomic_folder(place) as part:
                _write_rows(part / "rows.parquet", rows)
                ledger.save(part / "ledger.jsonl")
                if also is not None:
                    also(part)
                write_json(part / "version.json", asdict(version))
        last = head(folder)
        if last != version.id:
            write_json(folder / FOLDER / f"{HEAD}.json", {"id": version.id, "before": version.parent})
    return place


def head(folder: Path) -> str:
    """Id of the version made last; empty when there is none."""
    return _head(folder)["id"]


def before_head(folder: Path) -> str:
    """Id of the version that was the head before this one; empty for the first.

    A version that is made a second time keeps the parent that it had, so this can be another one.
    """
    return _head(folder)["before"]


def _head(folder: Path) -> dict[str, str]:
    path = folder / FOLDER / f"{HEAD}.json"
    return {"id": "", "before": "", **(read_json(path) if path.is_file() else {})}


def _places(folder: Path) -> list[Path]:
    """Folders of whole versions; what a writer that died has left is none."""
    found = [path.parent for path in (folder / FOLDER).glob("*/version.json")]
    return [place for place in found if not place.name.startswith(PART_PREFIX)]


def versions(folder: Path) -> list[Version]:
    """All versions of a task folder, oldest first."""
    found = [load_version(place) for place in _places(folder)]
    return sorted(found, key=lambda version: (version.made, version.id))


def find_version(folder: Path, name: str) -> Version:
    """The version of an id, of the first digits of one, or ``head``.

    Raises:
        InputError: no such version, or several that begin so.
    """
    known = sorted(place.name for place in _places(folder))
    wanted = head(folder) if name == HEAD else name
    matches = [one for one in known if one.startswith(wanted)] if wanted else []
    if len(matches) > 1:
        raise InputError(f'{len(matches)} data versions begin with "{name}": {", ".join(matches)}; give more of one')
    if not matches:
        hint = nearest(name, known) if known else f"{folder} has none yet; hone clean {folder} makes one"
        raise InputError(f'there is no data version "{name}"; {hint}')
    return load_version(folder / FOLDER / matches[0])


def load_version(place: Path) -> Version:
    """The record of a version's folder."""
    record = read_json(place / "version.json")
    sources = tuple(SourceRecord(**source) for source in record.pop("sources"))
    rules, transforms = tuple(record.pop("rules")), tuple(record.pop("transforms"))
    return Version(sources=sources, rules=rules, transforms=transforms, **record)


def version_rows(folder: Path, version_id: str) -> Iterator[tuple[str, Row]]:
    """The kept rows of a version with their splits, streamed."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(folder / FOLDER / version_id / "rows.parquet") as file:
        for batch in file.iter_batches(_BATCH_ROWS):
            columns = (batch.column(name).to_pylist() for name in ("split", "row", "fields"))
            for split, row, fields in zip(*columns, strict=True):
                yield split, Row(row, json.loads(fields))


def version_ledger(folder: Path, version_id: str) -> Ledger:
    """The ledger of a version."""
    return Ledger.load(folder / FOLDER / version_id / "ledger.jsonl")


def row_digest(row: Row) -> str:
    """16 hex digits over the columns of a row: equal when nothing changed."""
    return content_hash(row.fields, 16)


def _write_rows(path: Path, rows: Iterable[tuple[str, Row]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.large_string()) for name in ("split", "row", "digest", "fields")])

    def write(held: list[tuple[str, str, str, str]]) -> None:
        columns = list(zip(*held, strict=True)) or [()] * len(schema)
        writer.write_table(pa.table([pa.array(column, pa.large_string()) for column in columns], schema=schema))

    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        held: list[tuple[str, str, str, str]] = []
        for split, row in rows:
            held.append((split, row.id, row_digest(row), canonical(row.fields)))
            if len(held) >= _BATCH_ROWS:
                write(held)
                held = []
        write(held)
