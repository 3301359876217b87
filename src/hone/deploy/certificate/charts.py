"""Charts of a certificate as SVG drawn by hand: numbers on the axes, a title on every mark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from hone.data.looking.charts import nice
from hone.data.looking.markup import number, short, tag, text

Scale = Callable[[float], float]
WIDTH, HEIGHT = 420, 190
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 22, 38
ROW = 40
FAR = 4.0
"""So many times the largest of the others is far."""


def divergence_by_place(places: Sequence[Sequence[Any]], gate: float) -> str:
    """Mean divergence in nats by place in the answer: a bar for each span of places (from, to, nats, positions)."""
    values = [float(nats) for _, _, nats, _ in places if nats is not None]
    if not values:
        return ""
    # The gate is shown where it is near what was found: far above it everything would lie on the axis.
    show_gate = gate <= 4 * max(values)
    top = max([*values, gate if show_gate else 0.0, 1e-12]) * 1.08
    x, y = scale(0, max(end for _, end, *_ in places), LEFT, WIDTH - RIGHT), scale(0, top, HEIGHT - BOTTOM, TOP)
    parts = [_up_axis(nice(0, top, 4), y, "nats"), _across_axis(nice(0, places[-1][1], 6), x, "token of the answer")]
    for start, end, nats, count in places:
        if nats is None:
            continue
        span = f"token {start + 1:.0f}" if end == start + 1 else f"tokens {start + 1:.0f} to {end:.0f}"
        told = f"{span}: {nats:.3g} nats over {count:,} positions"
        parts.append(_bar(x(start), x(end), y(nats), told, over=show_gate and nats > gate))
    if show_gate:
        parts.append(_level(y(gate), f"gate {number(gate)}"))
    return picture(WIDTH, HEIGHT, "mean divergence by place in the answer", parts)


def divergence_histogram(bins: Sequence[Sequence[float]], gate: float) -> str:
    """Positions by their divergence on a logarithmic scale: (log10 of the lower end, count) for each half power."""
    if not bins:
        return ""
    logs = [float(low) for low, _ in bins]
    mark = math.log10(gate)
    first, last = math.floor(min([*logs, mark])), math.ceil(max([*logs, mark]) + 0.5)
    most = max(count for _, count in bins)
    x, y = scale(first, last, LEFT, WIDTH - RIGHT), scale(0, most * 1.08, HEIGHT - BOTTOM, TOP)
    step = max(1, -(-(last - first) // 6))
    ticks = list(range(first, last + 1, step))
    parts = [_up_axis([tick for tick in nice(0, most, 4) if tick == int(tick)], y, "positions")]
    parts.append(_across_axis(ticks, x, "nats (logarithmic)", lambda at: f"1e{at:.0f}"))
    for low, count in bins:
        lowest = low == min(logs) and low <= -10
        told = f"{'up' if lowest else f'1e{low:g}'} to 1e{low + 0.5:g} nats: {count:,} positions"
        parts.append(_bar(x(low), x(low + 0.5), y(count), told))
    at = f"{x(mark):.1f}"
    anchor, shift = ("end", -5) if x(mark) > WIDTH * 0.7 else ("start", 5)
    parts.append(
        f'<line class="limit" x1="{at}" x2="{at}" y1="{TOP - 8}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="limit" x="{x(mark) + shift:.1f}" y="{TOP - 6}" text-anchor="{anchor}">gate for the mean</text>'
    )
    return picture(WIDTH, HEIGHT, "positions by their divergence", parts)


def time_ranges(rows: Sequence[tuple[str, float, float]], limit: float | None = None) -> str:
    """Times in milliseconds, a line each: name, 50th and 95th percentile; the budget's limit where there is one.

    A percentile or a limit that is far beyond the others is told, and not drawn: everything else would lie at the axis.
    """
    if not rows:
        return ""
    high = TOP + ROW * len(rows) + BOTTOM
    middles = max(middle for _, middle, _ in rows)
    top = max(late if late <= FAR * middles else middles for _, _, late in rows) or 1.0
    far = limit is not None and limit > FAR * top
    top = (top if far or limit is None else max(top, limit)) * 1.06
    x = scale(0, top, LEFT + 40, WIDTH - RIGHT)
    base = high - BOTTOM
    parts = [_grid_up(nice(0, top, 5), x, base)]
    for line, (name, middle, late) in enumerate(rows):
        y = TOP + ROW * line + ROW / 2
        parts.append(
            f'<text x="{LEFT + 30}" y="{y + 4:.1f}" text-anchor="end">{text(name)}</text>'
            f'<line class="range" x1="{x(middle):.1f}" x2="{x(min(late, top)) + 0.1:.1f}" y1="{y:.1f}" y2="{y:.1f}">'
            f"<title>{text(name)}: median {middle:.3g} ms, 95 % within {late:.3g} ms</title></line>"
            f'<circle class="mid" cx="{x(middle):.1f}" cy="{y:.1f}" r="5"/>'
            f'<text class="tick" x="{x(middle):.1f}" y="{y - 10:.1f}" text-anchor="middle">{number(middle)}</text>'
        )
        if late > top:
            parts.append(
                f'<text class="tick" x="{WIDTH - RIGHT}" y="{y + 20:.1f}" text-anchor="end">'
                f"to {number(late)} \N{RIGHTWARDS ARROW}</text>"
            )
    parts.append(_across_axis(nice(0, top, 5), x, "milliseconds", base=base, left=LEFT + 40, height=high))
    if limit is not None:
        parts.append(_time_limit(x, limit, base, far=far))
    return picture(WIDTH, high, "median and 95th percentile of times", parts)


def _time_limit(x: Scale, limit: float, base: float, *, far: bool) -> str:
    told = f"budget {number(limit)}"
    if far:
        right = f'<text class="limit" x="{WIDTH - RIGHT}" y="{TOP - 9}" text-anchor="end">'
        return f"{right}{told} \N{RIGHTWARDS ARROW}</text>"
    at = f"{x(limit):.1f}"
    return (
        f'<line class="limit" x1="{at}" x2="{at}" y1="{TOP - 6}" y2="{base}"><title>{limit:g} ms</title></line>'
        f'<text class="limit" x="{x(limit) + 2:.1f}" y="{TOP - 9}" text-anchor="end">{told}</text>'
    )


def runs_chart(runs: Sequence[float]) -> str:
    """Milliseconds per token of each timed run, in order: whether the first are quicker than the last."""
    top = max(runs) * 1.15 or 1.0
    x, y = scale(0.5, len(runs) + 0.5, LEFT, WIDTH - RIGHT), scale(0, top, HEIGHT - BOTTOM, TOP)
    ticks = [at for at in nice(1, len(runs), 6) if at == int(at)]
    parts = [_up_axis(nice(0, top, 4), y, "ms per token"), _across_axis(ticks, x, "timed run")]
    parts += [
        f'<circle class="mid" cx="{x(at):.1f}" cy="{y(value):.1f}" r="4"><title>run {at}: {value:.3g} ms per token'
        "</title></circle>"
        for at, value in enumerate(runs, 1)
    ]
    return picture(WIDTH, HEIGHT, "milliseconds per token by run", parts)


def picture(wide: float, high: float, label: str, parts: Sequence[str]) -> str:
    """A chart that is as wide as there is room."""
    inside = f"<title>{text(label)}</title>" + "".join(parts)
    return tag("svg", inside, viewBox=f"0 0 {wide:g} {high:g}", role="img", aria_label=label, class_="plot")


def scale(first: float, last: float, start: float, end: float) -> Scale:
    """A straight line from values to places."""
    width = (last - first) or 1.0
    return lambda value: start + (end - start) * (value - first) / width


def _bar(left: float, right: float, top: float, told: str, *, over: bool = False) -> str:
    gap = 1.5 if right - left > 5 else 0.4
    tall = max(1.2, HEIGHT - BOTTOM - top)
    return (
        f'<rect class="bar{" over" if over else ""}" x="{left + gap / 2:.1f}" y="{HEIGHT - BOTTOM - tall:.1f}" '
        f'width="{max(1.0, right - left - gap):.1f}" height="{tall:.1f}" rx="1"><title>{text(told)}</title></rect>'
    )


def _level(y: float, label: str) -> str:
    return (
        f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="limit" x="{WIDTH - RIGHT}" y="{y - 4:.1f}" text-anchor="end">{text(label)}</text>'
    )


def _up_axis(ticks: Sequence[float], y: Scale, unit: str) -> str:
    lines = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text class="tick" x="{LEFT - 7}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{short(tick)}</text>'
        for tick in ticks
    )
    return lines + f'<text class="unit" x="4" y="11">{text(unit)}</text>'


def _grid_up(ticks: Sequence[float], x: Scale, base: float) -> str:
    return "".join(f'<line class="grid" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{TOP}" y2="{base}"/>' for at in ticks)


def _across_axis(
    ticks: Sequence[float],
    x: Scale,
    unit: str,
    told: Callable[[float], str] = short,
    *,
    base: float = HEIGHT - BOTTOM,
    left: float = LEFT,
    height: float = HEIGHT,
) -> str:
    parts = [f'<line class="axis" x1="{left}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>']
    for tick in ticks:
        anchor = "end" if x(tick) > WIDTH - RIGHT - 8 else "middle"
        parts.append(
            f'<text class="tick" x="{x(tick):.1f}" y="{base + 15}" text-anchor="{anchor}">{text(told(tick))}</text>'
        )
    middle = (left + WIDTH - RIGHT) / 2
    return "".join(parts) + f'<text class="unit" x="{middle}" y="{height - 5}" text-anchor="middle">{text(unit)}</text>'
