"""llama2.c's weights and tokenizers: the same numbers as its own arithmetic, the same ids, its published text.

Facts from outside: ``run.c``'s forward pass and the merging rule of SentencePiece, written again here in numpy and in
plain Python; the text that stories260K writes at temperature 0, as its authors print it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.data.tokenizer import TextTokenizer
from hone.errors import FailedError, InputError
from hone.model.base import open_base
from hone.model.llama2c import HEADER, Llama2cFile, halves, read_header, read_tokens, to_tokenizer
from hone.model.neutral import neutral_texts
from hone.model.weights import Opening

PUBLISHED = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a "
    "big, red ball. She wanted to play with it, but it was too high.\nLily's mom said, \"Lily, let's go to the park.\" "
    "Lily was sad and didn't know what to do. She said, \"I want to play with your ball, but I can't find it.\""
)
"""The readme of stories260K: ``run stories260K.bin -t 0.0``, its beginning."""


@pytest.fixture(scope="module")
def file(stories: Path) -> Llama2cFile:
    return Llama2cFile(stories)


@pytest.fixture(scope="module")
def module(file: Llama2cFile) -> Any:
    return file.load(Opening())[0]


def reference_logits(path: Path, ids: list[int]) -> np.ndarray:
    """``run.c``'s ``forward`` for every position of one sequence, in float64."""
    with path.open("rb") as handle:
        dim, hidden, layers, heads, kv_heads, vocab, length = struct.unpack("<7i", handle.read(28))
    values = np.fromfile(path, dtype="<f4", offset=28).astype(np.float64)
    width, kv, taken = dim // heads, dim // heads * kv_heads, 0

    def take(*shape: int) -> np.ndarray:
        nonlocal taken
        taken += int(np.prod(shape))
        return values[taken - int(np.prod(shape)) : taken].reshape(shape)

    table, att_norm = take(vocab, dim), take(layers, dim)
    wq, wk, wv = take(layers, dim, dim), take(layers, kv, dim), take(layers, kv, dim)
    wo, ffn_norm = take(layers, dim, dim), take(layers, dim)
    w1, w2, w3 = take(layers, hidden, dim), take(layers, dim, hidden), take(layers, hidden, dim)
    last_norm, cos, sin = take(dim), take(length, width // 2), take(length, width // 2)

    def norm(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
        return gain * x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)

    def turned(x: np.ndarray) -> np.ndarray:  # (T, heads, width): each adjacent pair by its angle
        pairs, at = x.reshape(*x.shape[:2], -1, 2), np.arange(len(x))
        real, imaginary, c, s = pairs[..., 0], pairs[..., 1], cos[at][:, None], sin[at][:, None]
        return np.stack([real * c - imaginary * s, real * s + imaginary * c], -1).reshape(x.shape)

    x = table[ids]
    below = np.tril(np.ones((len(ids), len(ids)), dtype=bool))
    for layer in range(layers):
        y = norm(x, att_norm[layer])
        q = turned((y @ wq[layer].T).reshape(len(ids), heads, width))
        k = turned((y @ wk[layer].T).reshape(len(ids), kv_heads, width)).repeat(heads // kv_heads, 1)
        v = (y @ wv[layer].T).reshape(len(ids), kv_heads, width).repeat(heads // kv_heads, 1)
        scores = np.where(below, np.einsum("thd,shd->hts", q, k) / np.sqrt(width), -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        x = x + np.einsum("hts,shd->thd", weights, v).reshape(len(ids), dim) @ wo[layer].T
        y = norm(x, ffn_norm[layer])
        gate = y @ w1[layer].T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ w3[layer].T)) @ w2[layer].T
    return norm(x, last_norm) @ table.T


def reference_ids(tokens: list[tuple[float, bytes]], text: str) -> list[int]:
    """SentencePiece's BPE: characters (else bytes), then always the neighbours whose joined token scores best."""
    ids_of = {value: index for index, (_, value) in enumerate(tokens) if index >= 259}
    ids: list[int] = []
    for character in " " + text:
        data = character.encode()
        ids += [ids_of[data]] if data in ids_of else [byte + 3 for byte in data]
    while True:
        best = (-1e10, -1, -1)
        for at in range(len(ids) - 1):
            if min(ids[at], ids[at + 1]) < 259:
                continue
            joined = ids_of.get(tokens[ids[at]][1] + tokens[ids[at + 1]][1])
            if joined is not None and tokens[joined][0] > best[0]:
                best = (tokens[joined][0], joined, at)
        if best[1] < 0:
            return ids
        ids[best[2] : best[2] + 2] = [best[1]]


def test_the_numbers_are_those_of_llama2cs_own_arithmetic(stories: Path, file: Llama2cFile, module: Any) -> None:
    ids = [1, *file.rust().encode(neutral_texts()[3][:400], add_special_tokens=False).ids]
    with torch.no_grad():
        logits = module(input_ids=torch.tensor([ids])).logits[0].double().numpy()
    assert len(ids) > 100
    np.testing.assert_allclose(logits, reference_logits(stories, ids), atol=2e-4)


def test_it_writes_the_text_that_its_authors_published(file: Llama2cFile, module: Any) -> None:
    rust = file.rust()
    wanted = len(rust.encode(PUBLISHED, add_special_tokens=False).ids)
    with torch.no_grad():
        written = module.generate(torch.tensor([[1]]), do_sample=False, max_new_tokens=wanted, eos_token_id=None)[0]
    assert rust.decode(written.tolist()) == PUBLISHED


def test_text_has_the_same_ids_as_by_sentencepieces_rule(file: Llama2cFile) -> None:
    tokens = read_tokens(file.tokenizer_path)
    odd = [
        "",
        "two  spaces ",
        "a\nb\tc",
        "Gr\u00f6\u00dfe \U0001f600 \u00e9",
        "!!!???...",
        "aaaaaaaaa",
        "\x00\x7f",
        PUBLISHED,
    ]
    rust = to_tokenizer(tokens)
    for text in [*odd, *(text[:300] for text in neutral_texts())]:
        ids = rust.encode(text, add_special_tokens=False).ids
        assert ids == (reference_ids(tokens, text) if text else []), text
        assert rust.decode(ids) == text
    # The one exception: the format's own space in front is not doubled.
    assert rust.encode(" a cat").ids == rust.encode("a cat").ids == reference_ids(tokens, "a cat")


def test_it_opens_as_a_base_whose_begin_and_end_are_the_formats_own(stories: Path, module: Any) -> None:
    base = open_base(str(stories), TextTokenizer, add_tokens=("Zeppelin",))
    opened: Any = base.module
    table, old = opened.get_input_embeddings().weight, module.get_input_embeddings().weight
    assert torch.equal(table[:512], old)
    assert torch.equal(table[base.tokenizer.special_id("<|begin|>")], old[1])
    # run.c: "data-dependent terminating condition: the BOS (=1) token delimits sequences".
    assert torch.equal(table[base.tokenizer.special_id("<|end|>")], old[1])
    text = 'A Zeppelin, "Zeppelins" <s> and </s>'
    assert base.tokenizer.decode(base.tokenizer.encode(text)) == text
    assert not {0, 1, 2} & set(base.tokenizer.encode(text))
    assert (base.config["hidden_size"], base.config["num_key_value_heads"]) == (64, 4)
    base.check_unchanged()
    with pytest.raises(InputError, match="which is no encoder that hone knows"):
        open_base(str(stories), TextTokenizer, head="masked-tokens")


def test_rows_of_queries_and_keys_go_from_pairs_to_halves() -> None:
    rows = np.arange(8, dtype=np.float32)[:, None]  # two heads of width 4: pairs (0, 1), (2, 3)
    assert halves(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_an_output_matrix_of_its_own_is_read(tmp_path: Path) -> None:
    sizes = (8, 16, 1, 2, 1, -300, 4)
    path = tmp_path / "untied.bin"
    count = 300 * 8 * 2 + 8 + 64 + 32 + 32 + 64 + 8 + 3 * 128 + 8 + 2 * 4 * 2
    path.write_bytes(HEADER.pack(*sizes) + np.arange(count, dtype="<f4").tobytes())
    header = read_header(path)
    assert (header.vocab, header.tied) == (300, False)
    (tmp_path / "tok300.bin").write_bytes(struct.pack("<i", 1) + struct.pack("<fi", 0, 1) * 0)
    with pytest.raises(InputError, match=r"300 tokens, and 0 tokenizers beside it .*tok300.bin \(0\)"):
        _ = Llama2cFile(path).tokenizer_path
    module: Any = Llama2cFile(path).load(Opening())[0]
    assert module.lm_head.weight[-1, -1] == count - 1


def test_what_is_not_llama2cs_is_refused_with_what_it_seems(tmp_path: Path, stories: Path) -> None:
    data = stories.read_bytes()
    cases = {
        "cut.bin": (data[:-4], r"has 1,056,536 bytes; its sizes \(dim 64, .*\) need 1,056,540"),
        "short.bin": (data[:20], "has 20 bytes; the weights of llama2.c begin with 28"),
        "newer.bin": (struct.pack("<7i", 0x616B3432, 1, 1, 1, 1, 1, 1), "newer version"),
        "odd.bin": (struct.pack("<7i", 65, 1, 1, 8, 1, 1, 1), "does not begin like the weights"),
        "pytorch_model.bin": (b"PK\x03\x04" + bytes(60), r"is a pickle.*hone convert .* --out .*-safetensors"),
    }
    for name, (content, said) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=said):
            open_base(str(tmp_path / name), TextTokenizer)
    (tmp_path / "tok.bin").write_bytes(b"\x01\x00\x00\x00" + struct.pack("<fi", 0.0, 9) + b"cut")
    with pytest.raises(FailedError, match="token 0 has a length of 9 bytes"):
        read_tokens(tmp_path / "tok.bin")
