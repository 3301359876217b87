"""For each rule: where its threshold comes from, where it cuts, and rows on both sides of the cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hone.data.looking.charts import histogram
from hone.data.looking.markup import estimate, fold, row_id, rows, sample, section, tag, text

Json = Mapping[str, Any]
OPENED = 6
"""With more rules that remove something, their rows are closed at first."""


def rules(document: Json) -> str:
    """One part per rule; those that remove nothing are closed."""
    found = document["rules"]
    if not found:
        return ""
    lead = (
        "The threshold is the line; rows on both sides that lie nearest to it show whether it stands where it should."
    )
    acting = [page for page in found if page["fails"]]
    idle = [page for page in found if not page["fails"]]
    # Many rules, opened, would be a page that nobody scrolls through.
    opened = len(acting) <= OPENED
    made = "".join(_rule(page, opened=opened) for page in acting)
    parts = [made if opened else tag("div", made, class_="many")]
    if idle:
        inside = "".join(_rule(page, opened=False) for page in idle)
        title = "1 rule that removes" if len(idle) == 1 else f"{len(idle)} rules that remove"
        parts.append(fold(f"{title} nothing here", inside))
    return section("rules", "Each rule", lead, *parts)


def _rule(page: Json, *, opened: bool) -> str:
    count = tag("span", f"{rows(page['fails'])}, {estimate(page['share'])}", class_="size")
    head = tag("h3", text(page["rule"]) + " " + count)
    told = tag("p", f"removes rows where {tag('code', text(page['removes']))} · {text(page['source'])}", class_="note")
    chart = ""
    if "histogram" in page:
        chart = histogram(page["histogram"], page["column"], page["low"], page["high"])
    elif page.get("values"):
        shown = ", ".join(
            f"{value['value'] if isinstance(value, dict) else value[0]} {value[1]:,}" for value in page["values"]
        )
        chart = tag("p", text(f"values: {shown}"), class_="note")
    return tag("article", head + told + chart + _sides(page, opened=opened), id=f"rule-{page['rule']}", class_="rule")


def _sides(page: Json, *, opened: bool) -> str:
    left = _side("Removed", page["dropped"], "dropped") if page["dropped"] else ""
    right = _side("Kept", page["kept"], "kept") if page["kept"] else ""
    if not left and not right:
        return ""
    nearest = "histogram" in page
    title = "nearest to the line" if nearest else "taken by a hash of their ids"
    one = "" if left and right else " one"
    inside = tag("div", left + right, class_=f"sides{one}")
    return fold(f"rows, {title}", inside, opened=opened)


def _side(title: str, shown: Sequence[Json], kind: str) -> str:
    made = [
        sample(row, tag("span", "repeats " + row_id(row["survivor"]), class_="value") if row.get("survivor") else "")
        for row in shown
    ]
    return tag("div", tag("h4", title) + "".join(made), class_=kind)
