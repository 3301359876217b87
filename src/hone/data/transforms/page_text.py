"""An element of a page as light Markdown: what a reader sees, with headings, lists, tables and code kept apart."""

from __future__ import annotations

import re
from typing import Any

_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dir", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
    "html", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th",
    "thead", "tr", "ul", "caption", "hgroup",
}  # fmt: skip
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_SPACES = re.compile(r"[ \t\n\r\f\v]+")
_LANGUAGE = re.compile(r"(?:language|lang|highlight|brush:?)[-_ ]([\w+#.-]+)")
_UNSEEN = " \n\u200b\u200c\u200d\ufeff\u00a0"
"""What page builders put into paragraphs that are meant to be empty."""
_DEEP = 100
"""Elements nested deeper than this are read as one run of text."""


def block_text(node: Any) -> str:
    """The text of an element and all that is in it; an empty line between blocks, none at the ends."""
    return "\n\n".join(_blocks(node, 0))


def _blocks(node: Any, depth: int) -> list[str]:
    """The blocks of an element, each without empty lines around it."""
    if depth > _DEEP:
        text = _SPACES.sub(" ", node.text(separator=" ")).strip()
        return [text] if text else []
    if node.tag in _OWN:
        text = _OWN[node.tag](node, depth)
        return [text] if text.strip() else []
    return _inner_blocks(node, depth)


def _is_block(node: Any) -> bool:
    """A block, or an inline element around one (a link around a heading)."""
    if node.tag in _BLOCKS:
        return True
    return (
        node.is_element_node
        and node.first_child is not None
        and node.tag != "code"
        and node.css_first(_ANY_BLOCK) is not None
    )


def _end_run(run: list[str], blocks: list[str]) -> None:
    lines = (_SPACES.sub(" ", line).strip() for line in "".join(run).split("\v"))
    text = "\n".join(lines).strip("\n")
    if text.strip(_UNSEEN):
        blocks.append(re.sub(r"\n{2,}", "\n\n", text))
    run.clear()


def _inline(node: Any, depth: int) -> str:
    """Text with the page's own white space; a vertical tab stands for a forced line break."""
    if node.tag == "-text":
        return (node.text_content or "").replace("\v", " ")
    if node.tag == "br":
        return "\v"
    if not node.is_element_node:
        return ""
    if depth > _DEEP:
        return str(node.text(separator=" "))
    inner = "".join(_inline(child, depth + 1) for child in node.iter(include_text=True))
    if node.tag == "code" and inner.strip() and "`" not in inner and "\v" not in inner:
        return f"`{inner}`"
    return inner


def _line(node: Any, depth: int) -> str:
    """All text of an element on one line."""
    return _SPACES.sub(" ", " ".join(_inner_blocks(node, depth))).strip()


def _inner_blocks(node: Any, depth: int) -> list[str]:
    blocks: list[str] = []
    run: list[str] = []
    for child in node.iter(include_text=True):
        if _is_block(child):
            _end_run(run, blocks)
            blocks += _blocks(child, depth + 1)
        else:
            run.append(_inline(child, depth + 1))
    _end_run(run, blocks)
    return blocks


def _heading(node: Any, depth: int) -> str:
    line = _line(node, depth).removesuffix("¶").rstrip()
    return _HEADINGS[node.tag] + line if line else ""


def _code(node: Any, depth: int) -> str:
    """A fenced block; its white space stays. The fence is longer than any inside."""
    del depth
    parts = (child for child in node.traverse(include_text=True) if child.tag in {"br", "-text"})
    text = "".join("\n" if part.tag == "br" else part.text_content or "" for part in parts)
    if not text.strip():
        return ""
    inner = node.css_first("code")
    names = " ".join(
        filter(None, (given.attributes.get("class") for given in (node, inner, node.parent) if given is not None))
    )
    language = _LANGUAGE.search(names)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language.group(1) if language else ''}\n{text.strip(chr(10)).rstrip()}\n{fence}"


def _list(node: Any, depth: int) -> str:
    items = []
    number = 0
    for child in node.iter():
        blocks = _inner_blocks(child, depth + 1)
        if blocks:
            number += 1
            mark = f"{number}. " if node.tag == "ol" else "- "
            text = "\n".join(blocks)
            items.append(mark + text.replace("\n", "\n" + " " * len(mark)))
    return "\n".join(items)


def _quote(node: Any, depth: int) -> str:
    return "\n".join(f"> {line}".rstrip() for line in "\n\n".join(_inner_blocks(node, depth)).split("\n"))


def _table(node: Any, depth: int) -> str:
    """Rows of cells between bars; a table of the layout is read cell by cell."""
    if is_layout(node):
        cells = [
            child
            for child in node.traverse()
            if child.tag in {"td", "th", "caption"} and _table_of(child) == node.mem_id
        ]
        return "\n\n".join(block for cell in cells for block in _inner_blocks(cell, depth + 1))
    rows = []
    for row in node.css("tr"):
        cells = [_line(cell, depth + 1) for cell in row.iter() if cell.tag in {"td", "th"}]
        if any(cells):
            rows.append("| " + " | ".join(cells) + " |" if len(cells) > 1 else cells[0])
            if len(rows) == 1 and len(cells) > 1 and row.css_first("th") is not None:
                rows.append("|" + " --- |" * len(cells))
    captions = [_line(caption, depth) for caption in node.css("caption")]
    return "\n".join([*filter(None, captions), *rows])


def is_layout(table: Any) -> bool:
    """True for a table that is there for the layout: its cells hold blocks, or it is one row without headings."""
    if table.css_first(_BLOCKS_IN_CELLS) is not None:
        return True
    if any(inner.mem_id != table.mem_id for inner in table.css("table")):
        return True
    return len(table.css("tr")) == 1 and table.css_first("th") is None


def _table_of(cell: Any) -> int | None:
    above = cell.parent
    while above is not None and above.tag != "table":
        above = above.parent
    return None if above is None else int(above.mem_id)


_BLOCKS_IN_CELLS = "td p + p, td h1, td h2, td h3, td h4, td pre, td div, td ul, td ol, td hr, td blockquote"
_ANY_BLOCK = ", ".join(sorted(_BLOCKS))
_OWN = {"pre": _code, "ul": _list, "ol": _list, "menu": _list, "table": _table, "blockquote": _quote}
_OWN.update(dict.fromkeys(_HEADINGS, _heading))
