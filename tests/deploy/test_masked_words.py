"""Encoders that predict masked words: the logits of the torch original in ONNX, and a refusal by name in GGUF."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import hone
from hone.data.tokenizer import ENCODER_SPECIALS, TextTokenizer, train_tokenizer
from hone.deploy.artifact.making import export_certified
from hone.deploy.certificate import certify as certify_room
from hone.deploy.certificate.witness import Extent
from hone.deploy.process import FreshEncoder
from hone.deploy.runtime import runtime
from hone.errors import InputError
from hone.evaluate.encoders import at_positions
from hone.model.encoders import EncoderShape, encoder_from_scratch
from hone.model.folder import ModelFolder
from hone.model.neutral import neutral_texts
from hone.solving.bare_encoders import dressed_encoder
from hone.solving.compared import bare_witness_of
from hone.task.spec import Device

pytest.importorskip("onnxruntime")
CONTEXT = 160
DEVICE = Device(context=CONTEXT, prompt_tokens=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A random BertForMaskedLM that belongs to no task, as its folder is told to hone."""
    torch.set_num_threads(1)
    tokenizer = train_tokenizer(neutral_texts(), 600, specials=ENCODER_SPECIALS)
    shape = EncoderShape(hidden=64, layers=2, heads=2, ffn=128, vocab=tokenizer.vocab_size, context=CONTEXT)
    plain = tmp_path_factory.mktemp("plain") / "minnow"
    encoder_from_scratch(shape, 5, "masked-tokens", init_std=0.2).save_pretrained(plain)
    tokenizer.save(plain)
    return dressed_encoder(plain, tmp_path_factory.mktemp("dressed") / "minnow", "minnow", lambda line: None)


def test_masked_words_are_certified_in_onnx_over_masked_places(folder, tmp_path, monkeypatch):
    extent = Extent(positions=200, rows=16, greedy_prompts=4, greedy_tokens=8, runs=1)
    monkeypatch.setitem(certify_room.EXTENTS, "quick", extent)
    model = ModelFolder(folder, TextTokenizer)
    witness, out = bare_witness_of(model, CONTEXT), tmp_path / "minnow"
    masks = [example.ids[example.supervised] == model.renderer().mask_id for example in witness.examples]
    assert 0.7 < np.concatenate(masks).mean() < 0.9, "BERT's 80 %"
    certificate = export_certified(folder, out, "fp32", DEVICE, witness)
    assert certificate.status == "certified"
    assert certificate.parity.spread.kld_high < 1e-6
    rows = [example.ids.tolist() for example in witness.examples[:5]]
    at = [np.flatnonzero(example.supervised).tolist() for example in witness.examples[:5]]
    with FreshEncoder(out, threads=1, context=CONTEXT) as session:
        for table, places, expected in zip(session.tag(rows), at, at_positions(model.load(), rows, at), strict=True):
            np.testing.assert_allclose(table[places], expected, atol=1e-3)
    assert not list(out.glob("run.*")), "there is no prompt that a runner could ask"
    assert "It answers no prompt." in (out / "README.md").read_text()
    with hone.load(out) as opened, pytest.raises(InputError, match="predicts masked words and answers no prompt"):
        opened.ask("a house")


def test_gguf_has_no_place_for_them(folder, tmp_path):
    with pytest.raises(InputError, match=r"BertForMaskedLM: llama\.cpp has no head that predicts masked words"):
        runtime("gguf").export(folder, "f32", tmp_path / "model.gguf")


def test_a_head_with_a_matrix_of_its_own_is_refused(folder):
    config = {**json.loads((folder / "config.json").read_text()), "tie_word_embeddings": False}
    assert any("a tied one is exported" in problem for problem in runtime("onnx").refusals(config, {}, "fp32"))
