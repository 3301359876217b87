"""What a GGUF file says of a model, as plain values: its tensors' names, keys of its architecture, what hone adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Value = int | float | bool | str | list[str] | list[int] | list[float]
"""Written as uint32, float32, bool, string, or array of these (whole numbers in it as int32)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How a model folder's tensors become those of one architecture of llama.cpp."""

    architecture: str
    names: Mapping[str, str]
    """Names of the model folder's tensors to those in the file; nothing else is stored."""
    keys: Mapping[str, Value]
    """Keys of the architecture, without its name in front."""
    rotary: Mapping[str, int] = field(default_factory=dict)
    """Kind of matrix (``attn_q``) to its number of heads, where rows are put in llama.cpp's rotary order."""
    tokenizer_keys: Mapping[str, Value] = field(default_factory=dict)
    """What the architecture wants beside the tokenizer, without ``tokenizer.ggml`` in front."""
    beside: Sequence[str] = ()
    """Tensors of the model folder that are stored as a text under ``hone.*``."""
    idle: Sequence[str] = ()
    """Tensors of the model folder that nothing reads, so that they stay there."""
