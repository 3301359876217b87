"""Several artifacts of one task side by side: score against size and time, with the budget as a box."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from hone.data.looking.charts import nice
from hone.data.looking.markup import number, short, tag, text
from hone.deploy.certificate.charts import Scale, picture, scale

WIDTH, HEIGHT = 440, 280
LEFT, RIGHT, TOP, BOTTOM = 52, 18, 24, 40
LETTER = 6.2
"""Width of a letter of a label, about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One artifact with its figures; ``low`` and ``high`` are the ends of the score's interval."""

    name: str
    score: float
    low: float
    high: float
    size_mb: float
    ms_per_token: float | None


def candidate_of(name: str, certificate: Mapping[str, Any]) -> Candidate | None:
    """An artifact by its certificate's plain values; None where it has no score."""
    score, measured = certificate["score"], certificate["measured"]
    if score is None:
        return None
    time = measured["ms_per_token"]
    return Candidate(
        name=name,
        score=score["mean"],
        low=score["low"],
        high=score["high"],
        size_mb=measured["size_mb"],
        ms_per_token=measured["first_token_ms"] if time is None else time,
    )


def frontier_svg(
    points: Sequence[Candidate],
    *,
    metric: str,
    higher_is_better: bool = True,
    target: float | None = None,
    size_mb: float | None = None,
    ms_per_token: float | None = None,
    time_is: str = "ms per token",
) -> str:
    """Two charts as markup: score against megabytes and against milliseconds. An empty text without points.

    What no other artifact beats in both is filled and joined; the box is what the budget allows, from the target on.
    The classes are those of ``certificate.css`` (:func:`hone.deploy.certificate.page.style`).

    Args:
        points: the artifacts.
        metric: name of the score.
        higher_is_better: direction of the metric.
        target: score to reach, where there is one.
        size_mb: the budget's megabytes.
        ms_per_token: the budget's milliseconds.
        time_is: name of the second chart's axis (for encoders the time of a sequence).
    """
    charts = []
    for unit, limit, name in (("MB", size_mb, "size_mb"), (time_is, ms_per_token, "ms_per_token")):
        cost = attrgetter(name)
        known = [one for one in points if cost(one) is not None]
        if known:
            charts.append(_chart(known, cost, (metric, unit), limit, target, higher=higher_is_better))
    return tag("div", "".join(charts), class_="two") if charts else ""


def on_frontier(points: Sequence[Candidate], cost: Callable[[Candidate], float], *, higher: bool) -> list[Candidate]:
    """Those that no other one beats in score at no more cost, cheapest first."""
    sign = 1 if higher else -1
    found: list[Candidate] = []
    for one in sorted(points, key=lambda item: (cost(item), -sign * item.score)):
        if not found or sign * one.score > sign * found[-1].score:
            found.append(one)
    return found


def _chart(
    points: Sequence[Candidate],
    cost: Callable[[Candidate], Any],
    names: tuple[str, str],
    limit: float | None,
    target: float | None,
    *,
    higher: bool,
) -> str:
    ends = [end for one in points for end in (one.low, one.high)] + ([] if target is None else [target])
    margin = 0.08 * (max(ends) - min(ends) or 1.0)
    low, high = min(ends) - margin, max(ends) + margin
    most = max([*(cost(one) for one in points), limit or 0.0]) * 1.12
    x, y = scale(0, most, LEFT, WIDTH - RIGHT), scale(low, high, HEIGHT - BOTTOM, TOP)
    best = on_frontier(points, cost, higher=higher)
    parts = [*_axes(low, high, most, x, y, names), _box(x, y, limit, target, higher=higher)]
    if len(best) > 1:
        line = " ".join(f"{x(cost(one)):.1f},{y(one.score):.1f}" for one in best)
        parts.append(f'<polyline class="front" points="{line}"/>')
    parts += [_dot(one, x(cost(one)), y, names[1], cost(one), filled=one in best) for one in points]
    return picture(WIDTH, HEIGHT, f"{names[0]} against {names[1]}", [*parts, *_labels(points, cost, x, y)])


def _axes(low: float, high: float, most: float, x: Scale, y: Scale, names: tuple[str, str]) -> list[str]:
    base = HEIGHT - BOTTOM
    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(at):.1f}" y2="{y(at):.1f}"/>'
        f'<text class="tick" x="{LEFT - 7}" y="{y(at) + 3.5:.1f}" text-anchor="end">{short(at)}</text>'
        for at in nice(low, high, 5)
    ]
    parts += [
        f'<text class="tick" x="{x(at):.1f}" y="{base + 16}" text-anchor="middle">{short(at)}</text>'
        for at in nice(0, most, 6)
    ]
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>')
    parts.append(f'<text class="unit" x="4" y="11">{text(names[0])}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="unit" x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">{text(names[1])}</text>')
    return parts


def _box(x: Scale, y: Scale, limit: float | None, target: float | None, *, higher: bool) -> str:
    """What the budget allows: up to the limit, and from the target on."""
    if limit is None and target is None:
        return ""
    right = WIDTH - RIGHT if limit is None else x(limit)
    top, bottom = TOP - 6.0, float(HEIGHT - BOTTOM)
    if target is not None:
        top, bottom = (top, y(target)) if higher else (y(target), bottom)
    told = " and ".join(
        filter(None, ("" if limit is None else f"at most {limit:g}", "" if target is None else f"target {target:g}"))
    )
    return (
        f'<rect class="box" x="{LEFT}" y="{top:.1f}" width="{right - LEFT:.1f}" height="{max(0.0, bottom - top):.1f}">'
        f"<title>within the budget: {text(told)}</title></rect>"
    )


def _dot(one: Candidate, at: float, y: Scale, unit: str, cost: float, *, filled: bool) -> str:
    told = f"{one.name}: {one.score:.4g} ({one.low:.4g} to {one.high:.4g}) at {number(cost)} {unit}"
    return (
        f'<line class="whisker" x1="{at:.1f}" x2="{at:.1f}" y1="{y(one.low):.1f}" y2="{y(one.high):.1f}"/>'
        f'<circle class="{"mid" if filled else "out"}" cx="{at:.1f}" cy="{y(one.score):.1f}" r="5">'
        f"<title>{text(told)}</title></circle>"
    )


def _labels(points: Sequence[Candidate], cost: Callable[[Candidate], Any], x: Scale, y: Scale) -> list[str]:
    """Names beside the dots, moved down until none lies on another name or dot."""
    placed = [(x(cost(one)) - 6, x(cost(one)) + 6, y(one.score) + 4) for one in points]
    found = []
    for one in sorted(points, key=lambda item: (y(item.score), x(cost(item)))):
        wide = LETTER * len(one.name)
        left = x(cost(one)) + 9
        anchor = "start"
        if left + wide > WIDTH - 2:
            left, anchor = x(cost(one)) - 9 - wide, "end"
        at = y(one.score) + 4
        while any(abs(at - other) < 12 and left < end and start < left + wide for start, end, other in placed):
            at += 12
        placed.append((left, left + wide, at))
        shown = left if anchor == "start" else left + wide
        found.append(f'<text class="name" x="{shown:.1f}" y="{at:.1f}" text-anchor="{anchor}">{text(one.name)}</text>')
    return found
