"""The distance from a base: planted changes come out as planted, and its losses are those that torch computes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from hone.data.tokenizer import TextTokenizer
from hone.errors import FailedError
from hone.model.base import open_base
from hone.model.distance import FORGETTING, distance
from hone.model.neutral import neutral_texts, rows_of


def test_a_model_that_did_not_move_is_at_no_distance(stories: Path, make_base: Any) -> None:
    base = open_base(str(stories), TextTokenizer)
    told = distance(base, base.load()[0])
    assert (told.relative, told.kl, told.forgetting, told.is_forgetful) == (0.0, 0.0, 0.0, False)
    assert {change.layer for change in told.layers} == {"embeddings", *(f"layer {n}" for n in range(5)), "model.norm"}
    assert sum(change.parameters for change in told.layers) == 260_032
    assert told.new == 4 * 64  # hone's four special tokens
    words = open_base(str(make_base("bert")), TextTokenizer, head="masked-tokens")
    told = distance(words, words.load()[0])
    assert (told.relative, told.kl, told.forgetting) == (0.0, 0.0, 0.0)
    assert told.cosine == pytest.approx(1.0, abs=1e-6)


def test_one_layer_scaled_by_a_tenth_has_moved_by_a_tenth(stories: Path) -> None:
    base = open_base(str(stories), TextTokenizer, add_tokens=("zeppelin",))
    module, _ = base.load()
    whole = sum(float(p[:512].square().sum()) for p in base.load()[0].parameters())
    moved = 0.0
    with torch.no_grad():
        for name, param in module.named_parameters():
            if ".layers.2." in name:
                moved += float((0.1 * param).square().sum())
                param.mul_(1.1)
        module.get_parameter("model.embed_tokens.weight")[513:].add_(5.0)  # rows of new tokens have no base
    told = distance(base, module)
    by_layer = {change.layer: change.relative for change in told.layers}
    assert by_layer.pop("layer 2") == pytest.approx(0.1, rel=1e-5)
    assert set(by_layer.values()) == {0.0}
    assert told.relative == pytest.approx((moved / whole) ** 0.5, rel=1e-5)
    assert "most: layer 2 10.00%" in told.lines()[0]


def test_kl_and_losses_are_torchs_own_on_the_same_text(stories: Path) -> None:
    base = open_base(str(stories), TextTokenizer)
    origin: Any = base.load()[0]
    module: Any = base.load()[0].train()
    with torch.no_grad():
        for param in module.parameters():
            param.add_(torch.randn(param.shape, generator=torch.Generator().manual_seed(0)), alpha=0.02)
    text = neutral_texts()[2][:200]
    (row,) = rows_of(base, [text])
    assert row[0] == 1  # the format's own begin
    ids = torch.tensor([row])
    module.eval()
    with torch.no_grad():
        old, new = (one(input_ids=ids).logits[0, :-1, :512] for one in (origin, module))
    module.train()
    told = distance(base, module, [text])
    kl = functional.kl_div(new.log_softmax(-1), old.log_softmax(-1), log_target=True, reduction="batchmean")
    assert told.kl == pytest.approx(float(kl), rel=1e-4)
    assert told.loss_before == pytest.approx(float(functional.cross_entropy(old, ids[0, 1:])), rel=1e-5)
    assert told.loss_after == pytest.approx(float(functional.cross_entropy(new, ids[0, 1:])), rel=1e-5)
    assert told.tokens == len(row) - 1
    assert module.training


def test_what_was_forgotten_is_told_and_replay_is_offered(stories: Path) -> None:
    base = open_base(str(stories), TextTokenizer)
    module: Any = base.load()[0].train()
    ids = torch.tensor([base.tokenizer.encode("seven green parrots count to nine and back again. " * 6)])
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    for _ in range(40):
        module(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    told = distance(base, module)
    assert told.forgetting is not None
    assert told.forgetting > FORGETTING
    assert told.kl is not None
    assert told.kl > 0
    assert "replay_share=0.1" in told.lines()[-1]
    assert json.loads(json.dumps(told.to_json()))["is_forgetful"] is True


def test_an_encoder_with_another_head_is_held_to_the_words_that_it_knew(make_base: Any) -> None:
    base = open_base(str(make_base("bert")), TextTokenizer, ("no", "yes"), head="classify-sequence")
    module, _ = base.load()
    same = distance(base, module)
    assert (same.relative, same.kl, same.forgetting) == (0.0, 0.0, 0.0)
    head = [param for name, param in module.named_parameters() if name.startswith("classifier") or "pooler" in name]
    assert same.new == sum(param.numel() for param in head)
    with torch.no_grad():
        for name, param in module.named_parameters():
            if ".layer.1." in name:
                param.add_(torch.randn(param.shape, generator=torch.Generator().manual_seed(1)), alpha=0.3)
    told = distance(base, module)
    assert told.kl is not None
    assert told.kl > 1e-4
    assert told.cosine is not None
    assert told.cosine < 0.999
    assert {change.layer for change in told.layers if change.relative} == {"layer 1"}
    assert told.loss_before is not None
    forgetful = replace(told, loss_after=told.loss_before + 2 * FORGETTING)
    assert "a lower learning_rate, layer_decay below 1 or fewer steps" in forgetful.lines()[-1]
    assert "replay" not in forgetful.lines()[-1], "plain text is mixed into the training of decoders alone"


def test_a_base_without_its_head_can_tell_drift_only(minilm: Path) -> None:
    base = open_base(str(minilm), TextTokenizer, ("a", "b"), head="classify-sequence")
    told = distance(base, base.load()[0], neutral_texts()[:2])
    assert (told.kl, told.forgetting, told.is_forgetful) == (None, None, False)
    assert "forgetting: cannot be told, the base has no head that predicts words" in told.lines()[-1]


def test_a_base_that_is_gone_is_no_base_to_measure_from(make_base: Any) -> None:
    folder = make_base("llama")
    base = open_base(str(folder), TextTokenizer)
    module, _ = base.load()
    assert base.id
    state = {name: value + 1 for name, value in module.state_dict().items()}
    module.load_state_dict(state)
    module.save_pretrained(folder)  # type: ignore[operator]
    with pytest.raises(FailedError, match="has changed on disk while it was used"):
        distance(base, module)
