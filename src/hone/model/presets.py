"""Shapes of models made from scratch, and the exact number of their parameters.

Llama-shaped (or Qwen3-shaped: the same with normalised queries and keys), because every exporter knows them.
Rows of quantized matrices are cut into blocks of 32 weights, in llama.cpp's K-quants of 256: widths are multiples of 64
and feed-forward widths of 32, and from 15m on all of them are multiples of 256.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from hone.errors import InputError, nearest
from hone.task.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

Arch = Literal["llama", "qwen3"]
SCRATCH = "scratch"
"""A recipe's base that is made here; ``scratch:PRESET`` names the shape."""
BLOCK = 32
"""Weights in one block of Q8_0; a matrix's input width must divide by it."""
PAD_ID, BEGIN_ID, END_ID = 0, 1, 3
"""Ids of ``<|pad|>``, ``<|begin|>`` and ``<|end|>`` in a tokenizer that hone trains."""


def under_one(**counts: int) -> list[str]:
    """A sentence for each count of a shape that is not at least 1."""
    return [f"{name} must be at least 1; got {value}" for name, value in counts.items() if value < 1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Everything that decides the number and arrangement of a model's parameters."""

    hidden: int
    """Width of the residual stream."""
    layers: int
    heads: int
    kv_heads: int
    """Heads of keys and values; fewer than ``heads`` shrinks the cache."""
    ffn: int
    """Width of the gated feed-forward."""
    vocab: int
    context: int
    """Longest sequence in tokens."""
    tied: bool = True
    """Whether the output matrix is the embedding."""
    rope_theta: float = 10_000.0
    arch: Arch = "llama"

    def __post_init__(self) -> None:
        """Check that the numbers fit each other; all problems at once."""
        problems = [
            f"{name} is {value}, and must be a multiple of {BLOCK} so that quantized rows divide"
            for name, value in (("hidden", self.hidden), ("ffn", self.ffn))
            if value % BLOCK or value < BLOCK
        ]
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            problems.append(f"hidden {self.hidden} over {self.heads} heads must give an even whole number")
        if self.heads % self.kv_heads:
            problems.append(f"heads {self.heads} must be a multiple of kv_heads {self.kv_heads}")
        problems += under_one(layers=self.layers, vocab=self.vocab, context=self.context)
        if problems:
            raise InputError(problems)

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads


def _preset(hidden: int, layers: int, heads: int, ffn: int, vocab: int, context: int = 256) -> Shape:
    return Shape(hidden=hidden, layers=layers, heads=heads, kv_heads=heads, ffn=ffn, vocab=vocab, context=context)


DEFAULT_PRESET = "1m"
PRESETS: dict[str, Shape] = {
    "tiny": _preset(64, 2, 2, 192, 512),
    "500k": _preset(128, 2, 4, 352, 1024),
    "1m": _preset(128, 4, 4, 352, 1024),
    "2m": _preset(192, 4, 6, 512, 1024),
    "5m": _preset(256, 6, 8, 704, 2048),
    "15m": _preset(512, 4, 8, 1536, 4096, 512),
    "20m": _preset(512, 6, 8, 1408, 4096),
    "30m": _preset(512, 8, 8, 1536, 4096, 512),
    "60m": _preset(768, 8, 12, 2048, 8192, 1024),
    "125m": _preset(768, 14, 12, 2048, 32_768, 2048),
    "350m": _preset(1024, 24, 16, 2816, 32_768, 2048),
}
"""By about how many parameters they have with their own vocabulary; ``NAME-qwen3`` is the same Qwen3-shaped.

A recipe replaces vocabulary and context by its own; a preset's are those that the size is meant for."""


def preset(name: str) -> Shape:
    """A preset by name.

    Raises:
        InputError: for an unknown name, with the nearest known one.
    """
    plain, _, arch = name.partition("-")
    if plain == "bert":
        raise InputError(
            f'preset "{name}" is an encoder: it cannot write text. It goes with objective masked-tokens, '
            "classify-sequence or tag-tokens"
        )
    if plain not in PRESETS or arch not in ("", "llama", "qwen3"):
        near = nearest(name, [*PRESETS, *(f"{p}-qwen3" for p in PRESETS)])
        hint = f"{near} There are" if near.startswith("did") else "there are"
        raise InputError(f'preset "{name}" is not known; {hint} {", ".join(PRESETS)}, and NAME-qwen3 of each')
    return replace(PRESETS[plain], arch="qwen3") if arch == "qwen3" else PRESETS[plain]


def shape_of(recipe: Recipe, vocab_size: int) -> Shape:
    """The shape that a recipe from scratch describes, for a tokenizer of ``vocab_size`` ids.

    Raises:
        InputError: when the recipe starts from a base, or its preset is unknown.
    """
    kind, _, name = recipe.base.partition(":")
    if kind != SCRATCH:
        raise InputError(f'base "{recipe.base}" is not made from scratch; its shape is in its own config')
    shape = preset(name or DEFAULT_PRESET)
    arch: Arch = "qwen3" if shape.arch == "qwen3" else recipe.architecture
    return replace(shape, vocab=vocab_size, context=recipe.context, rope_theta=recipe.rope_theta, arch=arch)


def parameters(shape: Shape) -> int:
    """Exact number of parameters.

    ``V*h`` embedding (twice when untied), per layer ``h*h`` for queries and for the output, ``h*k`` for keys and for
    values with ``k = kv_heads * h/heads``, three ``h*f`` for the feed-forward, two gains of ``h`` (Qwen3: two more of
    ``h/heads``), and one last gain of ``h``.
    """
    hidden, kv_width = shape.hidden, shape.kv_heads * shape.head_width
    attention = 2 * hidden * hidden + 2 * hidden * kv_width
    gains = 2 * hidden + (2 * shape.head_width if shape.arch == "qwen3" else 0)
    layer = attention + 3 * hidden * shape.ffn + gains
    return shape.vocab * hidden * (1 if shape.tied else 2) + shape.layers * layer + hidden


def matrix_parameters(shape: Shape) -> int:
    """Parameters that multiply each token: all matrices, the output one included, without the embedding's lookup."""
    hidden, kv_width = shape.hidden, shape.kv_heads * shape.head_width
    layer = 2 * hidden * hidden + 2 * hidden * kv_width + 3 * hidden * shape.ffn
    return shape.layers * layer + shape.vocab * hidden


def from_scratch(shape: Shape, seed: int, *, init_std: float = 0.02, dropout: float = 0.0) -> nn.Module:
    """A model with random weights that depend on ``shape``, ``seed`` and ``init_std`` alone.

    Matrices and embedding are normal with standard deviation ``init_std``, gains are 1. ``dropout`` is that of the
    attention's weights, the only one that these architectures have. The process's own random generator is left as it
    was.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _module(shape, init_std, dropout)


def config_values(shape: Shape) -> dict[str, Any]:
    """What ``config.json`` says of a shape, in the words of Transformers, without what training adds."""
    return {
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_width,
        "max_position_embeddings": shape.context,
        "tie_word_embeddings": shape.tied,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "rms_norm_eps": 1e-5,
        "pad_token_id": PAD_ID,
        "bos_token_id": BEGIN_ID,
        "eos_token_id": END_ID,
    }


def _module(shape: Shape, init_std: float, dropout: float) -> nn.Module:
    values = {**config_values(shape), "initializer_range": init_std, "attention_dropout": dropout}
    # Each class from its own module: the package's front door looks through every model that there is.
    if shape.arch == "qwen3":
        from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
        from transformers.models.qwen3.modeling_qwen3 import Qwen3ForCausalLM

        qwen3: nn.Module = Qwen3ForCausalLM(Qwen3Config(**values))
        return qwen3
    from transformers.models.llama.configuration_llama import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    llama: nn.Module = LlamaForCausalLM(LlamaConfig(**values))
    return llama
