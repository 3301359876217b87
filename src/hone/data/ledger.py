"""The ledger: every row that was not kept, with all its reasons and the evidence (law 5).

On disk it is JSON Lines: a first line with the counts read and kept per source, then one line per row
left out. A file that was cut off does not add up and is refused.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hone.data.rows import canonical
from hone.errors import FailedError
from hone.files import atomic_write

IN_TEST = "equals-test-row"
IN_DEV = "equals-dev-row"
DUPLICATE = "duplicate"
EMPTY = "empty"
BAD = "bad"
OVERLONG = "overlong"
UNKNOWN_LABEL = "label not in train"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a row was left out, and what shows it (the row it equals, a length, a value)."""

    name: str
    evidence: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One row that was left out: its id, the source it was read from, all reasons, the first words of its text.

    ``digest``: :func:`hone.data.versions.row_digest` of it, which tells the row though its line number has changed;
    empty for a row that could not be used, and in ledgers of earlier versions of hone.
    """

    row: str
    source: str
    reasons: tuple[Reason, ...]
    text: str = ""
    digest: str = ""

    def is_of(self, digest: str, *, by_id: bool) -> bool:
        """Whether it is of the row with that digest; ``by_id``: the source is the same, so that its id tells it."""
        return by_id or (digest == self.digest and digest != "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """The books of one step: rows read and kept per source, and an entry for each row in between.

    Raises:
        FailedError: on making one that does not add up, which would be a mistake in hone.
    """

    read: Mapping[str, int]
    kept: Mapping[str, int]
    entries: tuple[Entry, ...] = field(default=())

    def __post_init__(self) -> None:
        read, kept = sum(self.read.values()), sum(self.kept.values())
        if kept + len(self.entries) != read:
            raise FailedError(
                f"the ledger does not add up: {kept:,} kept + {len(self.entries):,} left out is not {read:,} read"
            )
        without = [entry.row for entry in self.entries if not entry.reasons]
        if without:
            raise FailedError(f"{len(without)} rows were left out without a reason, first {without[0]}")

    def counts(self) -> dict[str, int]:
        """Rows per reason, most frequent first; a row with two reasons counts under both."""
        return dict(Counter(reason.name for entry in self.entries for reason in entry.reasons).most_common())

    @property
    def digest(self) -> str:
        """64 hex digits over the counts and all entries, in their order."""
        digest = hashlib.sha256(canonical([dict(self.read), dict(self.kept)]).encode())
        for entry in self.entries:
            reasons = [[reason.name, reason.evidence] for reason in entry.reasons]
            said = canonical([entry.row, entry.source, reasons, entry.text])
            digest.update(said.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def reasons_of(self, row: str) -> tuple[Reason, ...]:
        """All reasons why a row was left out; empty when it was not."""
        return tuple(reason for entry in self.entries if entry.row == row for reason in entry.reasons)

    def without(self, split: str, entries: Sequence[Entry]) -> Ledger:
        """The books after a later step left out rows that were kept so far."""
        kept = {**self.kept, split: self.kept.get(split, 0) - len(entries)}
        return Ledger(read=self.read, kept=kept, entries=(*self.entries, *entries))

    def save(self, path: Path) -> Path:
        """Write the whole ledger or nothing."""
        head = {"read": dict(self.read), "kept": dict(self.kept), "entries": len(self.entries)}
        records = [head, *map(asdict, self.entries)]
        return atomic_write(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))

    @classmethod
    def load(cls, path: Path) -> Ledger:
        """Read a ledger back.

        Raises:
            FailedError: when a line is damaged or lines are missing.
        """
        try:
            # Not splitlines: texts may hold U+2028 and the like, which JSON writes as they are.
            head, *records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
            entries = tuple(_entry(record) for record in records)
            return cls(read=head["read"], kept=head["kept"], entries=entries)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FailedError(f"{path}: not a whole ledger: {error}") from error


def has_end(path: Path) -> bool:
    """Whether the file of a ledger has as many lines as its first one says, to the end of the last."""
    try:
        with path.open("rb") as file:
            first = file.readline()
            ends = [line.endswith(b"\n") for line in itertools.chain([first], file)]
        return all(ends) and len(ends) == 1 + json.loads(first)["entries"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _entry(record: Mapping[str, object]) -> Entry:
    reasons = record["reasons"]
    if not isinstance(reasons, Sequence):
        raise ValueError(f"row {record['row']} has no list of reasons")
    return Entry(
        row=str(record["row"]),
        source=str(record["source"]),
        reasons=tuple(Reason(reason["name"], reason["evidence"]) for reason in reasons),
        text=str(record["text"]),
        digest=str(record.get("digest", "")),
    )
