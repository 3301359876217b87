"""A quick linear text classifier in numpy alone: hashed n-grams, TF-IDF weights, multinomial logistic regression.

Legend: N texts, Z features of all texts together, D features that the model knows, K labels.

A feature is a word, two words in a row, or 3 to 5 characters of a word with its borders; it is there or not. A model
knows the most frequent ones. Training goes over the rows in small dense blocks, because a dense matrix product is some
hundred times faster than gathering weights one by one, and there is nothing sparse in numpy to do it better.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hone.data.kernels.codepoints import pieces
from hone.data.kernels.words import SPLITTERS, Words, mixed, ngrams, span_hashes, split_words
from hone.errors import FailedError, InputError
from hone.files import atomic_write

Floats = np.ndarray[Any, np.dtype[np.float32]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

FORMAT = "hone linear text classifier, version 1"
HEADER = "hone.linear"
WORD_RUNS = (1, 2)
CHARACTER_RUNS = (3, 4, 5)
BLOCK_ROWS = 256
MAX_TEXT_CHARS = 2_000
_SPACE = np.uint32(ord(" "))


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a model is fitted; the defaults were chosen on banking77 and labelled tweets (benchmarks/data/labels.py)."""

    max_features: int = 8192
    """The most frequent features that are kept; one that a single text holds is never kept."""
    epochs: int = 5
    learning_rate: float = 1.0
    max_text_chars: int = MAX_TEXT_CHARS
    """Characters that are read of a text, from its beginning."""
    max_features_read: int = 30_000_000
    """Over this many features in all, a seeded choice of the rows is fitted (some 10 million characters; 120 MB)."""

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in self.__slots__}
        problems = [f"{name} is {value}; expected a number over 0" for name, value in given.items() if not value > 0]
        if problems:
            raise InputError(problems)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """The features of texts: those of text ``i`` are ``ids[first[i]:first[i + 1]]``, ascending, each once.

    ``first`` (N + 1,) int64, ``ids`` (Z,) uint32 hashes.
    """

    first: Ints
    ids: np.ndarray[Any, np.dtype[np.uint32]]

    def take(self, rows: Ints) -> Features:
        """The features of some texts, in the order given."""
        counts = self.first[rows + 1] - self.first[rows]
        first = np.concatenate([[0], np.cumsum(counts)])
        return Features(first, self.ids[np.repeat(self.first[rows] - first[:-1], counts) + np.arange(first[-1])])


def features(texts: Sequence[str], max_text_chars: int = MAX_TEXT_CHARS) -> Features:
    """The features of texts, read up to ``max_text_chars`` characters each."""
    counts, ids = [np.zeros(1, np.int64)], [np.zeros(0, np.uint32)]
    for piece in pieces([text[:max_text_chars] for text in texts]):
        words = split_words(piece)
        row, hashes = zip(*_word_runs(words), *_character_runs(words), strict=True)
        # One sort of a single 64-bit key gives the order of rows and brings equal features together. (np.unique without
        # counts hashes since numpy 2.3, which is fifty times slower.)
        key = np.concatenate(row).astype(np.uint64) << np.uint64(32)
        key |= np.concatenate(hashes) >> np.uint64(32)
        key.sort()
        key = key[np.concatenate([[True], key[1:] != key[:-1]])[: len(key)]]
        counts.append(np.bincount((key >> np.uint64(32)).astype(np.int64), minlength=len(piece.start) - 1))
        ids.append(key.astype(np.uint32))
    return Features(np.cumsum(np.concatenate(counts)), np.concatenate(ids))


def _word_runs(words: Words) -> Iterator[tuple[Any, Any]]:
    for n in WORD_RUNS:
        hashes, first = ngrams(words, n)
        yield words.text[first], mixed(hashes + np.uint64(n))


def _character_runs(words: Words) -> Iterator[tuple[Any, Any]]:
    """Runs of characters inside a word, its borders counted as a space on each side."""
    inside, _ = SPLITTERS["unicode-words"](words.piece.classes())
    codes = np.full(len(inside) + 2, _SPACE)
    codes[1:-1] = np.where(inside, words.piece.lower(), _SPACE)
    for n in CHARACTER_RUNS:
        count = np.maximum(words.end - words.start + 2 - n + 1, 0)
        begin = np.cumsum(count) - count
        start = np.repeat(words.start - begin, count) + np.arange(count.sum())
        yield np.repeat(words.text, count), mixed(span_hashes(codes, start, start + n) ^ np.uint64(n))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LinearModel:
    """A fitted classifier.

    ``labels`` (K,) sorted; ``known`` (D,) uint32 ascending hashes of its features; ``idf`` (D,); ``weights`` (D, K);
    ``bias`` (K,); ``fitted_rows``: how many rows it was fitted on; ``max_text_chars`` as it was fitted.
    """

    labels: tuple[str, ...]
    known: np.ndarray[Any, np.dtype[np.uint32]]
    idf: Floats
    weights: Floats
    bias: Floats
    fitted_rows: int
    max_text_chars: int

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """(N, K) the probability of each label, for each text; a text without a known feature gets the bias alone."""
        return self.probabilities_of(features(texts, self.max_text_chars))

    def probabilities_of(self, found: Features) -> Floats:
        """(N, K) as :meth:`probabilities`, from features that were taken before."""
        rows = _matrix(found, self.known, self.idf)
        answer = np.zeros((rows.size, len(self.labels)), np.float32)
        for block, dense in rows.blocks(np.arange(rows.size)):
            answer[block] = _softmax(dense @ self.weights + self.bias)
        return answer

    def save(self, path: Path) -> Path:
        """Write one safetensors file; what is not an array stands in its header as JSON.

        Raises:
            FailedError: when the disk refuses.
        """
        from safetensors.numpy import save

        about = {
            "format": FORMAT,
            "labels": self.labels,
            "fitted_rows": self.fitted_rows,
            "max_text_chars": self.max_text_chars,
        }
        arrays = {name: getattr(self, name) for name in ("known", "idf", "weights", "bias")}
        # One key: several would be written in an order that changes from process to process.
        header = {HEADER: json.dumps(about, ensure_ascii=False)}
        return atomic_write(path, save(arrays, metadata=header))

    @classmethod
    def open(cls, path: Path) -> LinearModel:
        """A saved model.

        Raises:
            InputError: when the file is missing or is not such a model.
            FailedError: when the file is not whole.
        """
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            raise InputError(f"{path}: no such file; expected a saved linear model (LinearModel.save writes one)")
        try:
            with safe_open(path, framework="numpy") as file:
                about = json.loads((file.metadata() or {}).get(HEADER, "{}"))
                if about.pop("format", None) != FORMAT:
                    raise InputError(f'{path}: holds other arrays; expected "{FORMAT}" (LinearModel.save writes it)')
                arrays = {name: file.get_tensor(name) for name in ("known", "idf", "weights", "bias")}
        except SafetensorError as error:
            raise FailedError(f"{path}: not a whole safetensors file ({error}); fit the model again") from error
        return cls(labels=tuple(about.pop("labels")), **about, **arrays)


def fit(texts: Sequence[str], labels: Sequence[str], seed: int, settings: Settings | None = None) -> LinearModel:
    """Fit a classifier on labelled texts. The same texts, labels and seed give the same model.

    Raises:
        InputError: when there are not as many labels as texts, or fewer than two different labels.
    """
    settings = settings or Settings()
    if len(texts) != len(labels):
        raise InputError(
            f"{len(texts):,} texts and {len(labels):,} labels were given; expected as many labels as texts"
        )
    names, codes = np.unique(np.array(labels, dtype=object).astype(str), return_inverse=True)
    return fit_features(features(texts, settings.max_text_chars), codes, tuple(map(str, names)), seed, settings)


def fit_features(
    found: Features, codes: Ints, names: tuple[str, ...], seed: int, settings: Settings, rows: Ints | None = None
) -> LinearModel:
    """Fit on features that were taken before.

    Args:
        found: features of the texts.
        codes: (N,) index of each text's label in ``names``.
        names: the labels.
        seed: of the order of rows, and of their choice where there are too many.
        settings: how to fit.
        rows: positions to fit on; every row counts for how frequent a feature is. None: all of them.

    Raises:
        InputError: when there are fewer than two labels.
    """
    if len(names) < 2:
        raise InputError(f"a classifier needs at least 2 different labels; {len(names)} found: {', '.join(names)}")
    random = np.random.default_rng(seed)
    rows = np.arange(len(codes)) if rows is None else rows
    sizes = np.diff(found.first)[rows]
    if sizes.sum() > settings.max_features_read:
        order = random.permutation(len(rows))
        rows = np.sort(rows[order[np.cumsum(sizes[order]) <= settings.max_features_read]])
        found, codes, rows = found.take(rows), codes[rows], np.arange(len(rows))
    known, idf = _known(found, settings.max_features)
    weights, bias = _train(_matrix(found, known, idf), codes, len(names), rows, random, settings)
    return LinearModel(
        labels=names,
        known=known,
        idf=idf,
        weights=weights,
        bias=bias,
        fitted_rows=len(rows),
        max_text_chars=settings.max_text_chars,
    )


def _known(found: Features, max_features: int) -> tuple[np.ndarray[Any, np.dtype[np.uint32]], Floats]:
    """The most frequent features that at least two texts hold, ascending, and how rare each is (smoothed IDF)."""
    ids, texts_with = np.unique(found.ids, return_counts=True)
    shared = np.flatnonzero(texts_with >= 2)
    top = np.sort(shared[np.argsort(-texts_with[shared], kind="stable")[:max_features]])
    idf = 1 + np.log(len(found.first) / (1 + texts_with[top]))
    return ids[top], idf.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Matrix:
    """Rows of unit length over the D known features, as compressed rows (``first``, ``column``, ``value``)."""

    first: Ints
    column: np.ndarray[Any, np.dtype[np.int32]]
    value: Floats
    num_columns: int

    @property
    def size(self) -> int:
        return len(self.first) - 1

    def blocks(self, rows: Ints, size: int = BLOCK_ROWS) -> Iterator[tuple[Ints, Floats]]:
        """Rows ``size`` at a time, each with its dense block; the next block overwrites it."""
        buffer = np.zeros((min(size, len(rows)), self.num_columns), np.float32)
        for begin in range(0, len(rows), size):
            block = rows[begin : begin + size]
            counts = self.first[block + 1] - self.first[block]
            line = np.repeat(np.arange(len(block)), counts)
            at = np.repeat(self.first[block] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
            column = self.column[at]
            buffer[line, column] = self.value[at]
            yield block, buffer[: len(block)]
            buffer[line, column] = 0


def _matrix(found: Features, known: np.ndarray[Any, np.dtype[np.uint32]], idf: Floats) -> _Matrix:
    if not len(known):
        return _Matrix(np.zeros_like(found.first), np.zeros(0, np.int32), np.zeros(0, np.float32), 0)
    column = np.minimum(np.searchsorted(known, found.ids), len(known) - 1)
    held = known[column] == found.ids
    row = np.repeat(np.arange(len(found.first) - 1, dtype=np.int32), np.diff(found.first))[held]
    column = column[held].astype(np.int32)
    value = idf[column]
    length = np.sqrt(np.bincount(row, value**2, minlength=len(found.first) - 1)).astype(np.float32)
    first = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(found.first) - 1))])
    return _Matrix(first, column, value / length[row], len(known))


def _train(
    matrix: _Matrix, codes: Ints, num_labels: int, rows: Ints, random: np.random.Generator, settings: Settings
) -> tuple[Floats, Floats]:
    """Multinomial logistic regression by AdaGrad (Duchi et al. 2011), with one step size per feature.

    Small data gets smaller blocks, so that an epoch still makes some forty steps.
    """
    weights = np.zeros((matrix.num_columns, num_labels), np.float32)
    bias = np.zeros(num_labels, np.float32)
    squares = np.full(matrix.num_columns, 1e-8, np.float32)
    bias_squares = 1e-8
    size = int(np.clip(len(rows) // 40, 32, BLOCK_ROWS))
    for _ in range(settings.epochs):
        for block, dense in matrix.blocks(random.permutation(rows), size):
            error = _softmax(dense @ weights + bias)
            error[np.arange(len(block)), codes[block]] -= 1
            error /= len(block)
            gradient = dense.T @ error
            squares += np.einsum("dk,dk->d", gradient, gradient)
            gradient *= (settings.learning_rate / np.sqrt(squares))[:, None]
            weights -= gradient
            step = error.sum(0)
            bias_squares += float((step**2).sum())
            bias -= settings.learning_rate / np.sqrt(bias_squares) * step
    return weights, bias


def _softmax(scores: Floats) -> Floats:
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores
