"""Measured rows without signals: texts and columns as a test wants them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hone.data.measure import Measured
from hone.data.signals.base import SPAN
from hone.data.store import TextStore
from hone.data.table import TextRow, batches

MakeMeasured = Callable[..., Measured]


@pytest.fixture
def make_measured(tmp_path: Path) -> MakeMeasured:
    """Makes measured rows out of texts and further columns; ``length.*`` is filled in."""

    def make(
        texts: Sequence[str],
        columns: Mapping[str, Sequence[Any]] | None = None,
        *,
        labels: Sequence[str | None] | None = None,
        sources: Sequence[str] | None = None,
        splits: Sequence[str] | None = None,
        fields: Sequence[Mapping[str, Any]] | None = None,
    ) -> Measured:
        rows = [
            TextRow(
                row=f"rows.csv:{at + 1}",
                source=sources[at] if sources else "rows.csv",
                split=splits[at] if splits else "train",
                text=text,
                input=text,
                answer=None,
                label=labels[at] if labels else None,
                fields=json.dumps(fields[at] if fields else {"text": text}),
            )
            for at, text in enumerate(texts)
        ]
        store = TextStore.of(batches(rows), tmp_path)
        table = {name: store.rows.column(name) for name in store.rows.column_names}
        table["length.chars"] = pa.chunked_array([pa.array([len(text) for text in texts], pa.int64())])
        table["length.words"] = pa.chunked_array([pa.array([len(text.split()) for text in texts], pa.int64())])
        for name, values in (columns or {}).items():
            table[name] = pa.chunked_array([_array(name, values)])
        return Measured(store=store, columns=pa.table(table), signals={"length": {"version": "1"}}, fresh=0, seconds={})

    return make


def _array(name: str, values: Sequence[Any]) -> pa.Array:
    if not name.endswith(".spans"):
        return pa.array(values)
    spans = [[dict(zip(("kind", "start", "end"), span, strict=True)) for span in found or ()] for found in values]
    return pa.array(spans, pa.list_(SPAN))
