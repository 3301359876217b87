"""A quick linear text classifier in numpy alone: multinomial logistic regression over hashed n-grams.

Legend: N texts, D features that the model knows, K labels.

Training goes over the rows in small dense blocks, because a dense matrix product is some hundred times faster than
gathering weights one by one, and there is nothing sparse in numpy to do it better.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hone.data.features import MAX_TEXT_CHARS, Floats, Matrix, Vocabulary, features
from hone.data.kernels.words import Ints
from hone.errors import FailedError, InputError
from hone.files import atomic_write

FORMAT = "hone linear text classifier, version 1"
HEADER = "hone.linear"
BLOCK_ROWS = 256


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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LinearModel:
    """A fitted classifier.

    ``labels`` (K,) sorted; ``vocabulary`` of D features; ``weights`` (D, K); ``bias`` (K,); ``fitted_rows``: how many
    rows it was fitted on; ``max_text_chars`` as it was fitted.
    """

    labels: tuple[str, ...]
    vocabulary: Vocabulary
    weights: Floats
    bias: Floats
    fitted_rows: int
    max_text_chars: int

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """(N, K) the probability of each label, for each text; a text without a known feature gets the bias alone."""
        matrix = self.vocabulary.matrix(features(texts, self.max_text_chars))
        return self.probabilities_of(matrix, np.arange(matrix.num_rows))

    def probabilities_of(self, matrix: Matrix, rows: Ints) -> Floats:
        """(R, K) as :meth:`probabilities`, for some rows of a matrix over the model's vocabulary."""
        answer = np.zeros((len(rows), len(self.labels)), np.float32)
        done = 0
        for block, dense in matrix.blocks(rows, BLOCK_ROWS):
            answer[done : done + len(block)] = _softmax(dense @ self.weights + self.bias)
            done += len(block)
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
        known = {"known": self.vocabulary.ids, "idf": self.vocabulary.idf}
        arrays = {**known, "weights": self.weights, "bias": self.bias}
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
        vocabulary = Vocabulary(arrays.pop("known"), arrays.pop("idf"))
        return cls(labels=tuple(about.pop("labels")), vocabulary=vocabulary, **about, **arrays)


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
    found = features(texts, settings.max_text_chars)
    rows = chosen_rows(np.diff(found.first), seed, settings)
    if len(rows) < len(texts):
        found, codes = found.take(rows), codes[rows]
    vocabulary = Vocabulary.of(found, settings.max_features)
    matrix = vocabulary.matrix(found)
    return fit_matrix(matrix, vocabulary, codes, tuple(map(str, names)), np.arange(len(rows)), seed, settings)


def chosen_rows(sizes: Ints, seed: int, settings: Settings) -> Ints:
    """Positions of the rows that are fitted: all, or a seeded choice where they have too many features.

    ``sizes`` (N,) are the rows' numbers of features.
    """
    if sizes.sum() <= settings.max_features_read:
        return np.arange(len(sizes))
    order = np.random.default_rng(seed).permutation(len(sizes))
    return np.sort(order[np.cumsum(sizes[order]) <= settings.max_features_read])


def fit_matrix(
    matrix: Matrix,
    vocabulary: Vocabulary,
    codes: Ints,
    names: tuple[str, ...],
    rows: Ints,
    seed: int,
    settings: Settings,
) -> LinearModel:
    """Fit on some rows of a matrix.

    Args:
        matrix: rows over the vocabulary.
        vocabulary: the features.
        codes: (N,) index of each row's label in ``names``.
        names: the labels.
        rows: positions to fit on.
        seed: of their order.
        settings: how to fit.

    Raises:
        InputError: when there are fewer than two labels.
    """
    if len(names) < 2:
        raise InputError(f"a classifier needs at least 2 different labels; {len(names)} found: {', '.join(names)}")
    weights, bias = _train(matrix, codes, len(names), rows, np.random.default_rng(seed), settings)
    return LinearModel(
        labels=names,
        vocabulary=vocabulary,
        weights=weights,
        bias=bias,
        fitted_rows=len(rows),
        max_text_chars=settings.max_text_chars,
    )


def _train(
    matrix: Matrix, codes: Ints, num_labels: int, rows: Ints, random: np.random.Generator, settings: Settings
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
