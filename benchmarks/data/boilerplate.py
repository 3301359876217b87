"""How much real text the page transform keeps and how much of a page's frame it removes, beside trafilatura.

Documentation pages (Markdown, rendered to HTML) are wrapped in the five page templates of ``templates/``: cookie
banners, navigation, sidebars, comments, related links, footers. Real text is every word of the rendered page,
code, tables, headings and lists included; the template's words are those of the empty template.

A word of the output counts as real up to the number of times the document has it, and as the template's beyond that, so
both figures err together and by little. ``--data FOLDER`` holds ``techdocs/techdocs.jsonl.gz``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

TEMPLATES = sorted((Path(__file__).parent / "templates").glob("*.html"))
WORD = re.compile(r"\w+")


def documents(data: Path, count: int) -> Iterator[str]:
    """Every n-th page of the folder, rendered to HTML."""
    from markdown_it import MarkdownIt

    render = MarkdownIt("commonmark", {"html": False}).enable("table").render
    path = data / "techdocs" / "techdocs.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [text for line in lines if len((text := json.loads(line)["text"]).split()) >= 30]
    made = 0
    for text in texts[:: max(1, len(texts) // (count + count // 10))]:
        html = render(re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL))
        if made < count and words_of_html(html).total() >= 30:
            made += 1
            yield html


def words_of_html(html: str) -> Counter[str]:
    """Words of everything visible in a piece of HTML."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(f"<body>{html}</body>" if "<body" not in html.lower() else html)
    for node in tree.css("script, style, noscript, template, head"):
        node.decompose()
    assert tree.body is not None
    return Counter(WORD.findall(tree.body.text(separator=" ").lower()))


def candidates() -> dict[str, Callable[[str], str]]:
    """The transform, and trafilatura where it is installed."""
    from hone.data.transforms.html import Html

    found: dict[str, Callable[[str], str]] = {"hone html": Html().apply}
    try:
        from trafilatura import extract
    except ImportError as error:
        print(f"trafilatura is left out: {error}")
        return found

    def trafilatura(**options: bool) -> Callable[[str], str]:
        return lambda page: extract(page, include_comments=False, output_format="markdown", **options) or ""

    found["trafilatura"] = trafilatura()
    found["trafilatura recall"] = trafilatura(favor_recall=True)
    found["trafilatura precision"] = trafilatura(favor_precision=True)
    return found


def measured(extract: Callable[[str], str], template: str, pages: list[tuple[str, Counter[str]]]) -> dict[str, float]:
    """Recall of real words, share of template words removed, the worst page's recall, and pages per CPU-second."""
    frame = words_of_html(template.replace("{{content}}", " ").replace("{{title}}", " "))
    kept = real_words = left = frame_words = 0
    worst, spent = 1.0, 0.0
    for content, real in pages:
        page = template.replace("{{title}}", escape("Page")).replace("{{content}}", content)
        began = time.process_time()
        output = extract(page)
        spent += time.process_time() - began
        words = Counter(WORD.findall(output.lower()))
        here = (words & real).total()
        kept, real_words = kept + here, real_words + real.total()
        left, frame_words = left + ((words - real) & frame).total(), frame_words + frame.total()
        worst = min(worst, here / max(1, real.total()))
    return {
        "recall": kept / real_words,
        "removed": 1 - left / frame_words,
        "worst_page_recall": worst,
        "pages_per_cpu_second": len(pages) / spent,
    }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with techdocs/techdocs.jsonl.gz")
    parser.add_argument("--pages", type=int, default=200, help="documents, each in all five templates")
    parser.add_argument("--only", help="one candidate")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    pages = [(content, words_of_html(content)) for content in documents(given.data, given.pages)]
    rows = []
    print(f"{'':22} {'template':10} {'recall':>8} {'removed':>8} {'worst':>7} {'pages/CPU-s':>12}")
    for name, extract in candidates().items():
        if given.only in {None, name}:
            for path in TEMPLATES:
                row = measured(extract, path.read_text(encoding="utf-8"), pages)
                rows.append({"candidate": name, "template": path.stem, **row})
                figures = f"{row['recall']:8.4f} {row['removed']:8.4f} {row['worst_page_recall']:7.3f}"
                print(f"{name:22} {path.stem:10} {figures} {row['pages_per_cpu_second']:12.0f}")
    if given.json:
        print(json.dumps({"pages": len(pages), "rows": rows}))


if __name__ == "__main__":
    main()
