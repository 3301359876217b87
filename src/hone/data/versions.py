"""Data versions on disk: ``versions/<id>/`` in the task folder, each made once and never changed.

The id is the hash of the content, by which runs know their data, and after a dash a hash over how it was made: other
rules that leave the same rows are another version, with a ledger of its own.
``version.json`` says how it was made and from which parent, ``rows.parquet`` holds every kept row, ``ledger.jsonl``
every other one with its reasons. Undo is choosing the parent: its ``clean`` section and edits are taken again.
A version that cannot be read (cut off, of another hone) is told in a sentence and never stands in the way of others.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from hone.data.ledger import Ledger
from hone.data.rows import Row, canonical
from hone.data.version_record import Version, is_whole, load_version
from hone.errors import FailedError, InputError, nearest
from hone.files import PART_PREFIX, atomic_folder, clear_parts, content_hash, read_json, write_json
from hone.lab.locks import waiting_for

FOLDER = "versions"
LEDGER = "ledger.jsonl"
HEAD = "head"
LOCK = ".lock"
_BATCH_ROWS = 20_000


def save_version(
    folder: Path,
    version: Version,
    rows: Iterable[tuple[str, Row]],
    ledger: Ledger,
    also: Callable[[Path], None] | None = None,
) -> Path:
    """Write a version unless it is there whole, and make it the head. The folder appears whole or not at all.

    One whose rows or ledger are damaged is written again under the record that it has, with its parent and its time.

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
        if not is_whole(place):
            with contextlib.suppress(FailedError):
                version = load_version(place)
            with atomic_folder(place) as part:
                _write_rows(part / "rows.parquet", rows)
                ledger.save(part / LEDGER)
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
    """The record of the head. Where it cannot be read, the version made last stands in, which the survey says."""
    path = folder / FOLDER / f"{HEAD}.json"
    if not path.is_file():
        return {"id": "", "before": ""}
    try:
        record = read_json(path)
        return {"id": record["id"], "before": record["before"]}
    except (FailedError, KeyError, TypeError):
        newest = versions(folder)[-1:]
        return {"id": newest[0].id, "before": newest[0].parent} if newest else {"id": "", "before": ""}


def _places(folder: Path) -> list[Path]:
    """Folders of versions; what a writer that died has left is none."""
    found = [path for path in (folder / FOLDER).glob("*") if path.is_dir()]
    return sorted(place for place in found if not place.name.startswith(PART_PREFIX))


def versions(folder: Path) -> list[Version]:
    """All versions of a task folder that can be read, oldest first."""
    return survey_versions(folder)[0]


def survey_versions(folder: Path) -> tuple[list[Version], list[str]]:
    """All versions that can be read, oldest first; and a sentence for each file that cannot."""
    found: list[Version] = []
    problems: list[str] = []
    for place in _places(folder):
        try:
            found.append(load_version(place))
        except FailedError as error:
            problems.append(str(error))
    try:
        path = folder / FOLDER / f"{HEAD}.json"
        known = read_json(path) if path.is_file() else {"id": "", "before": ""}
        if not (isinstance(known, dict) and {"id", "before"} <= known.keys()):
            problems.append(f"{path}: expected id and before; the version made last is taken for the head")
    except FailedError as error:
        problems.append(f"{error}; the version made last is taken for the head")
    return sorted(found, key=lambda version: (version.made, version.id)), problems


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


def version_rows(folder: Path, version_id: str) -> Iterator[tuple[str, Row]]:
    """The kept rows of a version with their splits, streamed.

    Raises:
        FailedError: when the file is missing or damaged.
    """
    for split, row, columns in stored_columns(folder, version_id, ("split", "row", "fields")):
        yield split, Row(row, json.loads(columns))


def stored_columns(folder: Path, version_id: str, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Some columns of the kept rows: split, row, digest, fields; row by row.

    Raises:
        FailedError: when the file is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / FOLDER / version_id / "rows.parquet"
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(names)):
                yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    except (OSError, pa.ArrowException) as error:
        raise FailedError(f"{path}: the kept rows cannot be read: {error}; make the version again") from error


def version_ledger(folder: Path, version_id: str) -> Ledger:
    """The ledger of a version."""
    return Ledger.load(ledger_path(folder, version_id))


def ledger_path(folder: Path, version_id: str) -> Path:
    """Where the ledger of a version is, once it is written."""
    return folder / FOLDER / version_id / LEDGER


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
