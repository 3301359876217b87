"""A page that is one file: it opens from disk, asks nobody for anything, and runs no code but its own."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from hone.data.looking.markup import text

REPORT = Path(__file__).parent / "page" / "report.css"


def whole_page(title: str, body: str, *, style: str, script: str = "", attributes: str = "") -> str:
    """The document around a body, with its style and script inside.

    Its content security policy allows these two, by their hashes, and nothing else: should a text ever get through as
    markup, it could neither run nor load anything.

    Args:
        title: plain text.
        body: markup.
        style: the style sheet.
        script: the script; none where it is empty.
        attributes: of the body element, as markup with a space before it.
    """
    allowed = f"style-src '{_digest(style)}'; " + (f"script-src '{_digest(script)}'; " if script else "")
    policy = f"default-src 'none'; {allowed}base-uri 'none'"
    code = f"<script>{script}</script>\n" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n"
        f"<body{attributes}>\n{body}\n{code}</body>\n</html>\n"
    )


@cache
def report_style(own: Path) -> str:
    """The style sheet of a page of one column: what all of them have in common, then its own file."""
    return "".join(sheet.read_text(encoding="utf-8") for sheet in (REPORT, own))


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
