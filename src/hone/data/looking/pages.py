"""Rows that are the source of a page: what should be text has tags."""

from __future__ import annotations

import re
from typing import Any

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.samples import Samples
from hone.data.looking.sampling import share
from hone.data.looking.searched import MOST_CHARS_OF_ROW, Searched
from hone.data.transforms.html import is_fragment, is_page

LEAST_TAGS = 3
_TAG = re.compile(
    r"</?(?:a|b|body|br|div|em|h[1-6]|head|html|i|img|li|link|meta|ol|p|script|span|strong|style|table|td|th|tr|ul)"
    r"(?:\s[^<>]{0,2000})?/?>",
    re.IGNORECASE,
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
"""Tags that are quoted as code are what a text is about."""


def html_rows(searched: Searched, figures: Figures, samples: Samples, options: LookOptions) -> dict[str, Any]:
    """Rows that are whole pages, fragments of them, or texts with three tags or more outside quoted code.

    Pages and fragments are what the transform ``html`` makes text of.

    Returns:
        ``rows`` of those ``searched``, their ``share`` (an estimate where not every row was searched); ``pages``,
        ``fragments`` and ``tagged`` add up to ``rows``; and some ``samples``.
    """
    found: dict[str, list[int]] = {"pages": [], "fragments": [], "tagged": []}
    texts = searched.batch.column("text").to_pylist()
    for position, text in zip(searched.positions, texts, strict=True):
        kind = _kind((text or "")[:MOST_CHARS_OF_ROW], text or "")
        if kind:
            found[kind].append(int(position))
    n = len(texts)
    of = options.of or (figures.n if figures.n > n else None)
    rows = [at for positions in found.values() for at in positions]
    return {
        "searched": n,
        "rows": len(rows),
        "share": share(len(rows), n, of).to_json(),
        **{kind: len(positions) for kind, positions in found.items()},
        "samples": [samples.at(at, chars=260) for at in rows[: options.samples]],
    }


def _kind(head: str, text: str) -> str:
    if "<" not in head:
        return ""
    if is_page(text):
        return "pages"
    if is_fragment(text):
        return "fragments"
    tags = _TAG.findall(_CODE.sub("", head))
    return "tagged" if len(tags) >= LEAST_TAGS else ""
