"""How a corpus speaks of groups: how often it names each, in which company, and which labels such rows carry.

Streaming: counters of fixed size (groups times listed words), whatever the number of rows.

Company is a listed word within a window of words around a *mention* of a group. For each axis a group is compared with
the other groups of that axis: the log odds ratio of being in that company, after adding 0.5 to each of the four counts
(Haldane 1956; Anscombe 1956), with a 95 % interval. Mentions of one row are not independent of each other, so the
variance of a share is that of a ratio over rows (Cochran, Sampling Techniques, 1977, section 2.11) where this is larger
than Woolf's (1955), which takes every mention for an observation.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from hone.data.groups import Group, group_table, read_groups
from hone.data.kernels.codepoints import Piece, pieces
from hone.data.kernels.distinct import distinct
from hone.data.kernels.phrases import SPLITTER, PhraseTable, phrase_table
from hone.data.kernels.words import Ints, split_words
from hone.data.qualities import Qualities, read_qualities
from hone.data.table import texts
from hone.task.scores import Z_95, wilson

WINDOW_WORDS = 10
MOST_LABELS = 200
"""With more labels than these, rates per label would only be noise; they are left out and said."""
LEAST = 20
"""Mentions (for labels: rows) on both sides of a comparison: with fewer an interval of this kind says too much."""
LEAST_SEEN = 5
"""Mentions in a company, on both sides together, for a comparison."""
SHOWN = 20


@dataclass(slots=True)
class _Counts:
    """Sums over rows. G groups, K things that may keep them company (listed words, then classes).

    With ``m`` mentions of a group in a row and ``c`` of them in some company: ``mentions`` (G,) sum of m, ``squares``
    (G,) of m², ``with_`` (G, K) of c, ``with_squares`` of c², ``cross`` of c·m.
    """

    mentions: Any
    squares: Any
    rows: Any
    with_: Any
    with_squares: Any
    cross: Any
    num_rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    labels_of: list[Counter[str]] = field(default_factory=list)

    @classmethod
    def empty(cls, num_groups: int, num_company: int) -> _Counts:
        flat = np.zeros((3, num_groups), np.int64)
        square = np.zeros((3, num_groups, num_company), np.int64)
        return cls(
            mentions=flat[0],
            squares=flat[1],
            rows=flat[2],
            with_=square[0],
            with_squares=square[1],
            cross=square[2],
            labels_of=[Counter() for _ in range(num_groups)],
        )


def bias_summary(
    batches: Iterable[pa.RecordBatch],
    *,
    groups: tuple[Group, ...] | None = None,
    qualities: Qualities | None = None,
    window: int = WINDOW_WORDS,
) -> dict[str, Any]:
    """What a corpus says of groups, as JSON values.

    Args:
        batches: of the text table (``text`` and, for labelled rows, ``label``).
        groups: None for the shipped list.
        qualities: words whose company is counted; None for the shipped list.
        window: words on each side of a mention.

    Returns:
        ``rows``, ``window_words``; ``groups``: for each group that is named its axis, rows, mentions and the share of
        rows with an interval; ``associations``: for each group and class ``mentions``, ``count``, ``log_odds``,
        ``low``, ``high`` against the other groups of its axis; ``words``: the same for single words, those whose
        interval excludes 0 after a Bonferroni correction for all ``words_compared``; ``labels``: for each group and
        label the share of the group's rows with that label beside that of the other rows. Shares come as
        ``{share, low, high, count, n}``. Nothing is compared on fewer than :data:`LEAST` mentions or rows a side.
    """
    groups = read_groups() if groups is None else groups
    qualities = read_qualities() if qualities is None else qualities
    table = phrase_table(qualities.words)
    counts = _Counts.empty(len(groups), len(qualities.words) + len(qualities.classes))
    for batch in batches:
        content, labels = texts(batch), batch.column("label").to_pylist()
        for piece in pieces(content):
            _count(counts, piece, groups, table, qualities, window, labels)
        counts.num_rows += len(content)
        counts.labels.update(label for label in labels if label is not None)
    return _summary(counts, groups, qualities, window)


def _count(
    counts: _Counts,
    piece: Piece,
    groups: tuple[Group, ...],
    table: PhraseTable,
    qualities: Qualities,
    window: int,
    labels: Sequence[str | None],
) -> None:
    words = split_words(piece, SPLITTER)
    ready = group_table(groups)
    hits = ready.table.find(words)
    if not len(hits.phrase):
        return
    group = ready.group[hits.phrase]
    near = table.find(words)
    mention, company = _pairs(hits.word, hits.text, near.word, near.text, window)
    num_words = len(qualities.words)
    classes = num_words + np.array(qualities.of, np.int64)[near.phrase[company]]
    width = num_words + len(qualities.classes)
    # A mention is in the company of a word or class once, however often that stands in its window.
    once = distinct(np.concatenate([mention * width + near.phrase[company], mention * width + classes]))
    mention, company = once // width, once % width
    row_group, mentions = np.unique(hits.text * len(groups) + group, return_counts=True)
    np.add.at(counts.mentions, row_group % len(groups), mentions)
    np.add.at(counts.squares, row_group % len(groups), mentions**2)
    np.add.at(counts.rows, row_group % len(groups), 1)
    cell, with_ = np.unique((hits.text[mention] * len(groups) + group[mention]) * width + company, return_counts=True)
    at = (cell // width % len(groups), cell % width)
    np.add.at(counts.with_, at, with_)
    np.add.at(counts.with_squares, at, with_**2)
    np.add.at(counts.cross, at, with_ * mentions[np.searchsorted(row_group, cell // width)])
    for row, one in zip((row_group // len(groups)).tolist(), (row_group % len(groups)).tolist(), strict=True):
        label = labels[row + piece.first]
        if label is not None:
            counts.labels_of[one][label] += 1


def _pairs(word: Ints, text: Ints, near_word: Ints, near_text: Ints, window: int) -> tuple[Ints, Ints]:
    """Indices of mentions and of listed words (both ascending) at most ``window`` words apart in one text."""
    low = np.searchsorted(near_word, word - window)
    count = np.searchsorted(near_word, word + window, side="right") - low
    mention = np.repeat(np.arange(len(word)), count)
    company = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    same = (near_text[company] == text[mention]) & (near_word[company] != word[mention])
    return mention[same], company[same]


def _summary(counts: _Counts, groups: tuple[Group, ...], qualities: Qualities, window: int) -> dict[str, Any]:
    num_words = len(qualities.words)
    named = np.flatnonzero(counts.mentions).tolist()
    told = {
        groups[index].name: {
            "axis": groups[index].axis,
            "mentions": int(counts.mentions[index]),
            "rows": share(int(counts.rows[index]), counts.num_rows),
        }
        for index in named
    }
    pairs = list(_comparisons(counts, groups, named))
    compared = sum(thing < num_words for _, _, thing in pairs)
    z_words = _bonferroni(compared)
    associations, words = [], []
    for index, others, thing in pairs:
        if thing >= num_words:
            entry = {"group": groups[index].name, "class": qualities.classes[thing - num_words]}
            associations.append({**entry, **_log_odds(counts, index, others, thing, Z_95)})
            continue
        found = _log_odds(counts, index, others, thing, z_words)
        if found["low"] > 0 or found["high"] < 0:
            words.append({"group": groups[index].name, "word": qualities.words[thing], **found})
    words.sort(key=lambda entry: -abs(entry["log_odds"]))
    return {
        "rows": counts.num_rows,
        "window_words": window,
        "groups": told,
        "associations": associations,
        "words": words[:SHOWN],
        "words_found": len(words),
        "words_compared": compared,
        "labels": _labels(counts, groups, named),
    }


def _comparisons(
    counts: _Counts, groups: tuple[Group, ...], named: Sequence[int]
) -> Iterator[tuple[int, list[int], int]]:
    """A group, the others of its axis, and each company that they were seen in; where there are mentions enough."""
    for index in named:
        others = [other for other in named if other != index and groups[other].axis == groups[index].axis]
        if counts.mentions[index] >= LEAST and counts.mentions[others].sum() >= LEAST:
            seen = counts.with_[index] + counts.with_[others].sum(axis=0)
            yield from ((index, others, thing) for thing in np.flatnonzero(seen >= LEAST_SEEN).tolist())


def _log_odds(counts: _Counts, index: int, others: list[int], thing: int, z: float) -> dict[str, Any]:
    """Log odds of a company for a group against the others, with an interval of ``z`` standard errors."""
    n, c = int(counts.mentions[index]), int(counts.with_[index, thing])
    m, d = int(counts.mentions[others].sum()), int(counts.with_[others, thing].sum())
    cells = [c + 0.5, n - c + 0.5, d + 0.5, m - d + 0.5]
    log_odds = math.log(cells[0] * cells[3] / (cells[1] * cells[2]))
    variance = _logit_variance(counts, [index], thing, cells[:2]) + _logit_variance(counts, others, thing, cells[2:])
    half = z * math.sqrt(variance)
    return {
        "mentions": n,
        "count": c,
        "other_mentions": m,
        "other_count": d,
        "log_odds": round(log_odds, 4),
        "low": round(log_odds - half, 4),
        "high": round(log_odds + half, 4),
    }


def _logit_variance(counts: _Counts, members: list[int], thing: int, cells: list[float]) -> float:
    """Variance of log(yes / no): Woolf's, or that of a ratio over rows where it is larger."""
    yes, no = cells
    n = yes + no
    share = yes / n
    # Groups of one row are taken for separate rows here: what they share is not seen.
    spread = (
        counts.with_squares[members, thing].sum()
        - 2 * share * counts.cross[members, thing].sum()
        + share**2 * counts.squares[members].sum()
    )
    return max(1 / yes + 1 / no, float(spread) / n**2 / (share * (1 - share)) ** 2)


def _bonferroni(compared: int) -> float:
    """Standard errors of intervals that hold together, with 95 % confidence, for that many comparisons."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(1 - 0.025 / max(1, compared))


def _labels(counts: _Counts, groups: tuple[Group, ...], named: Sequence[int]) -> dict[str, Any]:
    if len(counts.labels) > MOST_LABELS:
        return {"left_out": f"{len(counts.labels):,} labels; rates are given for at most {MOST_LABELS}", "rates": []}
    total = sum(counts.labels.values())
    rates = []
    for index in named:
        mine = counts.labels_of[index]
        n = sum(mine.values())
        for label, overall in counts.labels.most_common():
            if n >= LEAST and total - n >= LEAST:
                rates.append(
                    {
                        "group": groups[index].name,
                        "label": label,
                        "named": share(mine[label], n),
                        "others": share(overall - mine[label], total - n),
                    }
                )
    return {"left_out": None, "rates": rates}


def share(count: int, n: int) -> dict[str, Any]:
    """A share with its Wilson interval, as JSON values."""
    low, high = wilson(count, n)
    return {"share": round(count / n, 6), "low": round(low, 6), "high": round(high, 6), "count": count, "n": n}
