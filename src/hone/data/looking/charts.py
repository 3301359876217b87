"""Charts as SVG drawn by hand: axes, units, numbers, a title on every mark. Colours are classes of the style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from hone.data.looking.markup import fold, interval_told, number, percent, short, tag, text
from hone.wording import counted

Json = Mapping[str, Any]
WIDTH, HEIGHT = 520, 182
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 22, 40
FAINT = 0.1
"""Where removed rows would be lower than this share of the highest bar, the vertical axis is logarithmic."""
MOST_BARS = 12
_ROW = 22
_COLUMN = 30
_LABEL = 190


def histogram(shown: Json, unit: str, low: float | None = None, high: float | None = None) -> str:
    """Bars over an axis with thresholds as lines; bars outside of them are those of removed rows."""
    if not shown["counts"]:
        return tag("p", "no row has a value", class_="hidden")
    edges, counts = shown["edges"], shown["counts"]
    x = _across(edges[0], edges[-1], shown["scale"] == "log")
    outside = [_is_outside((a + b) / 2, low, high) for a, b in pairwise(edges)]
    faint = [n for n, out in zip(counts, outside, strict=True) if n and out]
    log = bool(faint) and max(faint) < FAINT * max(counts)
    y = _up(max(counts), log)
    parts = [
        _y_axis(max(counts), y, log),
        _x_axis(edges, x, unit, log=shown["scale"] == "log", whole=bool(shown.get("whole"))),
    ]
    for at, count in enumerate(counts):
        if count:
            parts.append(
                _bar(edges[at], edges[at + 1], count, x, y, outside=outside[at], whole=bool(shown.get("whole")))
            )
    parts += [_line(value, x, side) for value, side in ((low, "min"), (high, "max")) if value is not None]
    middle = f"median {number(shown['median'])}, 90 % between {number(shown['p5'])} and {number(shown['p95'])}"
    picture = _svg(WIDTH, HEIGHT, f"histogram of {unit}: {middle}", parts, class_="histogram")
    notes = [middle, f"from {number(shown['min'])} to {number(shown['max'])}"]
    notes += (
        [f"{counted(shown['beyond'], 'row is', 'rows are')} beyond the axis, in the last bar"]
        if shown["beyond"]
        else []
    )
    notes += [f"{counted(shown['unmeasured'], 'row')} not measured"] if shown["unmeasured"] else []
    notes += ["vertical axis logarithmic"] if log else []
    return tag("div", picture + tag("p", text("; ".join(notes)), class_="note"), class_="chart")


def bars(values: Sequence[tuple[str, int, str]]) -> str:
    """A list of names, each with a bar, its count and a share (markup); the long tail of a long list is closed."""
    if len(values) > MOST_BARS + 3:
        rest = fold(f"{len(values) - MOST_BARS} more", _bars(values[MOST_BARS:], values[0][1]))
        return _bars(values[:MOST_BARS], values[0][1]) + rest
    return _bars(values, max((count for _, count, _ in values), default=1))


def _bars(values: Sequence[tuple[str, int, str]], most: int) -> str:
    lines = []
    for name, count, part in values:
        bar = strip([(0.0, count / max(1, most), "kept")], f"{name}: {count:,}")
        cells = tag("td", text(name), class_="name") + tag("td", bar, class_="wide")
        lines.append(tag("tr", cells + tag("td", f"{count:,}", class_="r") + tag("td", part, class_="r")))
    return tag("div", tag("table", "".join(lines), class_="bars"), class_="scroll")


def strip(parts: Sequence[tuple[float, float, str]], label: str) -> str:
    """Segments (start, end, class) on a line from 0 to 1, as wide as there is room."""
    drawn = "".join(
        f'<rect class="{kind}" x="{1000 * start:.1f}" y="1" width="{max(3.0, 1000 * (end - start)):.1f}" height="10"/>'
        for start, end, kind in parts
        if end > start
    )
    inside = f"<title>{text(label)}</title>{drawn}"
    return tag("svg", inside, viewBox="0 0 1000 12", preserveAspectRatio="none", class_="strip", role="img")


def interval(low: float, value: float, high: float, reach: float) -> str:
    """A value with its interval on a line from ``-reach`` to ``reach``, zero in the middle."""

    def at(x: float) -> float:
        return 500 + 490 * max(-1.0, min(1.0, x / reach))

    kind = "alone" if low > 0 or high < 0 else "shared"
    inside = (
        f"<title>{value:+.2f}, between {low:+.2f} and {high:+.2f}</title>"
        '<rect class="zero" x="498" y="0" width="4" height="12"/>'
        f'<rect class="{kind}" x="{at(low):.0f}" y="5" width="{max(3.0, at(high) - at(low)):.0f}" height="2"/>'
        f'<rect class="{kind}" x="{at(value) - 7:.0f}" y="2" width="14" height="8"/>'
    )
    return tag("svg", inside, viewBox="0 0 1000 12", preserveAspectRatio="none", class_="strip interval", role="img")


def overlaps(found: Sequence[Json]) -> str:
    """Which rules fail together: a column for each combination, a dot for each rule in it, a bar for its rows."""
    shown = [combination for combination in found if combination["rules"]]
    names = list(dict.fromkeys(name for combination in shown for name in combination["rules"]))
    weight = {name: sum(c["rows"] for c in shown if name in c["rules"]) for name in names}
    names.sort(key=lambda name: -weight[name])
    top, most = 96, max(combination["rows"] for combination in shown)
    parts = []
    for line, name in enumerate(names):
        y = top + _ROW * line + 16
        if line % 2 == 0:
            parts.append(
                f'<rect class="band" x="0" y="{y - 11}" width="{_LABEL + _COLUMN * len(shown)}" height="{_ROW}"/>'
            )
        parts.append(f'<text class="label" x="{_LABEL - 12}" y="{y + 4}" text-anchor="end">{text(_fit(name))}</text>')
    for column, combination in enumerate(shown):
        parts.append(_combination(column, combination, names, top, most))
    size = (_LABEL + _COLUMN * len(shown) + 8, top + _ROW * len(names) + 12)
    label = "rows by the combination of rules that they fail"
    picture = _svg(*size, label, parts, class_="upset", width=size[0])
    return tag("div", picture, class_="scroll")


def _combination(column: int, combination: Json, names: Sequence[str], top: int, most: int) -> str:
    x = _LABEL + _COLUMN * column + _COLUMN / 2
    tall = max(2.0, 66 * combination["rows"] / most)
    ys = [top + _ROW * line + 16 for line, name in enumerate(names) if name in combination["rules"]]
    kind = "alone" if len(ys) == 1 else "shared"
    title = f"{counted(combination['rows'], 'row fails', 'rows fail')} {' and '.join(combination['rules'])}" + (
        " alone" if len(ys) == 1 else ""
    )
    dots = "".join(f'<circle class="{kind}" cx="{x}" cy="{y}" r="5"/>' for y in ys)
    empty = "".join(
        f'<circle class="off" cx="{x}" cy="{top + _ROW * line + 16}" r="3"/>'
        for line, name in enumerate(names)
        if name not in combination["rules"]
    )
    return (
        f"<g><title>{text(title)}</title>"
        f'<rect class="{kind}" x="{x - 9}" y="{top - 8 - tall:.1f}" width="18" height="{tall:.1f}"/>'
        f'<text class="tick" x="{x}" y="{top - 12 - tall:.1f}" text-anchor="middle">{short(combination["rows"])}</text>'
        f'{empty}<line class="{kind}" x1="{x}" x2="{x}" y1="{min(ys)}" y2="{max(ys)}"/>{dots}</g>'
    )


def _fit(name: str, chars: int = 26) -> str:
    return name if len(name) <= chars else name[: chars - 1] + "…"


def _svg(wide: float, high: float, label: str, parts: Sequence[str], **attributes: object) -> str:
    inside = f"<title>{text(label)}</title>" + "".join(parts)
    return tag("svg", inside, viewBox=f"0 0 {wide:g} {high:g}", role="img", aria_label=label, **attributes)


def _is_outside(value: float, low: float | None, high: float | None) -> bool:
    return (low is not None and value < low) or (high is not None and value > high)


def _across(first: float, last: float, log: bool) -> Callable[[float], float]:
    def scaled(value: float) -> float:
        return math.log1p(max(0.0, value)) if log else value

    width = (scaled(last) - scaled(first)) or 1.0
    return lambda value: LEFT + (WIDTH - LEFT - RIGHT) * (scaled(value) - scaled(first)) / width


def _up(most: int, log: bool) -> Callable[[float], float]:
    space = HEIGHT - TOP - BOTTOM
    if log:
        # One row is seen too: it reaches a little above the axis.
        reach = math.log10(most) + 0.3
        return lambda value: HEIGHT - BOTTOM - space * ((math.log10(value) + 0.3) / reach if value >= 1 else 0.0)
    return lambda value: HEIGHT - BOTTOM - space * value / most


def _y_axis(most: int, y: Callable[[float], float], log: bool) -> str:
    ticks = [10**k for k in range(int(math.log10(most)) + 1)] if log else [t for t in nice(0, most, 4) if t == int(t)]
    if log and len(ticks) > 4:
        ticks = ticks[:: (len(ticks) + 3) // 4]
    lines = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{short(tick)}</text>'
        for tick in ticks
    )
    return lines + f'<text class="tick" x="{LEFT - 6}" y="11" text-anchor="end">rows</text>'


def _x_axis(edges: Sequence[float], x: Callable[[float], float], unit: str, *, log: bool, whole: bool) -> str:
    base = HEIGHT - BOTTOM
    ticks = _log_ticks(edges[0], edges[-1]) if log else nice(edges[0], edges[-1], 6)
    ticks = [tick for tick in ticks if tick == int(tick)] if whole else ticks
    parts = [f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>']
    for tick in ticks:
        at = x(tick)
        # A number below the end of the axis would be cut off by the edge of the picture.
        anchor = "end" if at > WIDTH - RIGHT - 8 else "middle"
        parts.append(f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{base}" y2="{base + 4}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{base + 15}" text-anchor="{anchor}">{short(tick)}</text>')
    name = unit + (" (logarithmic)" if log else "")
    parts.append(
        f'<text class="unit" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{text(name)}</text>'
    )
    return "".join(parts)


def _bar(
    start: float,
    end: float,
    count: int,
    x: Callable[[float], float],
    y: Callable[[float], float],
    *,
    outside: bool,
    whole: bool,
) -> str:
    left, right, high = x(start), x(end), y(count)
    gap = 1.0 if right - left > 4 else 0.0
    first, last = math.ceil(start), math.floor(end)
    span = f"{first:,}" if first == last else f"{first:,} to {last:,}"
    title = f"{span if whole else f'{number(start)} to {number(end)}'}: {counted(count, 'row')}" + (
        ", removed" if outside else ""
    )
    return (
        f'<rect class="{"removed" if outside else "kept"}" x="{left + gap / 2:.1f}" y="{high:.1f}" '
        f'width="{max(1.2, right - left - gap):.1f}" height="{max(1.0, HEIGHT - BOTTOM - high):.1f}">'
        f"<title>{text(title)}</title></rect>"
    )


def _line(value: float, x: Callable[[float], float], side: str) -> str:
    """A threshold: what lies on its wrong side is removed."""
    at = min(max(x(value), LEFT), WIDTH - RIGHT)
    label = f"{side} {number(value)}"
    anchor = "start" if at < WIDTH / 2 else "end"
    shift = 5 if anchor == "start" else -5
    return (
        f'<line class="threshold" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 12}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="threshold" x="{at + shift:.1f}" y="{TOP - 6}" text-anchor="{anchor}">{text(label)}</text>'
    )


def nice(low: float, high: float, count: int) -> list[float]:
    """Round numbers between two ends, about so many."""
    if high <= low:
        return [low]
    rough = (high - low) / max(1, count)
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * k for k in (1, 2, 2.5, 5, 10) if size * k >= rough)
    first = math.ceil(low / step - 1e-9)
    # Multiples, not sums: 0.1 three times over is not 0.3.
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    ticks = [0.0] if low < 0.5 else []
    if high <= 3:
        return [*ticks, *[tick for tick in (0.1, 0.3, 1.0, 3.0) if low <= tick <= high]]
    powers = [10.0**k for k in range(10) if low <= 10.0**k <= high]
    return [*ticks, *powers] if len(powers) > 1 else [*ticks, *nice(low, high, 4)[1:]]


def shares(values: Sequence[Json], name: str = "value") -> list[tuple[str, int, str]]:
    """Rows for :func:`bars` out of a part of the document."""
    return [(str(value[name]), value["rows"], _share(value["share"])) for value in values]


def _share(figure: Json) -> str:
    told = interval_told(figure)
    return percent(figure["value"]) + (f" ({told})" if told else "")
