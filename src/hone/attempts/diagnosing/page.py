"""The page of a diagnosis: one file, no network, no script; texts are data and never markup."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hone.attempts.diagnosing.charts import NARROW, Axis, Mark, Point, Series, line_chart
from hone.data.looking.charts import strip
from hone.data.looking.markup import NONE, chip, fold, note, number, percent, section, table, tag, text
from hone.data.looking.skeleton import report_style, whole_page

Json = Mapping[str, Any]
KINDS = {"good fit": "good", "overfit": "bad", "underfit": "warn", "unclear": "none"}


def page_of(document: Json) -> str:
    """The page of a document (:func:`hone.attempts.diagnosing.diagnose_run`)."""
    name = str(document["run"]["name"])
    parts = (_verdict(document), _loss(document), _metric(document), _rate(document), _guards(document))
    more = (_layers(document), _slow(document), _memory(document), _numbers(document), _recipe(document))
    body = f"<main>{_head(document)}{''.join(parts)}{''.join(more)}</main>"
    return whole_page(f"{name} · what happened", body, style=style())


def style() -> str:
    """The style sheet of pages with curves."""
    return report_style(Path(__file__).parent / "diagnosis.css")


def _head(document: Json) -> str:
    run = document["run"]
    steps = f"step {run['step']:,}" + (f" of {run['steps']:,}" if run["steps"] else "")
    begun = str(run["created"])[:16].replace("T", " ")  # the minute, in UTC
    said = " · ".join(filter(None, (f"{run['status']}, {steps}", begun and f"begun {begun} UTC", run["reason"])))
    return tag("header", tag("p", "hone runs diagnose", class_="tool") + tag("h1", text(run["name"])) + note(said))


def _verdict(document: Json) -> str:
    found = document["verdict"]
    kind = KINDS[found["verdict"]]
    told = str(found["sentence"]).removeprefix(f"{found['verdict']}: ")
    advice = "".join(tag("li", text(_sentence(line))) for line in found["advice"])
    word = tag("p", text(found["verdict"]), class_="word")
    inside = word + tag("p", text(_sentence(told)), class_="told")
    return tag("div", inside, class_=f"verdict {kind}") + section(
        "change", "What to do next", "", tag("ol", advice, class_="advice")
    )


def _sentence(told: str) -> str:
    return told[:1].upper() + told[1:].rstrip(".") + "."


def _points(curve: Sequence[Sequence[Any]]) -> list[Point]:
    return [(float(step), float(value)) for step, value in curve if value is not None]


def _steps(document: Json) -> Axis:
    return Axis(last=float(max(1, document["run"]["step"])))


def _marks(document: Json) -> list[Mark]:
    """Where it should have stopped, and where a guard spoke."""
    found = document["verdict"]
    marks = []
    if found["stop_step"] is not None:
        if found["stop_low"] is not None and found["stop_high"] > found["stop_low"]:
            told = f"as low between step {found['stop_low']:,} and {found['stop_high']:,}, as far as noise can tell"
            marks.append(Mark(step=found["stop_low"], until=found["stop_high"], label=told, kind="stop"))
        word = "enough" if found["verdict"] == "good fit" else "stop here"
        marks.append(Mark(step=found["stop_step"], label=f"{word}: {found['stop_step']:,}", kind="stop"))
    return marks


def _guard_marks(document: Json) -> list[Mark]:
    seen: dict[str, Mark] = {}
    for event in document["events"]:
        seen.setdefault(
            event["guard"], Mark(step=event["step"], label=f"guard: {event['guard']}", kind="event", foot=True)
        )
    return list(seen.values())[:4]


def _loss(document: Json) -> str:
    curves = document["curves"]
    few = len(curves["dev"]) < 60
    series = (
        Series(name="training, single steps", points=_points(curves["train"]), kind="single"),
        Series(name="training, smoothed", points=_points(curves["train_smooth"]), kind="train"),
        Series(name="dev loss", points=_points(curves["dev"]), kind="dev", dots=few, faint=not few),
        Series(name="dev, smoothed", points=[] if few else _points(curves["dev_smooth"]), kind="dev"),
    )
    drawn = [one for one in series if one.points]
    chart = line_chart(
        "training and dev loss over steps",
        document["loss_unit"],
        drawn,
        across=_steps(document),
        marks=[*_marks(document), *_guard_marks(document)],
    )
    return section("loss", "Loss", "What is minimised. Dev rows are never trained on.", chart or _nothing("loss"))


def _metric(document: Json) -> str:
    metric = document["metric"]
    if not metric["points"]:
        return ""
    points = [(float(step), float(value)) for step, value, _, _ in metric["points"]]
    band = [(float(step), float(low), float(high)) for step, _, low, high in metric["points"]]
    best = document["verdict"]["metric_step"]
    marks = [] if best is None else [Mark(step=best, label=f"best: {best:,}", kind="stop")]
    series = [
        Series(name=f"{metric['name']} on dev, with its interval", points=points, kind="metric", dots=True, band=band)
    ]
    chart = line_chart("task metric over steps", metric["name"], series, across=_steps(document), marks=marks)
    lead = "What the task is judged by; lower is better."
    if metric["higher_is_better"]:
        lead = "What the task is judged by; higher is better. It may go on rising where the loss has turned."
    return section("metric", "Task metric", lead, chart)


def _rate(document: Json) -> str:
    curves, steps = document["curves"], _steps(document)
    clip = float(document["clip_norm"] or 0.0)
    norms = _points(curves["grad_norm"])
    clipped = sum(value > clip for _, value in norms) / len(norms) if norms else 0.0
    rates = [Series(name="", points=_points(curves["learning_rate"]), kind="rate")]
    drawn = line_chart("learning rate over steps", "learning rate", rates, across=steps, width=NARROW, may_be_log=False)
    gradient = line_chart(
        "norm of the gradient over steps",
        "gradient norm",
        [Series(name="", points=norms, kind="norm")],
        across=steps,
        level=clip,
        width=NARROW,
    )
    told = f"{percent(clipped)} of the logged steps had a gradient above clip_norm {number(clip)} and were clipped."
    if not drawn and not gradient:
        return ""
    return section("rate", "Learning rate and gradient", "", tag("div", drawn + gradient, class_="two"), note(told))


def _guards(document: Json) -> str:
    events = document["events"]
    if not events:
        return section("guards", "Guards", "", note("No guard had anything to say."))
    rows = [[number(event["step"]), chip(event["guard"], "chip bad"), text(event["line"])] for event in events[:50]]
    more = [note(f"and {len(events) - 50:,} more in guards.jsonl")] if len(events) > 50 else []
    return section("guards", "Guards", "", table(["step", "guard", "what it saw"], rows, right=(0,)), *more)


def _layers(document: Json) -> str:
    look = document["layers"]
    if not look:
        return ""
    layers = look["layers"]
    ratios = [one["gradient"] / one["weight"] if one["weight"] else 0.0 for one in layers]
    rows = []
    for one, ratio in zip(layers, ratios, strict=True):
        bar = strip([(0.0, _on_log(ratio), "layer")], f"{one['layer']}: gradient over weight {ratio:.2e}")
        moved = f"{one['update']:.1e}" if one.get("update") else NONE
        dead = percent(one["dead_share"]) if one["layer"].startswith("layer ") else NONE
        rows.append(
            [text(one["layer"]), f"{one['gradient']:.1e}", f"{one['weight']:.3g}", f"{ratio:.1e}", bar, moved, dead]
        )
    heads = ["", "gradient", "weights", "gradient / weight", "", "step / weight", "dead units"]
    lead = (
        f"At step {look['step']:,}: norms by layer, the bar from 1e-8 to 1 on a logarithmic scale. Where it is "
        "gone, nothing reaches the layer. A step usually moves weights by about a thousandth."
    )
    return section("layers", "Gradient by layer", lead, table(heads, rows, right=(1, 2, 3, 5, 6), class_="layers"))


def _on_log(ratio: float) -> float:
    """A ratio as a part of the way from 1e-8 to 1, on a logarithmic scale."""
    return min(1.0, max(0.0, 1 + math.log10(max(ratio, 1e-8)) / 8))


def _slow(document: Json) -> str:
    parts = document["slow"]
    if not parts:
        return section("time", "Why is it slow", "", note("The run wrote down no times by part."))
    start, segments = 0.0, []
    for part in parts:
        segments.append((start, start + part["share"], f"part-{part['part']}"))
        start += part["share"]
    bar = strip(segments, ", ".join(f"{part['part']} {percent(part['share'])}" for part in parts))
    rows = [
        [
            tag("span", text(part["part"]), class_=f"key part-{part['part']}"),
            percent(part["share"]),
            f"{part['seconds']:,.1f} s",
            tag("b", text(part["sentence"]))
            if part["too_much"] and part["part"] != "compute"
            else text(part["sentence"]),
        ]
        for part in parts
    ]
    total = sum(part["seconds"] for part in parts)
    lead = f"{total:,.1f} seconds in all."
    return section("time", "Why is it slow", lead, bar, table(["part", "share", "time", ""], rows, right=(1, 2)))


def _memory(document: Json) -> str:
    memory = document["memory"]
    if memory is None:
        return section("memory", "Memory", "", note("The run wrote down no peak, or no estimate."))
    most = max(memory["estimated_bytes"], memory["measured_bytes"])
    rows = [
        [
            name,
            f"{memory[key] / 1e6:,.1f} MB",
            strip([(0.0, memory[key] / most, kind)], f"{name}: {memory[key]:,.0f} bytes"),
        ]
        for name, key, kind in (("estimated", "estimated_bytes", "guess"), ("measured peak", "measured_bytes", "layer"))
    ]
    shown = table(["", "", ""], rows, right=(1,), class_="compact memory")
    return section("memory", "Memory", "", shown, note(memory["line"] + "."))


def _numbers(document: Json) -> str:
    evidence = document["verdict"]["evidence"]
    rows = [[text(key.replace("_", " ")), number(value, 4)] for key, value in evidence.items()]
    shown = table(["", ""], rows, right=(1,), class_="compact")
    lead = (
        "Losses on dev are as measured. Training loss, rise and gain are of curves smoothed over their neighbours, so "
        "that no single step or evaluation decides."
    )
    return section("numbers", "The numbers that decided", lead, shown) if rows else ""


def _recipe(document: Json) -> str:
    rows = [[text(key), text(value)] for key, value in document["recipe"].items()]
    return section("recipe", "Recipe", "", fold("all keys", table(["key", "value"], rows, class_="compact")))


def _nothing(what: str) -> str:
    return note(f"The run wrote down no {what}.")
