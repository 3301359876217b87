"""Languages, lengths, what repeats, columns, and how it was all measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hone.data.looking.charts import bars, histogram, shares
from hone.data.looking.markup import (
    NONE,
    chip,
    estimate,
    fold,
    note,
    number,
    percent,
    row_id,
    rows,
    samples,
    section,
    sub,
    table,
    tag,
    text,
)
from hone.wording import counted

Json = Mapping[str, Any]


def languages(document: Json) -> str:
    """Languages and scripts."""
    found, scripts = document["languages"], document["scripts"]
    parts = []
    if found is not None:
        parts.append(bars(shares(found["values"])))
        parts.append(_others(found))
        if "unsure" in found:
            unsure = f"{rows(found['unsure']['rows'])} ({percent(found['unsure']['share']['value'])})"
            told = f"Below a probability of {found['unsure']['below']:g} a language is a guess: {unsure}."
            parts.append(
                note(told) + histogram(found["histogram"], "probability of the language", low=found["unsure"]["below"])
            )
    if scripts is not None:
        mixed = scripts["mixed"]
        told = note(
            "A text counts under the script of most of its letters (script.main); digits, signs and "
            "white space count for none, and the Han, Hiragana and Katakana of Japanese count apart. "
            f"{rows(mixed['rows'])} ({percent(mixed['share']['value'])}) hold words that mix scripts."
        )
        parts.append(sub("Scripts", bars(shares(scripts["values"])), _others(scripts), told, anchor="scripts"))
    return section("languages", "Languages and scripts", "", *parts) if parts else ""


def _others(found: Json) -> str:
    """What the bars leave out."""
    said = (
        [f"{found['distinct'] - len(found['values'])} rarer ones"] if found["distinct"] > len(found["values"]) else []
    )
    said += [f"{rows(found['unmeasured'])} with too little text to tell"] if found["unmeasured"] else []
    return note(f"Not shown: {', '.join(said)}. Shares are of the other rows.") if said else ""


def lengths(document: Json) -> str:
    """A histogram for each unit; the shortest and the longest rows."""
    found = document["lengths"]
    charts = [
        sub(
            figure["unit"].capitalize(),
            tag("p", f"mean {estimate(figure['mean'], 'count')}"),
            histogram(figure["histogram"], f"{figure['unit']} of a row"),
        )
        for figure in found["figures"]
    ]
    ends = ""
    if "shortest" in found:
        left = tag("div", tag("h4", "Shortest") + samples(found["shortest"]))
        right = tag("div", tag("h4", "Longest") + samples(found["longest"]))
        ends = fold("the shortest and the longest rows", tag("div", left + right, class_="sides"))
    return section("lengths", "Lengths", "", tag("div", "".join(charts), class_="grid"), ends)


def repeated(document: Json) -> str:
    """Phrases and lines that many rows share."""
    found = document["repeated"]
    lead = f"Looked for in {rows(found['rows'])}. A phrase is shown as long as nearly all of its rows agree."
    parts = []
    for key, title, one in (("ngrams", "Phrases", "phrase"), ("lines", "Lines", "line")):
        body = [
            [
                tag("q", text(item["text"])) if item["text"] is not None else tag("i", f"{one} not shown"),
                f"{item['rows']:,}",
                estimate(item["share"]),
            ]
            for item in found[key]
        ]
        shown = (
            table([one, "rows", "share"], body, right=(1, 2), class_="phrases")
            if body
            else tag("p", "none in three rows or more", class_="hidden")
        )
        parts.append(sub(title, fold(f"{len(body)} {title.lower()}", shown, opened=True) if len(body) > 8 else shown))
    return section("repeated", "What repeats", lead, *parts)


def pages(document: Json) -> str:
    """Rows that are the source of a page; empty where there are none."""
    found = document["html"]
    if not found["rows"]:
        return ""
    lead = f"Of {rows(found['searched'])} searched; tags in quoted code do not count."
    told = (
        f"{rows(found['rows'])} ({estimate(found['share'])}): {counted(found['pages'], 'whole page')} and "
        f"{counted(found['fragments'], 'fragment')}, which the transform {tag('code', 'html')} makes text of, and "
        f"{counted(found['tagged'], 'text')} with three tags or more, which it leaves alone."
    )
    return section("html", "HTML", lead, tag("p", told), samples(found["samples"]))


def fields(document: Json) -> str:
    """The columns of the source rows."""
    found = document["fields"]
    if not found["columns"]:
        return ""
    body = []
    for column in found["columns"]:
        flags = [name for name in ("constant", "unique") if column[name]]
        flags += ["mixed types"] if len(column["kinds"]) > 1 else []
        kinds = ", ".join(
            f"{kind} {count:,}" if len(column["kinds"]) > 1 else kind for kind, count in column["kinds"].items()
        )
        distinct = f"{column['distinct']:,}" + ("+" if column["distinct_capped"] else "")
        common = tag("span", " · ", class_="small").join(
            tag("q", text(value["value"])) + tag("span", f" {value['rows']:,}", class_="small")
            for value in column["common"]
        )
        body.append(
            [
                text(column["name"]) + " " + "".join(map(chip, flags)),
                text(kinds or NONE),
                estimate(column["missing_share"]),
                distinct,
                number(column["mean_chars"]),
                common or NONE,
            ]
        )
    heads = ["column", "types", "missing", "distinct", "mean characters", "most frequent"]
    lead = f"Of {rows(found['rows'])}. Missing: absent, null or the empty text."
    parts = [table(heads, body, right=(2, 3, 4), class_="fields")]
    licences = found["licences"]
    if licences and licences["values"]:
        parts.append(sub(f"Licences (column {licences['column']})", bars(shares(licences["values"]))))
    return section("fields", "Columns", lead, *parts)


def reading(document: Json) -> str:
    """Rows that could not be read; files; how each signal measured."""
    bad = document["bad"]
    parts = []
    if bad["rows"]:
        body = [
            [row_id(row["row"]), text(row["expected"]), text(row["found"] if row["found"] is not None else "not shown")]
            for row in bad["first"]
        ]
        parts.append(sub(f"Could not be read: {rows(bad['rows'])}", table(["row", "expected", "found"], body)))
    if document["files"]:
        parts.append(tag("p", "Files: " + ", ".join(tag("code", text(name)) for name in document["files"])))
    if document["test"]:
        parts.append(tag("p", f"Compared with: {tag('code', text(document['test']))} (as fingerprints)"))
    if document["changed"]:
        body = [[text(name), f"{count:,}"] for name, count in document["changed"].items()]
        shown = table(["transform", "rows changed"], body, right=(1,), class_="compact")
        parts.append(sub("Changed before measuring", shown))
    parts += [note(sentence) for sentence in document["notes"]]
    body = [
        [tag("code", text(name)), tag("code", text(json.dumps(params, ensure_ascii=False, default=str)))]
        for name, params in document["signals"].items()
    ]
    if body:
        parts.append(
            fold(
                f"{len(body)} signals, their versions and parameters",
                table(["signal", "parameters"], body, class_="signals"),
            )
        )
    return section("reading", "How it was read and measured", "", *parts)
