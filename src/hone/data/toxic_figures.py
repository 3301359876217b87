"""What a toxicity model does to rows that it was not fitted on, and to rows that name a group of people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hone.data.groups import Group, probe_sentences, rates_by_group, read_groups
from hone.task.scores import wilson

LEAST = 20
"""Rows of a kind that a figure needs to be worth saying."""
_TOLD = 5
_OF = {
    "precision": "rows struck are toxic",
    "recall": "toxic rows are struck",
    "false_positive_rate": "harmless rows are struck",
}

Floats = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


def auc(scores: Floats, positive: Flags) -> float:
    """Area under the ROC curve: the share of pairs in which the positive row scores higher, ties counting half."""
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[inverse][positive].sum() - n * (n + 1) / 2) / (n * m)) if len(values) > 1 else 0.5


def figures(
    texts: list[str], scores: Floats, is_toxic: Flags, threshold: float, groups: tuple[Group, ...]
) -> dict[str, Any]:
    """Precision, recall, area under the curve, and false-positive rates by group and term, of rows held out."""
    harmless = np.flatnonzero(~is_toxic).tolist()
    clean, flags = [texts[row] for row in harmless], scores[harmless] >= threshold
    return {
        **caught(scores, is_toxic, threshold),
        "auc": round(auc(scores, is_toxic), 6),
        "false_positive_rate_by_group": [rate.to_json() for rate in rates_by_group(clean, flags, groups)],
        "false_positive_rate_by_term": [rate.to_json() for rate in rates_by_group(clean, flags, groups, terms=True)],
    }


def caught(scores: Floats, is_toxic: Flags, threshold: float) -> dict[str, Any]:
    """Precision, recall and the false-positive rate at a threshold."""
    struck = scores >= threshold
    right, wrong = int((struck & is_toxic).sum()), int((struck & ~is_toxic).sum())
    return {
        "precision": share(right, right + wrong),
        "recall": share(right, int(is_toxic.sum())),
        "false_positive_rate": share(wrong, int((~is_toxic).sum())),
    }


def probe(score: Callable[[Sequence[str]], Any], threshold: float) -> dict[str, Any]:
    """False-positive rates over harmless sentences about every term of the shipped groups."""
    groups = read_groups()
    sentences = probe_sentences(groups)
    flags = score(sentences) >= threshold
    return {
        "false_positive_rate": share(int(flags.sum()), len(flags)),
        "false_positive_rate_by_group": [rate.to_json() for rate in rates_by_group(sentences, flags, groups)],
    }


def share(count: int, n: int) -> dict[str, Any]:
    """A share with its Wilson interval, as JSON values; None where nothing was counted."""
    if not n:
        return {"share": None, "low": None, "high": None, "count": 0, "n": 0}
    low, high = wilson(count, n)
    return {"share": round(count / n, 6), "low": round(low, 6), "high": round(high, 6), "count": count, "n": n}


def tell(about: dict[str, Any], say: Callable[[str], None]) -> None:
    """Say the figures, the groups that are struck more often than all, and the swaps that move the score most."""
    for name in ("precision", "recall", "false_positive_rate"):
        figure = about[name]
        if figure["n"]:
            interval = f"[{figure['low']:.3f}, {figure['high']:.3f}]"
            counts = f"{figure['count']:,} of {figure['n']:,} {_OF[name]}"
            say(f"{name.replace('_', ' ')} {figure['share']:.3f} {interval}: {counts}, on further rows held out")
    say(f"area under the ROC curve {about['auc']:.3f}")
    _tell_thresholds(about, say)
    _tell_groups("harmless rows", about, say)
    if about["probe"]:
        _tell_groups("made-up harmless sentences", about["probe"], say)
    _tell_swaps(about["swaps"], say)


def _tell_thresholds(about: dict[str, Any], say: Callable[[str], None]) -> None:
    """What other thresholds would catch, one line each."""
    for one in about["thresholds"]:
        right, wrong = one["recall"], one["false_positive_rate"]
        if one["allowed"] != about["false_positive_rate_allowed"] and right["n"] and wrong["n"]:
            say(
                f"  at {one['threshold']:g} (at most {one['allowed']:.1%} of harmless rows): {right['count']:,} of "
                f"{right['n']:,} toxic rows struck, {wrong['count']:,} of {wrong['n']:,} harmless ones"
            )


def _tell_groups(what: str, rates: dict[str, Any], say: Callable[[str], None]) -> None:
    """The groups whose rows are struck more often than rows are overall, beyond both intervals."""
    overall = rates["false_positive_rate"]
    worse = [
        rate for rate in rates["false_positive_rate_by_group"] if rate["n"] >= LEAST and rate["low"] > overall["high"]
    ]
    for rate in sorted(worse, key=lambda rate: -rate["share"])[:_TOLD]:
        say(
            f"{what} that name {rate['group']} ({rate['axis']}) are struck more often: {rate['share']:.1%} "
            f"[{rate['low']:.1%}, {rate['high']:.1%}] of {rate['n']:,}, against {overall['share']:.1%} of all"
        )


def _tell_swaps(swaps: dict[str, dict[str, Any]], say: Callable[[str], None]) -> None:
    moved = [
        (kind, effect)
        for kind, effect in swaps.items()
        if effect["n"] >= LEAST and (effect["low"] > 0 or effect["high"] < 0)
    ]
    for kind, effect in sorted(moved, key=lambda one: -abs(one[1]["mean"]))[:_TOLD]:
        say(
            f"swap {kind}: the score moves by {effect['mean']:+.3f} [{effect['low']:+.3f}, {effect['high']:+.3f}] "
            f"over {effect['n']:,} rows; {effect['rises']} become toxic, {effect['falls']} harmless"
        )
    if len(moved) > _TOLD:
        say(f"{len(moved) - _TOLD} more swaps move the score; toxic.json lists all")
