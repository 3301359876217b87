"""Readings of the sealed test split: who opened it, when, and why (law 9: it is scored once, at the very end).

``test_readings.jsonl`` is the truth. A reading is on the disk *before* the rows are handed out, so that no crash can
hide one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from hone.lab import jsonl
from hone.lab.record import now


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One opening of the test split."""

    reason: str
    data_id: str = ""
    """The data version whose test split it is."""
    artifact: str = ""
    """Id of the artifact that is about to be scored."""
    run: int | None = None
    read: str = ""
    """UTC, ISO 8601, to the second."""


class Readings:
    """The ledger of one task folder."""

    def __init__(self, ledger: Path, changed: Callable[[], None] = lambda: None) -> None:
        self._ledger = ledger
        self._changed = changed

    def record(self, reason: str, *, data_id: str = "", artifact: str = "", run: int | None = None) -> Reading:
        """Write a reading down; it is on the disk when this returns."""
        reading = Reading(reason=reason, data_id=data_id, artifact=artifact, run=run, read=now())
        jsonl.append(self._ledger, asdict(reading), sync=True)
        self._changed()
        return reading

    def recorder(self, *, data_id: str = "", artifact: str = "", run: int | None = None) -> Callable[[str], None]:
        """The callable that the sealed split asks for: it takes the reason and records before the rows are returned."""

        def record(reason: str) -> None:
            self.record(reason, data_id=data_id, artifact=artifact, run=run)

        return record

    def all(self) -> tuple[list[Reading], tuple[str, ...]]:
        """Every reading in order, and sentences on torn lines. A torn line is a reading too: it counts as one."""
        lines = jsonl.read(self._ledger)
        torn = [Reading(reason=f"unknown: the record is torn ({sentence})") for sentence in lines.torn]
        return [Reading(**row) for row in lines.rows] + torn, lines.torn
