"""Groups of rows that say the same, the survivor beside each removed row, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.samples import Samples
from hone.data.looking.sampling import repeats

WORDS_COMPARED = 600
"""Words of each text that are compared, from a little before the first difference."""
WORDS_AROUND = 12
"""Equal words shown on each side of a difference."""
MEMBERS_SHOWN = 4
"""Removed rows of one group that can be opened."""

_SIZES = (2, 3, 4, 8, 16, 64, 256, 1024, 2**62)
Piece = list[str]
"""``[kind, text]``: same, removed (only the survivor has it), added (only the row has it), or gap."""


def duplicates(kind: str, figures: Figures, samples: Samples, options: LookOptions) -> dict[str, Any] | None:
    """The groups that a signal (``exact`` or ``near``) found, the largest first; None when it was not measured.

    ``repeats``: rows whose text an earlier one has, whatever their answers; None of near duplicates.
    """
    if not figures.has(f"{kind}.survivor", f"{kind}.cluster"):
        return None
    again = f"{kind}.repeats"
    cluster = figures.numbers(f"{kind}.cluster")
    grouped = ~np.isnan(cluster)
    if kind == "near" and figures.has("exact.survivor"):
        # What says exactly the same is told as that.
        grouped &= ~figures.given("exact.survivor")
    members = np.flatnonzero(grouped)
    survivor, count = np.unique(cluster[members].astype(np.int64), return_counts=True)
    # A survivor whose rows are all told elsewhere is left alone.
    survivor, size = survivor[count > 1], count[count > 1]
    removed = int(size.sum() - len(size))
    largest = np.lexsort((survivor, -size))[: options.clusters]
    return {
        "kind": kind,
        "removed": removed,
        "repeats": int(figures.flags(again).sum()) if figures.has(again) else None,
        "groups": len(survivor),
        "largest": int(size.max()) if len(size) else 0,
        "share": repeats(removed, figures.n, options.of).to_json(),
        "sizes": _sizes(size),
        "clusters": [
            _cluster(kind, int(survivor[at]), members[cluster[members] == survivor[at]], figures, samples)
            for at in largest
        ],
    }


def _sizes(sizes: Any) -> list[tuple[str, int]]:
    """How many groups there are of 2, 3, 4 to 7, 8 to 15 rows and so on."""
    found = []
    for low, high in pairwise(_SIZES):
        count = int(((sizes >= low) & (sizes < high)).sum())
        if count:
            title = (
                str(low) if high == low + 1 else f"{low:,} to {high - 1:,}" if high < _SIZES[-1] else f"{low:,} or more"
            )
            found.append((title, count))
    return found


def _cluster(kind: str, survivor: int, rows: Any, figures: Figures, samples: Samples) -> dict[str, Any]:
    similarity = figures.numbers(f"{kind}.similarity")
    found: dict[str, Any] = {"survivor": samples.at(survivor), "size": len(rows), "members": []}
    for at in rows[rows != survivor][:MEMBERS_SHOWN].tolist():
        member: dict[str, Any] = {"row": samples.row(at), "source": figures.word("source", at)}
        if not np.isnan(similarity[at]):
            member["similarity"] = float(similarity[at])
        samples.texts((survivor, at), partial(_compare, member))
        found["members"].append(member)
    return found


def _compare(member: dict[str, Any], texts: Sequence[str]) -> None:
    member.update(compared(texts[0], texts[1]))


def compared(survivor: str, other: str) -> dict[str, Any]:
    """Two texts word by word: ``pieces`` to show, words that only one of them has, and whether all was compared."""
    if survivor == other:
        return {"pieces": [["same", _cut(survivor)]], "only_survivor": 0, "only_row": 0, "whole": True}
    left, right = _words(survivor), _words(other)
    start = _first_difference(left, right)
    begin = max(0, start - WORDS_AROUND)
    pieces: list[Piece] = [["gap", f"{begin:,} equal words"]] if begin else []
    a, b = left[begin : begin + WORDS_COMPARED], right[begin : begin + WORDS_COMPARED]
    only_a = only_b = 0
    for tag, a1, a2, b1, b2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces += _equal(a[a1:a2], first=a1 == 0, last=a2 == len(a))
            continue
        only_a, only_b = only_a + a2 - a1, only_b + b2 - b1
        pieces += [[kind, " ".join(words)] for kind, words in (("removed", a[a1:a2]), ("added", b[b1:b2])) if words]
    whole = max(len(left), len(right)) - begin <= WORDS_COMPARED
    return {"pieces": pieces, "only_survivor": only_a, "only_row": only_b, "whole": whole}


def _words(text: str) -> list[str]:
    return text.split()


def _first_difference(left: Sequence[str], right: Sequence[str]) -> int:
    for at, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return at
    return min(len(left), len(right))


def _equal(words: Sequence[str], *, first: bool, last: bool) -> list[Piece]:
    """Equal words: all of a few, the ends of many."""
    if len(words) <= 3 * WORDS_AROUND:
        return [["same", " ".join(words)]]
    head = [] if first else [["same", " ".join(words[:WORDS_AROUND])]]
    tail = [] if last else [["same", " ".join(words[-WORDS_AROUND:])]]
    left_out = len(words) - WORDS_AROUND * (len(head) + len(tail))
    return [*head, ["gap", f"{left_out:,} equal words"], *tail]


def _cut(text: str, chars: int = 600) -> str:
    return text if len(text) <= chars else f"{text[:chars]} …"
