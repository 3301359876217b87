"""A soft prompt (B. Lester et al., arXiv:2104.08691): learned rows of the vocabulary, in front of every prompt.

Each of its vectors is the embedding of a token of its own. The renderer writes their ids before everything else, so
that every path has them (law 4); nothing ever generates one, and none takes any probability: their logits are
:data:`MASKED_LOGIT` wherever logits leave a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

KEY = "soft_prompt"
"""Of a renderer's JSON: the ids, in order; absent where there are none."""
MASKED_LOGIT = -1e9
"""Its probability is 0 in floats of 32 bits; finite, so that nothing computed from it is no number."""


def soft_token(index: int) -> str:
    """Name of the special token of one vector."""
    return f"<|prompt_{index}|>"


def soft_prompt_of(renderer: Mapping[str, Any] | None) -> tuple[int, ...]:
    """The ids that a renderer's JSON puts in front of every prompt."""
    return tuple(int(one) for one in (renderer or {}).get(KEY, ()))


def soft_prompt_json(ids: Sequence[int]) -> dict[str, list[int]]:
    """The inverse, to be merged into a renderer's JSON."""
    return {KEY: list(ids)} if ids else {}
