"""Splits by hash: which rows leave train for dev or test depends on their text alone.

Rows whose prompts fold alike carry one key and stay together, so no split leaks into another. Neither the
order of the rows nor a seed matters. With a share of :data:`EXACT_UNDER` texts or more, a row keeps its place when
other rows are added; a smaller one is met to a text, because chance would halve or double it. Rows can also stay
together by a group, or leave by their time (:mod:`hone.data.split_by`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hone.errors import InputError
from hone.wording import counted

_RANGE = 2**64
EXACT_UNDER = 100
"""Texts of a share from which on chance moves it by a tenth (one standard deviation), and rows that stay count more.

A fifth of 26 rows by their hashes alone was 9, a third of them."""


def position(key: str, salt: str) -> float:
    """A number in [0, 1) that stands for a key; independent for each salt."""
    digest = hashlib.blake2b(f"{salt}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _RANGE


def choose(
    keys: Sequence[str],
    size: int | float,
    salt: str,
    labels: Sequence[str] = (),
    places: Mapping[str, float] | None = None,
    group: str = "",
    of: Sequence[str] = (),
) -> frozenset[str]:
    """The keys whose rows leave for the other split.

    Args:
        keys: one per row; rows with equal keys move together.
        size: an int is a number of rows (met exactly unless the last keys have several rows); a float a share, and
            under :data:`EXACT_UNDER` texts as exact.
        salt: the name of the split.
        labels: one per row for classify tasks; the last row of a label stays, else it could not be learned.
        places: for each key a number in [0, 1), the smallest leave first; without it the hash of the key.
        group: the column whose rows stay together, if any. Groups are few and large, so they are then taken in their
            order while that brings the number of rows nearer to the size, and one at least.
        of: keys of the rows that a share is of, where some have left since: what leaves train by a rule moves no row
            between the splits. Without it ``keys``.

    Raises:
        InputError: when no row would be left, or none would be chosen.
    """
    rows = Counter(keys)
    place = {key: position(key, salt) if places is None else places[key] for key in rows}
    order = sorted(rows, key=lambda key: (place[key], key))
    if isinstance(size, int) and size >= len(keys):
        raise InputError(
            f"data.{salt}: {size:,} rows cannot be hashed out of {len(keys):,}; take fewer, or a share such as 0.1"
        )
    if group:
        chosen = _groups_taken(order, rows, size if isinstance(size, int) else size * len(keys), _Left.of(keys, labels))
        if chosen and len(chosen) < len(rows):
            return frozenset(chosen)
        raise InputError(
            f"data.{salt}: {len(keys):,} rows are in {len(rows):,} {'group' if len(rows) == 1 else 'groups'} by "
            f"{group} (rows of one text count as one group too), and none can leave for {salt}: train needs one, and "
            f"the last rows of a label stay in it; split by another column, or name a file for {salt}"
        )
    left, share_of = _Left.of(keys, labels), set(of or keys)
    if isinstance(size, int):
        chosen = _taken(order, rows, size, left)
    elif places is not None or size * len(share_of) >= EXACT_UNDER:
        chosen = _taken([key for key in order if place[key] < size], rows, len(keys), left)
    else:
        by_hash = sorted(share_of, key=lambda key: (position(key, salt), key))
        first = set(by_hash[: int(size * len(share_of) + 0.5)])
        most = max(sum(rows[key] for key in first), min(1, len(first)))
        # Others come after these: for one that is the last of its label, or where all of them have left.
        chosen = _taken(sorted(order, key=lambda key: key not in first), rows, most, left)
    taken = sum(rows[key] for key in chosen)
    if not chosen or taken == len(keys):
        raise InputError(_why_none(salt, size, len(keys), taken, len(rows), len(set(labels))))
    return frozenset(chosen)


def _why_none(salt: str, size: int | float, num_rows: int, taken: int, num_texts: int, num_labels: int) -> str:
    """Why rows cannot be hashed out, and what helps."""
    # The share of the test is not asked for by anybody, so nobody can ask for another one.
    wish = f"name a file in data.{salt}" + (", or ask for another size" if salt == "dev" else "")
    folded = "once case, signs and spaces are folded"
    if num_rows == 1:
        return f"data.{salt}: there is 1 row, so none can be hashed out of train for {salt}; give more rows, or {wish}"
    if num_texts == 1:
        return (
            f"data.{salt}: all {num_rows:,} rows have one and the same text {folded}, and rows of one text are never "
            f"in two splits, so none can be hashed out of train for {salt}; give rows of other texts, or {wish}. "
            "hone look FILE shows rows without splitting them"
        )
    stays = f", and the last row of each of {counted(num_labels, 'label')} stays in train" if num_labels else ""
    asked = counted(size, "row") if isinstance(size, int) else f"a share of {size:g}"
    return (
        f"data.{salt}: {asked} of {num_rows:,} rows leaves {taken:,} for {salt} and {num_rows - taken:,} for train, "
        f"and both need at least one: there are {num_texts:,} texts {folded}{stays}; give more rows, or {wish}"
    )


def _taken(order: Sequence[str], rows: Mapping[str, int], most: int, left: _Left) -> set[str]:
    """Keys in their order while their rows are not over ``most`` and every label keeps a row."""
    chosen: set[str] = set()
    taken = 0
    for key in order:
        if taken + rows[key] <= most and left.can_spare(key):
            chosen.add(key)
            taken += rows[key]
            left.take(key)
    return chosen


def _groups_taken(order: Sequence[str], rows: Mapping[str, int], wanted: float, left: _Left) -> set[str]:
    """Keys in their order while each brings the number of rows nearer to what is wanted; else the smallest."""
    chosen: set[str] = set()
    taken = 0
    for key in order:
        if abs(taken + rows[key] - wanted) < abs(taken - wanted) and left.can_spare(key):
            chosen.add(key)
            taken += rows[key]
            left.take(key)
    if chosen:
        return chosen
    spared = [key for key in order if left.can_spare(key)]
    return {min(spared, key=lambda key: rows[key])} if spared else set()


@dataclass(frozen=True)
class _Left:
    """Rows of each label that are not taken yet, and those of each key."""

    by_label: Counter[str]
    by_key: Mapping[str, Counter[str]]

    @classmethod
    def of(cls, keys: Sequence[str], labels: Sequence[str]) -> _Left:
        by_key: dict[str, Counter[str]] = {}
        for key, label in zip(keys, labels, strict=False):
            by_key.setdefault(key, Counter())[label] += 1
        return cls(Counter(labels), by_key)

    def can_spare(self, key: str) -> bool:
        """Whether a row of every label is left when the rows of the key go."""
        return all(self.by_label[label] > count for label, count in self.by_key.get(key, {}).items())

    def take(self, key: str) -> None:
        self.by_label.subtract(self.by_key.get(key, {}))
