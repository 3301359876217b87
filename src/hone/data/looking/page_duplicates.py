"""Groups of duplicates to browse: the survivor, and each removed row as a difference from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hone.data.looking.charts import bars
from hone.data.looking.markup import (
    chip,
    estimate,
    note,
    percent,
    row_id,
    rows,
    sample,
    section,
    sub,
    tag,
    text,
)
from hone.wording import counted

Json = Mapping[str, Any]
_TITLES = {"exact": "Exact, case and punctuation aside", "near": "Nearly the same"}


def duplicates(document: Json) -> str:
    """Exact and near duplicates; empty where neither was measured."""
    found = [part for part in document["duplicates"].values() if part is not None]
    if not found:
        return ""
    lead = (
        "One row of each group stays: the survivor. What only the survivor has is struck through, what only the other "
        "row has is underlined."
    )
    parts = []
    for part in found:
        head = f"{part['kind']}: "
        notes = [sentence.removeprefix(head) for sentence in document["notes"] if sentence.startswith(head)]
        parts.append(_kind(part, notes, bool(document["sensitive"])))
    return section("duplicates", "Duplicates", lead, *parts)


def _kind(part: Json, notes: Sequence[str], sensitive: bool) -> str:
    title = _TITLES[part["kind"]]
    anchor = f"duplicates-{part['kind']}"
    limits = "".join(map(note, notes))
    if not part["removed"]:
        return sub(title, tag("p", "none", class_="hidden"), limits, anchor=anchor)
    others = "1 other" if part["groups"] == 1 else f"one of {part['groups']:,} others"
    told = (
        f"{rows(part['removed'])} {'repeats' if part['removed'] == 1 else 'repeat'} {others}, "
        f"{estimate(part['share'])} of all; "
        f"the largest group has {rows(part['largest'])}."
    )
    sizes = bars([(f"{size} rows", count, percent(count / part["groups"])) for size, count in part["sizes"]])
    shown = "".join(
        _cluster(cluster, at, len(part["clusters"]), sensitive) for at, cluster in enumerate(part["clusters"], 1)
    )
    browser = tag("div", shown, class_="browser")
    more = part["groups"] - len(part["clusters"])
    rest = note(f"{more:,} smaller groups are not shown.") if more else ""
    heading = tag("p", "Groups by their size", class_="small")
    return sub(title, tag("p", told), limits, heading + sizes, browser, rest, anchor=anchor)


def _cluster(cluster: Json, at: int, of: int, sensitive: bool) -> str:
    head = tag("p", f"group {at} of {of}, {rows(cluster['size'])}", class_="at")
    left = tag("div", tag("h4", "Survivor") + sample(cluster["survivor"]), class_="kept")
    members = "".join(_member(member, sensitive) for member in cluster["members"])
    more = cluster["size"] - 1 - len(cluster["members"])
    rest = note(f"and {counted(more, 'more row')}") if more else ""
    right = tag("div", tag("h4", "Removed") + members + rest, class_="dropped")
    return tag("div", head + tag("div", left + right, class_="sides"), class_="cluster")


def _member(member: Json, sensitive: bool) -> str:
    head = row_id(member["row"])
    if "similarity" in member:
        head += tag("span", f"similarity {member['similarity']:.3f}", class_="value")
    if sensitive or "pieces" not in member:
        return tag("figure", tag("figcaption", head) + tag("p", "text not shown", class_="hidden"), class_="sample")
    if not member["only_survivor"] and not member["only_row"]:
        head += chip("every word the same")
    else:
        head += chip(f"{counted(member['only_survivor'], 'word')} only there, {member['only_row']:,} only here")
    body = "".join(_piece(kind, words) for kind, words in member["pieces"])
    body += "" if member["whole"] else tag("i", " … the rest is longer than what is compared", class_="cut")
    return tag(
        "figure", tag("figcaption", head) + tag("blockquote", body or tag("i", "no text"), dir="auto"), class_="sample"
    )


def _piece(kind: str, words: str) -> str:
    if kind == "gap":
        return tag("i", f" … {text(words)} … ", class_="cut")
    shown = text(words)
    return {"removed": tag("del", shown), "added": tag("ins", shown)}.get(kind, shown) + " "
