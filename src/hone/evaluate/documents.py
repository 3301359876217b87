"""Bits per byte of documents: windows that fit the context, each token scored once with much text before it.

The first window of a document scores all its tokens; each later one starts half a context further and scores only what
the one before did not reach, so a token has at least half a context before it. Every window opens with the beginning
mark, as every piece that the model was trained on does. The end mark is not scored: it has no bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hone.errors import InputError
from hone.evaluate.generate import NextLogprobs, TokenLogprobs
from hone.task.metrics import METRICS
from hone.task.render import Renderer
from hone.task.scores import Score

if TYPE_CHECKING:
    from hone.data.rows import Row

POSITIONS = 1000
"""Token positions that stand for all of them when a model can only be asked for one position at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """``ids`` of one window; those from ``first`` on are scored and stand for ``num_bytes`` bytes of the raw text."""

    row: str
    ids: tuple[int, ...]
    first: int
    num_bytes: float

    @property
    def num_scored(self) -> int:
        """How many ids this window scores."""
        return len(self.ids) - self.first


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentScore:
    """``score`` in bits per byte; ``nats`` per window where all were scored, else empty; ``note`` says what was."""

    score: Score
    windows: tuple[Window, ...]
    nats: tuple[float, ...]
    note: str


def score_documents(
    renderer: Renderer,
    rows: Sequence[Row],
    context: int,
    logprobs: TokenLogprobs | None,
    next_logprobs: NextLogprobs | None,
) -> DocumentScore:
    """Score documents over every token (``logprobs``), else over a fixed sample of positions (``next_logprobs``).

    The interval resamples windows, or the sampled positions. Bytes are those of the raw text.

    Raises:
        InputError: when the documents are empty, or neither callable was given.
    """
    metric = METRICS["bits_per_byte"]
    windows = windows_of(renderer, rows, context)
    num_bytes = [window.num_bytes for window in windows]
    num_tokens = sum(window.num_scored for window in windows)
    if num_tokens == 0:
        raise InputError(f"nothing to score: the {len(rows):,} documents are empty")
    note = f"{len(rows):,} documents of {sum(num_bytes):,.0f} bytes of raw text are {num_tokens:,} tokens"
    if logprobs is not None:
        lines = logprobs([window.ids for window in windows])
        nats = [-float(np.sum(line[window.first - 1 :])) for window, line in zip(windows, lines, strict=True)]
        note += f" in {len(windows):,} windows of at most {context:,} (what n counts), all scored"
        return DocumentScore(score=metric.score(nats, num_bytes), windows=tuple(windows), nats=tuple(nats), note=note)
    if next_logprobs is None:
        raise InputError("scoring a language-model task needs `logprobs` or `next_logprobs`, and neither was given")
    sampled = _sampled_nats(windows, next_logprobs)
    score = metric.score(sampled, [sum(num_bytes) / num_tokens] * len(sampled))
    note += f"; a sample of {len(sampled):,} token positions (what n counts) was scored"
    return DocumentScore(score=score, windows=tuple(windows), nats=(), note=note)


def windows_of(renderer: Renderer, rows: Iterable[Row], context: int) -> list[Window]:
    """The windows of all documents, in order. The bytes of a document's windows sum to its UTF-8 bytes exactly."""
    found: list[Window] = []
    for row in rows:
        text = renderer.reference(row.fields)
        begin, ids = renderer.prompt_ids(row.fields), renderer.completion_ids(text)
        spans = _spans(len(ids), context - len(begin))
        shares = _byte_shares(renderer, ids, [(first, end) for _, first, end in spans], text)
        for (start, first, end), num_bytes in zip(spans, shares, strict=True):
            window = tuple(begin + ids[start:end])
            found.append(Window(row=row.id, ids=window, first=len(begin) + first - start, num_bytes=num_bytes))
    return found


def _spans(length: int, room: int) -> list[tuple[int, int, int]]:
    """(start, first scored, end) of each window over ``length`` ids when ``room`` ids fit."""
    spans = []
    start, first = 0, 0
    while first < length:
        end = min(length, start + room)
        spans.append((start, first, end))
        first = end
        start = max(0, end - room // 2)
    return spans


def _byte_shares(renderer: Renderer, ids: Sequence[int], scored: Sequence[tuple[int, int]], text: str) -> list[float]:
    # A token can end inside a character, so a span's own bytes are off by a few; the document's total is exact.
    total = len(text.encode("utf-8", "surrogatepass"))
    if len(scored) == 1:
        return [float(total)]
    rough = [len(renderer.tokenizer.decode(ids[first:end]).encode("utf-8", "replace")) for first, end in scored]
    return [total * part / sum(rough) for part in rough]


def _sampled_nats(windows: Sequence[Window], next_logprobs: NextLogprobs) -> list[float]:
    """Nats of the tokens at positions drawn without replacement (fixed seed), in reading order."""
    counts = np.array([window.num_scored for window in windows])
    total = int(counts.sum())
    chosen = np.sort(np.random.default_rng(0).choice(total, size=min(POSITIONS, total), replace=False))
    which = np.searchsorted(np.cumsum(counts), chosen, side="right")
    before = np.cumsum(counts) - counts
    nats = []
    for position, index in zip(chosen.tolist(), which.tolist(), strict=True):
        window = windows[index]
        place = window.first + position - int(before[index])
        nats.append(-float(next_logprobs(window.ids[:place])[window.ids[place]]))
    return nats
