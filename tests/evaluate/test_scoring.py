"""Scoring with models that know everything, nothing, or half of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest

from hone.data.rows import Row
from hone.errors import InputError
from hone.evaluate.documents import windows_of
from hone.evaluate.generate import GREEDY, Generation, Sampling, taken_of
from hone.evaluate.scoring import evaluate
from hone.task.own_metric import own_metric


class Oracle:
    """Knows the answers; ``wrong`` maps a row's position to what it writes instead."""

    def __init__(self, renderer, rows, wrong: dict[int, str] | None = None) -> None:
        self.answers = {}
        for index, row in enumerate(rows):
            ids = renderer.completion_ids(renderer.reference(row.fields))
            text = (wrong or {}).get(index)
            self.answers[tuple(renderer.prompt_ids(row.fields))] = (
                Generation(tuple(ids), True)
                if text is None
                else Generation(tuple(renderer.tokenizer.encode(text)), False)
            )
        self.max_new_tokens = 0

    def __call__(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, end_id: int, sampling: Sampling = GREEDY
    ) -> list[Generation]:
        self.max_new_tokens = max_new_tokens
        return [self.answers[tuple(prompt)] for prompt in prompts]


@pytest.mark.parametrize("kind", ["extract", "generate"])
def test_who_knows_everything_scores_one(kind, task_of, renderer_of, rows):
    renderer = renderer_of(kind)
    found = evaluate(task_of(kind), renderer, rows, generate=Oracle(renderer, rows))
    assert {score.mean for score in found.scores.values()} == {1.0}
    assert found.score.n == found.n == 5
    assert found.finished_share == 1.0
    assert found.predictions == tuple(renderer.reference(row.fields) for row in rows)


def test_what_cannot_be_parsed_is_kept_as_it_was_written(task_of, renderer_of, rows):
    renderer = renderer_of("extract")
    oracle = Oracle(renderer, rows, {1: '{"intent":', 3: '{"intent":" b","slots":{"n":" 3"}}'})
    found = evaluate(task_of("extract"), renderer, rows, generate=oracle)
    # 10 gold pairs, 8 claimed, 7 of them right.
    assert found.score.mean == pytest.approx(2 * 7 / (10 + 8))
    assert found.scores["exact_match"].mean == 3 / 5
    assert found.finished_share == 3 / 5
    assert [answer.row for answer in found.worst[:2]] == ["rows.jsonl:2", "rows.jsonl:4"]
    assert (found.worst[0].got, found.worst[0].text) == (None, '{"intent":')
    assert found.worst[1].value == 0.5


def test_an_answer_may_be_a_quarter_longer_than_the_longest_gold_one(task_of, renderer_of, rows):
    renderer = renderer_of("generate")
    oracle = Oracle(renderer, rows)
    evaluate(task_of("generate"), renderer, rows, generate=oracle)
    assert oracle.max_new_tokens == 10 + 10 // 4  # " number 0" and the end
    evaluate(task_of("generate"), renderer, rows, generate=oracle, max_new_tokens=77)
    assert oracle.max_new_tokens == 77


def test_a_label_is_the_largest_logprob(task_of, renderer_of, rows):
    table = np.log([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.4, 0.5, 0.1], [0.1, 0.8, 0.1], [0.9, 0.05, 0.05]])
    found = evaluate(task_of("classify"), renderer_of("classify"), rows, labels=lambda prompts, ids: table)
    # Gold: no yes no perhaps no; the table says no no perhaps perhaps no.
    assert found.predictions == ("no", "no", "perhaps", "perhaps", "no")
    assert found.score.mean == 3 / 5
    assert set(found.scores) == {"accuracy", "macro_f1"}
    assert found.finished_share is None
    # The surest mistake first: the gold label had 0.1 there, 0.4 in the other.
    assert [answer.row for answer in found.worst[:2]] == ["rows.jsonl:2", "rows.jsonl:3"]
    assert found.worst[0].logprob == pytest.approx(math.log(0.1), abs=1e-4)


def test_a_label_that_training_never_had_is_a_miss_and_no_error(task_of, renderer_of, rows):
    odd = Row("rows.jsonl:9", {**rows[0].fields, "label": "never"})
    found = evaluate(
        task_of("classify"), renderer_of("classify"), [rows[0], odd], labels=lambda prompts, ids: np.zeros((2, 3))
    )
    assert found.score.mean == 0.5
    assert found.answers[1].logprob is None


def test_an_evaluation_is_json(task_of, renderer_of, rows):
    renderer = renderer_of("extract")
    found = evaluate(task_of("extract"), renderer, rows, generate=Oracle(renderer, rows, {0: "?"}))
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["scores"]["field_f1"]["n"] == 5
    assert data["worst"][0]["text"] == "?"
    assert [sample["row"] for sample in data["samples"]] == [row.id for row in rows]


def test_the_users_own_metric_decides_and_the_usual_ones_stand_beside(task_of, renderer_of, rows):
    renderer = renderer_of("generate")
    metric = own_metric(lambda prediction, reference: float(len(prediction)), "length")
    found = evaluate(task_of("generate"), renderer, rows, generate=Oracle(renderer, rows, {2: " hi"}), metric=metric)
    assert (found.metric, found.score.mean) == ("length", pytest.approx((4 * 8 + 2) / 5))
    assert list(found.scores) == ["length", "rouge_l", "chrf", "exact_match"]


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("extract", "`generate`"), ("classify", "`labels`"), ("language-model", "`logprobs` or `next_logprobs`")],
)
def test_the_missing_callable_is_named(kind, missing, task_of, renderer_of, rows):
    with pytest.raises(InputError, match=missing):
        evaluate(task_of(kind), renderer_of(kind), rows)


def test_no_rows_are_refused(task_of, renderer_of):
    with pytest.raises(InputError, match="nothing to score"):
        evaluate(task_of("extract"), renderer_of("extract"), [], generate=Oracle(renderer_of("extract"), []))


# documents


def uniform(sequences: Sequence[Sequence[int]]) -> list[np.ndarray]:
    return [np.full(len(ids) - 1, -math.log(260)) for ids in sequences]


@pytest.fixture
def documents() -> list[Row]:
    texts = ["short", "a longer document with naïve Ünïcode, " * 9, "x" * 63, "y" * 64]
    return [Row(f"text:{number}", {"text": text}) for number, text in enumerate(texts)]


def test_a_uniform_model_costs_log2_of_its_vocabulary_per_byte_token(task_of, renderer_of, documents):
    found = evaluate(task_of("language-model"), renderer_of("language-model"), documents, logprobs=uniform)
    assert found.score.mean == pytest.approx(math.log2(260))
    assert found.n == 4
    num_bytes = sum(len(row.fields["text"].encode()) for row in documents)
    assert f"{num_bytes:,} bytes of raw text are {num_bytes:,} tokens" in found.notes[0]


def test_a_sample_of_positions_says_the_same_of_a_uniform_model(task_of, renderer_of, documents):
    asked = []

    def next_logprobs(ids: Sequence[int]) -> np.ndarray:
        asked.append(tuple(ids))
        return np.full(260, -math.log(260))

    found = evaluate(task_of("language-model"), renderer_of("language-model"), documents, next_logprobs=next_logprobs)
    assert found.score.mean == pytest.approx(math.log2(260))
    assert found.score.n == len(asked) == sum(len(row.fields["text"].encode()) for row in documents)
    assert max(map(len, asked)) < 64
    assert all(ids[0] == 1 for ids in asked)


@pytest.mark.parametrize("context", [8, 9, 64])
def test_windows_score_each_token_once_and_share_out_each_byte(context, renderer_of, documents):
    renderer = renderer_of("language-model")
    windows = windows_of(renderer, documents, context)
    for row in documents:
        mine = [window for window in windows if window.row == row.id]
        scored = [token for window in mine for token in window.ids[window.first :]]
        assert scored == renderer.tokenizer.encode(row.fields["text"])
        assert sum(window.num_bytes for window in mine) == pytest.approx(len(row.fields["text"].encode()))
        # After the first window a token has at least half a context before it.
        assert all(window.first >= (context - 1) // 2 for window in mine[1:])
    assert max(len(window.ids) for window in windows) <= context


def test_full_tables_give_the_taken_logprobs():
    table = np.log(np.random.default_rng(0).dirichlet(np.ones(7), size=4))
    (found,) = taken_of(lambda sequences: [table for _ in sequences])([[3, 1, 6, 2]])
    assert found.tolist() == [table[0, 1], table[1, 6], table[2, 2]]
