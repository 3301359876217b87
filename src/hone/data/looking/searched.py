"""The rows whose whole texts are read for a report: a seeded sample of bounded size, for what no signal has counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.samples import Store, masked

MOST_ROWS = 5_000
MOST_CHARS = 1_500_000
MOST_CHARS_OF_ROW = 20_000
"""A longer text is searched up to here."""


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """Rows of the text table, and their positions."""

    positions: np.ndarray[tuple[int], np.dtype[np.int64]]
    batch: pa.RecordBatch

    def masked(self, figures: Figures) -> list[str]:
        """Their texts, long ones cut, personal data masked."""
        found = zip(self.positions, self.batch.column("text").to_pylist(), strict=True)
        return [masked(text or "", figures.spans("pii.spans", int(at)))[:MOST_CHARS_OF_ROW] for at, text in found]


def searched(store: Store, figures: Figures, options: LookOptions) -> Searched:
    """Rows by the hash of their ids, as many as are allowed; all of them where they are few."""
    order = figures.order(options.seed)[:MOST_ROWS]
    if figures.has("length.chars") and len(order):
        chars = np.minimum(np.nan_to_num(figures.numbers("length.chars")[order]), MOST_CHARS_OF_ROW)
        order = order[: max(1, int(np.searchsorted(np.cumsum(chars), MOST_CHARS, side="right")))]
    positions = np.sort(order)
    return Searched(positions, store.take(positions))
