"""How alike two answers are: equality, field-value pairs, common subsequences, character n-grams. Pure, per row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from hone.task.scores import Floats

Pair = tuple[tuple[str, ...], tuple[str, Any]]
CHRF_ORDER = 6
CHRF_BETA = 2.0


def same(prediction: Any, reference: Any) -> bool:
    """Whether two answers are equal as JSON: key order aside, list order kept, 1 and 1.0 alike, 1 and true not."""
    return bool(_canonical(prediction) == _canonical(reference))


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return "object", frozenset((str(key), _canonical(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return "list", tuple(_canonical(item) for item in value)
    return _leaf(value)


def _leaf(value: Any) -> tuple[str, Any]:
    # Python holds True == 1; JSON does not.
    return type(value).__name__ if isinstance(value, bool | str) else "number", value


def pairs(value: Any) -> Counter[Pair]:
    """The multiset of (field path, value) pairs of an answer.

    ``{"intent": "play", "slots": {"artist": ["a", "b"]}}`` has three: intent/play, slots.artist/a, slots.artist/b.
    Each element of a list is a pair of its own under the list's path, so the order of a list does not count and a
    repeated element counts as often as it is there. Null, ``{}`` and ``[]`` say that there is no value and make no
    pair. Values are compared exactly (no folding). An answer that could not be parsed is None and has no pairs.
    """
    return Counter(_walk(value, ()))


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[Pair]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _walk(item, path)
    elif value is not None:
        yield path, _leaf(value)


def pair_counts(prediction: Any, reference: Any) -> tuple[int, int, int]:
    """Pairs in both, pairs predicted, pairs in the reference."""
    claimed, wanted = pairs(prediction), pairs(reference)
    return (claimed & wanted).total(), claimed.total(), wanted.total()


def rouge_l(prediction: Any, reference: Any) -> float:
    """ROUGE-L F with beta 1 of two texts: 2 LCS / (words of both); words are lower-case runs of letters and digits.

    Lin, "ROUGE: a package for automatic evaluation of summaries" (2004), section 3.1. Unlike Google's package, letters
    outside ASCII belong to words. Two texts without words are alike when they are equal.
    """
    words = re.findall(r"\w+", str(prediction or "").lower())
    gold = re.findall(r"\w+", str(reference or "").lower())
    if not words and not gold:
        return float(prediction == reference)
    return 2 * _common_subsequence(words, gold) / (len(words) + len(gold))


def _common_subsequence(left: list[str], right: list[str]) -> int:
    """Length of the longest common subsequence, bit-parallel (Hyyro 2004): one big integer per word of ``right``."""
    positions: dict[str, int] = {}
    for index, word in enumerate(left):
        positions[word] = positions.get(word, 0) | 1 << index
    full = (1 << len(left)) - 1
    rows = full
    for word in right:
        matched = rows & positions.get(word, 0)
        rows = (rows + matched | rows - matched) & full
    return len(left) - rows.bit_count()


def chrf_counts(prediction: Any, reference: Any) -> Floats:
    """Per order 1..6: n-grams in both, in the prediction, in the reference, as ``(18,)``; white space is removed."""
    text = "".join(str(prediction or "").split())
    gold = "".join(str(reference or "").split())
    counts = []
    for order in range(1, CHRF_ORDER + 1):
        claimed = Counter(text[i : i + order] for i in range(len(text) - order + 1))
        wanted = Counter(gold[i : i + order] for i in range(len(gold) - order + 1))
        counts += [(claimed & wanted).total(), claimed.total(), wanted.total()]
    return np.array(counts, dtype=np.float64)


def chrf_from_counts(sums: Floats) -> Floats:
    """ChrF in [0, 1] of summed counts ``(resamples, 18)``.

    Precision and recall are averaged over the orders that both sides have, then combined with beta 2 (recall counts
    double). Popovic 2015, "chrF: character n-gram F-score", and 2016, "chrF deconstructed", for beta 2.
    """
    hits, claimed, wanted = (sums[:, start::3] for start in range(3))
    usable = (claimed > 0) & (wanted > 0)
    orders = np.maximum(usable.sum(axis=1), 1)
    precision = np.divide(hits, claimed, out=np.zeros_like(hits), where=usable).sum(axis=1) / orders
    recall = np.divide(hits, wanted, out=np.zeros_like(hits), where=usable).sum(axis=1) / orders
    below = CHRF_BETA**2 * precision + recall
    above = (1 + CHRF_BETA**2) * precision * recall
    return np.asarray(np.divide(above, below, out=np.zeros_like(below), where=below > 0))
