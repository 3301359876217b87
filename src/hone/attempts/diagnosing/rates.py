"""The page of a range test of learning rates: the curve with the rate that is suggested, and why it is that one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hone.attempts.diagnosing.charts import Axis, Mark, Series, line_chart
from hone.attempts.diagnosing.page import style
from hone.data.looking.markup import NONE, fold, note, number, section, table, tag, text
from hone.data.looking.skeleton import whole_page

Json = Mapping[str, Any]
AS_ONE = 1.02
"""Rates that are as close are marked once."""


def rates_page(found: Json, title: str, command: str) -> str:
    """The page of what :meth:`hone.train.finders.rate.FoundRate.to_json` says.

    Args:
        found: its plain values.
        title: what was tested, such as the task and the base.
        command: that uses what is suggested.
    """
    points = found["points"]
    tried = f"{len(points)} learning rates from {points[0]['rate']:.2g} to {points[-1]['rate']:.2g}, each for one step"
    head = tag("p", "hone train --find rate", class_="tool") + tag("h1", text(title)) + note(tried)
    parts = [tag("header", head), _verdict(found), _curve(found), _use(found, command), _numbers(found), _all(points)]
    return whole_page(f"{title} · learning rate", f"<main>{''.join(parts)}</main>", style=style())


def _settings(found: Json) -> str:
    return ", ".join(f"{key} {value:g}" for key, value in found["suggestion"].items())


def _verdict(found: Json) -> str:
    end = f"It diverged at {found['diverged_at']:.2g}." if found["diverged_at"] else "It did not diverge in this range."
    if not found["suggestion"]:
        told = f"The loss never fell clearly. {end} Try a lower range, or more steps."
        return _box("warn", "nothing is suggested", told)
    told = f"The loss fell steepest at {found['steepest']:.2g}. {end}"
    return _box("good", _settings(found), told)


def _box(kind: str, word: str, told: str) -> str:
    inside = tag("p", text(word), class_="word") + tag("p", text(told), class_="told")
    return tag("div", inside, class_=f"verdict {kind}")


def _curve(found: Json) -> str:
    points = found["points"]
    begin, lowest = points[0]["smoothed"], min(one["smoothed"] for one in points)
    # What has diverged rises without end, and would press the descent that decides into a line.
    ceiling = begin + max(begin - lowest, 0.2 * abs(begin))
    series = [
        Series(name=name, points=[(one["rate"], min(ceiling, one[key])) for one in points], kind=kind)
        for name, key, kind in (("loss of each step", "loss", "single"), ("smoothed", "smoothed", "train"))
    ]
    across = Axis(first=points[0]["rate"], last=points[-1]["rate"], name="learning rate", log=True)
    chart = line_chart("loss over learning rates", "loss", series, across=across, marks=_marks(found))
    lead = (
        "The rate rises from step to step, on a copy of the model that is thrown away; each step has other rows. "
        f"What is above {number(ceiling)} is drawn there."
    )
    return section("curve", "Loss", lead, chart)


def _marks(found: Json) -> list[Mark]:
    suggested, steepest, diverged = found["suggested"], found["steepest"], found["diverged_at"]
    marks = []
    if suggested is not None:
        marks.append(Mark(step=suggested, label=f"suggested: {suggested:.2g}", kind="stop"))
    if steepest is not None and not 1 / AS_ONE < steepest / suggested < AS_ONE:
        marks.append(Mark(step=steepest, label=f"steepest: {steepest:.2g}", kind="event"))
    last = found["points"][-1]["rate"]
    if diverged is not None:
        # Where the loss was not a number any more, the rate lies behind the last point.
        marks.append(Mark(step=min(diverged, last), label=f"diverged: {diverged:.2g}", kind="event"))
    return marks


def _use(found: Json, command: str) -> str:
    return section("use", "To use it", "", tag("p", tag("code", text(command)))) if found["suggestion"] else ""


def _numbers(found: Json) -> str:
    named = (
        ("steepest descent", found["steepest"]),
        ("divergence", found["diverged_at"]),
        ("suggested", found["suggested"]),
    )
    rows = [[text(name), NONE if value is None else f"{value:.2g}"] for name, value in named]
    lead = (
        "The suggestion is the smaller of the steepest descent and a tenth of divergence. It has diverged where half "
        "of what was gained is lost again, or the loss is a fifth above its beginning, beyond noise (L. N. Smith, "
        "arXiv:1506.01186)."
    )
    return section("numbers", "The numbers that decided", lead, table(["", ""], rows, right=(1,), class_="compact"))


def _all(points: Sequence[Json]) -> str:
    rows = [[f"{one['rate']:.3g}", f"{one['loss']:.4g}", f"{one['smoothed']:.4g}"] for one in points]
    shown = table(["learning rate", "loss", "smoothed"], rows, right=(0, 1, 2), class_="compact")
    return section("points", "All that was tried", "", fold(f"{len(rows)} rates", shown))
