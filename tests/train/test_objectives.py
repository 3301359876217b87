"""The loss: equal to the textbook's, blind to padding, and packed documents do not see each other (law 3)."""

from __future__ import annotations

import math

import pytest
import torch
from small_runs import END, VOCAB, examples, model
from torch.nn import functional

from hone.train.batches import Batch, collate
from hone.train.objectives import NextToken, supervised_logits


def loss_of(batch: Batch, smoothing: float = 0.0) -> float:
    total, num_tokens = NextToken(smoothing).loss(model(), batch)
    assert int(num_tokens) == int(batch.supervised.sum())
    return float(total.detach())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_sum_of_cross_entropies_at_supervised_ids(smoothing: float) -> None:
    module, rows = model(), examples(3)
    by_hand = 0.0
    for row in rows:
        logits = module(input_ids=torch.tensor(row.ids[None]).long(), use_cache=False).logits[0].double().detach()
        logprobs = functional.log_softmax(logits, -1)
        for position in range(1, len(row.ids)):
            if row.supervised[position]:
                line = logprobs[position - 1]
                by_hand -= float((1 - smoothing) * line[int(row.ids[position])] + smoothing * line.mean())
    assert loss_of(collate([(row,) for row in rows]), smoothing) == pytest.approx(by_hand, rel=1e-5)


def test_padding_changes_no_logit_by_a_bit() -> None:
    short, long = examples(1, longest=10)[0], examples(1, seed=5, shortest=40, longest=40)[0]
    module = model()
    batch = collate([(short,), (long,)])
    count = int(short.supervised.sum())
    with torch.no_grad():
        before = supervised_logits(module, batch)[:count]
        batch.ids[0, len(short.ids) :] = END  # whatever stands in the padding
        assert torch.equal(supervised_logits(module, batch)[:count], before)
        alone = supervised_logits(module, collate([(short,)]))
    assert torch.allclose(alone, before, atol=1e-6)


def test_packed_documents_do_not_see_each_other() -> None:
    first, second, third = examples(3)
    other = examples(1, seed=9, shortest=len(first.ids), longest=len(first.ids))[0]
    module = model()
    skip = int(first.supervised.sum())
    with torch.no_grad():
        one = supervised_logits(module, collate([(first, second, third)]))
        two = supervised_logits(module, collate([(other, second, third)]))
    assert not torch.equal(one[:skip], two[:skip])
    assert torch.equal(one[skip:], two[skip:])


def test_packed_documents_leave_each_others_gradients_alone() -> None:
    first, second = examples(2)
    other = examples(1, seed=9, shortest=len(first.ids), longest=len(first.ids))[0]

    def gradient_of_second(neighbour: object) -> torch.Tensor:
        module, batch = model(), collate([(neighbour, second)])
        logits = supervised_logits(module, batch)[-int(second.supervised.sum()) :]
        functional.cross_entropy(logits, batch.targets[-len(logits) :], reduction="sum").backward()
        gradient: torch.Tensor = module.model.layers[0].self_attn.q_proj.weight.grad
        return gradient

    assert torch.equal(gradient_of_second(first), gradient_of_second(other))


def test_packed_equals_unpacked() -> None:
    rows, module = examples(6), model()
    with torch.no_grad():
        packed = supervised_logits(module, collate([tuple(rows[:3]), tuple(rows[3:])]))
        plain = torch.cat([supervised_logits(module, collate([(row,)])) for row in rows])
    assert (packed - plain).abs().max() < 1e-5


def test_an_empty_share_adds_nothing() -> None:
    module = model()
    total, num_tokens = NextToken().loss(module, collate([]))
    total.backward()
    assert (float(total), int(num_tokens)) == (0.0, 0)
    assert all(param.grad is None or not param.grad.any() for param in module.parameters())


def test_an_untrained_model_guesses_uniformly() -> None:
    batch = collate([(row,) for row in examples(20)])
    assert loss_of(batch) / len(batch.targets) == pytest.approx(math.log(VOCAB), abs=0.1)
