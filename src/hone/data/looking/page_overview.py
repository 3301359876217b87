"""The top of the page: headline, alerts, and what the rules remove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hone.data.looking.charts import overlaps, strip
from hone.data.looking.markup import NONE, act, chip, estimate, number, percent, rows, section, sub, table, tag, text

Json = Mapping[str, Any]


def headline(document: Json) -> str:
    """The first figures, and what they were computed from."""
    boxes = []
    for figure in document["headline"]:
        value = tag("dd", estimate(figure, figure["unit"]))
        note = tag("dd", text(figure["note"]), class_="small") if figure["note"] else ""
        boxes.append(tag("div", tag("dt", text(figure["name"])) + value + note))
    return tag("dl", "".join(boxes), class_="headline") + _basis(document)


def _basis(document: Json) -> str:
    """Whether figures are exact, and what is not shown."""
    said = []
    if document["of"]:
        said.append(
            f"Every figure is an estimate from {document['rows']:,} of {rows(document['of'])}, taken by a hash of "
            f"their ids (seed {document['seed']}), with an interval of 95 % where a sample allows one. Shares of "
            "duplicates are too low in a sample, because a repeat is seen only when both rows were taken; their "
            "intervals reach up accordingly. A quick model of the labels learns from fewer rows, so more labels look "
            "wrong than would."
        )
    else:
        said.append("Figures are exact: every row was measured.")
    if document["sensitive"]:
        said.append("Made with --sensitive: this page and its JSON hold no text, no labels and no values of fields.")
    else:
        said.append("Personal data that was found is masked wherever a text is shown.")
    return tag("p", text(" ".join(said)), class_="note")


def alerts(document: Json) -> str:
    """What is wrong, the weightiest first, each with what acts on it."""
    found = document["alerts"]
    if not found:
        return section(
            "alerts", "What is wrong", "", tag("p", "Nothing that hone looks for was found.", class_="hidden")
        )
    items = []
    for alert in found:
        title = tag("a", text(_capital(alert["title"])), href=f"#{alert['section']}")
        figure = {"value": alert["share"], "low": alert["low"], "high": alert["high"]}
        told = f"{rows(alert['rows'])}; weight {alert['weight']:g}"
        part = tag("span", estimate(figure), class_="part", title=told)
        bar = strip([(0.0, min(1.0, alert["share"]), "removed")], f"{percent(alert['share'])} of the rows")
        why = tag("p", text(alert["why"]), class_="small") if alert["why"] else ""
        items.append(tag("li", tag("div", title + part, class_="what") + bar + why + act(alert)))
    lead = "Ranked by the share of rows struck times how bad it is for a row. Each comes with what acts on it."
    return section("alerts", "What is wrong", lead, tag("ol", "".join(items), class_="alerts"))


def waterfall(document: Json) -> str:
    """What each rule removes in its turn, alone and together with others; combinations; sources."""
    found = document["waterfall"]
    if not found["steps"]:
        return section("waterfall", "What the rules remove", "No rule was applied.")
    gone = found["rows"] - found["kept"]
    sample = " of the sample" if document["of"] else ""
    part = percent(found["kept_share"]["value"])
    lead = (
        f"{found['kept']:,} of {rows(found['rows'])}{sample} pass all rules ({part}); "
        f"{gone:,} fail at least one. Every rule is applied to every row, so a row can fail several."
    )
    if not gone:
        lead = (
            "The row passes all rules." if found["rows"] == 1 else f"All {rows(found['rows'])}{sample} pass all rules."
        )
    parts = [_steps(found, gone)]
    if gone:
        together = sum(1 for combination in found["overlaps"] if len(combination["rules"]) > 1)
        if together or len(found["overlaps"]) > 1:
            parts.append(sub("Which rules fail together", overlaps(found["overlaps"]), _rest(found["overlaps"])))
    if len(found["sources"]) > 1:
        parts.append(sub("By source", _sources(found)))
    return section("waterfall", "What the rules remove", lead, *parts)


def _steps(found: Json, gone: int) -> str:
    width = max(1, gone)
    body = []
    before = 0
    for step in found["steps"]:
        after = before + step["new"]
        again = step["fails"] - step["new"]
        # What earlier rules removed already lies to the left of what this one adds.
        segments = [
            (max(0, before - again) / width, before / width, "shared"),
            (before / width, after / width, "removed"),
        ]
        label = f"{step['rule']}: {step['new']:,} new, {again:,} removed before, {step['alone']:,} by this rule alone"
        name = tag("a", text(step["rule"]), href=f"#rule-{step['rule']}", title=step["keeps"])
        share = tag("span", estimate(step["share"]), class_="small")
        body.append(
            [
                name,
                strip(segments, label),
                f"{step['fails']:,} {share}",
                f"{step['alone']:,}",
                f"{step['left']:,}",
                number(step["chars"]),
            ]
        )
        before = after
    scale = f"rows removed, one rule after the other (0 to {gone:,})" if gone else ""
    heads = ["rule", scale, "fails", "alone", "left", "characters"]
    key = tag(
        "p", f"{chip('new', 'key removed')} {chip('removed by an earlier rule too', 'key shared')}", class_="note"
    )
    return table(heads, body, right=(2, 3, 4, 5), class_="steps") + (key if gone else "")


def _rest(found: list[Json]) -> str:
    rest = sum(combination["rows"] for combination in found if not combination["rules"])
    return tag("p", f"{rows(rest)} fail other combinations.", class_="note") if rest else ""


def _sources(found: Json) -> str:
    body = []
    for source in found["sources"]:
        most = sorted(source["fails"].items(), key=lambda pair: -pair[1])[:3]
        lost = source["rows"] - source["kept"]
        parts = [(0.0, source["kept"] / source["rows"], "kept"), (source["kept"] / source["rows"], 1.0, "removed")]
        body.append(
            [
                text(source["source"]),
                strip(parts, f"{source['kept']:,} kept, {lost:,} removed"),
                f"{source['rows']:,}",
                f"{source['chars']:,}",
                percent(lost / source["rows"]),
                text(", ".join(f"{name} {count:,}" for name, count in most) or NONE),
            ]
        )
    heads = ["source", "kept and removed", "rows", "characters", "removed", "most by"]
    return table(heads, body, right=(2, 3, 4), class_="steps")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
