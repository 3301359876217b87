"""Phrases and lines that many rows share: templates, boilerplate, a generator's habits; searched in a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.sampling import share
from hone.data.looking.searched import Searched

WORDS = 5
"""Length of the runs of words that are counted; what is shown is as long as the rows agree."""
LEAST_ROWS = 3
LINE_CHARS = 12
"""Shorter lines (a brace, a dash) repeat without meaning anything."""
GROWS = 0.9
"""A phrase takes the next word while so large a share of its rows agree on it."""
LONGEST = 2_000
"""Words of a phrase; as many characters of it as :data:`SHOWN_CHARS` are shown."""
SHOWN_CHARS = 240
MOST_RUNS = 2_000
"""Shared runs of words that phrases are grown from."""
_MIX = np.int64(0x100000001B3)


def repeated(searched: Searched, figures: Figures, options: LookOptions) -> dict[str, Any]:
    """Phrases of at least five words and whole lines that the most rows share.

    Args:
        searched: the rows that are looked through.
        figures: of all rows.
        options: how much may be shown.

    Returns:
        ``rows`` looked at, ``ngrams`` and ``lines``: each with its rows and their share (an estimate where not every
        row was looked at). Where no text may be shown the counts stay.
    """
    texts = searched.masked(figures)
    of = options.of or (figures.n if figures.n > len(texts) else None)
    kinds = {"ngrams": _phrases(texts)[: options.listed], "lines": _lines(texts)[: options.listed]}
    return {
        "rows": len(texts),
        **{
            kind: [
                {
                    "text": None if options.sensitive else text,
                    "rows": rows,
                    "share": share(rows, len(texts), of).to_json(),
                }
                for text, rows in found
            ]
            for kind, found in kinds.items()
        },
    }


def _lines(texts: Sequence[str]) -> list[tuple[str, int]]:
    counted: Counter[str] = Counter()
    for text in texts:
        if "\n" in text:
            counted.update({line for raw in text.splitlines() if len(line := raw.strip()) >= LINE_CHARS})
    return [(line[:200], rows) for line, rows in counted.most_common(200) if rows >= LEAST_ROWS]


def _phrases(texts: Sequence[str]) -> list[tuple[str, int]]:
    """Runs of at least five words by the rows that hold them; a run that is part of a listed one is left out."""
    numbers: dict[str, int] = {}
    rows_of: list[np.ndarray[Any, Any]] = []
    for text in texts:
        # A line is the border of a phrase here too: what repeats across lines is a template, and its lines are listed.
        words = text.split()
        rows_of.append(
            np.fromiter((numbers.setdefault(word, len(numbers)) for word in words), np.int64, count=len(words))
        )
    if not rows_of:
        return []
    ids = np.concatenate(rows_of)
    row = np.repeat(np.arange(len(rows_of)), [len(found) for found in rows_of])
    if len(ids) < WORDS:
        return []
    return _grown(ids, row, list(numbers), _shared(ids, row))


def _shared(ids: Any, row: Any) -> list[tuple[int, int]]:
    """(first position, rows) of every run of five words that enough rows share, the most rows first."""
    size = len(ids) - WORDS + 1
    grams = ids[:size].copy()
    for k in range(1, WORDS):
        grams = grams * _MIX + ids[k : size + k] + 1
        grams ^= grams >> np.int64(29)
    inside = np.flatnonzero(row[:size] == row[WORDS - 1 :])
    grams, rows = grams[inside], row[inside]
    order = np.lexsort((rows, grams))
    grams, rows, at = grams[order], rows[order], inside[order]
    new_gram = np.concatenate([[True], grams[1:] != grams[:-1]])
    new_row = new_gram | np.concatenate([[True], rows[1:] != rows[:-1]])
    starts = np.flatnonzero(new_gram)
    if not len(starts):
        return []
    counts = np.add.reduceat(new_row.astype(np.int64), starts)
    most = np.argsort(-counts, kind="stable")[:MOST_RUNS]
    return [(int(at[starts[i]]), int(counts[i])) for i in most if counts[i] >= LEAST_ROWS]


def _grown(ids: Any, row: Any, words: Sequence[str], found: Sequence[tuple[int, int]]) -> list[tuple[str, int]]:
    """Each shared run, made longer on both sides while nearly all of its rows agree."""
    rows_at = dict(found)
    place = {tuple(ids[at : at + WORDS].tolist()): rows for at, rows in found}
    shown: list[tuple[str, int]] = []
    taken: set[tuple[int, ...]] = set()
    for at, rows in rows_at.items():
        if tuple(ids[at : at + WORDS].tolist()) in taken:
            continue
        begin = end = at
        while end - begin < LONGEST and _agrees(ids, row, end + 1, row[at], place, rows):
            end += 1
        while end - begin < LONGEST and begin > 0 and _agrees(ids, row, begin - 1, row[at], place, rows):
            begin -= 1
        grams = {tuple(ids[i : i + WORDS].tolist()) for i in range(begin, end + 1)}
        # What has a part in common with a phrase that more rows share is a variant of it.
        phrase = " ".join(words[i] for i in ids[begin : end + WORDS].tolist())
        if taken.isdisjoint(grams) and sum(map(str.isalpha, phrase)) >= WORDS:
            shown.append((phrase if len(phrase) <= SHOWN_CHARS else f"{phrase[:SHOWN_CHARS]} …", rows))
        taken |= grams
    return shown


def _agrees(ids: Any, row: Any, at: int, of: int, place: dict[tuple[int, ...], int], rows: int) -> bool:
    """Whether the run at a position is in the same row and shared by nearly as many rows."""
    if at + WORDS > len(ids) or row[at] != of or row[at + WORDS - 1] != of:
        return False
    return place.get(tuple(ids[at : at + WORDS].tolist()), 0) >= GROWS * rows
