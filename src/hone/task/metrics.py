"""What "good" means: one table of metrics, each with its direction, its range and its interval.

A metric compares what the model answered with the gold answer, in the task's own terms as the renderer gives
them (a label, a text, an object; ``None`` for an answer that could not be parsed). It is defined by a statistic over
row weights, so that the mean, its interval and a paired difference come from the same code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hone.errors import InputError, meant, nearest
from hone.task import overlap
from hone.task.entities import span_counts
from hone.task.scores import Floats, Score, Statistic, bootstrap, mean_of, point, ratio_of, wilson

Prepare = Callable[[Sequence[Any], Sequence[Any]], Statistic]
Interval = Literal["wilson", "bootstrap"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One way of scoring answers.

    ``prepare`` turns aligned predictions and references into a statistic; ``per_row`` rates one pair (it orders the
    worst rows). ``lowest`` and ``highest`` bound every value; ``kinds`` are the kinds of task it can score.
    """

    name: str
    prepare: Prepare
    per_row: Callable[[Any, Any], float]
    interval: Interval
    kinds: frozenset[str]
    source: str
    higher_is_better: bool = True
    lowest: float = 0.0
    highest: float = 1.0

    def score(self, predictions: Sequence[Any], references: Sequence[Any], seed: int = 0) -> Score:
        """Score aligned answers; at least one row.

        The interval is Wilson's or the bootstrap's (1,000 resamples), as ``interval`` says. Where the bootstrap
        collapses to a point (one row, or rows all alike) it would claim certainty: then Wilson's interval of that
        mean stands in where the range is [0, 1], and with a single row of an unbounded metric the whole plausible
        range (8 bits per byte is what a uniform guess over bytes costs). No score in [0, 1] proves more than
        :meth:`perfect` does.
        """
        n = len(references)
        if len(predictions) != n or n == 0:
            raise InputError(
                f"{self.name}: {len(predictions):,} predictions for {n:,} references; need one each, n > 0"
            )
        statistic = self.prepare(predictions, references)
        mean = point(statistic, n)
        if self.interval == "wilson":
            return self._score(mean, wilson(mean * n, n), n)
        low, high = bootstrap(statistic, n, seed=seed)
        if low == high:
            return self._score(mean, self._spread(mean, n), n)
        if (self.lowest, self.highest) == (0.0, 1.0):
            # Near its ends the bootstrap is too sure: one row wrong must not prove more than none.
            low, high = min(low, wilson(n, n)[0]), max(high, wilson(0, n)[1])
        return self._score(mean, (low, high), n)

    def perfect(self, n: int) -> Score:
        """The score of ``n > 0`` rows when every answer is right: the best that so many rows can prove."""
        mean = self.highest if self.higher_is_better else self.lowest
        return self._score(mean, wilson(mean * n, n) if self.interval == "wilson" else self._spread(mean, n), n)

    def _spread(self, mean: float, n: int) -> tuple[float, float]:
        """The interval where the bootstrap sees rows that are all alike."""
        if (self.lowest, self.highest) == (0.0, 1.0):
            return wilson(mean * n, n)
        if n == 1 and self.name == "bits_per_byte":
            return 0.0, max(8.0, mean)
        return mean, mean

    def _score(self, mean: float, interval: tuple[float, float], n: int) -> Score:
        low, high = interval
        # A percentile interval need not contain the point estimate of a ratio; a score's does.
        return Score(
            name=self.name,
            mean=mean,
            low=min(low, mean),
            high=max(high, mean),
            n=n,
            higher_is_better=self.higher_is_better,
        )

    def check_target(self, target: float) -> str | None:
        """A sentence that says why no model can be held to this target, or None when the target makes sense."""
        if not math.isfinite(target):
            return f"target: {target} is not a finite number"
        if self.lowest <= target <= self.highest:
            return None
        span = f"at least {self.lowest:g}" if math.isinf(self.highest) else f"from {self.lowest:g} to {self.highest:g}"
        hint = f"; did you mean {target / 100:g}?" if self.highest == 1.0 and 2.0 <= target <= 100.0 else ""
        return f"target: {target:g} is out of reach, {self.name} is {span}{hint}"

    def check_kind(self, kind: str) -> str | None:
        """A sentence that says that this metric cannot score such a task, or None when it can."""
        if kind in self.kinds:
            return None
        fitting = ", ".join(sorted(metric.name for metric in METRICS.values() if kind in metric.kinds))
        return f"metric: {self.name} does not score a task of kind {kind}; these do: {fitting}, or a dotted path"


def _share_equal(predictions: Sequence[Any], references: Sequence[Any]) -> Statistic:
    return mean_of(np.array([overlap.same(p, r) for p, r in zip(predictions, references, strict=True)], dtype=float))


def _field_f1(predictions: Sequence[Any], references: Sequence[Any]) -> Statistic:
    counts = np.array([overlap.pair_counts(p, r) for p, r in zip(predictions, references, strict=True)], dtype=float)
    return ratio_of(2 * counts[:, 0], counts[:, 1] + counts[:, 2])


def _field_f1_row(prediction: Any, reference: Any) -> float:
    hits, claimed, wanted = overlap.pair_counts(prediction, reference)
    if claimed + wanted == 0:
        return 0.0 if prediction is None else 1.0
    return 2 * hits / (claimed + wanted)


def _rouge_l(predictions: Sequence[Any], references: Sequence[Any]) -> Statistic:
    return mean_of(np.array([overlap.rouge_l(p, r) for p, r in zip(predictions, references, strict=True)]))


def _chrf(predictions: Sequence[Any], references: Sequence[Any]) -> Statistic:
    counts = np.stack([overlap.chrf_counts(p, r) for p, r in zip(predictions, references, strict=True)])
    return lambda weights: overlap.chrf_from_counts(weights @ counts)


def _chrf_row(prediction: Any, reference: Any) -> float:
    return float(overlap.chrf_from_counts(overlap.chrf_counts(prediction, reference)[None])[0])


def _bits_per_byte(nats: Sequence[Any], num_bytes: Sequence[Any]) -> Statistic:
    return ratio_of(np.asarray(nats, dtype=float) / math.log(2), np.asarray(num_bytes, dtype=float))


def _macro_f1(predictions: Sequence[Any], references: Sequence[Any]) -> Statistic:
    """Mean F1 over the classes that a resample holds, in its references or its predictions."""
    gold, claimed = _label_tables(predictions, references)
    hits = gold * claimed

    def macro(weights: Floats) -> Floats:
        below = weights @ (gold + claimed)
        f1 = np.divide(2 * (weights @ hits), below, out=np.zeros_like(below), where=below > 0)
        return np.asarray(f1.sum(axis=1) / np.maximum(1, (below > 0).sum(axis=1)))

    return macro


def _micro_f1(predictions: Sequence[Any], references: Sequence[Any]) -> Statistic:
    gold, claimed = _label_tables(predictions, references)
    return ratio_of(2 * (gold * claimed).sum(axis=1), (gold + claimed).sum(axis=1))


def _label_tables(predictions: Sequence[Any], references: Sequence[Any]) -> tuple[Floats, Floats]:
    """(rows, classes) 1 where the reference has a label, and where the prediction claims it; rows may have several."""
    wanted, given = [_labels(value) for value in references], [_labels(value) for value in predictions]
    place = {
        label: index for index, label in enumerate(dict.fromkeys(label for row in (*wanted, *given) for label in row))
    }
    tables = np.zeros((2, len(wanted), max(1, len(place))))
    for table, rows in zip(tables, (wanted, given), strict=True):
        for index, row in enumerate(rows):
            table[index, [place[label] for label in row]] = 1.0
    return tables[0], tables[1]


def _labels(answer: Any) -> tuple[Any, ...]:
    """The labels of an answer. One that is no label (None) is a miss of its gold class and a claim of none."""
    if answer is None:
        return ()
    return tuple(answer) if isinstance(answer, list | tuple) else (answer,)


def _labels_row(prediction: Any, reference: Any) -> float:
    claimed, wanted = set(_labels(prediction)), set(_labels(reference))
    return 2 * len(claimed & wanted) / (len(claimed) + len(wanted)) if claimed or wanted else 1.0


def _span_f1(predictions: Sequence[Any], references: Sequence[Any]) -> Statistic:
    counts = np.array([span_counts(p, r) for p, r in zip(predictions, references, strict=True)], dtype=float)
    return ratio_of(2 * counts[:, 0], counts[:, 1] + counts[:, 2])


def _span_f1_row(prediction: Any, reference: Any) -> float:
    hits, claimed, wanted = span_counts(prediction, reference)
    return 2 * hits / (claimed + wanted) if claimed + wanted else 1.0


def _share_right(hits: Sequence[Any], num_tokens: Sequence[Any]) -> Statistic:
    return ratio_of(np.asarray(hits, dtype=float), np.asarray(num_tokens, dtype=float))


def _masked_bits(nats: Sequence[Any], num_tokens: Sequence[Any]) -> Statistic:
    return ratio_of(np.asarray(nats, dtype=float) / math.log(2), np.asarray(num_tokens, dtype=float))


def _equal_row(prediction: Any, reference: Any) -> float:
    return float(overlap.same(prediction, reference))


ANSWERS = frozenset({"classify", "multi-label", "tag", "extract", "generate"})
LABELLED = frozenset({"classify", "multi-label"})
_TABLE = (
    Metric(
        name="exact_match", prepare=_share_equal, per_row=_equal_row, interval="wilson", kinds=ANSWERS,
        source="share of rows whose whole answer equals the gold answer (order of keys aside)",
    ),
    Metric(
        name="accuracy", prepare=_share_equal, per_row=_equal_row, interval="wilson", kinds=frozenset({"classify"}),
        source="share of rows with the gold label",
    ),
    Metric(
        name="macro_f1", prepare=_macro_f1, per_row=_labels_row, interval="bootstrap", kinds=LABELLED,
        source="mean of the classes' F1 over classes seen in references or predictions (as scikit-learn's f1_score)",
    ),
    Metric(
        name="micro_f1", prepare=_micro_f1, per_row=_labels_row, interval="bootstrap", kinds=LABELLED,
        source="F1 over all (row, label) pairs together (as scikit-learn's f1_score, average micro)",
    ),
    Metric(
        name="span_f1", prepare=_span_f1, per_row=_span_f1_row, interval="bootstrap", kinds=frozenset({"tag"}),
        source="micro F1 over entities whose type and both ends are exact (as conlleval and seqeval)",
    ),
    Metric(
        name="field_f1", prepare=_field_f1, per_row=_field_f1_row, interval="bootstrap", kinds=frozenset({"extract"}),
        source="micro F1 over the multiset of (field path, value) pairs of the whole object; see task/overlap.py",
    ),
    Metric(
        name="rouge_l", prepare=_rouge_l, per_row=overlap.rouge_l, interval="bootstrap", kinds=frozenset({"generate"}),
        source="Lin 2004, ROUGE, section 3.1: F of the longest common subsequence of words, beta 1; mean over rows",
    ),
    Metric(
        name="chrf", prepare=_chrf, per_row=_chrf_row, interval="bootstrap", kinds=frozenset({"generate"}),
        source="Popovic 2015 and 2016, chrF2: character n-grams to 6, beta 2, counts summed over rows; 1.0 is equal",
    ),
    Metric(
        name="bits_per_byte", prepare=_bits_per_byte, per_row=lambda nats, num_bytes: nats / math.log(2) / num_bytes,
        interval="bootstrap", kinds=frozenset({"language-model"}), higher_is_better=False, highest=math.inf,
        source="total nats / ln 2 / UTF-8 bytes; predictions are nats per row, references are bytes per row",
    ),
    Metric(
        name="masked_accuracy", prepare=_share_right, per_row=lambda hits, count: hits / count,
        interval="bootstrap", kinds=frozenset({"language-model"}),
        source="of encoders: masked tokens guessed right / masked tokens, the same ones masked at every reading",
    ),
    Metric(
        name="masked_bits", prepare=_masked_bits, per_row=lambda nats, count: nats / math.log(2) / count,
        interval="bootstrap", kinds=frozenset({"language-model"}), higher_is_better=False, highest=math.inf,
        source="of encoders: total nats / ln 2 / masked tokens, the same 15 % of the tokens masked at every reading",
    ),
)  # fmt: skip
METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}
DEFAULT_METRIC = {
    "classify": "accuracy",
    "multi-label": "micro_f1",
    "tag": "span_f1",
    "extract": "field_f1",
    "generate": "rouge_l",
    "language-model": "bits_per_byte",
}


def metric_problems(name: str, kind: str | None, target: float | None) -> list[str]:
    """What is wrong with a metric's name, with the kind that it is for, and with the target: a sentence each.

    Of a dotted path, the user's own function, nothing is known here. Where the name is wrong, the target is held
    against the metric that was meant.

    Args:
        name: of a metric.
        kind: of the task; None where that is wrong itself.
        target: None where there is none.
    """
    if "." in name or ":" in name:
        return []
    known = sorted(key for key, item in METRICS.items() if kind is None or kind in item.kinds)
    problems: list[str | None] = []
    if name not in METRICS:
        problems.append(f'metric: "{name}" is not known; {nearest(name, known)}')
    metric = METRICS.get(name) or METRICS.get(meant(name, known) or "")
    if metric is not None:
        problems += [metric.check_kind(kind)] if kind is not None and name in METRICS else []
        problems += [metric.check_target(target)] if target is not None else []
    return [problem for problem in problems if problem]
