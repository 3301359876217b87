"""Scoring rows of a task: one function over callables that a torch module and an artifact's session both give."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from hone.errors import InputError
from hone.evaluate.answers import Answer
from hone.evaluate.documents import DocumentScore, score_documents
from hone.evaluate.generate import Generate, LabelLogprobs, MaskedLoss, NextLogprobs, TagLogits, TokenLogprobs
from hone.evaluate.reading import labelled, score_masked, tagged
from hone.evaluate.slices import Slice, slices_of
from hone.task.encoding import EncoderRenderer
from hone.task.metrics import METRICS, Metric
from hone.task.own_metric import load_metric
from hone.task.render import Renderer
from hone.task.scores import Score
from hone.task.spec import Task

if TYPE_CHECKING:
    from hone.data.rows import Row

WORST_KEPT = 20
SAMPLES_KEPT = 8
BESIDE = {
    "classify": ("accuracy", "macro_f1"),
    "multi-label": ("micro_f1", "macro_f1", "exact_match"),
    "tag": ("span_f1", "exact_match"),
    "extract": ("field_f1", "exact_match"),
    "generate": ("rouge_l", "chrf", "exact_match"),
}
"""Metrics that are always reported beside the task's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """The scores of one model on one set of rows, and what lies behind them.

    ``answers`` are all rows in their order (for language-model the scored windows); ``finished_share`` the share that
    stopped by itself (None where nothing is generated); ``notes`` say what was decided, such as a sampled share.
    """

    metric: str
    scores: dict[str, Score]
    n: int
    seconds: float
    answers: tuple[Answer, ...]
    higher_is_better: bool = True
    finished_share: float | None = None
    slices: tuple[Slice, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def score(self) -> Score:
        """The task's own metric."""
        return self.scores[self.metric]

    @property
    def predictions(self) -> tuple[Any, ...]:
        """The answers alone, aligned with the rows: what a paired comparison needs."""
        return tuple(answer.got for answer in self.answers)

    @property
    def worst(self) -> tuple[Answer, ...]:
        """At most 20 rows with the worst values, the surest mistakes first."""
        sign = 1 if self.higher_is_better else -1
        order = sorted(self.answers, key=lambda answer: (sign * answer.value, answer.logprob or 0.0))
        return tuple(order[:WORST_KEPT])

    @property
    def samples(self) -> tuple[dict[str, Any], ...]:
        """The first rows as plain values: the same ones at every evaluation, so that a person can follow them."""
        return tuple(asdict(answer) for answer in self.answers[:SAMPLES_KEPT])

    def to_json(self) -> dict[str, Any]:
        """Plain values with the worst rows and samples instead of all answers."""
        return {
            "metric": self.metric,
            "scores": {name: score.to_json() for name, score in self.scores.items()},
            "n": self.n,
            "seconds": round(self.seconds, 3),
            "finished_share": self.finished_share,
            "slices": [asdict(part) for part in self.slices],
            "worst": [asdict(answer) for answer in self.worst],
            "samples": list(self.samples),
            "notes": list(self.notes),
        }


def evaluate(  # noqa: PLR0913  (one callable is needed; the others are named)
    task: Task,
    renderer: Renderer,
    rows: Sequence[Row],
    *,
    generate: Generate | None = None,
    labels: LabelLogprobs | None = None,
    logprobs: TokenLogprobs | None = None,
    next_logprobs: NextLogprobs | None = None,
    tags: TagLogits | None = None,
    masked: MaskedLoss | None = None,
    max_new_tokens: int | None = None,
    metric: Metric | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> Evaluation:
    """Score rows the way the task's kind asks: one callable is needed, the others are ignored.

    Args:
        task: names kind, metric and context.
        renderer: the model's own renderer.
        rows: what is scored, all of it.
        generate: for extract and generate, greedy.
        labels: for classify: the answer is the arg max over the labels; for multi-label each one by itself.
        logprobs: for language-model, over every token.
        next_logprobs: for language-model when ``logprobs`` is None: over a stated sample of token positions.
        tags: for tag.
        masked: for language-model with an encoder: the same tokens are masked at every reading.
        max_new_tokens: longest answer; by default a quarter more than the longest gold answer of these rows.
        metric: the task's metric when it is the user's own, already loaded.
        thresholds: for multi-label, by a row's id, in the place of the model's own threshold.

    Raises:
        InputError: no rows, a metric of another kind, or the callable that this kind needs is missing.
    """
    own = metric or load_metric(task.metric)
    if problem := own.check_kind(task.kind):
        raise InputError(problem)
    if not rows:
        raise InputError(f"nothing to score: no rows for {own.name}")
    started = time.perf_counter()
    rows, notes = _that_fit(task, renderer, rows)
    parts: tuple[Slice, ...] = ()
    given = _Callables(generate, labels, logprobs, next_logprobs, tags, masked, thresholds)
    if task.kind == "language-model":
        scores, answers, note = _of_documents(task, renderer, rows, given, own)
        notes = (*notes, note)
    else:
        answers = _of_rows(task, renderer, rows, given, own, max_new_tokens)
        scores, parts = _of_answers(task.kind, own, answers)
    return Evaluation(
        metric=own.name,
        scores=scores,
        n=len(rows),
        seconds=time.perf_counter() - started,
        answers=tuple(answers),
        higher_is_better=own.higher_is_better,
        finished_share=_finished_share(answers) if task.kind in ("extract", "generate") else None,
        slices=parts,
        notes=notes,
    )


class _Callables(NamedTuple):
    """What the caller handed in; see :func:`evaluate`."""

    generate: Generate | None
    labels: LabelLogprobs | None
    logprobs: TokenLogprobs | None
    next_logprobs: NextLogprobs | None
    tags: TagLogits | None
    masked: MaskedLoss | None
    thresholds: Mapping[str, float] | None


def _of_documents(
    task: Task, renderer: Renderer, rows: Sequence[Row], given: _Callables, metric: Metric
) -> tuple[dict[str, Score], list[Answer], str]:
    context = task.device.context
    if isinstance(renderer, EncoderRenderer):
        return score_masked(renderer, rows, context, metric, _given(given.masked, "masked", "masked language-model"))
    found = score_documents(renderer, rows, context, given.logprobs, given.next_logprobs)
    return {metric.name: found.score}, _documents(renderer, found), found.note


def _of_rows(
    task: Task,
    renderer: Renderer,
    rows: Sequence[Row],
    given: _Callables,
    metric: Metric,
    max_new_tokens: int | None,
) -> list[Answer]:
    kind = task.kind
    if kind == "classify":
        return _classified(renderer, rows, _given(given.labels, "labels", kind), metric)
    if kind == "multi-label":
        labels = _given(given.labels, "labels", kind)
        return labelled(_encoder(renderer, kind), rows, labels, metric, given.thresholds)
    if kind == "tag":
        return tagged(_encoder(renderer, kind), rows, _given(given.tags, "tags", kind), metric)
    return _generated(renderer, rows, _given(given.generate, "generate", kind), max_new_tokens, metric)


def _of_answers(kind: str, metric: Metric, answers: Sequence[Answer]) -> tuple[dict[str, Score], tuple[Slice, ...]]:
    got, expected = [answer.got for answer in answers], [answer.expected for answer in answers]
    return answer_scores(kind, metric, got, expected), slices_of(kind, got, expected)


def _finished_share(answers: Sequence[Answer]) -> float:
    return sum(answer.finished for answer in answers) / len(answers)


def _that_fit(task: Task, renderer: Renderer, rows: Sequence[Row]) -> tuple[Sequence[Row], tuple[str, ...]]:
    """With ``overlong: drop`` the rows whose prompt leaves room for an answer, and a note on the others."""
    if task.overlong_rule != "drop":
        return rows, ()
    # An encoder writes nothing, so its row may fill the context.
    most = task.device.context - (0 if isinstance(renderer, EncoderRenderer) else 1)
    fitting = [row for row in rows if len(renderer.prompt_ids(row.fields)) <= most]
    if not fitting:
        raise InputError(f"no prompt of {len(rows):,} rows fits the context of {task.device.context:,} tokens")
    left_out = len(rows) - len(fitting)
    note = f"{left_out:,} of {len(rows):,} rows are not scored: their prompts fill the context (overlong: drop)"
    return fitting, (note,) if left_out else ()


def answer_scores(kind: str, metric: Metric, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Score]:
    """The task's metric first, then those always reported beside it for this kind."""
    wanted = {metric.name: metric, **{name: METRICS[name] for name in BESIDE[kind]}}
    return {name: item.score(predictions, references) for name, item in wanted.items()}


def _encoder(renderer: Renderer, kind: str) -> EncoderRenderer:
    if not isinstance(renderer, EncoderRenderer):
        raise InputError(f"a {kind} task needs an encoder, and this model's renderer writes answers")
    return renderer


T = TypeVar("T")


def _given(value: T | None, name: str, kind: str) -> T:
    if value is None:
        raise InputError(f"scoring a {kind} task needs `{name}`, and it was not given")
    return value


def _generated(
    renderer: Renderer, rows: Sequence[Row], generate: Generate, max_new_tokens: int | None, metric: Metric
) -> list[Answer]:
    references = [renderer.reference(row.fields) for row in rows]
    if max_new_tokens is None:
        longest = 1 + max(len(renderer.completion_ids(reference)) for reference in references)
        max_new_tokens = longest + longest // 4
    prompts = [renderer.prompt_ids(row.fields) for row in rows]
    generations = generate(prompts, max_new_tokens=max_new_tokens, end_id=renderer.end_id)
    answers = []
    for row, reference, generation in zip(rows, references, generations, strict=True):
        got = renderer.parse(generation.ids)
        answer = Answer(
            row=row.id,
            input=renderer.prompt_text(row.fields),
            expected=reference,
            got=got,
            value=metric.per_row(got, reference),
            finished=generation.finished,
            text=renderer.tokenizer.decode(generation.ids) if got is None else "",
        )
        answers.append(answer)
    return answers


def _classified(renderer: Renderer, rows: Sequence[Row], labels: LabelLogprobs, metric: Metric) -> list[Answer]:
    table = labels([renderer.prompt_ids(row.fields) for row in rows], renderer.label_ids)
    place = {label: index for index, label in enumerate(renderer.labels)}
    answers = []
    for row, line in zip(rows, table, strict=True):
        expected = renderer.reference(row.fields)
        got = renderer.labels[int(np.argmax(line))]
        answer = Answer(
            row=row.id,
            input=renderer.prompt_text(row.fields),
            expected=expected,
            got=got,
            value=metric.per_row(got, expected),
            # A label that no training row has cannot be answered, and has no probability.
            logprob=round(float(line[place[expected]]), 4) if expected in place else None,
        )
        answers.append(answer)
    return answers


def _documents(renderer: Renderer, found: DocumentScore) -> list[Answer]:
    answers = []
    for window, nats in zip(found.windows, found.nats, strict=False):
        value = METRICS["bits_per_byte"].per_row(nats, window.num_bytes)
        text = renderer.tokenizer.decode(window.ids[window.first :])
        answers.append(Answer(row=window.row, input="", expected=text, got=None, value=round(value, 4)))
    return answers
