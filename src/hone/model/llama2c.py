"""Weights and tokenizers of llama2.c (A. Karpathy, github.com/karpathy/llama2.c, ``export.py``, version 0).

A ``.bin`` of weights is seven int32 (dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len) and then
float32: ``tok_emb, att_norm[L], wq[L], wk[L], wv[L], wo[L], ffn_norm[L], w1[L], w2[L], w3[L], final_norm, freq_cos,
freq_sin`` and, where ``vocab_size`` is negative, an output matrix. Its rotary embedding turns adjacent pairs of
coordinates, Transformers' turns ``i`` with ``i + width/2``: rows of queries and keys are put in that order.

A ``tok*.bin`` is int32 longest length, then per token float32 score, int32 length, bytes; its number of tokens is that
of the model. It is SentencePiece's BPE: of all neighbours those are joined first whose joined token has the best score.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hone.errors import FailedError, InputError
from hone.model.weights import Opening, Use, check_use

if TYPE_CHECKING:
    from torch import nn

HEADER = struct.Struct("<7i")
NEWER_MAGIC = 0x616B3432
"""First int32 of versions 1 and 2 of the format."""
PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
ROLES = {"begin": BEGIN, "end": BEGIN}
"""Its training puts a begin between two texts and no end behind them, and ``run.c`` stops at the begin."""
FIRST_BYTE_ID = 3
SPACE = "\u2581"
"""What SentencePiece writes for a space."""
ROPE_THETA = 10_000.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The sizes that the file begins with."""

    dim: int
    hidden_dim: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    context: int
    tied: bool

    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array of the file, in its order."""
        d, f, n, kv = self.dim, self.hidden_dim, self.layers, self.dim // self.heads * self.kv_heads
        turns = (self.context, self.dim // self.heads // 2)
        arrays = {"tok_emb": (self.vocab, d), "att_norm": (n, d), "wq": (n, d, d), "wk": (n, kv, d), "wv": (n, kv, d)}
        arrays |= {"wo": (n, d, d), "ffn_norm": (n, d), "w1": (n, f, d), "w2": (n, d, f), "w3": (n, f, d)}
        arrays |= {"final_norm": (d,), "freq_cos": turns, "freq_sin": turns}
        return arrays if self.tied else {**arrays, "wcls": (self.vocab, d)}


class Llama2cFile:
    """A ``.bin`` of llama2.c with its tokenizer beside it, opened as a base.

    Raises:
        InputError: when the file is not of this format, or its tokenizer is not found.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.folder = path, path.parent
        self.header = read_header(path)

    @cached_property
    def tokenizer_path(self) -> Path:
        """The ``tok*.bin`` beside the weights whose number of tokens is the model's."""
        found = sorted({*self.folder.glob("tok*.bin")} - {self.path})
        right = [path for path in found if len(read_tokens(path)) == self.header.vocab]
        if len(right) == 1:
            return right[0]
        counts = ", ".join(f"{path.name} ({len(read_tokens(path)):,})" for path in found) or "none"
        raise InputError(
            f"{self.path} has {self.header.vocab:,} tokens, and {len(right)} tokenizers beside it have as many; one is "
            f"needed. tok*.bin in {self.folder}: {counts}"
        )

    @property
    def files(self) -> list[Path]:
        """The files that the model is made of."""
        return [self.path, self.tokenizer_path]

    @property
    def config(self) -> dict[str, Any]:
        """The sizes as a Llama config of Transformers names them."""
        head = self.header
        return {
            "model_type": "llama",
            "vocab_size": head.vocab,
            "hidden_size": head.dim,
            "intermediate_size": head.hidden_dim,
            "num_hidden_layers": head.layers,
            "num_attention_heads": head.heads,
            "num_key_value_heads": head.kv_heads,
            "head_dim": head.dim // head.heads,
            "max_position_embeddings": head.context,
            "tie_word_embeddings": head.tied,
            "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA},
            "rms_norm_eps": 1e-5,
            "bos_token_id": 1,
            "eos_token_id": 1,
        }

    def read_config(self) -> dict[str, Any]:
        """What the sizes say: the weights' hash covers them."""
        return self.config

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor, as Transformers names them."""
        return {name: value.shape for name, value in read_tensors(self.path).items()}

    def roles(self, rust: Any, use: Use) -> dict[str, str]:  # noqa: ARG002  (as of a folder)
        """Special tokens by role: see :data:`ROLES`."""
        return dict(ROLES)

    def rust(self) -> Any:
        """The tokenizer, of the ``tokenizers`` library."""
        return to_tokenizer(read_tokens(self.tokenizer_path))

    def load(self, opening: Opening) -> tuple[nn.Module, tuple[str, ...]]:
        """The model in float32 on the CPU; nothing of it is made anew."""
        check_use(self.path, self.config, opening.use)
        import torch
        from transformers.models.llama.configuration_llama import LlamaConfig
        from transformers.models.llama.modeling_llama import LlamaForCausalLM

        config = LlamaConfig(**self.config, attention_dropout=opening.dropout or 0.0)
        with torch.random.fork_rng(devices=[]):
            module = LlamaForCausalLM(config)
        tensors = {name: torch.from_numpy(value) for name, value in read_tensors(self.path).items()}
        if self.header.tied:
            tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
        module.load_state_dict(tensors)
        loaded: nn.Module = module.eval()
        return loaded, ()


def read_header(path: Path) -> Header:
    """The sizes of a file of weights, which must account for every byte of it.

    Raises:
        InputError: for another format, with what the file seems to be.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        start = handle.read(HEADER.size)
    if start.startswith(PICKLE_STARTS):
        raise InputError(
            f"{path} is a pickle, and opening a pickle runs the code inside it. Convert its folder once, reading "
            f"tensors alone: hone convert {path.parent} --out {path.parent.name}-safetensors"
        )
    if len(start) < HEADER.size:
        raise InputError(f"{path} has {size} bytes; the weights of llama2.c begin with {HEADER.size} bytes of sizes")
    dim, hidden_dim, layers, heads, kv_heads, vocab, context = HEADER.unpack(start)
    if dim == NEWER_MAGIC:
        raise InputError(
            f"{path} is of a newer version of llama2.c's format; hone reads version 0 (export.py --version 0)"
        )
    if min(dim, hidden_dim, layers, heads, kv_heads, abs(vocab), context) < 1 or dim % heads or heads % kv_heads:
        raise InputError(
            f"{path} does not begin like the weights of llama2.c: dim {dim}, hidden_dim {hidden_dim}, layers {layers}, "
            f"heads {heads}, kv_heads {kv_heads}, vocab_size {vocab}, seq_len {context}"
        )
    header = Header(
        dim=dim,
        hidden_dim=hidden_dim,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        vocab=abs(vocab),
        context=context,
        tied=vocab > 0,
    )
    expected = HEADER.size + 4 * sum(int(np.prod(shape)) for shape in header.sizes().values())
    if size != expected:
        raise InputError(
            f"{path} has {size:,} bytes; its sizes (dim {dim}, layers {layers}, vocab_size {vocab}) need {expected:,}. "
            "It is cut off, or not of llama2.c"
        )
    return header


def read_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """The weights under Transformers' names, queries and keys in its rotary order."""
    header = read_header(path)
    values = np.fromfile(path, dtype="<f4", offset=HEADER.size)
    arrays, start = {}, 0
    for name, shape in header.sizes().items():
        count = int(np.prod(shape))
        arrays[name] = values[start : start + count].reshape(shape)
        start += count
    tensors = {"model.embed_tokens.weight": arrays["tok_emb"], "model.norm.weight": arrays["final_norm"]}
    places = {"att_norm": "input_layernorm", "wq": "self_attn.q_proj", "wk": "self_attn.k_proj"}
    places |= {"wv": "self_attn.v_proj", "wo": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm"}
    places |= {"w1": "mlp.gate_proj", "w2": "mlp.down_proj", "w3": "mlp.up_proj"}
    heads = {"wq": header.heads, "wk": header.kv_heads}
    for name, place in places.items():
        for layer in range(header.layers):
            one = arrays[name][layer]
            tensors[f"model.layers.{layer}.{place}.weight"] = halves(one, heads[name]) if name in heads else one
    if not header.tied:
        tensors["lm_head.weight"] = arrays["wcls"]
    return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in tensors.items()}


def halves(matrix: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of each head from adjacent pairs (0, 1), (2, 3), ... to halves (0, w/2), (1, w/2 + 1), ...."""
    out, width = matrix.shape
    return matrix.reshape(heads, out // heads // 2, 2, width).transpose(0, 2, 1, 3).reshape(out, width)


def read_tokens(path: Path) -> list[tuple[float, bytes]]:
    """Score and bytes of each token of a ``tok*.bin``, in the order of the ids.

    Raises:
        FailedError: when the file is cut off.
    """
    data = path.read_bytes()
    tokens: list[tuple[float, bytes]] = []
    at = 4
    while at < len(data):
        if at + 8 > len(data):
            raise FailedError(f"{path} is cut off at byte {at:,}, in token {len(tokens):,}")
        score, length = struct.unpack_from("<fi", data, at)
        if not 0 <= length <= len(data) - at - 8:
            raise FailedError(
                f"{path} is not a tokenizer of llama2.c: token {len(tokens):,} has a length of {length:,} bytes"
            )
        tokens.append((score, data[at + 8 : at + 8 + length]))
        at += 8 + length
    return tokens


def to_tokenizer(tokens: list[tuple[float, bytes]]) -> Any:
    """A ``tokenizers.Tokenizer`` with the same ids: BPE with bytes for what the vocabulary does not have.

    Merges are every way to cut a token into two others, ordered by the token's score. The space that the format puts
    before a text is not doubled: " a" has the ids of "a", as in Transformers' Llama tokenizers.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    names = _names(tokens)
    ids = {name: index for index, name in enumerate(names)}
    if len(ids) != len(names):
        raise FailedError(f"the tokenizer's {len(names):,} tokens hold {len(names) - len(ids)} twice")
    first = FIRST_BYTE_ID + 256
    ranked = sorted(range(first, len(names)), key=lambda index: (-tokens[index][0], index))
    cuts = [(names[index][:at], names[index][at:]) for index in ranked for at in range(1, len(names[index]))]
    merges = [(left, right) for left, right in cuts if left in ids and right in ids]
    rust = Tokenizer(
        models.BPE(vocab=ids, merges=merges, unk_token=UNKNOWN, fuse_unk=True, byte_fallback=True, dropout=None)
    )
    rust.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="first", split=False)
    parts = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    rust.decoder = decoders.Sequence(parts)
    rust.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in (UNKNOWN, BEGIN, END)])
    return rust


def _names(tokens: list[tuple[float, bytes]]) -> list[str]:
    """Tokens as SentencePiece writes them: three special ones, 256 bytes, then text with its own sign for a space."""
    if len(tokens) < FIRST_BYTE_ID + 256:
        raise FailedError(
            f"a tokenizer of llama2.c begins with {FIRST_BYTE_ID} special tokens and 256 bytes; got {len(tokens)}"
        )
    text = [value.decode("utf-8").replace(" ", SPACE) for _, value in tokens[FIRST_BYTE_ID + 256 :]]
    return [UNKNOWN, BEGIN, END, *(f"<0x{byte:02X}>" for byte in range(256)), *text]
