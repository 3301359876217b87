"""Rows that the report shows: asked for by position, read together once, cut around their evidence, secrets masked.

A sample is handed out empty and filled by :meth:`Samples.fill`, so that a report reads a few hundred texts in one go
and never all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from hone.data.looking.figures import Figures

SHOWN_CHARS = 420
"""Characters of a text in a sample; of a longer one the part around its evidence."""
LEAD_CHARS = 120
"""Characters before the first evidence in a text that is cut."""

Mark = tuple[int, int, str]
Sample = dict[str, Any]


class Store(Protocol):
    """What samples need of a text store."""

    def take(self, positions: Sequence[int] | np.ndarray[Any, Any]) -> pa.RecordBatch:
        """Rows of the text table by position."""
        ...


class Samples:
    """Samples of one report.

    Args:
        store: the texts.
        figures: the measured columns; personal data that they name is masked wherever it would be shown.
        sensitive: show no text at all.
    """

    def __init__(self, store: Store, figures: Figures, sensitive: bool) -> None:
        self._store = store
        self._figures = figures
        self._sensitive = sensitive
        self._wanted: list[tuple[int, Sample, tuple[Mark, ...], int]] = []
        self._later: list[tuple[tuple[int, ...], Callable[[list[str]], None]]] = []

    def at(self, position: int, marks: Sequence[Mark] = (), chars: int = SHOWN_CHARS, **more: Any) -> Sample:
        """A sample of one row, to be filled; ``marks`` (start, end, kind) are evidence to highlight."""
        sample: Sample = {"row": self.row(position), "source": self._figures.word("source", position), **more}
        if self._figures.has("length.chars"):
            chars_of = self._figures.numbers("length.chars")[position]
            sample["chars"] = 0 if np.isnan(chars_of) else int(chars_of)
        self._wanted.append((int(position), sample, tuple(marks), chars))
        return sample

    def row(self, position: int) -> str:
        """The id of a row."""
        return self._figures.word("row", int(position)) or str(position)

    def texts(self, positions: Sequence[int], use: Callable[[list[str]], None]) -> None:
        """Hand the masked texts of some rows to ``use`` when they are read; never where no text may be shown."""
        if not self._sensitive:
            self._later.append((tuple(int(position) for position in positions), use))

    def fill(self) -> None:
        """Read all rows asked for and fill their samples."""
        if self._sensitive:
            return
        asked = {position for position, *_ in self._wanted} | {at for positions, _ in self._later for at in positions}
        positions = sorted(asked)
        batch = self._store.take(np.asarray(positions, np.int64))
        raw = dict(zip(positions, (text or "" for text in batch.column("text").to_pylist()), strict=True))
        text_of = {position: masked(text, self._figures.spans("pii.spans", position)) for position, text in raw.items()}
        for position, sample, marks, chars in self._wanted:
            sample.update(excerpt(text_of[position], marks, chars))
        for positions_of, use in self._later:
            use([text_of[position] for position in positions_of])


def excerpt(text: str, marks: Sequence[Mark], chars: int = SHOWN_CHARS) -> dict[str, Any]:
    """A text, or the part of it around the first mark: ``text``, its ``marks``, characters left out on each side."""
    inside = sorted((max(0, start), min(len(text), end), kind) for start, end, kind in marks if start < end)
    begin = 0
    if len(text) > chars and inside:
        begin = max(0, min(inside[0][0] - min(LEAD_CHARS, chars // 4), len(text) - chars))
    end = min(len(text), begin + chars)
    kept = [
        [max(start, begin) - begin, min(stop, end) - begin, kind]
        for start, stop, kind in inside
        if start < end and stop > begin
    ]
    return {"text": text[begin:end], "marks": kept, "before": begin, "after": len(text) - end}


def searched_and_masked(text: str) -> str:
    """A text that no signal has measured, with the personal data masked that is found in it now."""
    from hone.data.pii.find import find

    return masked(text, find(text))


def masked(text: str, spans: Iterable[tuple[str, int, int]]) -> str:
    """A text with personal data masked: each letter or digit but the first of a span becomes a bullet."""
    signs = list(text)
    for _, start, end in spans:
        for at in range(max(0, start) + 1, min(len(signs), end)):
            if signs[at].isalnum():
                signs[at] = "•"
    return "".join(signs)
