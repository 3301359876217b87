"""Which part of a page is its content.

First what is frame by its meaning goes (navigation, dialogs, comments, by tag, role and class). Then the content is
what the page itself calls so (``main``, ``article``, ``articleBody``), or else where its text is: from the body down to
the element that holds it all, counting words outside links, more where they stand in paragraphs, lists, tables and code
(text and link density: C. Kohlschütter et al., Boilerplate Detection using Shallow Text Features, WSDM 2010).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from hone.data.transforms.page_text import is_layout

_NEVER = {
    "script", "style", "noscript", "template", "svg", "iframe", "object", "embed", "canvas", "audio", "video",
    "button", "select", "input", "textarea", "dialog", "nav", "head", "title", "link", "meta", "menu", "datalist",
    "map", "applet",
}  # fmt: skip
_FRAME_OF_PAGE = {"header", "footer", "aside"}
"""Frame unless they stand inside an article or the main part (a footer there is frame all the same)."""
_FRAME_ROLES = {
    "navigation", "banner", "contentinfo", "complementary", "search", "dialog", "alertdialog", "menu", "menubar",
    "toolbar", "tablist",
}  # fmt: skip
_FRAME_WORDS = {
    "nav", "navbar", "navigation", "navi", "menu", "menus", "submenu", "sidebar", "sidenav", "footer", "foot",
    "comment", "comments", "disqus", "respond", "reply", "cookie", "cookies", "consent", "gdpr", "ccpa", "banner",
    "related", "breadcrumb", "breadcrumbs", "crumbs", "share", "sharing", "sharedaddy", "social", "promo", "advert",
    "advertisement", "ads", "sponsor", "sponsored", "newsletter", "subscribe", "signup", "popup", "modal",
    "pagination", "pager", "masthead", "widget", "login", "announcement", "versions", "feedback", "trending",
    "recommended", "recommendations", "outbrain", "taboola", "skip", "relatedposts", "skiplink", "copyright",
    "colophon", "addthis", "topbar", "languages", "permalink", "headerlink",
}  # fmt: skip
_FRAME_CLASSES = {
    "entry-meta",
    "post-meta",
    "entry-footer",
    "post-footer",
    "entry-utility",
    "mw-editsection",
    "noprint",
    "post-tags",
}
_COMMENTS = {"comment", "comments", "respond", "disqus"}
_CONTENT_CLASSES = {
    "entry-content", "post-content", "post-body", "article-body", "article-content", "article__body",
    "markdown-body", "mw-parser-output", "story-body", "td-post-content", "rst-content", "theme-doc-markdown",
}  # fmt: skip
_STRUCTURE = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "ul", "ol", "dl", "table", "figure", "hr"}
_DIRECT = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "ul", "ol"}
_PROSE = {"p", "pre", "blockquote", "li", "h1", "h2", "h3", "h4", "h5", "h6", "dd", "dt", "th", "figcaption", "code"}
_LOOSE = 0.2
"""Weight of a word that stands in no paragraph, list, heading or code."""
_ALL_OF_IT = 0.75
"""A child that holds so much of its parent's text stands for the parent."""

_MOST_STEPS = 200
"""How far down the content is looked for; pages of people are a tenth as deep."""

_TOKEN = re.compile(r"[a-z]+|[A-Z][a-z]*|[A-Z]+(?![a-z])")


@dataclass(slots=True, eq=False)
class _Element:
    """An element of the page.

    ``own_words``, ``own_prose``, ``own_loose`` are of the text directly in it: all words, and those outside links,
    within and without paragraphs, lists, headings and code. ``words``, ``prose``, ``score`` (loose words count
    less) include its descendants. ``marked``: it holds what the page calls its content. ``inside``: tags around it.
    """

    node: Any
    tag: str
    parent: _Element | None
    inside: frozenset[str]
    own_words: int = 0
    own_prose: int = 0
    own_loose: int = 0
    words: int = 0
    prose: int = 0
    score: float = 0.0
    marked: bool = False
    frame: bool = False
    children: list[_Element] = field(default_factory=list)


def main_content(body: Any) -> list[Any]:
    """The elements that hold a page's content, in order. Removes frame elements from the tree.

    Args:
        body: the body element of a page parsed by selectolax (lexbor).
    """
    elements = _elements(body)
    _sum_up(elements)
    for element in elements[1:]:
        assert element.parent is not None
        if element.parent.frame:
            element.frame = True
        elif _is_frame(element, elements[0]):
            element.frame = True
            element.node.decompose(recursive=True)
    rest = [element for element in elements if not element.frame]
    for element in rest:
        element.children = [child for child in element.children if not child.frame]
    _sum_up(rest)
    if not rest[0].words:
        return []
    chosen = _named_content(rest) or _densest(rest[0])
    titles = [element for element in rest if element.tag == "h1"]
    if len(titles) == 1 and not _within(titles[0], chosen):
        return [titles[0].node, chosen.node]
    return [chosen.node]


def _elements(body: Any) -> list[_Element]:
    """Elements in document order, with the words that stand directly in each."""
    made: dict[int, _Element] = {}
    for node in body.traverse(include_text=True):
        above = made.get(node.parent.mem_id) if made else None
        if node.tag == "-text":
            words = len((node.text_content or "").split())
            if above is not None and words:
                above.own_words += words
                if "a" not in above.inside:
                    prose = bool(above.inside & _PROSE)
                    above.own_prose += words * prose
                    above.own_loose += words * (not prose)
        elif not node.tag.startswith(("-", "!")) and (above is not None or not made):
            outer = above.inside if above else frozenset()
            inside = outer if node.tag in outer else outer | {node.tag}
            element = _Element(node, node.tag, above, inside)
            made[node.mem_id] = element
            if above is not None:
                above.children.append(element)
    return list(made.values())


def _sum_up(elements: list[_Element]) -> None:
    """Add the words of descendants to those of each element; children come after their parents in the list."""
    for element in elements:
        element.words, element.prose = element.own_words, element.own_prose
        element.score = element.own_prose + _LOOSE * element.own_loose
        element.marked = _calls_itself_content(element)
    for element in reversed(elements):
        if element.parent is not None:
            element.parent.words += element.words
            element.parent.prose += element.prose
            element.parent.score += element.score
            element.parent.marked |= element.marked


def _calls_itself_content(element: _Element) -> bool:
    given = element.node.attributes
    if element.tag == "main" or given.get("role") == "main" or given.get("itemprop") == "articleBody":
        return True
    names = set((given.get("class") or "").split())
    return (element.tag == "article" and not _tokens(element) & _COMMENTS) or bool(names & _CONTENT_CLASSES)


def _tokens(element: _Element) -> set[str]:
    """The words of an element's class and id, lower case: ``wp-socialShare`` is wp, social and share."""
    given = element.node.attributes
    return {token.lower() for token in _TOKEN.findall(f"{given.get('class') or ''} {given.get('id') or ''}")}


def _is_frame(element: _Element, body: _Element) -> bool:
    given = element.node.attributes
    if element.tag in _NEVER or "hidden" in given or _invisible(given):
        return not (element.marked and element.tag in {"nav", "menu", "dialog"})
    if element.marked:
        return False
    if given.get("role") in _FRAME_ROLES:
        return True
    most = element.score >= 0.5 * body.score
    if element.tag in _FRAME_OF_PAGE and not (element.tag == "header" and most):  # some pages put all they say in one
        content = {"article", "main"} & element.inside
        return not content or (element.tag == "footer" and "blockquote" not in element.inside)
    tokens = _tokens(element)
    names = set((given.get("class") or "").split())
    if element.tag == "code" or "pre" in element.inside or not (tokens & _FRAME_WORDS or names & _FRAME_CLASSES):
        return False
    # On what holds most of the text, a class that says frame is about the layout ("with-sidebar"); comments are frame.
    return bool(tokens & _COMMENTS) or not most


def _invisible(given: Any) -> bool:
    style = (given.get("style") or "").replace(" ", "").lower()
    return "display:none" in style or "visibility:hidden" in style or given.get("aria-hidden") == "true"


def _named_content(elements: list[_Element]) -> _Element | None:
    """The innermost element that the page calls its content, if it holds most of what is left."""
    chosen: _Element | None = None
    whole = elements[0].score
    for element in elements:
        if _calls_itself_content(element) and element.score >= 0.5 * whole and element.words:
            chosen = element
            whole = element.score
    return chosen


def _densest(element: _Element) -> _Element:
    """Go down from an element as long as one child stands for it."""
    for _ in range(_MOST_STEPS):
        if not element.children or not element.score:
            break
        top = max(element.children, key=lambda child: child.score)
        direct = sum(child.score for child in element.children if child.tag in _DIRECT)
        layout = top.tag not in _STRUCTURE or (top.tag == "table" and is_layout(top.node))
        share = top.score / element.score
        stands = share >= _ALL_OF_IT or (share >= 0.5 and top.prose >= 0.9 * element.prose)
        if not layout or not stands or direct > 0.02 * element.score:
            break
        element = top
    return element


def _within(element: _Element, ancestor: _Element) -> bool:
    above: _Element | None = element
    while above is not None:
        if above is ancestor:
            return True
        above = above.parent
    return False
