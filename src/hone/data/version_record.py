"""The record of a data version, ``version.json``: what it holds, and what is wrong with one that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hone.data.ledger import has_end
from hone.data.rows import kind_of
from hone.errors import FailedError
from hone.files import read_json


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

    def sha256_of(self, row: str) -> str:
        """SHA-256 of the source of a row, as it was read; empty where it is no file."""
        name = row.rpartition(":")[0]
        return next((source.sha256 for source in self.sources if source.name == name), "")

    @property
    def num_rows(self) -> int:
        """Rows that it holds: those that were kept of files, or train, dev and ood of a task."""
        counts = self.counts
        return counts["kept"] if "kept" in counts else sum(counts.get(split, 0) for split in ("train", "dev", "ood"))


_SHAPES: Mapping[str, tuple[type, tuple[str, ...]]] = {
    **dict.fromkeys(("id", "data", "parent", "made"), (str, ())),
    **dict.fromkeys(("clean", "signals", "counts"), (dict, ())),
    "patches": (dict, ("count", "digest", "edits")),
    "sources": (list, tuple(one.name for one in fields(SourceRecord) if one.name != "licences")),
    "transforms": (list, ("name", "version", "changed")),
    "rules": (list, ("name", "keeps", "source", "fails", "alone")),
}
"""What each field of ``version.json`` is, and the keys that it (in a list: each entry) has at least."""
_KINDS: Mapping[type, str] = {str: "a text", dict: "an object", list: "a list"}


def load_version(place: Path) -> Version:
    """The record of a version's folder.

    Raises:
        FailedError: naming the file and what is wrong with it.
    """
    path = place / "version.json"
    what = "make it again with hone clean, or remove the folder"
    try:
        if not path.is_file():
            raise FailedError(f"{place}: holds no version.json, so it is no data version")
        record = read_json(path)
        if problem := _problem(record, place.name):
            raise FailedError(f"{path}: not a data version that this hone can read: {problem}")
    except FailedError as error:
        raise FailedError(f"{error}; {what}") from None
    sources = tuple(SourceRecord(**source) for source in record.pop("sources"))
    rules, transforms = tuple(record.pop("rules")), tuple(record.pop("transforms"))
    return Version(sources=sources, rules=rules, transforms=transforms, **record)


def is_whole(place: Path) -> bool:
    """Whether a folder is a version whose record can be read, and whose rows and ledger are there to their ends."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        version = load_version(place)
        num_rows = pq.read_metadata(place / "rows.parquet").num_rows
    except (FailedError, OSError, pa.ArrowException):
        return False
    return bool(num_rows == version.num_rows) and has_end(place / "ledger.jsonl")


def _problem(record: Any, name: str) -> str:
    """What is wrong with a record of the folder of that name; empty when nothing is."""
    if not isinstance(record, dict):
        return f"expected an object, found {kind_of(record)}"
    if missing := [key for key in _SHAPES if key not in record]:
        return f"it lacks {', '.join(missing)}"
    if unknown := [key for key in record if key not in _SHAPES]:
        return f"it has {', '.join(unknown)}, which this hone does not know"
    for key, (kind, inner) in _SHAPES.items():
        value = record[key]
        if not isinstance(value, kind):
            return f"{key}: expected {_KINDS[kind]}, found {kind_of(value)}"
        entries: list[Any] = value if isinstance(value, list) else [value]
        for entry in entries if inner else []:
            if problem := _entry_problem(key, entry, inner):
                return f"{key}: {problem}"
    numbers = [*record["counts"].values(), record["patches"]["count"]]
    if wrong := [value for value in numbers if not isinstance(value, int)]:
        return f"counts: expected whole numbers, found {kind_of(wrong[0])}"
    return "" if record["id"] == name else f'it is the record of "{record["id"]}"'


def _entry_problem(key: str, entry: Any, inner: tuple[str, ...]) -> str:
    if not isinstance(entry, dict):
        return f"expected objects, found {kind_of(entry)}"
    if lacking := [one for one in inner if one not in entry]:
        return f"an entry lacks {', '.join(lacking)}"
    more = [one for one in entry if one not in (*inner, "licences")] if key == "sources" else []
    return f"an entry has {', '.join(more)}, which this hone does not know" if more else ""
