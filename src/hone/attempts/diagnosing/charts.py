"""Curves over steps or rates as SVG drawn by hand: titles on marks, numbers on axes, colours from the style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hone.data.looking.charts import nice
from hone.data.looking.markup import number, short, tag, text

Scale = Callable[[float], float]
Point = tuple[float, float]
WIDE, NARROW, HEIGHT = 760, 400, 250
LEFT, RIGHT, TOP, BOTTOM = 54, 16, 26, 38
LOG_FROM = 30.0
"""Where the largest value is so many times the smallest, the vertical axis is logarithmic."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One curve."""

    name: str
    points: Sequence[Point]
    kind: str
    """Class of the style sheet: its colour."""
    dots: bool = False
    faint: bool = False
    """Thin and half transparent."""
    band: Sequence[tuple[float, float, float]] = ()
    """Place, lower and upper end of an interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """The horizontal axis."""

    last: float
    """Its right end."""
    first: float = 0.0
    name: str = "optimizer steps"
    log: bool = False
    """Logarithmic: ``first`` is above 0 then, and places are told as they are and not as whole steps."""

    def told(self, place: float) -> str:
        """A place in words."""
        return f"{self.name} {place:.2g}" if self.log else f"step {int(place):,}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A place that is marked by a line with a word, or a span of places."""

    step: float
    label: str
    kind: str
    until: float | None = None
    foot: bool = False
    """Named at the foot of the chart, so that it does not hide those above."""


def line_chart(
    label: str,
    unit: str,
    series: Sequence[Series],
    *,
    across: Axis,
    marks: Sequence[Mark] = (),
    level: float = 0.0,
    width: int = WIDE,
    may_be_log: bool = True,
) -> str:
    """A chart of curves over an axis of steps or rates; an empty text where there is nothing to draw.

    Args:
        label: what it shows, for those who cannot see it.
        unit: of the vertical axis.
        series: the curves, the last one on top.
        across: the horizontal axis.
        marks: places that are pointed out.
        level: a horizontal line (the clipping norm), 0 for none.
        width: of the picture, against its height of 250.
        may_be_log: whether the vertical axis is logarithmic where values differ much.
    """
    values = [y for one in series for _, y in one.points] + [y for one in series for _, *ends in one.band for y in ends]
    if not values:
        return ""
    low, high = min(*values, level or values[0]), max(*values, level)
    log = may_be_log and low > 0 and high / low >= LOG_FROM
    y = _upwards(low, high, log)

    def picture(width: int, class_: str) -> str:
        right = width - RIGHT
        x = _rightwards(across, right)
        parts = [_y_axis(low, high, y, unit, right, log=log), _x_axis(across, x, right)]
        parts += [_span(mark, x) for mark in marks if mark.until is not None]
        if level:
            at = f"{y(level):.1f}"
            parts.append(
                f'<line class="level" x1="{LEFT}" x2="{right}" y1="{at}" y2="{at}"><title>clipped above '
                f"{number(level)}</title></line>"
            )
        parts += [_drawn(one, x, y, across) for one in series]
        parts += [_line(mark, x, right) for mark in marks if mark.until is None]
        inside = f"<title>{text(label)}</title>" + "".join(parts)
        return tag("svg", inside, viewBox=f"0 0 {width} {HEIGHT}", role="img", aria_label=label, class_=class_)

    # A wide picture would be too small to read on a phone, so that a narrow one takes its place there.
    both = [(WIDE, "curve wide"), (NARROW, "curve narrow")] if width > NARROW else [(NARROW, "curve")]
    keys = "".join(tag("span", text(one.name), class_=f"key {one.kind}") for one in series if one.name)
    return tag("div", tag("p", keys, class_="keys") + "".join(picture(*one) for one in both), class_="plot")


def _drawn(one: Series, x: Scale, y: Scale, across: Axis) -> str:
    parts = []
    if one.band:
        there = [f"{x(step):.1f},{y(high):.1f}" for step, _, high in one.band]
        back = [f"{x(step):.1f},{y(low):.1f}" for step, low, _ in reversed(one.band)]
        parts.append(f'<polygon class="{one.kind} area" points="{" ".join(there + back)}"/>')
    if len(one.points) > 1:
        line = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in one.points)
        faint = " faint" if one.faint else ""
        parts.append(f'<polyline class="{one.kind}{faint}" points="{line}"/>')
    if one.dots:
        parts += [
            f'<circle class="{one.kind}" cx="{x(step):.1f}" cy="{y(value):.1f}" r="3">'
            f"<title>{text(one.name)} at {text(across.told(step))}: {number(value, 4)}</title></circle>"
            for step, value in one.points
        ]
    return "".join(parts)


def _span(mark: Mark, x: Scale) -> str:
    left, right = x(mark.step), x(mark.until or mark.step)
    return (
        f'<rect class="{mark.kind} span" x="{left:.1f}" y="{TOP}" width="{max(2.0, right - left):.1f}" '
        f'height="{HEIGHT - TOP - BOTTOM}"><title>{text(mark.label)}</title></rect>'
    )


def _line(mark: Mark, x: Scale, right: float) -> str:
    at = x(mark.step)
    anchor, shift = ("end", -5) if at > right * 0.7 else ("start", 5)
    y = HEIGHT - BOTTOM - 7 if mark.foot else TOP + 8 if mark.kind == "event" else TOP - 8
    label = tag("text", text(mark.label), class_=mark.kind, x=f"{at + shift:.1f}", y=y, text_anchor=anchor)
    return (
        f'<line class="{mark.kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 16}" y2="{HEIGHT - BOTTOM}">'
        f"<title>{text(mark.label)}</title></line>{label}"
    )


def _scale(first: float, last: float, start: float, end: float) -> Scale:
    width = (last - first) or 1.0
    return lambda value: start + (end - start) * (value - first) / width


def _rightwards(across: Axis, right: float) -> Scale:
    if across.log:
        plain = _scale(math.log(across.first), math.log(across.last), LEFT, right)
        return lambda value: plain(math.log(value))
    return _scale(across.first, max(across.first + 1.0, across.last), LEFT, right)


def _upwards(low: float, high: float, log: bool) -> Scale:
    if log:
        plain = _scale(math.log(low), math.log(high), HEIGHT - BOTTOM, TOP)
        return lambda value: plain(math.log(min(max(value, low), high)))
    margin = 0.04 * (high - low or abs(high) or 1.0)
    return _scale(low - margin, high + margin, HEIGHT - BOTTOM, TOP)


def _y_axis(low: float, high: float, y: Scale, unit: str, right: float, *, log: bool) -> str:
    ticks = _log_ticks(low, high) if log else nice(low, high, 5)
    lines = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text class="tick" x="{LEFT - 7}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{short(tick)}</text>'
        for tick in ticks
    )
    name = unit + (" (log)" if log else "")
    return lines + f'<text class="unit" x="4" y="11">{text(name)}</text>'


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found = [10.0**power * digit for power in range(first, last + 1) for digit in (1, 3)]
    within = [tick for tick in found if low <= tick <= high]
    return within[:: max(1, len(within) // 6)]


def _x_axis(across: Axis, x: Scale, right: float) -> str:
    base = HEIGHT - BOTTOM
    parts = [f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{base}" y2="{base}"/>']
    if across.log:
        ticks = [(at, f"{at:g}") for at in _log_ticks(across.first, across.last)]
    else:
        places = nice(across.first, max(across.first + 1.0, across.last), 8 if right > NARROW else 4)
        ticks = [(at, short(at)) for at in places if at == int(at)]
    for tick, told in ticks:
        anchor = "end" if x(tick) > right - 12 else "middle"
        parts.append(f'<text class="tick" x="{x(tick):.1f}" y="{base + 16}" text-anchor="{anchor}">{told}</text>')
    middle = (LEFT + right) / 2
    name = text(across.name + (" (log)" if across.log else ""))
    return "".join(parts) + f'<text class="unit" x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">{name}</text>'
