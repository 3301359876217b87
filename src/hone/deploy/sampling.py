"""Logits to probabilities, and a row of logits to the next id, in numpy.

The rules and the random numbers are those of :mod:`hone.evaluate.torch_generate`, so that an artifact and the
module it came from write the same text for the same seed, as far as their probabilities agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hone.evaluate.generate import Sampling


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural-log probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    total: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return total


def draws(prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[np.random.Generator | None]:
    """A random generator per prompt, of the seed, the prompt and how often it came before; None for greedy."""
    if sampling.temperature == 0:
        return [None] * len(prompts)
    seen: Counter[tuple[int, ...]] = Counter()
    found: list[np.random.Generator | None] = []
    for prompt in prompts:
        key = tuple(prompt)
        found.append(np.random.default_rng([sampling.seed, seen[key], *key]))
        seen[key] += 1
    return found


def choose(logits: NDArray[np.float32], sampling: Sampling, draw: np.random.Generator | None) -> int:
    """The next id: the largest logit (the first of equal ones) when ``draw`` is None, otherwise drawn.

    Temperature first, then the ``top_k`` likeliest (0: all), then the fewest of these that reach ``top_p``.
    """
    if draw is None:
        return int(logits.argmax())
    scores = logits.astype(np.float64) / sampling.temperature
    shares = np.exp(scores - scores.max())
    order = np.argsort(-shares, kind="stable")
    shares = shares[order] / shares.sum()
    if sampling.top_k:
        shares[sampling.top_k :] = 0.0
    before = np.cumsum(shares) - shares
    shares[before >= sampling.top_p * shares.sum()] = 0.0
    heights = np.cumsum(shares)
    place = int(np.searchsorted(heights, draw.random() * heights[-1], side="right"))
    return int(order[min(place, int((shares > 0).sum()) - 1)])
