"""The page: one file that opens from disk, asks nobody for anything, and runs no code but its own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hone.data.looking import page_composition, page_duplicates, page_findings, page_groups, page_overview, page_rules
from hone.data.looking.markup import tag, text
from hone.data.looking.skeleton import whole_page

PAGE = Path(__file__).parent / "page"
_HEADING = re.compile(r'<section id="([^"]+)"><h2>([^<]*)</h2>')
_PARTS = (
    page_overview.alerts,
    page_overview.waterfall,
    page_rules.rules,
    page_duplicates.duplicates,
    page_findings.contamination,
    page_findings.labels,
    page_composition.languages,
    page_composition.lengths,
    page_composition.repeated,
    page_composition.pages,
    page_findings.personal,
    page_groups.toxicity,
    page_findings.disclaimers,
    page_composition.fields,
    page_composition.reading,
)


def html(document: Mapping[str, Any]) -> str:
    """The page of a document (:func:`hone.data.looking.document.build`)."""
    parts = [part(document) for part in _PARTS]
    toc = "".join(
        tag("li", f'<a href="#{anchor}">{title}</a>') for part in parts for anchor, title in _HEADING.findall(part)[:1]
    )
    name = text(document["title"])
    head = tag("header", tag("p", "hone look", class_="tool") + tag("h1", name) + page_overview.headline(document))
    nav = f'<nav aria-label="contents"><p class="tool">hone look</p><p class="of">{name}</p><ol>{toc}</ol></nav>'
    return whole_page(
        f"{document['title']} · hone look",
        f"{nav}\n<main>{head}{''.join(parts)}</main>",
        style=_asset("look.css"),
        script=_asset("look.js"),
        attributes=_folder(document),
    )


def _folder(document: Mapping[str, Any]) -> str:
    """The task folder as a word of a command line, for the commands of the page's rows."""
    return f' data-folder="{text(shlex.quote(document["folder"]))}"' if document["folder"] else ""


@cache
def _asset(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
