"""How far two distributions are apart at each position, and how sure the figures are, row by row.

Definitions follow llama.cpp's perplexity tool: per position KLD = sum p ln(p / q) with p of the original, and the share
of positions with the same most likely token. Positions of one row are not independent, so the intervals resample rows:
the percentile bootstrap of :mod:`hone.task.scores` over rows, 1,000 resamples, of the ratio of sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.task.scores import bootstrap, ratio_of, wilson

Floats = NDArray[np.float64]
INTERVAL = "95 % percentile bootstrap over rows, 1,000 resamples"
MOST_PLACES = 24
LEAST_LOG, MOST_LOG, STEP_LOG = -10.0, 2.0, 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Divergence and agreement over positions, with their intervals over rows."""

    positions: int
    rows: int
    kld_mean: float
    kld_low: float
    kld_high: float
    kld_median: float
    kld_p99: float
    kld_max: float
    same_top: float
    """Share of positions with the same most likely token."""
    same_top_or_tie: float
    """The same, with tokens that the original finds within ``tie_nats`` of each other counted as equal."""
    same_top_low: float
    """Lower end of the interval of ``same_top_or_tie``; where all positions agree, Wilson's."""
    by_place: tuple[tuple[int, int, float, int], ...]
    """Mean divergence by place in the answer: from, to, nats, positions."""
    histogram: tuple[tuple[float, int], ...]
    """Positions by log10 of their divergence, in steps of half a power: lower end, count; the first holds all below."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def at_positions(
    ours: NDArray[Any], theirs: NDArray[Any], tie_nats: float, targets: NDArray[np.int64] | None = None
) -> dict[str, Floats]:
    """Per position of one row: ``kld``, ``same``, ``tie``, ``finite``, and with targets both ``nll_``.

    Args:
        ours: (positions, outputs) logits or log-probabilities of the original.
        theirs: the same of the artifact.
        tie_nats: two outputs that the original finds so close are a tie.
        targets: (positions,) the right outputs.
    """
    finite = ~(np.isnan(theirs) | (theirs == np.inf)).any(-1)
    with np.errstate(invalid="ignore", over="ignore"):
        # Rows of the artifact beyond the original's are no tokens; what probability they take is lost to the others.
        p, q = log_shares(ours), log_shares(theirs)[:, : ours.shape[1]]
        apart = np.where(np.isneginf(p), 0.0, np.exp(p) * (p - q))
    rows, best, top = np.arange(len(p)), p.argmax(-1), q.argmax(-1)
    found = {
        # Rounding alone can end below 0, a divergence cannot.
        "kld": np.maximum(apart.sum(-1), 0.0),
        "same": (best == top).astype(np.float64),
        "tie": (p[rows, best] - p[rows, top] <= tie_nats).astype(np.float64),
        "finite": finite.astype(np.float64),
    }
    if targets is not None:
        found |= {"nll_original": -p[rows, targets], "nll_artifact": -q[rows, targets]}
    return found


def at_labels(ours: NDArray[Any], theirs: NDArray[Any], tie_nats: float) -> dict[str, Floats]:
    """Like :func:`at_positions` for labels that are each decided by itself: divergences add up, all must agree."""
    p, q = ours.astype(np.float64), theirs.astype(np.float64)
    kld = np.zeros(len(p))
    with np.errstate(invalid="ignore", over="ignore"):
        for sign in (1.0, -1.0):
            yes, other = -np.logaddexp(0.0, -sign * p), -np.logaddexp(0.0, -sign * q)
            kld += (np.exp(yes) * (yes - other)).sum(-1)
    same = (p > 0) == (q > 0)
    return {
        "kld": np.maximum(kld, 0.0),
        "same": same.all(-1).astype(np.float64),
        "tie": (same | (np.abs(p) <= tie_nats)).all(-1).astype(np.float64),
        "finite": np.isfinite(q).all(-1).astype(np.float64),
    }


def log_shares(values: NDArray[Any]) -> Floats:
    """Natural-log probabilities along the last axis in float64, of logits or of log-probabilities that were rounded."""
    wide = values.astype(np.float64)
    shifted = wide - wide.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def spread_of(rows: Sequence[Mapping[str, Floats]], clusters: Sequence[str]) -> Spread:
    """The figures over all rows.

    Args:
        rows: what :func:`at_positions` or :func:`at_labels` gave, one for each case.
        clusters: the row that each case belongs to; an empty name is a row of its own.
    """
    kld, tie = (np.concatenate([row[name] for row in rows]) for name in ("kld", "tie"))
    low, high = mean_interval([row["kld"] for row in rows], clusters)
    agreeing = float(tie.mean())
    sure = wilson(len(tie), len(tie))[0]
    return Spread(
        positions=len(kld),
        rows=len(groups_of(clusters)),
        kld_mean=float(kld.mean()),
        kld_low=low,
        kld_high=high,
        kld_median=float(np.median(kld)),
        kld_p99=float(np.percentile(kld, 99)),
        kld_max=float(kld.max()),
        same_top=float(np.concatenate([row["same"] for row in rows]).mean()),
        same_top_or_tie=agreeing,
        same_top_low=sure if agreeing == 1.0 else mean_interval([row["tie"] for row in rows], clusters)[0],
        by_place=_by_place([row["kld"] for row in rows]),
        histogram=_histogram(kld),
    )


def groups_of(clusters: Sequence[str]) -> list[list[int]]:
    """Places of the cases of each row."""
    groups: dict[object, list[int]] = {}
    for place, name in enumerate(clusters):
        groups.setdefault(name or place, []).append(place)
    return list(groups.values())


def mean_interval(values: Sequence[Floats], clusters: Sequence[str]) -> tuple[float, float]:
    """The 95 % interval of the mean over positions; rows are resampled whole. NaN where a value is."""
    groups = groups_of(clusters)
    sums = np.array([sum(float(values[place].sum()) for place in group) for group in groups])
    counts = np.array([float(sum(len(values[place]) for place in group)) for group in groups])
    if not np.isfinite(sums).all():
        return float("nan"), float("nan")
    return bootstrap(ratio_of(sums, counts), len(groups))


def _by_place(rows: Sequence[Floats]) -> tuple[tuple[int, int, float, int], ...]:
    longest = max(map(len, rows))
    width = max(1, -(-longest // MOST_PLACES))
    found = []
    for start in range(0, longest, width):
        part = np.concatenate([row[start : start + width] for row in rows])
        found.append((start, min(start + width, longest), float(part.mean()), len(part)))
    return tuple(found)


def _histogram(kld: Floats) -> tuple[tuple[float, int], ...]:
    edges = np.arange(LEAST_LOG, MOST_LOG + STEP_LOG, STEP_LOG)
    known = np.where(np.isfinite(kld), kld, 10**MOST_LOG)
    logs = np.clip(np.log10(np.maximum(known, 1e-30)), LEAST_LOG, MOST_LOG - 1e-9)
    counts = np.histogram(logs, edges)[0]
    return tuple((float(edge), int(count)) for edge, count in zip(edges[:-1], counts, strict=True) if count)
