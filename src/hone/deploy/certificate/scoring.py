"""The task's score of an artifact and of its original on the same dev rows, and the paired interval of the difference.

A *point* is a hundredth of what the metric's values span. Where they have no end (bits per byte) it is a hundredth of
the original's own score: a point worse is then a score that is 1 % worse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hone.deploy.certificate.original import EncoderOriginal, Original
from hone.deploy.reading import reading_callables, session_logits
from hone.evaluate.calibration import first_half
from hone.evaluate.documents import score_documents
from hone.evaluate.generate import TokenLogprobs
from hone.evaluate.scoring import Evaluation, evaluate
from hone.evaluate.significance import Difference, paired_difference
from hone.task.encoding import EncoderRenderer
from hone.task.metrics import Metric
from hone.task.own_metric import load_metric
from hone.task.render import Renderer
from hone.task.scores import Score
from hone.task.spec import Task

if TYPE_CHECKING:
    from hone.data.rows import Row

FEW_DOCUMENT_TOKENS = 4096
"""Tokens of documents that a quick certificate scores at most to begin with: with so many rows, and more with more."""
FEW_ROWS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Scores of both on the same rows. ``difference`` is the artifact's less the original's; over 0 is better."""

    metric: str
    original: Score
    artifact: Score
    difference: Difference
    point: float
    """One point in the metric's units."""
    point_is: str
    """Where that comes from."""
    rows: int
    """Rows that were scored."""

    def in_points(self, value: float) -> float:
        """A difference in points."""
        return value / self.point if self.point else math.copysign(math.inf, value) if value else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values, the interval in points beside them."""
        ends = (self.difference.mean, self.difference.low, self.difference.high)
        return {**asdict(self), "points": [self.in_points(one) for one in ends]}


@dataclass(frozen=True, slots=True)
class _Answered:
    evaluation: Evaluation
    predictions: Sequence[Any]
    references: Sequence[Any]


def compare_scores(
    task: Task,
    rows: Sequence[Row],
    ours: tuple[Renderer, Original | EncoderOriginal],
    theirs: tuple[Renderer, Any],
    max_new_tokens: int | None,
    thresholds: Mapping[str, float] | None = None,
) -> tuple[Comparison, Evaluation]:
    """Score both on the same rows.

    Args:
        task: names kind, metric and context.
        rows: dev rows.
        ours: the trained renderer and the original, which remembers its answers to these rows.
        theirs: the artifact's own renderer and its session.
        max_new_tokens: longest answer.
        thresholds: :func:`thresholds_by_row`, for both; an artifact with another threshold than the trained one is
            decided by its own.

    Returns:
        The comparison, and the artifact's whole evaluation.
    """
    metric = load_metric(task.metric)
    renderer, original = ours
    key = ("scored", metric.name, max_new_tokens, tuple(row.id for row in rows), bool(thresholds))
    if key not in original.kept:
        if isinstance(original, EncoderOriginal):
            asked = reading_callables(_encoder(renderer), original.logits)
        else:
            asked = original.scoring()
        original.kept[key] = _answered(task, renderer, rows, asked, metric, max_new_tokens, thresholds)
    before: _Answered = original.kept[key]
    of_theirs = thresholds if _threshold(theirs[0]) == _threshold(renderer) else None
    after = _answered(task, theirs[0], rows, session_scoring(*theirs), metric, max_new_tokens, of_theirs)
    point, point_is = point_of(metric, before.evaluation.score.mean)
    comparison = Comparison(
        metric=metric.name,
        original=before.evaluation.score,
        artifact=after.evaluation.score,
        difference=paired_difference(metric, after.predictions, before.predictions, before.references),
        point=point,
        point_is=point_is,
        rows=after.evaluation.n,
    )
    return comparison, after.evaluation


def session_scoring(renderer: Renderer, session: Any) -> dict[str, Any]:
    """The callables that :func:`hone.evaluate.scoring.evaluate` takes, of an opened artifact."""
    if isinstance(renderer, EncoderRenderer):
        return reading_callables(renderer, session_logits(session, renderer.kind))
    return {"generate": session.generate, "labels": session.label_logprobs, "logprobs": session.token_logprobs}


def point_of(metric: Metric, score: float) -> tuple[float, str]:
    """One point of a metric in its own units, and where that comes from."""
    if math.isfinite(metric.lowest) and math.isfinite(metric.highest):
        return (metric.highest - metric.lowest) / 100, f"of {metric.lowest:g} to {metric.highest:g}"
    return abs(score) / 100, f"of the original's {score:.4g} {metric.name}, which has no fixed range"


def thresholds_by_row(calibration: Mapping[str, Any], rows: Sequence[str]) -> dict[str, float]:
    """The threshold of each row that a multi-label model's own threshold was chosen on: that of the half it is not in.

    Args:
        calibration: what the model folder keeps of it; empty where nothing was calibrated.
        rows: ids of these rows, in order.

    Returns:
        Empty where no threshold was chosen, or where it was chosen on another number of rows.
    """
    if calibration.get("threshold_why_not", "-") or calibration["rows"] != len(rows):
        return {}
    first, second = calibration["thresholds"]
    return {row: first if half else second for row, half in zip(rows, first_half(len(rows)), strict=True)}


def _threshold(renderer: Renderer) -> float | None:
    return renderer.threshold if isinstance(renderer, EncoderRenderer) else None


def few_rows(renderer: Renderer, rows: Sequence[Row], most: int) -> list[Row]:
    """Rows for a quick certificate, drawn, always the same: documents only as far as they have few tokens together.

    Drawn, because dev may be ordered: the first rows of a file that is sorted by label have one label.
    """
    taken = [rows[at] for at in np.random.default_rng(0).permutation(len(rows))[:most]]
    if renderer.kind != "language-model":
        return taken
    found: list[Row] = []
    tokens = 0
    for row in taken:
        if found and tokens >= FEW_DOCUMENT_TOKENS * most // FEW_ROWS:
            break
        tokens += len(renderer.tokenizer.encode(renderer.reference(row.fields)))
        found.append(row)
    return found


def _answered(
    task: Task,
    renderer: Renderer,
    rows: Sequence[Row],
    asked: dict[str, Any],
    metric: Metric,
    max_new_tokens: int | None,
    thresholds: Mapping[str, float] | None = None,
) -> _Answered:
    """An evaluation with what the metric compares: answers, or nats and bytes, or what masked tokens cost."""
    scored: dict[str, Any] = {"metric": metric, "max_new_tokens": max_new_tokens, "thresholds": thresholds}
    if task.kind != "language-model":
        found = evaluate(task, renderer, rows, **asked, **scored)
        return _Answered(found, found.predictions, [answer.expected for answer in found.answers])
    if isinstance(renderer, EncoderRenderer):
        kept: list[Any] = []
        masked = asked["masked"]
        found = evaluate(task, renderer, rows, masked=lambda examples: _keep(kept, masked(examples)), **scored)
        costs = [one.nats if metric.name == "masked_bits" else one.hits for one in kept]
        return _Answered(found, costs, [one.num_tokens for one in kept])
    once = _once(asked["logprobs"])
    found = evaluate(task, renderer, rows, logprobs=once, **scored)
    documents = score_documents(renderer, rows, task.device.context, once, None)
    return _Answered(found, documents.nats, [window.num_bytes for window in documents.windows])


def _once(logprobs: TokenLogprobs) -> TokenLogprobs:
    """The same with a memory, because documents are scored and then compared."""
    kept: dict[tuple[int, ...], Any] = {}

    def of_sequences(sequences: Sequence[Sequence[int]]) -> list[Any]:
        missing = [key for key in dict.fromkeys(map(tuple, sequences)) if key not in kept]
        if missing:
            kept.update(zip(missing, logprobs(missing), strict=True))
        return [kept[tuple(ids)] for ids in sequences]

    return of_sequences


def _keep(kept: list[Any], found: list[Any]) -> list[Any]:
    kept[:] = found
    return found


def _encoder(renderer: Renderer) -> EncoderRenderer:
    assert isinstance(renderer, EncoderRenderer), "an encoder's original has an encoder's renderer"
    return renderer
