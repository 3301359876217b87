"""The task's score of both on the same rows: whose callables are asked, and what a difference comes to in points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hone.data.rows import Row
from hone.data.tokenizer import train_tokenizer
from hone.deploy.certificate.original import Original
from hone.deploy.certificate.scoring import compare_scores, few_rows
from hone.evaluate.generate import Generation
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
