"""Answers of models that read and do not write: several labels, entities, masked tokens. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hone.data.tokens import windows
from hone.errors import InputError
from hone.evaluate.answers import Answer
from hone.evaluate.generate import LabelLogprobs, MaskedLoss, TagLogits
from hone.task.encoding import EncoderRenderer
from hone.task.masking import DEV_SEED, DEV_SHARE, Masking
from hone.task.metrics import METRICS, Metric
from hone.task.render import Example
from hone.task.scores import Score

if TYPE_CHECKING:
    from hone.data.rows import Row

MASKED_METRICS = ("masked_bits", "masked_accuracy")


def labelled(
    renderer: EncoderRenderer,
    rows: Sequence[Row],
    labels: LabelLogprobs,
    metric: Metric,
    thresholds: Mapping[str, float] | None = None,
) -> list[Answer]:
    """Rows with the labels whose probability reaches the model's threshold, or their own where ``thresholds`` has one.

    ``thresholds`` are by the ids of rows.
    """
    table, own = labels([renderer.prompt_ids(row.fields) for row in rows], renderer.label_ids), thresholds or {}
    found = [renderer.labels_from(np.exp(line), own.get(row.id)) for row, line in zip(rows, table, strict=True)]
    return [_answer(renderer, row, got, metric) for row, got in zip(rows, found, strict=True)]


def tagged(renderer: EncoderRenderer, rows: Sequence[Row], tags: TagLogits, metric: Metric) -> list[Answer]:
    """Rows with the entities that the likeliest tags say."""
    at = [renderer.supervised_at(row.fields) for row in rows]
    tables = tags([renderer.prompt_ids(row.fields) for row in rows], at)
    found = [
        renderer.entities(row.fields, table.argmax(axis=1).tolist() if len(table) else [])
        for row, table in zip(rows, tables, strict=True)
    ]
    return [_answer(renderer, row, got, metric) for row, got in zip(rows, found, strict=True)]


def _answer(renderer: EncoderRenderer, row: Row, got: Any, metric: Metric) -> Answer:
    expected = renderer.reference(row.fields)
    return Answer(
        row=row.id,
        input=renderer.prompt_text(row.fields),
        expected=expected,
        got=got,
        value=metric.per_row(got, expected),
    )


def masking_of(renderer: EncoderRenderer, share: float) -> Masking:
    """The masks of a renderer's tokenizer; random tokens are drawn from all that are not special."""
    special = {renderer.tokenizer.special_id(name) for name in renderer.marks.values()}
    special |= set(getattr(renderer.tokenizer, "specials", {}).values())
    ordinary = [one for one in range(renderer.tokenizer.vocab_size) if one not in special]
    return Masking(renderer.mask_id, ordinary, share)


def masked_rows(renderer: EncoderRenderer, rows: Sequence[Row], context: int) -> list[Example]:
    """Documents with the masks that every reading has: in windows where they are longer than the context."""
    pieces: list[Example] = []
    for row in rows:
        example = renderer.example(row.id, row.fields)
        pieces += windows(example, context) if len(example.ids) > context else [example]
    kept = [piece for piece in pieces if piece.supervised.any()]
    return masking_of(renderer, DEV_SHARE).all(kept, DEV_SEED, 0)


def score_masked(
    renderer: EncoderRenderer, rows: Sequence[Row], context: int, metric: Metric, masked: MaskedLoss
) -> tuple[dict[str, Score], list[Answer], str]:
    """Bits per masked token and the share guessed right, an answer per window, and what was scored.

    Raises:
        InputError: for a metric of another kind of model, or empty documents.
    """
    if metric.name not in MASKED_METRICS:
        raise InputError(
            f"metric: {metric.name} needs the probability of a text, which an encoder does not have; "
            f"use {' or '.join(MASKED_METRICS)}"
        )
    examples = masked_rows(renderer, rows, context)
    if not examples:
        raise InputError(f"nothing to score: the {len(rows):,} documents are empty")
    found = masked(examples)
    counts = [one.num_tokens for one in found]
    of_metric: dict[str, list[float]] = {
        "masked_bits": [one.nats for one in found],
        "masked_accuracy": [one.hits for one in found],
    }
    names = (metric.name, *(name for name in MASKED_METRICS if name != metric.name))
    scores = {name: METRICS[name].score(of_metric[name], counts) for name in names}
    answers = [
        Answer(
            row=example.row,
            input="",
            expected=renderer.tokenizer.decode(example.targets.tolist() if example.targets is not None else []),
            got=None,
            value=round(metric.per_row(value, one.num_tokens), 4),
        )
        for example, value, one in zip(examples, of_metric[metric.name], found, strict=True)
    ]
    note = (
        f"{sum(counts):,} tokens of {len(rows):,} documents in {len(examples):,} windows were masked, always the same"
    )
    return scores, answers, note
