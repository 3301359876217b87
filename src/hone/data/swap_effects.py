"""What a scorer makes of the difference between a text and the same text about another group."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hone.data.counterfactuals import Swaps, counterfactuals
from hone.task.scores import Z_95

_BLOCK_TEXTS = 512


@dataclass(slots=True)
class _Sums:
    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    rises: int = 0
    falls: int = 0


def swap_effects(
    texts: Iterable[str],
    score: Callable[[Sequence[str]], Iterable[float]],
    *,
    threshold: float | None = None,
    swaps: Swaps | None = None,
) -> dict[str, dict[str, Any]]:
    """What a scorer makes of exchanging groups, by kind of swap.

    Args:
        texts: of them only those that name a group are scored.
        score: takes texts and gives one number each.
        threshold: pairs are counted whose scores lie on two sides of it.
        swaps: None for the shipped list.

    Returns:
        For each kind ``n`` pairs, the ``mean`` difference (swapped minus original) with a 95 % t-interval over pairs
        (``low`` and ``high`` are None for a single pair), and with a threshold how many pairs ``rises`` over it and
        ``falls`` under it.
    """
    sums: dict[str, _Sums] = {}
    for block in _blocks(texts, _BLOCK_TEXTS):
        pairs = [(text, kind, swapped) for text in block for kind, swapped in counterfactuals(text, swaps)]
        if not pairs:
            continue
        originals = list(dict.fromkeys(text for text, _, _ in pairs))
        values = [float(value) for value in score([*originals, *(swapped for _, _, swapped in pairs)])]
        before = dict(zip(originals, values, strict=False))
        for (text, kind, _), after in zip(pairs, values[len(originals) :], strict=True):
            _add(sums.setdefault(kind, _Sums()), before[text], after, threshold)
    return {kind: _effect(sums[kind], threshold) for kind in sorted(sums, key=lambda kind: (-sums[kind].n, kind))}


def _blocks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(texts)
    while block := list(islice(iterator, size)):
        yield block


def _add(sums: _Sums, before: float, after: float, threshold: float | None) -> None:
    sums.n += 1
    sums.total += after - before
    sums.squares += (after - before) ** 2
    if threshold is not None:
        sums.rises += before < threshold <= after
        sums.falls += after < threshold <= before


def _effect(sums: _Sums, threshold: float | None) -> dict[str, Any]:
    mean = sums.total / sums.n
    effect: dict[str, Any] = {"n": sums.n, "mean": round(mean, 6), "low": None, "high": None}
    if sums.n > 1:
        variance = max(0.0, (sums.squares - sums.n * mean**2) / (sums.n - 1))
        half = _student(sums.n - 1) * math.sqrt(variance / sums.n)
        effect |= {"low": round(mean - half, 6), "high": round(mean + half, 6)}
    return effect if threshold is None else {**effect, "rises": sums.rises, "falls": sums.falls}


def _student(degrees: int) -> float:
    """97.5 % quantile of Student's t: exact for 1 and 2 degrees, else by the expansion of Cornish and Fisher."""
    if degrees <= 2:
        return (12.706204736, 4.302652730)[degrees - 1]
    z, v = Z_95, degrees
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / v + second / v**2 + third / v**3
