"""Conversations from rows to a saved model that continues them, from scratch and from a base."""

from __future__ import annotations

import json

import pytest
import torch

import hone
from hone.model.folder import HONE_FILE
from hone.own_loops import StepLoss
from hone.task.conversation import MARKS

TASK = """
task: names
kind: generate
data: {train: train.jsonl, dev: 8, test: test.jsonl}
conversation: "{messages}"
metric: exact_match
target: 0.5
device: {context: 64, prompt_tokens: 16}
"""
TINY = {"base": "scratch:tiny", "vocab_size": 400, "context": 64, "batch_size": 8, "steps": 4, "warmup_steps": 1}
NAMES = ("ann", "bob", "eve", "dan")


def messages(number):
    name = NAMES[number % 4]
    return [
        {"role": "user", "content": f"i am {name} {number}"},
        {"role": "assistant", "content": f"hello {name}"},
        {"role": "user", "content": "who am i"},
        {"role": "assistant", "content": name},
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("names")
    (place / "hone.yaml").write_text(TASK)
    for split, numbers in (("train", range(48)), ("test", range(100, 108))):
        rows = [json.dumps({"messages": messages(number)}) for number in numbers]
        (place / f"{split}.jsonl").write_text("\n".join(rows))
    return place


def test_the_loss_is_that_of_each_answer_alone_given_all_before_it(folder):
    parts = hone.training_parts(folder, TINY)
    example = parts.bench.train[0]
    row = next(row for row in parts.bench.train_rows if row.id == example.row)
    renderer = parts.bench.renderer
    total = 0.0
    for end in (2, 4):  # each answer as a row of its own: what single-turn training would see
        fields = {"messages": row.fields["messages"][:end]}
        prompt = renderer.prompt_ids(fields)
        answer = [*renderer.completion_ids(renderer.reference(fields)), renderer.end_id]
        logits = parts.model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].detach().log_softmax(-1)
        total -= sum(float(logits[len(prompt) - 1 + at, one]) for at, one in enumerate(answer))
    (step,) = parts.share_of_step([(example,)])
    found = StepLoss(parts.model, parts.objective)(step)
    assert step.step_tokens == sum(example.supervised.tolist())
    assert float(found.detach()) * step.step_tokens == pytest.approx(total, rel=1e-5)


def test_packed_conversations_have_the_loss_that_they_have_alone(folder):
    parts = hone.training_parts(folder, {**TINY, "packing": True, "batch_size": 2})
    rows = next(iter(parts.source.steps(0)))
    assert any(len(row) > 1 for row in rows)
    (packed,) = parts.share_of_step(rows)
    (alone,) = parts.share_of_step([(example,) for row in rows for example in row])
    assert packed.step_tokens == alone.step_tokens
    assert float(parts.step_loss(packed).detach()) == pytest.approx(float(parts.step_loss(alone).detach()), rel=1e-5)


def test_a_saved_model_continues_a_conversation_and_a_base_gets_the_marks(folder, tmp_path):
    said = []
    first = hone.training_parts(folder, TINY)
    base = first.save(tmp_path / "base")
    (base / HONE_FILE).unlink()  # now it is anybody's model
    (base / "chat_template.jinja").write_text("{{ messages }}")
    config = json.loads((base / "tokenizer.json").read_text())
    names = set(MARKS.values())
    config["added_tokens"] = [token for token in config["added_tokens"] if token["content"] not in names]
    for name in names:
        config["model"]["vocab"].pop(name, None)
    (base / "tokenizer.json").write_text(json.dumps(config))

    parts = hone.training_parts(
        folder, {"base": str(base), "context": 64, "optimizer": "adamw", "learning_rate": 1e-3},
        say=said.append,
    )  # fmt: skip
    assert any("has a chat template, which is a program and is not run" in line for line in said)
    ids = [parts.bench.tokenizer.special_id(name) for name in names]
    assert min(ids) >= first.bench.tokenizer.vocab_size - len(names)
    assert parts.model.get_input_embeddings().weight.shape[0] >= max(ids) + 1
    (step, *_) = parts.step_batches(steps=1)
    parts.step_loss(step).backward()
    user = parts.bench.tokenizer.special_id(MARKS["user"])
    assert float(parts.model.get_input_embeddings().weight.grad[user].abs().sum()) > 0  # the new row is trained

    asked = [*messages(3)[:3]]
    with hone.load(parts.save(tmp_path / "model")) as model:
        answer = model.generate(asked)
        assert answer.prompt_tokens == len(parts.bench.renderer.prompt_ids({"messages": asked}))
        assert answer.value == parts.answers([{"messages": asked}])[0]
        one = [{"role": "user", "content": "i am eve 7"}]
        assert model.generate("i am eve 7").prompt_tokens == len(model.renderer.prompt_ids({"messages": one}))
