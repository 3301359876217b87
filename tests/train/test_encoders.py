"""Encoders on the engine: targets stand where they are predicted, padding and neighbours are never seen."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from small_encoders import (
    CLASSES,
    FAMILIES,
    classified,
    encoder,
    fit_masked,
    fit_masked_two,
    gradients_of,
    gradients_of_two,
    tagged,
)
from small_runs import apart
from torch.nn import functional

from hone.errors import InputError
from hone.model.heads import encoder_logits, pool_by_mean
from hone.train.batches import Batch, collate
from hone.train.objectives import AtPositions, Objective, SeveralLabels

CLASS_WEIGHTS = [0.5, 1.0, 1.5, 2.0, 0.1]


def logits_of(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        return encoder_logits(model, batch.ids, batch.lengths, batch.predict_from, position_ids=batch.position_ids)


def test_targets_stand_where_they_are_predicted() -> None:
    rows = tagged(3)
    batch = collate([(row,) for row in rows])
    assert batch.bidirectional
    width = batch.ids.shape[1]
    at = [index * width + int(p) for index, row in enumerate(rows) for p in np.flatnonzero(row.supervised)]
    assert batch.predict_from.tolist() == at
    assert batch.targets.tolist() == [int(t) for row in rows for t in row.targets[row.supervised]]


def test_several_labels_travel_beside_the_rows() -> None:
    rows = classified(4, several=True)
    batch = collate([(row,) for row in rows])
    assert batch.bidirectional
    assert batch.labels is not None
    assert np.array_equal(batch.labels.numpy(), np.stack([row.labels for row in rows]))
    assert batch.predict_from.tolist() == [index * batch.ids.shape[1] for index in range(4)]


@pytest.mark.parametrize("packed", [False, True])
def test_one_row_of_a_batch_is_that_row_alone(packed: bool) -> None:
    rows = tagged(4)
    groups = [tuple(rows[:2]), tuple(rows[2:])] if packed else [(row,) for row in rows]
    batch = collate(groups)
    for index, group in enumerate(groups):
        one, alone = batch.one_row(index), collate([group])
        for name in ("ids", "supervised", "predict_from", "targets", "lengths"):
            assert torch.equal(getattr(one, name), getattr(alone, name)), name
        assert packed or one.rows == alone.rows


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", ["MaskedLM", "TokenClassification", "SequenceClassification"])
def test_padding_and_what_stands_in_it_change_no_logit(family: str, head: str) -> None:
    make = classified if head == "SequenceClassification" else tagged
    short, long = make(1)[0], make(40)[-1]
    model, batch = encoder(family, head), collate([(short,), (long,), (make(9, seed=3)[-1],)])
    count = int(short.supervised.sum())
    alone = logits_of(model, collate([(short,)]))
    beside = logits_of(model, batch)[:count]
    assert (beside - alone).abs().max() < 1e-5
    batch.ids[0, len(short.ids) :] = 7
    assert torch.equal(logits_of(model, batch)[:count], beside)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", ["MaskedLM", "TokenClassification"])
def test_gathering_before_the_head_is_gathering_behind_it(family: str, head: str) -> None:
    model, row = encoder(family, head), tagged(1)[0]
    with torch.no_grad():
        full = model(input_ids=torch.tensor(row.ids[None]).long()).logits[0]
    found = logits_of(model, collate([(row,)]))
    assert torch.allclose(found, full[torch.from_numpy(row.supervised)], atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_rows_of_an_encoder_do_not_see_each_other(family: str) -> None:
    rows, model = tagged(4), encoder(family, "MaskedLM")
    other = tagged(1, seed=9, shortest=len(rows[0].ids), longest=len(rows[0].ids))[0]
    packed = logits_of(model, collate([tuple(rows[:2]), tuple(rows[2:])]))
    plain = torch.cat([logits_of(model, collate([(row,)])) for row in rows])
    assert (packed - plain).abs().max() < 1e-5
    changed = logits_of(model, collate([(other, rows[1]), tuple(rows[2:])]))
    skip, less = int(rows[0].supervised.sum()), int(other.supervised.sum())
    assert torch.equal(changed[less:], packed[skip:])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_mean_of_a_row_is_that_of_its_own_tokens(family: str) -> None:
    model, rows = encoder(family, "SequenceClassification"), classified(3)
    first = logits_of(model, collate([(row,) for row in rows]))
    pool_by_mean(model)
    assert "pooler" not in "".join(name for name, _ in model.named_parameters())
    batch = collate([(row,) for row in rows])
    beside = logits_of(model, batch)
    assert not torch.allclose(beside, first)
    for row, line in zip(rows, beside, strict=True):
        with torch.no_grad():
            mean = model.base_model(torch.tensor(row.ids[None]).long())[0].mean(1)
            if family == "bert":
                by_hand = model.classifier(mean)
            elif family == "distilbert":
                by_hand = model.classifier(torch.relu(model.pre_classifier(mean)))
            else:
                by_hand = model.classifier(mean[:, None])
        assert torch.allclose(line, by_hand[0], atol=1e-5)


def test_pooling_that_a_family_does_not_know_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="pooling mean is not known for BertForMaskedLM"):
        pool_by_mean(encoder("bert", "MaskedLM"))


OBJECTIVES: dict[str, tuple[str, Objective]] = {
    "masked": ("MaskedLM", AtPositions()),
    "tags": ("TokenClassification", AtPositions(class_weights=CLASS_WEIGHTS)),
    "class": ("SequenceClassification", AtPositions(0.1, CLASS_WEIGHTS)),
    "several": ("SequenceClassification", SeveralLabels(CLASS_WEIGHTS)),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_one_batch_or_several_the_gradient_is_the_same(name: str) -> None:
    head, objective = OBJECTIVES[name]
    rows = classified(8, several=name == "several") if head.startswith("Seq") else tagged(8, outputs=CLASSES)
    whole = encoder("bert", head).double()
    cut = copy.deepcopy(whole)
    parts = [collate([(row,) for row in rows[:3]]), collate([(row,) for row in rows[3:]]), collate([])]
    losses = [objective.loss(cut, part) for part in parts]
    for loss in losses:
        loss.total.backward()
    together = objective.loss(whole, collate([(row,) for row in rows]))
    together.total.backward()
    assert int(sum(loss.num_tokens for loss in losses)) == int(together.num_tokens)
    for one, other in zip(whole.parameters(), cut.parameters(), strict=True):
        if one.grad is not None:
            assert (one.grad - other.grad).abs().max() <= 1e-6 * max(1e-12, float(one.grad.abs().max()))


def test_the_loss_of_tags_is_the_weighted_cross_entropy_by_hand() -> None:
    model, rows = encoder("bert", "TokenClassification"), tagged(3, outputs=CLASSES)
    by_hand = 0.0
    for row in rows:
        with torch.no_grad():
            logprobs = functional.log_softmax(model(input_ids=torch.tensor(row.ids[None]).long()).logits[0], -1)
        for position in np.flatnonzero(row.supervised):
            target = int(row.targets[position])
            by_hand -= CLASS_WEIGHTS[target] * float(logprobs[position, target])
    total, count = AtPositions(class_weights=CLASS_WEIGHTS).loss(model, collate([(row,) for row in rows]))
    assert float(total.detach()) == pytest.approx(by_hand, rel=1e-5)
    assert int(count) == sum(int(row.supervised.sum()) for row in rows)


def test_the_loss_of_several_labels_is_the_binary_cross_entropy_by_hand() -> None:
    model, rows = encoder("bert", "SequenceClassification"), classified(3, several=True)
    batch = collate([(row,) for row in rows])
    chance = torch.sigmoid(logits_of(model, batch).double())
    wanted = torch.from_numpy(np.stack([row.labels for row in rows])).double()
    by_hand = -(wanted * chance.log() + (1 - wanted) * (1 - chance).log()).sum()
    total, count = SeveralLabels().loss(model, batch)
    assert float(total.detach()) == pytest.approx(float(by_hand), rel=1e-5)
    assert int(count) == 3 * CLASSES


# Laws 1 and 2 of whole runs.


def assert_same_gradients(one: dict, other: dict) -> None:
    for name, grads in one.items():
        largest = max(np.abs(grad).max() for grad in grads.values())
        for key, grad in grads.items():
            assert np.abs(grad - other[name][key]).max() <= 1e-6 * largest, (name, key)


def test_the_gradient_of_an_encoder_does_not_depend_on_how_rows_are_cut_or_dealt() -> None:
    whole = gradients_of(0, 1, 1)
    assert_same_gradients(whole, gradients_of(0, 1, 4))
    for rank in apart(gradients_of_two, 4):
        assert_same_gradients(whole, rank)


def test_masked_training_paused_and_gone_on_with_is_the_run_in_one_go(tmp_path: Path) -> None:
    whole = apart(fit_masked, 0, str(tmp_path / "whole"))
    apart(fit_masked, 0, str(tmp_path / "parts"), 1, 5)
    assert apart(fit_masked, 0, str(tmp_path / "parts")) == whole


def test_masked_training_on_two_processes_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = apart(fit_masked_two, str(tmp_path / "whole"))
    apart(fit_masked_two, str(tmp_path / "parts"), 5)
    assert apart(fit_masked_two, str(tmp_path / "parts")) == whole
