"""An artifact is compared, and calibrated, on what training reads of the rows: no more, and nothing cut otherwise."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hone.data.rows import Row
from hone.data.tokenizer import ENCODER_SPECIALS, train_tokenizer
from hone.data.tokens import examples
from hone.solving.compared import rendered_rows, witness_of
from hone.task.encoding import EncoderRenderer
from hone.task.render import Renderer
from hone.task.spec import Task

CONTEXT = 48


def renderer_of(kind: str, labels: tuple[str, ...] = ()) -> Renderer:
    documents = kind == "language-model"
    tokenizer = train_tokenizer([f" play the song {at}" for at in range(40)], 300, labels)
    template = "{text}" if documents else "{answer}"
    return Renderer(
        kind=kind,
        input_template=None if documents else "{text}",
        output_template=template,
        tokenizer=tokenizer,
        labels=labels,
    )


def task_of(kind: str, rule: str) -> Any:
    return SimpleNamespace(kind=kind, overlong_rule=rule, device=SimpleNamespace(context=CONTEXT))


def rows_of(*texts: str) -> list[Row]:
    return [Row(id=f"dev:{at}", fields={"text": text, "answer": "play"}) for at, text in enumerate(texts)]


@pytest.mark.parametrize(("kind", "rule"), [("generate", "drop"), ("language-model", "split")])
def test_rows_over_the_context_are_read_as_training_reads_them(kind: str, rule: Any, tmp_path: Path) -> None:
    renderer = renderer_of(kind)
    rows = rows_of("song", "the song " * 90, "play song")
    trained = examples(rows, renderer, tmp_path, context=CONTEXT, overlong=rule, say=lambda line: None, split="dev")
    compared, notes = rendered_rows(renderer, rows, task_of(kind, rule))
    assert [one.row for one in compared] == [one.row for one in trained]
    assert all(np.array_equal(ours.ids, theirs.ids) for ours, theirs in zip(compared, trained, strict=True))
    assert sum(int(one.supervised.sum()) for one in compared) == trained.num_supervised
    left_out = ["1 of 3 rows left out: longer than the context of 48 tokens"]
    assert notes == (left_out if rule == "drop" else [])


def test_a_row_that_training_would_refuse_is_left_out_and_said() -> None:
    compared, notes = rendered_rows(renderer_of("generate"), rows_of("the " * 90), task_of("generate", "error"))
    assert compared == []
    assert notes == ["1 of 1 row left out: longer than the context of 48 tokens"]


def test_rows_of_labels_that_the_model_does_not_know_are_counted() -> None:
    renderer = renderer_of("classify", ("play", "rate"))
    rows = [*rows_of("song"), Row(id="dev:9", fields={"text": "song", "answer": "book"})]
    compared, notes = rendered_rows(renderer, rows, task_of("classify", "error"))
    assert [one.row for one in compared] == ["dev:0"]
    assert notes == ["1 of 2 rows left out: the model does not know their label"]


def test_rows_are_rendered_until_there_are_enough_positions() -> None:
    renderer, rows = renderer_of("generate"), rows_of(*["song"] * 20)
    one = int(renderer.example("dev:0", rows[0].fields).supervised.sum())
    compared, _ = rendered_rows(renderer, rows, task_of("generate", "drop"), positions=one + 1)
    assert len(compared) == 2


def test_rows_that_chose_a_threshold_are_not_decided_by_it_in_a_certificate() -> None:
    values = {"task": "toy", "kind": "multi-label", "data": {"train": "x"}, "input": "{text}", "output": "{answer}"}
    device = {"context": CONTEXT, "prompt_tokens": 8}
    task = Task.model_validate({**values, "target": 0.5, "base": "scratch:bert-1m", "device": device})
    tokenizer = train_tokenizer(["play a song"] * 20, 300, specials=ENCODER_SPECIALS)
    renderer = EncoderRenderer.for_task(task, tokenizer, tokenizer.encoder_marks, ("play", "rate"))
    rows = [Row(str(number), {"text": "play a song", "answer": ["play"]}) for number in range(40)]
    chosen = {"thresholds": [0.3, 0.6], "threshold_why_not": "", "rows": 40}
    cases: list[tuple[dict[str, Any], set[float], int]] = [
        (chosen, {0.3, 0.6}, 0),
        ({**chosen, "rows": 39}, set(), 1),
        ({**chosen, "threshold_why_not": "too few rows"}, set(), 0),
    ]
    for calibration, thresholds, notes in cases:
        hone = {"calibration": calibration, "examples": []}
        model: Any = SimpleNamespace(renderer=lambda: renderer, load=lambda: None, hone=hone)
        data: Any = SimpleNamespace(dev=rows, id="data")
        found = witness_of(model, task, data, None, "quick")
        assert set(found.thresholds.values()) == thresholds
        assert len(found.notes) == notes
