"""Whether a row has anything to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """Column ``content.missing``: ``input``, ``answer`` or ``label``, the first that is blank; null if none is."""

    name: ClassVar[str] = "content"
    version: ClassVar[str] = "1"

    @property
    def params(self) -> Mapping[str, Any]:
        """None."""
        return {}

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """See the class."""
        missing: list[str | None] = [None] * rows.num_rows
        for name in ("label", "answer", "input"):
            for index, text in enumerate(rows.column(name).to_pylist()):
                if text is not None and not text.strip():
                    missing[index] = name
        return pa.RecordBatch.from_arrays([pa.array(missing, pa.string())], names=["content.missing"])
