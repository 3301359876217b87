"""The parts of a run: their loss is the engine's, however a step is cut; what loops of others need is there."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace

import pytest
import torch

import hone
from hone.cli.train import _recipe
from hone.errors import InputError
from hone.own_loops import StepLoss, Together, model_inputs
from hone.train.source import Cursor

TINY = {"base": "scratch:tiny", "vocab_size": 700, "context": 160, "swap_values": 0, "batch_size": 8, "steps": 6}


@pytest.fixture(scope="module")
def parts(voice):
    return hone.training_parts(voice, TINY)


def gradient(parts, cuts):
    """The gradient of the first step, in float64: ``cuts`` are accumulation and processes."""
    accumulate, processes = cuts
    module = StepLoss(parts.model.double(), parts.objective)
    for param in parts.model.parameters():
        param.grad = None
    rows, _ = parts.source.read(Cursor())
    cut = replace(parts, recipe=parts.recipe.child(accumulate=accumulate))
    loss = 0.0
    for rank in range(processes):
        steps = cut.share_of_step(rows, rank=rank, processes=processes)
        assert [step.is_last for step in steps] == [False] * (accumulate - 1) + [True]
        for step in steps:
            part = module(step) / processes  # what a data-parallel wrapper does to gradients
            part.backward()
            loss += part.item()
    found = torch.cat([param.grad.flatten().clone() for param in parts.model.parameters()])
    parts.model.float()
    return loss, found


@pytest.mark.parametrize("cuts", [(2, 1), (8, 1), (1, 2), (2, 2), (1, 3)])
def test_a_step_has_one_gradient_however_it_is_cut(parts, cuts):
    loss, whole = gradient(parts, (1, 1))
    same, cut = gradient(parts, cuts)
    assert same == pytest.approx(loss, rel=1e-9)
    assert (cut - whole).abs().max() <= 1e-6 * whole.abs().max()  # law 2


def test_the_step_loss_is_the_mean_over_all_supervised_tokens_of_the_step(parts):
    rows, _ = parts.source.read(Cursor())
    (step,) = parts.share_of_step(rows)
    logits = parts.model(input_ids=step.batch.ids).logits.detach()
    nats, count = 0.0, 0
    for index, (example,) in enumerate(rows):
        for at in range(1, len(example.ids)):
            if example.supervised[at]:
                nats -= float(torch.log_softmax(logits[index, at - 1], -1)[int(example.ids[at])])
                count += 1
    assert step.step_tokens == count
    assert parts.step_loss(step).item() == pytest.approx(nats / count, rel=1e-5)


def test_the_collator_for_transformers_gives_the_same_loss_by_the_models_own_head(parts):
    rows, _ = parts.source.read(Cursor())
    (step,) = parts.share_of_step(rows)
    inputs = model_inputs([example for (example,) in rows])
    count = int((inputs["labels"] != -100).sum())
    own = parts.model(**inputs, num_items_in_batch=count).loss
    assert own.item() == pytest.approx(parts.step_loss(step).item(), rel=1e-5)
    assert bool(((inputs["labels"] == inputs["input_ids"]) | (inputs["labels"] == -100)).all())


def test_all_rows_of_an_epoch_come_once_over_all_processes(parts):
    seen = []
    for rank in range(2):
        steps = parts.step_batches(steps=parts.steps_per_epoch, rank=rank, processes=2)
        seen += [row for step in steps for row in step.batch.rows]
    assert sorted(seen) == sorted(example.row for example in parts.bench.train)


def test_optimizers_together_move_weights_as_they_do_apart():
    def run(together):
        torch.manual_seed(0)
        one, two = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
        apart = [torch.optim.AdamW(one.parameters(), lr=0.1), torch.optim.SGD(two.parameters(), lr=0.2, momentum=0.9)]
        optimizers = [Together(apart)] if together else apart
        schedules = [torch.optim.lr_scheduler.LambdaLR(item, lambda step: 1 / (step + 1)) for item in optimizers]
        for at in range(4):
            two(one(torch.ones(1, 4))).square().sum().backward()
            for item in (*optimizers, *schedules):
                item.step()
            for item in optimizers:
                item.zero_grad()
            if together and at == 1:  # what a checkpoint does
                fresh = Together([torch.optim.AdamW(one.parameters()), torch.optim.SGD(two.parameters())])
                fresh.load_state_dict(optimizers[0].state_dict())
                schedules[0].optimizer = optimizers[0] = fresh
        return torch.cat([param.detach().flatten() for param in (*one.parameters(), *two.parameters())])

    assert torch.equal(run(together=True), run(together=False))


def test_a_saved_model_is_opened_and_answers(parts, tmp_path):
    path = parts.save(tmp_path / "model")
    asked = [row.fields for row in parts.bench.data.dev[:2]]
    with hone.load(path) as model:
        assert parts.answers(asked) == [model.ask(fields) for fields in asked]


def test_a_shorter_run_is_as_short_here_as_by_hone_train(voice):
    for changes in ({"steps": 40}, {"steps": 40, "warmup_steps": 7}, {"steps": 13, "eval_every": 3}):
        here = hone.training_parts(voice, {**TINY, **changes}, carried_out=["eval_every"]).recipe
        there, _ = _recipe(voice, None, {**TINY, **changes})
        assert here.differences(there.child(threads=here.threads, data=here.data)) == {}
        assert here.warmup_steps < here.steps / 4
        assert here.eval_every < here.steps
    said = []
    hone.training_parts(voice, {**TINY, "steps": 40}, say=said.append)
    assert [line for line in said if "follows from steps 40" in line]


def test_wrong_changes_are_said_all_at_once(voice):
    with pytest.raises(InputError) as caught:
        hone.training_parts(voice, {"lerning_rate": 1e-3, "batchsize": 4})
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        '"lerning_rate" is not part of a recipe',
        '"batchsize" is not part of a recipe',
    ]


def test_keys_that_only_the_engine_carries_out_are_said_where_they_were_set(voice):
    said = []
    hone.training_parts(voice, {**TINY, "precision": "bf16-mixed", "early_stop": 3, "average": 0.9}, say=said.append)
    lines = [line.split(" by itself")[0] for line in said if "in a loop of one's own" in line]
    assert lines == ["average 0.9 does nothing", "precision bf16-mixed does nothing", "early_stop 3 does nothing"]
    with pytest.warns(UserWarning, match="^keep_states 5 does nothing by itself"):
        parts = hone.training_parts(voice, {**TINY, "keep_states": 5, "average": 0.9}, carried_out=["average"])
    whole = []
    hone.training_parts(voice, parts.recipe, say=whole.append)
    assert [line.split(" does")[0] for line in whole if "by itself" in line] == ["average 0.9", "keep_states 5"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        hone.training_parts(voice, {**TINY, "precision": "auto"})


def test_gradient_checkpointing_acts_and_leaves_the_gradient_as_it_is(voice, parts):
    again = hone.training_parts(voice, {**TINY, "gradient_checkpointing": True})
    switched = [[layer.gradient_checkpointing for layer in one.model.model.layers] for one in (again, parts)]
    assert switched == [[True, True], [False, False]]
    again.model.train()
    (_, computed_again), (_, kept) = gradient(again, (1, 1)), gradient(parts, (1, 1))
    assert (computed_again - kept).abs().max() <= 1e-6 * kept.abs().max()


@pytest.mark.parametrize(
    ("kind", "output", "objective"),
    [("multi-label", "{labels}", "classify-sequence"), ("tag", "{entities}", "tag-tokens")],
)
def test_several_labels_and_tags_are_answered_as_the_saved_model_answers(kind, output, objective, tmp_path):
    city = {"type": "city", "text": "oslo"}
    rows = [
        {"text": f"{word} {number} in oslo", "labels": [word, "city"][: 1 + number % 2], "entities": [city]}
        for number in range(60)
        for word in ("rain", "play")
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = {
        "task": "t",
        "kind": kind,
        "data": {"train": "train.jsonl", "dev": 20},
        "base": "scratch",
        "input": "{text}",
    }
    task |= {"output": output, "target": 0.5, "device": {"context": 64, "prompt_tokens": 16}}
    (tmp_path / "hone.yaml").write_text(json.dumps(task))
    changes = {"base": "scratch:bert-tiny", "objective": objective, "vocab_size": 300, "optimizer": "adamw"}
    made = hone.training_parts(tmp_path, {**changes, "steps": 8, "batch_size": 8, "init_std": 0.2})
    asked = [row.fields for row in made.bench.data.dev]
    answers = made.answers(asked)
    path = made.save(tmp_path / "model")
    with hone.load(path) as model:
        assert answers == [model.ask(fields["text"]) for fields in asked]
    assert any(answers)


def test_the_core_imports_no_trainer(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_lightning", None)
    monkeypatch.delitem(sys.modules, "hone.lightning", raising=False)
    import hone.own_loops

    with pytest.raises(ImportError, match=r'pip install "hone-lm\[lightning\]"'):
        import hone.lightning  # noqa: F401
