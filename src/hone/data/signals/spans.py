"""Places in texts as a column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from hone.data.signals.base import SPAN


def span_lists(row: Any, start: Any, end: Any, kind: Any, num_rows: int) -> pa.ListArray:
    """One list of spans for each of ``num_rows`` rows.

    ``row`` (H,) ascending, ``start`` and ``end`` (H,) in code points of the row's text, ``kind`` (H,) words.
    """
    offsets = np.zeros(num_rows + 1, np.int32)
    np.cumsum(np.bincount(row, minlength=num_rows), out=offsets[1:])
    children = [pa.array(kind, pa.string()), pa.array(start.astype(np.int32)), pa.array(end.astype(np.int32))]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(children, fields=list(SPAN)))
