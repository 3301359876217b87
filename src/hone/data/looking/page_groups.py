"""Unwanted words, and how groups of people are spoken of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hone.data.looking.charts import histogram, interval
from hone.data.looking.markup import (
    estimate,
    fold,
    note,
    number,
    percent,
    rows,
    samples,
    section,
    sub,
    table,
    tag,
    text,
)

Json = Mapping[str, Any]
MOST_GROUPS = 12


def toxicity(document: Json) -> str:
    """Rows with unwanted words, and how groups of people fare."""
    found, groups = document["toxicity"], document["bias"]
    if found is None and groups is None:
        return ""
    parts = []
    if found is not None:
        parts.append(
            tag(
                "p",
                f"{rows(found['rows'])} ({estimate(found['share'])}) hold a word of the list. "
                "A list is no judge: it knows words, not what is said.",
            )
        )
        if "score" in found:
            parts.append(histogram(found["score"], "score of the fitted classifier", high=0.5))
        if found["rows"]:
            parts.append(fold("some of these rows (offensive text)", samples(found["samples"])))
    if groups is not None and groups["groups"]:
        parts.append(sub("Groups of people", _groups(groups), anchor="bias"))
        parts += [_company(groups), _words(groups), _labels(groups)]
    return section("toxicity", "Unwanted words and groups of people", "", *parts)


def _groups(found: Json) -> str:
    body = []
    for group in found["groups"]:
        cells = [text(group["group"]), f"{group['rows']:,}", estimate(group["share"])]
        if "toxic" in group:
            cells += [f"{group['toxic']:,}", estimate(group["toxic_share"])]
        body.append(cells)
    heads = ["rows that name", "rows", "share"]
    told = ""
    if found["overall"]:
        heads += ["with an unwanted word", "share of these"]
        told = note(
            f"Of all rows {percent(found['overall']['value'])} hold an unwanted word. Where the interval of a group "
            "lies above that, its rows are worse than the others."
        )
    first = table(heads, body[:MOST_GROUPS], right=(1, 2, 3, 4), class_="compact")
    rest = table(heads, body[MOST_GROUPS:], right=(1, 2, 3, 4), class_="compact")
    return first + (fold(f"{len(body) - MOST_GROUPS} more", rest) if len(body) > MOST_GROUPS else "") + told


def _company(found: Json) -> str:
    if not found["company"]:
        return ""
    reach = max(1.0, *(max(abs(one["low"]), abs(one["high"])) for one in found["company"]))
    body = [
        [
            text(one["group"]),
            text(one["class"]),
            interval(one["low"], one["log_odds"], one["high"], reach),
            _odds(one),
            percent(one["count"] / one["mentions"]),
            percent(one["other_count"] / one["other_mentions"]),
        ]
        for one in found["company"]
    ]
    told = note(
        f"Words within {found['window_words']} words of a mention, in {rows(found['searched'])}: log odds against the "
        "other groups of the axis, with 95 % intervals. An interval that leaves 0 out says that the group is spoken of "
        "differently."
    )
    heads = [
        "group",
        "words",
        f"log odds (-{number(reach)} to {number(reach)})",
        "",
        "of its mentions",
        "of the others'",
    ]
    return sub("In which company", told, table(heads, body, right=(3, 4, 5), class_="company"))


def _odds(one: Json) -> str:
    shown = f"{one['log_odds']:+.2f} ({one['low']:+.2f} to {one['high']:+.2f})"
    return tag("b", shown) if one["low"] > 0 or one["high"] < 0 else shown


def _words(found: Json) -> str:
    if not found["words"]:
        return ""
    body = [
        [text(one["group"]), tag("q", text(one["word"])), _odds(one), f"{one['count']:,}"] for one in found["words"]
    ]
    told = note(
        f"Single words that keep one group company more than the others, of {found['words_compared']:,} compared; the "
        "intervals hold for all of them together."
    )
    shown = table(["group", "word", "log odds", "times"], body, right=(2, 3), class_="compact")
    return sub("Words near a group", told, fold(f"{len(body)} words", shown, opened=len(body) <= 8))


def _labels(found: Json) -> str:
    if not found["labels"]:
        return ""
    body = [
        [text(one["group"]), text(one["label"]), _rate(one["named"]), _rate(one["others"])] for one in found["labels"]
    ]
    told = note(
        f"Labels that rows naming a group have more or less often than the other rows, of {found['labels_compared']:,} "
        "compared: with so many, some differ by chance."
    )
    heads = ["group", "label", "rows that name it", "other rows"]
    return sub("Labels of rows that name a group", told, table(heads, body, right=(2, 3), class_="compact"))


def _rate(rate: Json) -> str:
    return estimate({"value": rate["share"], "low": rate["low"], "high": rate["high"]})
