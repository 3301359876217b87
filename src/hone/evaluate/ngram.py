"""Byte n-gram models: the plain baselines of language modelling, in numpy.

Interpolated Kneser-Ney with one absolute discount per order (Kneser and Ney 1995; Chen and Goodman 1999, section
2.7): the highest order counts n-grams, lower orders count in how many contexts one occurs, each gives away a discount
D = n1 / (n1 + 2 n2) to the order below, the lowest to the uniform share of 1/256. Every distribution sums to 1.

An n-gram is one 64-bit integer of 9 bits a symbol: 256 stands for "before the document", so 7 is the longest order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
BITS = 9
BEFORE = 256
LONGEST_ORDER = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class _Order:
    """Sorted n-grams with their counts; sorted contexts with their totals and what is given to the order below."""

    grams: Ints
    counts: Floats
    contexts: Ints
    totals: Floats
    given_away: Floats
    discount: float


class ByteNgrams:
    """An n-gram model over bytes trained on documents."""

    def __init__(self, documents: Sequence[bytes], order: int = 5) -> None:
        if not 1 <= order <= LONGEST_ORDER:
            raise ValueError(f"order must be 1 to {LONGEST_ORDER}, got {order}")
        self.order = order
        grams = _grams(documents, order)
        unique, counts = np.unique(grams, return_counts=True)
        self._orders = [_order_of(unique, counts.astype(np.float64))]
        for length in range(order - 1, 0, -1):
            # How often an n-gram occurs as the tail of different longer ones: its continuation count.
            unique, counts = np.unique(unique & ((1 << BITS * length) - 1), return_counts=True)
            self._orders.append(_order_of(unique, counts.astype(np.float64)))

    def nats(self, document: bytes) -> Floats:
        """-ln p of each byte of a document given the bytes before it: (bytes,)."""
        return -np.log(self._shares(_grams([document], self.order)))

    def distribution(self, context: bytes) -> Floats:
        """The probability of each next byte after ``context``: (256,)."""
        document = np.frombuffer(context, dtype=np.uint8).astype(np.int64)
        symbols = np.concatenate([np.full(self.order - 1, BEFORE, dtype=np.int64), document])
        code = 0
        for symbol in symbols[len(symbols) - self.order + 1 :]:
            code = code << BITS | int(symbol)
        return self._shares((code << BITS) + np.arange(256))

    def _shares(self, grams: Ints) -> Floats:
        shares = np.full(len(grams), 1 / 256)
        for length, order in enumerate(reversed(self._orders), start=1):
            tails = grams & ((1 << BITS * length) - 1)
            total = _look_up(order.contexts, order.totals, tails >> BITS)
            above = np.maximum(_look_up(order.grams, order.counts, tails) - order.discount, 0)
            away = _look_up(order.contexts, order.given_away, tails >> BITS)
            # A context never seen says nothing: the order below stands as it is.
            mixed = (above + away * shares) / np.maximum(total, 1)
            shares = np.where(total > 0, mixed, shares)
        return shares


def _grams(documents: Sequence[bytes], order: int) -> Ints:
    """The n-gram that ends at each byte of each document, in order."""
    start = np.full(order - 1, BEFORE, dtype=np.int64)
    parts = [part for document in documents for part in (start, np.frombuffer(document, dtype=np.uint8))]
    symbols = np.concatenate(parts).astype(np.int64) if parts else np.empty(0, dtype=np.int64)
    if len(symbols) < order:
        return np.empty(0, dtype=np.int64)
    codes = np.zeros(len(symbols) - order + 1, dtype=np.int64)
    for place in range(order):
        codes = codes << BITS | symbols[place : len(symbols) - order + 1 + place]
    kept: Ints = codes[symbols[order - 1 :] != BEFORE]
    return kept


def _order_of(grams: Ints, counts: Floats) -> _Order:
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    # Without n-grams seen once and twice the estimate is 0 / 0 or a certainty; half a count is the usual stand-in.
    discount = once / (once + 2 * twice) if once and twice else 0.5
    contexts, starts = np.unique(grams >> BITS, return_index=True)
    if len(grams) == 0:
        return _Order(
            grams=grams, counts=counts, contexts=contexts, totals=counts, given_away=counts, discount=discount
        )
    return _Order(
        grams=grams,
        counts=counts,
        contexts=contexts,
        totals=np.add.reduceat(counts, starts),
        given_away=discount * np.diff(np.append(starts, len(grams))),
        discount=discount,
    )


def _look_up(keys: Ints, values: Floats, wanted: Ints) -> Floats:
    """``values`` at the place of each wanted key in sorted ``keys``; 0 where it is not there."""
    if len(keys) == 0:
        return np.zeros(len(wanted))
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0.0)
