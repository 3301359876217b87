"""Encoders made from scratch: BERT's shape (J. Devlin et al., arXiv:1810.04805) and the count of their parameters.

Legend: V vocabulary, h width, f feed-forward width, L layers, P positions, K labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from hone.errors import InputError, nearest
from hone.model.presets import BLOCK, PAD_ID, SCRATCH, under_one
from hone.task.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

Head = Literal["masked-tokens", "classify-sequence", "tag-tokens"]
"""What stands on the encoder; named like the recipe's objective that trains it."""
HEADS: tuple[Head, ...] = ("masked-tokens", "classify-sequence", "tag-tokens")
CLASSES: dict[Head, str] = {
    "masked-tokens": "BertForMaskedLM",
    "classify-sequence": "BertForSequenceClassification",
    "tag-tokens": "BertForTokenClassification",
}
PREFIX = "bert-"


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderShape:
    """Everything that decides the number and arrangement of an encoder's parameters, its head left out."""

    hidden: int
    """Width of the residual stream."""
    layers: int
    heads: int
    ffn: int
    """Width of the feed-forward."""
    vocab: int
    context: int
    """Longest sequence in tokens: rows of the position embedding."""
    types: int = 2
    """Rows of the segment embedding."""

    def __post_init__(self) -> None:
        """Check that the numbers fit each other; all problems at once."""
        problems = [
            f"{name} is {value}, and must be a multiple of {BLOCK} so that quantized rows divide"
            for name, value in (("hidden", self.hidden), ("ffn", self.ffn))
            if value % BLOCK or value < BLOCK
        ]
        if self.heads < 1 or self.hidden % self.heads:
            problems.append(f"hidden {self.hidden} over {self.heads} heads must give a whole number")
        problems += under_one(layers=self.layers, vocab=self.vocab, context=self.context)
        if problems:
            raise InputError(problems)


def _shape(hidden: int, layers: int, heads: int, vocab: int, context: int) -> EncoderShape:
    return EncoderShape(hidden=hidden, layers=layers, heads=heads, ffn=4 * hidden, vocab=vocab, context=context)


DEFAULT_ENCODER = "bert-1m"
ENCODER_PRESETS: dict[str, EncoderShape] = {
    "bert-tiny": _shape(64, 2, 2, 512, 256),
    "bert-1m": _shape(128, 4, 2, 1024, 256),
    "bert-2m": _shape(192, 4, 3, 1024, 256),
    "bert-5m": _shape(256, 6, 4, 2048, 256),
    "bert-15m": _shape(512, 4, 8, 4096, 512),
    "bert-30m": _shape(512, 8, 8, 8192, 512),
    "bert-110m": _shape(768, 12, 12, 30522, 512),
}
"""By about how many parameters they have with their own vocabulary; ``bert-110m`` is BERT-base, uncased."""


def is_encoder(base: str) -> bool:
    """Whether a recipe's base is an encoder made from scratch."""
    return base.startswith(SCRATCH + ":" + PREFIX)


def encoder_preset(name: str) -> EncoderShape:
    """A preset by name.

    Raises:
        InputError: for an unknown name, with the nearest known one.
    """
    if name not in ENCODER_PRESETS:
        near = nearest(name, list(ENCODER_PRESETS))
        there = f" There are {', '.join(ENCODER_PRESETS)}" if near.startswith("did") else ""
        raise InputError(f'preset "{name}" is not known; {near}{there}')
    return ENCODER_PRESETS[name]


def encoder_shape_of(recipe: Recipe, vocab_size: int) -> EncoderShape:
    """The shape that a recipe from scratch describes, for a tokenizer of ``vocab_size`` ids.

    Raises:
        InputError: when the recipe's base is not an encoder from scratch, or its preset is unknown.
    """
    if not is_encoder(recipe.base):
        raise InputError(
            f'base "{recipe.base}" is no encoder made from scratch; objective {recipe.objective} needs one, such as '
            f"{SCRATCH}:{DEFAULT_ENCODER}, or a pretrained encoder"
        )
    return replace(encoder_preset(recipe.base.partition(":")[2]), vocab=vocab_size, context=recipe.context)


def encoder_parameters(shape: EncoderShape, head: Head = "masked-tokens", num_labels: int = 0) -> int:
    """Exact number of parameters.

    Embeddings ``(V + P + types)*h + 2h``; per layer four square matrices with biases ``4*(h*h + h)``, the feed-forward
    ``2*h*f + f + h`` and two norms ``4h``. Heads: masked-tokens ``h*h + 3h + V`` (its output matrix is the embedding);
    classify-sequence the pooler ``h*h + h`` and ``K*h + K``; tag-tokens ``K*h + K``.
    """
    hidden, ffn = shape.hidden, shape.ffn
    embeddings = (shape.vocab + shape.context + shape.types) * hidden + 2 * hidden
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * ffn + ffn + hidden + 4 * hidden
    labels = num_labels * (hidden + 1)
    heads = {
        "masked-tokens": hidden * hidden + 3 * hidden + shape.vocab,
        "classify-sequence": hidden * hidden + hidden + labels,
        "tag-tokens": labels,
    }
    return embeddings + shape.layers * layer + heads[head]


def encoder_matrix_parameters(shape: EncoderShape, head: Head = "masked-tokens", num_labels: int = 0) -> int:
    """Parameters that multiply a token: all matrices with the head's, without the lookups.

    The head of masked-tokens multiplies the tokens that are to be predicted alone, and the classifier one token of a
    row; both are counted as if they multiplied every token, so the arithmetic that follows is an upper bound.
    """
    hidden = shape.hidden
    heads = {
        "masked-tokens": hidden * hidden + shape.vocab * hidden,
        "classify-sequence": hidden * hidden + num_labels * hidden,
        "tag-tokens": num_labels * hidden,
    }
    return shape.layers * (4 * hidden * hidden + 2 * hidden * shape.ffn) + heads[head]


def encoder_from_scratch(
    shape: EncoderShape,
    seed: int,
    head: Head,
    num_labels: int = 0,
    *,
    init_std: float = 0.02,
    dropout: float = 0.0,
    pad_id: int = PAD_ID,
) -> nn.Module:
    """An encoder with random weights that depend on the arguments alone; the process's generator is left as it was.

    Args:
        shape: see :class:`EncoderShape`.
        seed: of the random weights.
        head: what stands on the encoder.
        num_labels: classes of the head; 0 for masked-tokens.
        init_std: standard deviation of matrices and embeddings; gains are 1, biases 0.
        dropout: rate after embeddings, attention and feed-forward.
        pad_id: its embedding row is zero.

    Raises:
        InputError: when the head needs labels and there are none.
    """
    import torch

    check_labels(head, num_labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _module(shape, head, num_labels, {"init": init_std, "dropout": dropout, "pad": pad_id})


def check_labels(head: str, num_labels: int) -> None:
    """Check that a head has the labels that it needs.

    Raises:
        InputError: when it has fewer.
    """
    if head in ("classify-sequence", "tag-tokens") and num_labels < 1:
        raise InputError(f"objective {head} needs labels; the training rows have {num_labels}")


def _module(shape: EncoderShape, head: Head, num_labels: int, rates: dict[str, Any]) -> nn.Module:
    # From its own module: the package's front door looks through every model that there is.
    from transformers.models.bert import modeling_bert
    from transformers.models.bert.configuration_bert import BertConfig

    labels = {"num_labels": num_labels} if num_labels else {}
    config = BertConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.ffn,
        max_position_embeddings=shape.context,
        type_vocab_size=shape.types,
        hidden_dropout_prob=rates["dropout"],
        attention_probs_dropout_prob=rates["dropout"],
        initializer_range=rates["init"],
        pad_token_id=rates["pad"],
        **labels,
    )
    module: nn.Module = getattr(modeling_bert, CLASSES[head])(config)
    return module
