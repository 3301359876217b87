"""The task's score of both on the same rows: whose callables are asked, and what a difference comes to in points."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hone.data.rows import Row
from hone.data.tokenizer import ENCODER_SPECIALS, train_tokenizer
from hone.deploy.certificate.original import EncoderOriginal, Original
from hone.deploy.certificate.scoring import compare_scores, few_rows, thresholds_by_row
from hone.evaluate.calibration import calibrate_labels
from hone.evaluate.generate import Generation
from hone.task.encoding import EncoderRenderer
from hone.task.render import Renderer
from hone.task.spec import Task

LABELS = ("play", "rate")


class Uniform:
    """A model that finds every token equally likely, less ``worse`` nats, prefers one label and repeats an answer."""

    def __init__(self, size: int, *, worse: float = 0.0, label: int = 0, answer: tuple[int, ...] = ()) -> None:
        self.size, self.worse, self.label, self.answer = size, worse, label, answer
        self.asked = 0

    def token_logprobs(self, sequences) -> list[Any]:
        self.asked += len(sequences)
        return [np.full(len(ids) - 1, -math.log(self.size) - self.worse) for ids in sequences]

    def label_logprobs(self, prompts, label_ids) -> Any:
        self.asked += len(prompts)
        return np.log(np.where(np.arange(len(label_ids)) == self.label, 0.7, 0.3))[None].repeat(len(prompts), 0)

    def generate(self, prompts, *, max_new_tokens, end_id, sampling=None) -> list[Generation]:
        self.asked += len(prompts)
        return [Generation(self.answer, True) for _ in prompts]

    def original(self) -> Original:
        return Original(
            logprobs=lambda sequences: [np.full((len(ids), self.size), -math.log(self.size)) for ids in sequences],
            generate=self.generate,
            labels=self.label_logprobs,
            token_logprobs=self.token_logprobs,
        )


def task_of(kind: str, output: Any, metric: str) -> Task:
    values = {"task": "toy", "kind": kind, "data": {"train": "x"}, "output": output, "metric": metric, "target": 0.5}
    prompt = {} if kind == "language-model" else {"input": "{text}"}
    return Task.model_validate({**values, **prompt, "device": {"context": 32, "prompt_tokens": 4}})


def renderer_of(task: Task, labels: tuple[str, ...] = ()) -> Renderer:
    tokenizer = train_tokenizer(["the song in paris"] * 20, 300, labels)
    return Renderer.of_task(task, tokenizer, labels=labels)


def test_of_documents_a_point_is_a_hundredth_of_the_originals_bits_per_byte():
    task = task_of("language-model", "{text}", "bits_per_byte")
    renderer = renderer_of(task)
    rows = [Row(str(number), {"text": "the song in paris " * (number + 1)}) for number in range(6)]
    size = renderer.tokenizer.vocab_size
    ours = Uniform(size)
    original = ours.original()
    # Every token costs a fiftieth more: two points of a hundredth each.
    theirs = Uniform(size, worse=math.log(size) / 50)
    found, evaluation = compare_scores(task, rows, (renderer, original), (renderer, theirs), None)
    assert found.in_points(found.difference.mean) == pytest.approx(-2, rel=1e-6)
    assert found.in_points(found.difference.low) == pytest.approx(-2, rel=1e-6)
    assert "no fixed range" in found.point_is
    assert evaluation.score.mean == pytest.approx(1.02 * found.original.mean)
    asked = ours.asked
    compare_scores(task, rows, (renderer, original), (renderer, theirs), None)
    assert ours.asked == asked, "the original is asked once for the same rows"


def test_of_labels_a_point_is_a_row_in_a_hundred():
    task = task_of("classify", "{label}", "accuracy")
    renderer = renderer_of(task, LABELS)
    rows = [Row(str(number), {"text": "the song", "label": LABELS[number % 4 == 0]}) for number in range(100)]
    size = renderer.tokenizer.vocab_size
    found, _ = compare_scores(
        task, rows, (renderer, Uniform(size).original()), (renderer, Uniform(size, label=1)), None
    )
    assert (found.original.mean, found.artifact.mean) == (0.75, 0.25)
    assert found.in_points(found.difference.mean) == pytest.approx(-50)
    assert found.difference.low < found.difference.mean < found.difference.high
    assert found.rows == 100


def test_written_answers_are_compared_pair_by_pair():
    task = task_of("generate", "{answer}", "exact_match")
    renderer = renderer_of(task)
    rows = [Row(str(number), {"text": "the song", "answer": "in paris"}) for number in range(10)]
    right = tuple(renderer.completion_ids("in paris"))
    size = renderer.tokenizer.vocab_size
    ours, theirs = Uniform(size, answer=right), Uniform(size, answer=right)
    found, evaluation = compare_scores(task, rows, (renderer, ours.original()), (renderer, theirs), 4)
    assert evaluation.score.mean == 1
    assert (found.difference.low, found.difference.mean, found.difference.high) == (0, 0, 0)
    assert ours.asked == 1, "equal prompts are answered once"


def test_a_quick_certificate_takes_few_documents_but_at_least_one():
    renderer = renderer_of(task_of("language-model", "{text}", "bits_per_byte"))
    long = [Row(str(number), {"text": "the song in paris " * 1000}) for number in range(3)]
    short = [Row(str(number), {"text": "the song"}) for number in range(100)]
    assert len(few_rows(renderer, long, 64)) <= 2
    assert len(few_rows(renderer, long[:1], 64)) == 1
    assert len(few_rows(renderer, short, 64)) == 64


def test_a_quick_certificate_scores_every_part_of_dev():
    """Dev that is sorted by label: the first 64 rows would all have the same one."""
    renderer = renderer_of(task_of("classify", "{label}", "accuracy"), LABELS)
    rows = [Row(str(number), {"text": "the song", "label": LABELS[number >= 500]}) for number in range(1000)]
    taken = few_rows(renderer, rows, 64)
    assert len({row.id for row in taken}) == 64
    assert 16 < sum(row.fields["label"] == "play" for row in taken) < 48
    assert taken == few_rows(renderer, rows, 64)


def test_a_row_that_chose_the_threshold_is_decided_by_that_of_the_other_half():
    """As the run's own score of dev is (:mod:`hone.evaluate.calibration`), on the same rows."""
    rng = np.random.default_rng(0)
    labels = (rng.random((100, 4)) < 0.3).astype(float)
    logits = (labels * 0.8 + rng.normal(size=labels.shape)) * 2 - 2
    found = calibrate_labels(logits, labels, lambda given, wanted: float((given == (wanted > 0)).mean()))
    ids = [f"dev:{number}" for number in range(100)]
    assert list(thresholds_by_row(found.to_json(), ids).values()) == found.thresholds_of(100)
    assert thresholds_by_row(found.to_json(), ids[:50]) == {}
    assert thresholds_by_row({}, ids) == {}
    few = calibrate_labels(logits[:20], labels[:20], lambda given, wanted: 0.0)
    assert thresholds_by_row(few.to_json(), ids[:20]) == {}


def test_both_sides_are_decided_by_the_rows_own_thresholds():
    """A label at 0.6 is given at the model's own threshold of 0.5, and on rows whose other half asks for 0.7 it is not.

    An artifact that carries another threshold than the trained one is decided by its own.
    """
    task = task_of("multi-label", "{answer}", "micro_f1")
    tokenizer = train_tokenizer(["the song in paris"] * 20, 300, specials=ENCODER_SPECIALS)
    renderer, other = (
        EncoderRenderer.for_task(task, tokenizer, tokenizer.encoder_marks, ("play", "rate")) for _ in range(2)
    )
    other.threshold = 0.9
    rows = [Row(str(number), {"text": "the song", "answer": ["play"]}) for number in range(8)]
    logits = np.array([[math.log(0.6 / 0.4), -9.0]])
    original = EncoderOriginal(logits=lambda ids, at: [logits for _ in ids])
    session = SimpleNamespace(classify=lambda ids: logits.repeat(len(ids), 0))
    thresholds = {str(number): 0.7 for number in range(4)}
    found, _ = compare_scores(task, rows, (renderer, original), (renderer, session), None, thresholds)
    assert found.original.mean == found.artifact.mean == pytest.approx(2 / 3)
    found, _ = compare_scores(task, rows, (renderer, original), (other, session), None, thresholds)
    assert (found.original.mean, found.artifact.mean) == (pytest.approx(2 / 3), 0)
