"""The page is one file that loads nothing, runs its own script alone, and treats text as data."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from hone.data.looking import charts
from hone.data.looking.document import SCHEMA, build
from hone.data.looking.figures import LookOptions
from hone.data.looking.html import html
from hone.data.rules import Rule, decide

HOSTILE = (
    '<script>alert("x")</script>',
    "<img src=x onerror=alert(1)> and more words to read",
    '"><svg/onload=alert(2)>',
    "</blockquote></section></style><style>body{display:none}</style>",
    "javascript:alert(3) <a href='javascript:alert(4)'>press</a>",
    "{{ template }} ${code} <!-- comment -->",
)
RULES = (
    Rule(name="short", column="length.chars", low=40, source="<b>source</b>"),
    Rule(name="duplicate", column="exact.survivor", absent=True, source="folded"),
    Rule(name="language", column="language.code", one_of=("en",), source="test"),
)


class Seen(HTMLParser):
    """What a browser would take for elements."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _columns(texts: list[str]) -> dict[str, Any]:
    n = len(texts)
    half = n // 2
    return {
        "exact.survivor": [None] * half + [f"rows.csv:{at + 1}" for at in range(n - half)],
        "exact.cluster": list(range(half)) + list(range(n - half)),
        "language.code": ["en"] * (n - 1) + ["<b>"],
        "language.probability": [0.9] * n,
        "script.main": ["Latin"] * n,
        "pii.count": [1] * n,
        "pii.email": [1] * n,
        "pii.spans": [[("email", 0, 3)]] * n,
        "toxicity.words": [1] * n,
        "toxicity.spans": [[("word", 1, 4)]] * n,
        "disclaimer.count": [1] * n,
        "disclaimer.spans": [[("phrase", 0, 4)]] * n,
        "contamination.share": [0.5] * n,
        "contamination.whole": [False] * n,
        "contamination.ngrams": [1] * n,
        "contamination.spans": [[("13-gram", 0, 9)]] * n,
        "contamination.against": ["test"] * n,
        "labels.conflict": [True] * n,
        "labels.others": [["<i>other</i>"]] * n,
        "labels.suspect": [True] * n,
        "labels.probability": [0.2] * n,
        "labels.suggested": ["<i>other</i>"] * n,
    }


@pytest.fixture
def measured(make_measured: Any) -> Any:
    texts = [f"{text} number {at}" for text in HOSTILE for at in range(4)]
    names = [f"<u>label {at % 3}</u>" for at in range(len(texts))]
    fields = [{"<em>text</em>": text, "licence": "<tt>free</tt>"} for text in texts]
    return make_measured(texts, _columns(texts), labels=names, fields=fields)


def _document(measured: Any, **options: Any) -> dict[str, Any]:
    return build(measured, RULES, decide(measured.columns, RULES), LookOptions(title="<h1>rows</h1>", **options))


def test_text_never_becomes_markup(measured: Any) -> None:
    page = html(_document(measured))
    seen = Seen()
    seen.feed(page)
    assert not set(seen.tags) & {"img", "u", "em", "tt", "iframe", "link", "object"}
    assert (seen.tags.count("script"), seen.tags.count("style"), seen.tags.count("h1")) == (1, 1, 1)
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert all(value.startswith("#") for name, value in seen.attributes if name in ("href", "src", "action"))
    assert "style" not in dict(seen.attributes), "a style attribute would be refused by the policy"
    told = "".join(seen.text)
    assert all(text[4:] in told for text in HOSTILE), "the texts are shown as they are (their first signs are masked)"


def test_the_policy_allows_the_page_s_own_script_and_style_alone(measured: Any) -> None:
    page = html(_document(measured))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    for tag in ("script", "style"):
        inside = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert inside is not None
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]


def test_the_shares_of_scripts_say_what_a_text_s_script_is(measured: Any) -> None:
    page = html(_document(measured))
    section = page[page.index('id="scripts"') :]
    assert "the script of most of its letters (script.main)" in section[: section.index("</section>")]


def test_links_inside_the_page_lead_somewhere(measured: Any) -> None:
    page = html(_document(measured))
    anchors = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= anchors
    assert len(anchors) == len(re.findall(r' id="', page)), "an anchor is there twice"


def test_commands_about_a_row_get_the_folder_of_the_task(measured: Any) -> None:
    """The folder is one quoted word of a command line and stands once, as an attribute."""
    seen = Seen()
    seen.feed(html(_document(measured, folder='my "task" folder')))
    assert ("data-folder", "'my \"task\" folder'") in seen.attributes
    seen = Seen()
    seen.feed(html(_document(measured)))
    assert "data-folder" not in dict(seen.attributes)


def test_the_document_is_json_and_the_same_every_time(measured: Any) -> None:
    first, second = (json.dumps(_document(measured), allow_nan=False, ensure_ascii=False) for _ in range(2))
    assert first == second
    document = json.loads(first)
    assert document["schema"] == SCHEMA
    assert html(document) == html(_document(measured))
    for name, figure in document["profile"].items():
        assert set(figure) == {"value", "low", "high", "n"}, name
        assert figure["low"] <= figure["value"] <= figure["high"], name


def test_sensitive_shows_no_text_label_or_value(measured: Any) -> None:
    document = _document(measured, sensitive=True, bad=(("rows.csv:99", "an object", "secret remains"),))
    told = html(document) + json.dumps(document, ensure_ascii=False)
    secrets = [*HOSTILE, *(text[:12] for text in HOSTILE), "label 0", "<i>other</i>", "free", "secret remains"]
    for secret in secrets:
        escaped = secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert secret not in told
        assert escaped not in told
        assert json.dumps(secret)[1:-1] not in told
    assert document["labels"]["distinct"] == 3, "figures stay"


def test_personal_data_is_masked_in_every_part(make_measured: Any) -> None:
    texts = [f"jane{at}@mail.org wrote this text that is a little longer {at}" for at in range(12)]
    columns = _columns(texts) | {"pii.spans": [[("email", 0, text.index(" "))] for text in texts]}
    measured = make_measured(texts, columns)
    document = build(measured, RULES, decide(measured.columns, RULES))
    told = json.dumps(document, ensure_ascii=False) + html(document)
    assert "mail.org" not in told
    assert "@••••.•••" in told


def test_with_a_sample_every_figure_has_an_interval(measured: Any) -> None:
    document = _document(measured, of=10_000)
    for name, figure in document["profile"].items():
        if figure["low"] is None:
            assert figure["no_interval"].startswith("not estimated: "), name
        elif figure["low"] == figure["high"]:
            # Of a median both ends can be one value, which many rows have.
            assert name == "rows" or name.endswith(".median"), name
    # What depends on the rows beside it is another thing in a sample; a share of none or all still has an interval.
    assert all(f["low"] is None for name, f in document["profile"].items() if name.startswith("near.similarity"))
    headline = {figure["name"]: figure for figure in document["headline"]}
    for name in ("labels", "sources"):
        assert (headline[name]["low"], headline[name]["high"]) == (headline[name]["value"], None)
    assert document["labels"]["one_split"] == []
    assert "one-split" not in [alert["name"] for alert in document["alerts"]]
    assert "estimate" in html(document)
    assert document["profile"]["rows"]["value"] == 10_000


def test_values_that_are_not_finite_are_not_measured(make_measured: Any) -> None:
    values = [float("inf"), float("-inf"), float("nan"), None, 1.0]
    measured = make_measured(["a text"] * 5, {"own.score": values})
    rules = (Rule(name="own", column="own.score", low=0.5, source="test"),)
    document = build(measured, rules, decide(measured.columns, rules))
    json.dumps(document, allow_nan=False)
    assert document["rules"][0]["histogram"]["unmeasured"] == 4


def test_no_rows_and_no_rules_make_a_page_too(make_measured: Any) -> None:
    empty = make_measured([])
    assert "<h1>" in html(build(empty, (), decide(empty.columns, ())))
    alone = make_measured(["one row"])
    assert "one row" in html(build(alone, (), decide(alone.columns, ())))


def test_charts_are_well_formed_and_lie_inside_their_box() -> None:
    from hone.data.looking.histogram import histogram

    random = np.random.default_rng(0)
    for values, line in ((random.lognormal(5, 2, 500), 900.0), (random.random(500), 0.3), (np.zeros(5), 1.0)):
        drawn = charts.histogram(histogram(values, [line]), "unit <&>", low=line)
        root = ElementTree.fromstring(drawn)
        width = float(root.find("svg").get("viewBox").split()[2])  # type: ignore[union-attr]
        bars = list(root.iter("rect"))
        assert bars
        assert all(0 <= float(bar.get("x", -1)) <= width for bar in bars)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 37), (3, 1_250_000), (-4.2, 0.7)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    ticks = charts.nice(low, high, 5)
    assert 3 <= len(ticks) <= 8
    assert all(low <= tick <= high for tick in ticks)
    steps = {round((b - a) / (ticks[1] - ticks[0]), 6) for a, b in pairwise(ticks)}
    assert steps == {1.0}


def test_a_thousand_rows_cost_little(make_measured: Any) -> None:
    random = np.random.default_rng(0)
    words = np.asarray([f"word{at}" for at in range(3_000)])
    texts = [" ".join(random.choice(words, 60)) for _ in range(1_000)]
    measured = make_measured(texts, _columns(texts))
    decisions = decide(measured.columns, RULES)
    begin = time.process_time()
    page = html(build(measured, RULES, decisions))
    assert time.process_time() - begin < 1.0
    assert len(page) < 1_000_000
