"""Raw pages to their main text; what is no page stays as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

# A page says so at its beginning. A tag further on may be Markdown's, code's, or what the text is about.
_PAGE = re.compile(
    r"\s*\ufeff?\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,5000}?-->\s*){0,9}<(?:!doctype\s+html|(?:html|head|body)[\s>])",
    re.IGNORECASE | re.DOTALL,
)
_FRAGMENT = re.compile(
    r"\s*<(?:p|div|section|article|ul|ol|table|blockquote|pre|h[1-6])(?:\s[^<>]*)?>.*</\w+>\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_ROUNDS = 8


def is_page(text: str) -> bool:
    """Whether a text begins as a page does."""
    return _PAGE.match(text) is not None


def is_fragment(text: str) -> bool:
    """Whether a text begins with a block tag and ends with a closing one."""
    return _FRAGMENT.match(text) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Html:
    """The main text of a page as light Markdown (headings, lists, tables, fenced code), without the frame around it."""

    fragments: bool = False
    """Also turn text that begins with a block tag and ends with a closing one (``<p>...</p>``) into text, whole."""

    name: ClassVar[str] = "html"
    version: ClassVar[str] = "1"

    @property
    def params(self) -> Mapping[str, Any]:
        """Whether fragments count, and the version of the parser."""
        import selectolax

        return {"fragments": self.fragments, "selectolax": selectolax.__version__}

    def apply(self, text: str) -> str:
        """The main text of a page; any other text unchanged."""
        for _ in range(_ROUNDS):  # a page about pages may begin with the source of one
            if is_page(text):
                text = _main_text(text)
            elif self.fragments and is_fragment(text):
                text = _whole_text(text)
            else:
                return text
        return "" if is_page(text) or (self.fragments and is_fragment(text)) else text


def _main_text(page: str) -> str:
    from selectolax.lexbor import LexborHTMLParser

    from hone.data.transforms.main_content import main_content
    from hone.data.transforms.page_text import block_text

    body = LexborHTMLParser(page).body
    if body is None:
        return ""
    return "\n\n".join(filter(None, map(block_text, main_content(body))))


def _whole_text(fragment: str) -> str:
    from selectolax.lexbor import LexborHTMLParser

    from hone.data.transforms.page_text import block_text

    body = LexborHTMLParser(f"<body>{fragment}</body>").body
    return "" if body is None else block_text(body)
