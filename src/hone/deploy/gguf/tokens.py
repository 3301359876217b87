"""What a GGUF file says of a tokenizer, whatever its kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hone.deploy.gguf.layout import Value

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Types of tokens in GGUF."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GgufTokenizer:
    """A tokenizer as llama.cpp reads it; ``tokens``, ``types`` and ``scores`` have one entry per embedding row."""

    model: str = "gpt2"
    """llama.cpp's kind: ``gpt2`` is byte-level BPE, ``llama`` SentencePiece, ``bert`` WordPiece."""
    pre: str
    """Name of the split into words."""
    tokens: list[str]
    types: list[int]
    merges: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    special: Mapping[str, int] = field(default_factory=dict)
    """Ids of special tokens by what GGUF calls them: ``bos``, ``eos``, ``padding``."""
    flags: Mapping[str, Value] = field(default_factory=dict)
    """Further keys."""
    own: Mapping[str, str] = field(default_factory=dict)
    """Texts under ``hone.*`` that whoever opens the file keeps to."""

    def keys(self) -> dict[str, Value]:
        """Everything under ``tokenizer.ggml``."""
        lists: dict[str, Value] = {
            "tokens": self.tokens,
            "token_type": self.types,
            "merges": self.merges,
            "scores": self.scores,
        }
        ids = {f"{name}_token_id": index for name, index in self.special.items()}
        return {
            "model": self.model,
            "pre": self.pre,
            **{name: values for name, values in lists.items() if values},
            **ids,
            **self.flags,
        }


def spare(index: int) -> str:
    """Text of a row of the embedding that no token has."""
    return f"<|unused:{index}|>"


def plain_merges(merges: Iterable[str | Sequence[str]]) -> list[tuple[str, str]]:
    """Merges as pairs, from both layouts of the file."""
    pairs = [one.split(" ") if isinstance(one, str) else one for one in merges]
    return [(left, right) for left, right in pairs]
