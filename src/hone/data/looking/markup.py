"""Small pieces of the page: escaped text, numbers with intervals, tables, samples. Text is data and never markup."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from hone.wording import counted

Json = Mapping[str, Any]
Row = Sequence[str]
NONE = "\N{EN DASH}"
"""What stands where there is no value."""


def text(value: object) -> str:
    """Any value as text inside an element or a quoted attribute."""
    return escape(str(value), quote=True)


def tag(name: str, inside: str = "", **attributes: object) -> str:
    """An element around markup; attribute values are escaped. ``class_`` stands for ``class``."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}>{inside}</{name}>"


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: thousands apart, a few significant digits; a dash for none."""
    if value is None or math.isnan(value):
        return NONE
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    shown = f"{value:.{digits}g}"
    return shown if "e" not in shown else f"{value:.1e}"


def short(value: float) -> str:
    """A number for an axis: 1.2 k, 3.4 M."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            scale = 1e3 if unit == " k" else size
            return f"{value / scale:.3g}{unit}"
    return number(value)


def percent(value: float) -> str:
    """A share as a percentage: two digits where it is small, and never 0 % of something or 100 % of not all."""
    part = 100 * value
    if part in (0, 100):
        return f"{part:.0f} %"
    if part < 0.01:
        return "< 0.01 %"
    if part > 99.99:
        return "> 99.99 %"
    digits = 2 if part < 1 or part > 99.9 else 1
    return f"{part:.{digits}f} %"


def estimate(figure: Json, unit: str = "share") -> str:
    """A figure, with its interval where it is an estimate, or why there is none."""
    value = tag("span", value_told(figure["value"], unit), class_="num")
    told = interval_told(figure, unit)
    return f"{value} {tag('span', text(told), class_='interval')}" if told else value


def interval_told(figure: Json, unit: str = "share") -> str:
    """The interval of a figure in words; empty where it is exact, and why there is none where a sample gives none."""
    low, high = figure["low"], figure["high"]
    if low == high:
        return str(figure.get("no_interval", "")) if low is None and figure["value"] is not None else ""
    if high is None:
        return f"{value_told(low, unit)} or more"
    return f"{value_told(low, unit)} to {value_told(high, unit)}"


def value_told(value: float | None, unit: str) -> str:
    """A share as a percentage, anything else as a number; a dash for none."""
    if value is None:
        return NONE
    return percent(value) if unit == "share" else number(value)


def rows(count: int) -> str:
    """``1 row``, ``12 rows``."""
    return counted(count, "row")


def table(heads: Sequence[str], body: Iterable[Row], *, right: Sequence[int] = (), class_: str = "") -> str:
    """A table of markup cells; columns named in ``right`` hold numbers."""

    def cells(kind: str, parts: Row) -> str:
        made = (tag(kind, part, class_="r" if at in right else None) for at, part in enumerate(parts))
        return tag("tr", "".join(made))

    head = tag("thead", cells("th", heads))
    inside = head + tag("tbody", "".join(cells("td", row) for row in body))
    return tag("div", tag("table", inside, class_=class_ or None), class_="scroll")


def section(anchor: str, title: str, lead: str, *parts: str) -> str:
    """A part of the page that the table of contents links to. ``lead`` is plain text."""
    head = tag("h2", text(title)) + (tag("p", text(lead), class_="lead") if lead else "")
    return tag("section", head + "".join(parts), id=anchor)


def sub(title: str, *parts: str, anchor: str | None = None) -> str:
    """A part of a section. ``title`` is plain text."""
    return tag("div", tag("h3", text(title), id=anchor) + "".join(parts), class_="sub")


def fold(title: str, inside: str, *, opened: bool = False) -> str:
    """Something to open. ``title`` is markup."""
    return f"<details{' open' if opened else ''}><summary>{title}</summary>{inside}</details>"


def note(sentence: str) -> str:
    """A quiet sentence."""
    return tag("p", text(sentence), class_="note")


def row_id(row: str) -> str:
    """A row's id; pressing it copies the command that tells what happened to the row (in its task, see ``look.js``)."""
    command = shlex.join(["hone", "data", "lineage", row])
    return tag("button", text(row), class_="row", type="button", data_copy=command, title=f"copy: {command}")


def act(alert: Json) -> str:
    """The command or the lines of hone.yaml that act on an alert, to be copied, and what they do."""
    found = []
    for key, title in (("command", "run"), ("apply", "clean"), ("yaml", "hone.yaml")):
        if alert[key]:
            code = tag("code", text(alert[key]))
            button = tag("button", "copy", type="button", class_="copy", data_copy=alert[key])
            found.append(tag("div", tag("span", title, class_="kind") + code + button, class_="act"))
    if alert["effect"]:
        said = "; ".join(filter(None, (alert["effect"], alert["place"])))
        found.append(tag("p", text(said), class_="small does"))
    return "".join(found)


def sample(shown: Json, extra: str = "") -> str:
    """A row: its id, what it is shown for, its text with evidence highlighted."""
    value = "" if shown.get("value") is None else tag("span", number(shown["value"], 4), class_="value")
    size = f"{shown['chars']:,} characters" if "chars" in shown else ""
    head = row_id(shown["row"]) + value + extra + tag("span", size, class_="size")
    body = quoted(shown) if "text" in shown else tag("p", "text not shown", class_="hidden")
    return tag("figure", tag("figcaption", head) + body, class_="sample")


def quoted(shown: Json) -> str:
    """A text with its marks; what was left out is said."""
    if not shown["text"]:
        return tag("blockquote", tag("i", "no text"), class_="none")
    before = tag("i", f"{shown['before']:,} characters before … ", class_="cut") if shown["before"] else ""
    after = tag("i", f" … {shown['after']:,} characters after", class_="cut") if shown["after"] else ""
    return tag("blockquote", before + marked(shown["text"], shown["marks"]) + after, dir="auto")


def marked(shown: str, marks: Sequence[Sequence[Any]]) -> str:
    """Text with marked spans; where spans overlap the first one wins."""
    parts, at = [], 0
    for start, end, kind in sorted(map(tuple, marks)):
        if start < at or start >= end:
            continue
        parts.append(text(shown[at:start]))
        parts.append(tag("mark", text(shown[start:end]), title=kind))
        at = end
    return "".join(parts) + text(shown[at:])


def samples(shown: Sequence[Json]) -> str:
    """Some rows below each other."""
    return "".join(map(sample, shown)) if shown else tag("p", "none", class_="hidden")


def several(made: Sequence[str], first: int = 10) -> str:
    """A list of which the first are seen and the others can be opened."""
    if len(made) <= first + 2:
        return "".join(made)
    return "".join(made[:first]) + fold(f"{len(made) - first} more", "".join(made[first:]))


def file_name(path: str) -> str:
    """The last part of a path or address, which is what people call it by."""
    return path.rstrip("/").rpartition("/")[2] or path


def chip(label: str, class_: str = "chip") -> str:
    """A short label in a box."""
    return tag("span", text(label), class_=class_)
