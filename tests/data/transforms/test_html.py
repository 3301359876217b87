"""Pages become their main text; text that is no page stays."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from hone.data.transforms.html import Html

TEMPLATES = sorted((Path(__file__).parents[3] / "benchmarks" / "data" / "templates").glob("*.html"))
CONTENT = """<h1>Tuning a lathe</h1>
<p>Before the first cut, check that the tailstock is in line with the headstock &amp; that the gibs fit.</p>
<p>A test bar tells more than any <em>feeling</em>: mount it and read the dial at both ends, twice.</p>
<h2>What you need</h2>
<ul><li>a dial gauge</li><li>a test bar
  <ol><li>ground</li><li>hardened</li></ol></li></ul>
<pre><code class="language-python">def drift(near, far):
    if near &lt; far:
        return far - near

    return 0</code></pre>
<table><thead><tr><th>Speed</th><th>Cut</th></tr></thead><tbody><tr><td>300</td><td>0.5 mm</td></tr></tbody></table>
<blockquote><p>Measure twice.</p></blockquote>
<p>Then lock the carriage, turn the spindle by hand once more, and only now start the motor for the first pass.</p>"""
TEXT = """# Tuning a lathe

Before the first cut, check that the tailstock is in line with the headstock & that the gibs fit.

A test bar tells more than any feeling: mount it and read the dial at both ends, twice.

## What you need

- a dial gauge
- a test bar
  1. ground
  2. hardened

```python
def drift(near, far):
    if near < far:
        return far - near

    return 0
```

| Speed | Cut |
| --- | --- |
| 300 | 0.5 mm |

> Measure twice.

Then lock the carriage, turn the spindle by hand once more, and only now start the motor for the first pass."""


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def test_there_are_five_templates() -> None:
    assert len(TEMPLATES) == 5


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_the_text_of_a_page_is_kept_whole_and_its_frame_is_left_out(path: Path) -> None:
    template = path.read_text(encoding="utf-8")
    page = template.replace("{{content}}", CONTENT).replace("{{title}}", "Tuning a lathe")
    text = Html().apply(page)
    frame = words(re.sub(r"(?s)<head.*?</head>|<[^>]*>", " ", template))
    assert TEXT in text
    assert ((words(text) - words(TEXT)) & frame).total() <= 0.05 * frame.total()


@pytest.mark.parametrize(
    "text",
    [
        "<p align='center'><img src='logo.png'></p>\n\n# Markdown\n\n```html\n<html><body>code</body></html>\n```",
        "<b>bold</b> claims",
        "A page begins with <!doctype html> and then <html>.",
        "def f(a): return a <body> b",
        "<header>no page</header>",
        "",
    ],
)
def test_text_that_is_no_page_is_unchanged(text: str) -> None:
    assert Html().apply(text) == text


def test_a_page_about_pages_keeps_their_source() -> None:
    page = "<!DOCTYPE html><body><p>Begin so:</p><pre>&lt;!doctype html&gt;\n&lt;html&gt;</pre></body>"
    assert Html().apply(page) == "Begin so:\n\n```\n<!doctype html>\n<html>\n```"


def test_fragments_are_read_when_asked_for() -> None:
    fragment = "<p>How do I <code>sort</code> a list?</p>\n<ol><li>quickly</li></ol>"
    assert Html().apply(fragment) == fragment
    assert Html(fragments=True).apply(fragment) == "How do I `sort` a list?\n\n1. quickly"


def test_hidden_text_scripts_and_links_are_not_text() -> None:
    page = "<html><body><main><p>Seen <a href='/x'>twice</a><script>let a</script><span hidden>no</span></p></main>"
    assert Html().apply(page) == "Seen twice"


@pytest.mark.parametrize(
    "tags", ["<ul><li>", "<blockquote>", "<table><tr><td>", "<b>", "<ol><li><blockquote>", "<span><p>"]
)
def test_deeply_nested_pages_are_read(tags: str) -> None:
    assert "at the bottom" in Html().apply("<!doctype html><body>" + tags * 2000 + "at the bottom")


def test_a_page_of_links_alone_keeps_them() -> None:
    page = "<html><body><p><a href='/1'>one</a></p><p><a href='/2'>two</a></p></body></html>"
    assert Html().apply(page) == "one\n\ntwo"


def test_a_page_without_text_is_empty_and_a_deep_one_is_read() -> None:
    assert Html().apply("<html><body><nav>Home</nav></body></html>") == ""
    deep = "<html><body>" + "<div>" * 3000 + "<p>at the bottom</p>" + "</div>" * 3000
    assert Html().apply(deep) == "at the bottom"
