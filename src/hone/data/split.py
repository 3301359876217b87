"""Splits by hash: which rows leave train for dev or test depends on their text alone.

Rows whose prompts fold alike carry one key and stay together, so no split leaks into another. Neither the
order of the rows nor a seed matters, and with a share a row keeps its place when other rows are added. Rows can also
stay together by a group, or leave by their time (:mod:`hone.data.split_by`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from hone.errors import InputError

_RANGE = 2**64


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
) -> frozenset[str]:
    """The keys whose rows leave for the other split.

    Args:
        keys: one per row; rows with equal keys move together.
        size: an int is a number of rows (met exactly unless the last keys have several rows); a float a share.
        salt: the name of the split.
        labels: one per row for classify tasks; the last row of a label stays, else it could not be learned.
        places: for each key a number in [0, 1), the smallest leave first; without it the hash of the key.

    Raises:
        InputError: when no row would be left, or none would be chosen.
    """
    rows = Counter(keys)
    place = {key: position(key, salt) if places is None else places[key] for key in rows}
    order = sorted(rows, key=lambda key: (place[key], key))
    if isinstance(size, int):
        if size >= len(keys):
            raise InputError(
                f"data.{salt}: {size:,} rows cannot be hashed out of {len(keys):,}; take fewer, or a share such as 0.1"
            )
    else:
        order = [key for key in order if place[key] < size]
    left = Counter(labels)
    labels_of = _labels_by_key(keys, labels)
    chosen: set[str] = set()
    taken = 0
    for key in order:
        mine = labels_of.get(key, Counter())
        if (isinstance(size, int) and taken + rows[key] > size) or any(left[name] <= n for name, n in mine.items()):
            continue
        chosen.add(key)
        taken += rows[key]
        left -= mine
    if not chosen or taken == len(keys):
        raise InputError(
            f"data.{salt}: {size:g} of {len(keys):,} rows leaves {taken:,} for {salt} and {len(keys) - taken:,} "
            f"for train; both need at least one: give more rows, another size, or a file for {salt}"
        )
    return frozenset(chosen)


def _labels_by_key(keys: Sequence[str], labels: Sequence[str]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for key, label in zip(keys, labels, strict=False):
        found.setdefault(key, Counter())[label] += 1
    return found
