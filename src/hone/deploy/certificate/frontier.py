"""Several artifacts of one task side by side: score against size and time, with the budget as a box.

Scores of quick and full certificates are of different rows: no one of them beats one of the others, so that each kind
has marks and a frontier of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from hone.data.looking.charts import nice
from hone.data.looking.markup import number, short, tag, text
from hone.deploy.certificate.charts import Scale, picture, scale
from hone.deploy.certificate.witness import Size

Span = tuple[float, float, float]
"""Left and right end of what is written, and its middle."""
WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 18, 30, 40
LETTER = 6.6
"""Width of a letter of a label, about."""
LINE = 12.5
"""Height of a label."""
LONGEST = int(((WIDTH - 2 - LEFT) / 2 - 20) / LETTER)
"""Letters of a label: so many have room on one side of every dot. A longer name is drawn without its middle."""
FAR = 1.5
"""A limit so many times what the costliest artifact takes is told in words, or all would lie at the axis."""
SIZES: dict[Size, str] = {"full": "full certificate", "quick": "quick certificate (few rows)"}
JOIN = "-"
"""What joins the words of an artifact's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One artifact with its figures; ``low`` and ``high`` are the ends of the score's interval."""

    name: str
    score: float
    low: float
    high: float
    size_mb: float
    ms_per_token: float | None
    extent: Size = "full"
    """Of its certificate."""


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
        extent=certificate["size"],
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
    """Two charts with their legend as markup: score against megabytes and milliseconds. An empty text without points.

    What no other artifact with a certificate of the same extent beats in both is filled and joined; the box is what the
    budget allows, from the target on. The classes are those of ``certificate.css``
    (:func:`hone.deploy.certificate.page.style`).

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
    if not charts:
        return ""
    return _legend(points, target, limited=size_mb is not None or ms_per_token is not None) + tag(
        "div", "".join(charts), class_="two"
    )


def on_frontier(points: Sequence[Candidate], cost: Callable[[Candidate], float], *, higher: bool) -> list[Candidate]:
    """Those that no other one of their extent beats in score at no more cost, cheapest first."""
    sign = 1 if higher else -1
    found: dict[Size, list[Candidate]] = {}
    for one in sorted(points, key=lambda item: (cost(item), -sign * item.score)):
        best = found.setdefault(one.extent, [])
        if not best or sign * one.score > sign * best[-1].score:
            best.append(one)
    return [one for listed in found.values() for one in listed]


def short_names(names: Sequence[str]) -> list[str]:
    """Names without the words that all of them begin with; as they are where nothing would be left of one."""
    parts = [name.split(JOIN) for name in names]
    same = 0
    while len(set(names)) > 1 and all(len(words) > same + 1 for words in parts):
        if len({words[same] for words in parts}) > 1:
            break
        same += 1
    return [JOIN.join(words[same:]) for words in parts]


def _legend(points: Sequence[Candidate], target: float | None, *, limited: bool) -> str:
    kinds = [size for size in SIZES if any(one.extent == size for one in points)]
    keys = [(_mark(size, 7, 7, filled=True), SIZES[size]) for size in kinds]
    keys.append((_mark(kinds[0], 7, 7, filled=False), "beaten by another of its kind in score at no more cost"))
    keys.append(('<line class="whisker" x1="7" x2="7" y1="1" y2="13"/>', "95 % interval"))
    if target is not None:
        keys.append(('<line class="target" x1="0" x2="14" y1="7" y2="7"/>', "the task's target"))
    if limited or target is not None:
        within = " and ".join(["budget"] * limited + ["target"] * (target is not None))
        keys.append(('<rect class="box" x="0" y="1" width="14" height="12"/>', f"within the {within}"))
    drawn = (
        tag("span", tag("svg", mark, viewBox="0 0 14 14", class_="mark", aria_hidden="true") + text(told))
        for mark, told in keys
    )
    return tag("p", "".join(drawn), class_="keys legend")


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
    costliest = max(cost(one) for one in points)
    far = limit is not None and limit > FAR * costliest
    most = (costliest if far or limit is None else max(costliest, limit)) * 1.12
    x, y = scale(0, most, LEFT, WIDTH - RIGHT), scale(low, high, HEIGHT - BOTTOM, TOP)
    best = on_frontier(points, cost, higher=higher)
    parts = _axes(low, high, most, x, y, names)
    if limit is not None or target is not None:
        parts.append(_box(x, y, None if far else limit, target, higher=higher))
    if limit is not None:
        parts.append(_limit(x, limit, names[1], far=far))
    if target is not None:
        parts.append(_target(y(target), target))
    for size in SIZES:
        line = " ".join(f"{x(cost(one)):.1f},{y(one.score):.1f}" for one in best if one.extent == size)
        if " " in line:
            parts.append(f'<polyline class="front {size}" points="{line}"/>')
    parts += [_dot(one, x(cost(one)), y, names[1], cost(one), filled=one in best) for one in points]
    said = [] if target is None else [(float(LEFT), LEFT + LETTER * len(_told(target)), y(target) - 8)]
    return picture(WIDTH, HEIGHT, f"{names[0]} against {names[1]}", [*parts, *_labels(points, cost, x, y, said)])


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
    """What the budget allows: up to the limit, and from the target on; all of it where the limit is far."""
    right = WIDTH - RIGHT if limit is None else x(limit)
    top, bottom = TOP - 6.0, float(HEIGHT - BOTTOM)
    if target is not None:
        top, bottom = (top, y(target)) if higher else (y(target), bottom)
    return (
        f'<rect class="box" x="{LEFT}" y="{top:.1f}" width="{right - LEFT:.1f}" height="{max(0.0, bottom - top):.1f}"/>'
    )


def _limit(x: Scale, limit: float, unit: str, *, far: bool) -> str:
    told = f"budget {limit:g} {unit}"
    if far:
        return (
            f'<text class="limit" x="{WIDTH - RIGHT}" y="11" text-anchor="end">{text(told)} \N{RIGHTWARDS ARROW}</text>'
        )
    at = f"{x(limit):.1f}"
    anchor = "end" if x(limit) > WIDTH / 2 else "start"
    return (
        f'<line class="limit" x1="{at}" x2="{at}" y1="{TOP - 12}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="limit" x="{at}" y="11" text-anchor="{anchor}">{text(told)}</text>'
    )


def _target(at: float, target: float) -> str:
    return (
        f'<line class="target" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text class="target" x="{LEFT + 4}" y="{at - 4:.1f}">{_told(target)}</text>'
    )


def _told(target: float) -> str:
    return f"target {target:g}"


def _mark(extent: Size, x: float, y: float, *, filled: bool, inside: str = "") -> str:
    """A dot of a full certificate, a square of a quick one."""
    kind = "mid" if filled else "out"
    if extent == "full":
        return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="5">{inside}</circle>'
    return f'<rect class="{kind}" x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9">{inside}</rect>'


def _dot(one: Candidate, at: float, y: Scale, unit: str, cost: float, *, filled: bool) -> str:
    told = (
        f"{one.name}: {one.score:.4g} ({one.low:.4g} to {one.high:.4g}) at {number(cost)} {unit}, {SIZES[one.extent]}"
    )
    return f'<line class="whisker" x1="{at:.1f}" x2="{at:.1f}" y1="{y(one.low):.1f}" y2="{y(one.high):.1f}"/>' + _mark(
        one.extent, at, y(one.score), filled=filled, inside=f"<title>{text(told)}</title>"
    )


def _labels(
    points: Sequence[Candidate], cost: Callable[[Candidate], Any], x: Scale, y: Scale, said: Sequence[Span]
) -> list[str]:
    """Names beside the dots, each at the nearest place that is free; a thin line leads to one that is further off."""
    taken = [*said]
    taken += [(x(cost(one)) - 7, x(cost(one)) + 7, y(one.score)) for one in points]
    names = dict(zip((one.name for one in points), short_names([one.name for one in points]), strict=True))
    found = []
    for one in sorted(points, key=lambda item: (y(item.score), x(cost(item)))):
        name, dot, level = _drawn(names[one.name]), x(cost(one)), y(one.score)
        wide = LETTER * len(name)
        places = [*_places(dot, level, wide)]
        left, at = next((place for place in places if _is_free(place, wide, taken)), places[0])
        taken.append((left, left + wide, at))
        if abs(at - level) > LINE:
            end = left if left > dot else left + wide
            found.append(f'<line class="lead" x1="{dot:.1f}" y1="{level:.1f}" x2="{end:.1f}" y2="{at:.1f}"/>')
        found.append(f'<text class="name" x="{left:.1f}" y="{at + 4:.1f}">{text(name)}</text>')
    return found


def _drawn(name: str) -> str:
    """A name as it stands beside its dot, which shows all of it under the pointer."""
    half = (LONGEST - 1) // 2
    return name if len(name) <= LONGEST else f"{name[:half]}\N{HORIZONTAL ELLIPSIS}{name[-half:]}"


def _places(dot: float, level: float, wide: float) -> Iterator[tuple[float, float]]:
    """Left ends and middles of a label, the nearest first, inside the picture; right of the dot where there is room."""
    right, left = dot + 10, dot - 10 - wide
    shifts = [(LINE * step, side) for step in range(-16, 17) for side in (right, left)]
    for shift, start in sorted(shifts, key=lambda one: abs(one[0]) + (one[1] == left) * 1.5 * LINE):
        at = level + shift
        if start > LEFT and start + wide < WIDTH - 2 and TOP - 4 < at < HEIGHT - BOTTOM - 4:
            yield start, at


def _is_free(place: tuple[float, float], wide: float, taken: Sequence[Span]) -> bool:
    left, at = place
    return not any(abs(at - other) < LINE and left < end and start < left + wide for start, end, other in taken)
