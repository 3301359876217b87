"""The training row whose words are most like a given text: TF-IDF and cosine, in numpy alone.

Weights as in Salton and Buckley (1988): (1 + ln tf) * (1 + ln((1 + rows) / (1 + rows with the term))), rows scaled to
length 1, terms are words and pairs of neighbouring words of the folded text. scikit-learn does the same, but where it
(and so scipy) is installed the import of Transformers takes longer in every process; an inverted index is 40 lines.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hone.data.rows import fold


class NearestRow:
    """An index over texts; :meth:`find` gives the position of the most similar one."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [terms_of(text) for text in texts]
        seen = Counter(term for count in counts for term in count)
        self._rarity = {term: 1 + math.log((1 + len(texts)) / (1 + times)) for term, times in seen.items()}
        self._num_texts = len(texts)
        rows: dict[str, list[int]] = {term: [] for term in seen}
        weights: dict[str, list[float]] = {term: [] for term in seen}
        for index, count in enumerate(counts):
            for term, weight in self._weights(count).items():
                rows[term].append(index)
                weights[term].append(weight)
        self._rows: dict[str, NDArray[np.int64]] = {term: np.array(value) for term, value in rows.items()}
        self._row_weights: dict[str, NDArray[np.float64]] = {term: np.array(value) for term, value in weights.items()}

    def similarities(self, text: str) -> NDArray[np.float64]:
        """Cosine of ``text`` with every indexed text: (texts,)."""
        found = np.zeros(self._num_texts)
        for term, weight in self._weights(terms_of(text)).items():
            # A text is listed once under a term, so adding at its rows adds each exactly once.
            found[self._rows[term]] += weight * self._row_weights[term]
        return found

    def find(self, text: str) -> int:
        """Position of the most similar text; the first of equals, so 0 when no word is shared."""
        return int(np.argmax(self.similarities(text)))

    def _weights(self, count: Counter[str]) -> dict[str, float]:
        raw = {
            term: (1 + math.log(times)) * self._rarity[term] for term, times in count.items() if term in self._rarity
        }
        length = math.sqrt(sum(weight * weight for weight in raw.values()))
        return {term: weight / length for term, weight in raw.items()}


def terms_of(text: str) -> Counter[str]:
    """Words and pairs of neighbouring words of the folded text, with their counts."""
    words = fold(text).split()
    return Counter([*words, *(f"{left} {right}" for left, right in pairwise(words))])
