"""What a BERT-shaped encoder is, as its ``config.json`` and tensor names say it; shared by all writers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hone.files import read_json
from hone.task.embedding import Pooling

ARCHITECTURES = ("bert",)
Head = Literal["none", "rows", "tokens", "words"]
HEADS: dict[str, Head] = {
    "BertModel": "none",
    "BertForSequenceClassification": "rows",
    "BertForTokenClassification": "tokens",
    "BertForMaskedLM": "words",
}
WORDS = "cls.predictions"
"""Of the head that predicts masked words: a transform, and the embedding again with a bias for each word."""
LAYER_LINEAR = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
LAYER_NORMS = ("attention.output.LayerNorm", "output.LayerNorm")
EMBEDDINGS = ("word_embeddings", "position_embeddings", "token_type_embeddings")


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderShape:
    """Sizes of an encoder and what stands on it, with the defaults that Transformers fills in."""

    vocab: int
    hidden: int
    layers: int
    heads: int
    ffn: int
    context: int
    types: int
    epsilon: float
    head: Head
    vectors: Pooling | None = None
    """Without a head: what stands for a text, where the model gives one vector for each; None: states alone."""
    normalised: bool = False
    """Vectors are divided by their lengths."""
    pooled: bool
    """A head over rows reads BERT's pooler over the first state; otherwise the mean of all states."""
    prefix: str
    """Of the encoder's own tensors: ``bert.`` under a head."""

    def tensors(self) -> list[str]:
        """Names of all tensors that are used."""
        found = [f"{self.prefix}embeddings.{name}.weight" for name in EMBEDDINGS]
        linear = [f"encoder.layer.{at}.{part}" for at in range(self.layers) for part in LAYER_LINEAR]
        norms = [f"encoder.layer.{at}.{part}" for at in range(self.layers) for part in LAYER_NORMS]
        parts = [*linear, *(["pooler.dense"] if self.pooled else []), "embeddings.LayerNorm", *norms]
        found += [f"{self.prefix}{name}.{what}" for name in parts for what in ("weight", "bias")]
        if self.head == "words":
            transform = ("transform.dense", "transform.LayerNorm")
            found += [f"{WORDS}.{part}.{what}" for part in transform for what in ("weight", "bias")]
            return [*found, f"{WORDS}.bias"]
        return found if self.head == "none" else [*found, "classifier.weight", "classifier.bias"]

    def idle(self, names: Iterable[str]) -> set[str]:
        """Tensors that a folder may carry and that change nothing: numbers of positions, an unread pooler, copies."""
        known = {f"{self.prefix}embeddings.position_ids"}
        if self.head == "words":  # tied: the embedding's matrix and the bias once more
            known |= {f"{WORDS}.decoder.weight", f"{WORDS}.decoder.bias"}
        if not self.pooled:
            known |= {f"{self.prefix}pooler.dense.weight", f"{self.prefix}pooler.dense.bias"}
        return known & set(names)


def encoder_shape(config: Mapping[str, Any], names: Iterable[str]) -> EncoderShape:
    """The shape that a ``config.json`` without :func:`encoder_problems` and the tensors' names say."""
    head = HEADS[_class(config)]
    return EncoderShape(
        vocab=int(config["vocab_size"]),
        hidden=int(config["hidden_size"]),
        layers=int(config["num_hidden_layers"]),
        heads=int(config["num_attention_heads"]),
        ffn=int(config["intermediate_size"]),
        context=int(config["max_position_embeddings"]),
        types=int(config.get("type_vocab_size", 2)),
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        head=head,
        pooled=head == "rows" and config.get("classifier_pooling") != "mean",
        prefix="bert." if any(name.startswith("bert.") for name in names) else "",
    )


def with_vectors(encoder: EncoderShape, folder: Path) -> EncoderShape:
    """The shape with what ``hone.json`` of a model folder says of its vectors, where it says something."""
    described = folder / "hone.json"
    renderer = (read_json(described).get("renderer") or {}) if described.is_file() else {}
    if encoder.head != "none" or "pooling" not in renderer:
        return encoder
    return replace(encoder, vectors=renderer["pooling"], normalised=bool(renderer["normalised"]))


def encoder_problems(config: Mapping[str, Any], target: str) -> list[str]:
    """Sentences on what of this configuration the writers do not say; ``target`` is the format's name."""
    problems = []
    if HEADS.get(_class(config)) == "words":
        if target == "GGUF":
            return [f"{_class(config)}: llama.cpp has no head that predicts masked words; ONNX takes it"]
        if config.get("tie_word_embeddings") is False:
            problems.append(f"{_class(config)} with tie_word_embeddings false; a tied one is exported")
    if _class(config) not in HEADS:
        known = ", ".join(HEADS)
        problems.append(f"{_class(config) or 'no architecture'}: encoders are exported to {target} as {known}")
    return problems + trunk_problems(config, target)


def trunk_problems(config: Mapping[str, Any], target: str) -> list[str]:
    """The same of what lies under the head, whichever it has or will have."""
    problems = []
    if config.get("model_type") not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        problems.append(f'model_type "{config.get("model_type")}" is not exported to {target}; of encoders {known} is')
    if config.get("hidden_act", "gelu") != "gelu":
        problems.append(f'hidden_act "{config["hidden_act"]}"; gelu is exported')
    if (kind := config.get("position_embedding_type") or "absolute") != "absolute":
        problems.append(f'position_embedding_type "{kind}"; absolute is exported')
    if config.get("is_decoder") or config.get("add_cross_attention"):
        problems.append("is_decoder or add_cross_attention is true; an encoder reads from both sides")
    return problems


def _class(config: Mapping[str, Any]) -> str:
    return str((config.get("architectures") or [""])[0])
