"""The page: one file that opens from disk, asks nobody for anything, and runs no code but its own."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hone.data.looking import page_composition, page_duplicates, page_findings, page_groups, page_overview, page_rules
from hone.data.looking.markup import tag, text

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
    """The page of a document (:func:`hone.data.looking.document.build`).

    Its content security policy allows its own style and script, by their hashes, and nothing else: should a text ever
    get through as markup, it could neither run nor load anything.
    """
    parts = [part(document) for part in _PARTS]
    toc = "".join(
        tag("li", f'<a href="#{anchor}">{title}</a>') for part in parts for anchor, title in _HEADING.findall(part)[:1]
    )
    name = text(document["title"])
    head = tag("header", tag("p", "hone look", class_="tool") + tag("h1", name) + page_overview.headline(document))
    nav = f'<nav aria-label="contents"><p class="tool">hone look</p><p class="of">{name}</p><ol>{toc}</ol></nav>'
    style, script = _asset("look.css"), _asset("look.js")
    policy = f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; base-uri 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{name} · hone look</title>\n<style>{style}</style>\n</head>\n"
        f"<body{_folder(document)}>\n{nav}\n<main>{head}{''.join(parts)}</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _folder(document: Mapping[str, Any]) -> str:
    """The task folder as a word of a command line, for the commands of the page's rows."""
    return f' data-folder="{text(shlex.quote(document["folder"]))}"' if document["folder"] else ""


@cache
def _asset(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


@cache
def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
