"""Personal data as columns: how much of each kind, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from hone.data.pii.find import KINDS, find, group
from hone.data.signals.base import SPAN
from hone.data.table import texts
from hone.errors import InputError, nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Pii:
    """Columns ``pii.count`` and ``pii.<kind>`` for each of ``kinds`` (int32), and ``pii.spans`` (in ``text``)."""

    kinds: tuple[str, ...] = KINDS
    """Which kinds are looked for, of email, phone, ip, card, iban, national_id and key."""

    name: ClassVar[str] = "pii"
    version: ClassVar[str] = "2"

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))  # a configuration gives a list
        wrong = [f'pii: unknown kind "{kind}"; {nearest(kind, KINDS)}' for kind in self.kinds if kind not in KINDS]
        if wrong:
            raise InputError(wrong)

    @property
    def params(self) -> Mapping[str, Any]:
        """The kinds looked for."""
        return {"kinds": list(self.kinds)}

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """One row of counts and spans for each row of a batch of the text table."""
        spans = [find(text, self.kinds) for text in texts(rows)]
        groups = [[group(found.kind) for found in row] for row in spans]
        names = ["pii.count", *(f"pii.{kind}" for kind in self.kinds), "pii.spans"]
        columns = [
            pa.array([len(row) for row in spans], pa.int32()),
            *(pa.array([row.count(kind) for row in groups], pa.int32()) for kind in self.kinds),
            pa.array([[found._asdict() for found in row] for row in spans], pa.list_(SPAN)),
        ]
        return pa.RecordBatch.from_arrays(columns, names=names)
