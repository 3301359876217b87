"""Alerts are ranked by what they weigh, and what acts on them is valid where it is put."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hone.data.cleaning import Given, plan_of
from hone.data.fingerprints import Fingerprints
from hone.data.looking.alerts import SEVERITY
from hone.data.looking.document import build
from hone.data.looking.figures import LookOptions
from hone.data.rules import decide
from hone.task.spec import Clean


@pytest.fixture
def document(make_measured: Any) -> dict[str, Any]:
    n = 40
    repeats = [None] * 30 + [f"rows.csv:{at + 1}" for at in range(10)]
    clusters: list[int | None] = [at if at < 10 else None for at in range(30)] + list(range(10))
    spans: list[Any] = [[("email", 0, 5)]] * 2 + [[]] * (n - 2)
    measured = make_measured(
        [f"text number {at} of all\nsame line in every row" for at in range(n - 1)] + ["<p>a page</p>"],
        {
            "exact.survivor": repeats,
            "exact.cluster": clusters,
            "near.survivor": [None, "rows.csv:1"] + [None] * (n - 2),
            "near.cluster": [0, 0] + [None] * (n - 2),
            "near.similarity": [None, 0.9] + [None] * (n - 2),
            "pii.count": [1, 1] + [0] * (n - 2),
            "pii.email": [1, 1] + [0] * (n - 2),
            "pii.spans": spans,
            "toxicity.words": [0, 0, 0, 1] + [0] * (n - 4),
            "disclaimer.count": [0] * (n - 1) + [1],
            "disclaimer.refusals": [0] * (n - 2) + [1, 0],
            "contamination.share": [1.0] + [0.0] * (n - 1),
            "contamination.whole": [True] + [False] * (n - 1),
            "contamination.ngrams": [3] + [0] * (n - 1),
            "contamination.against": ["test"] + [None] * (n - 1),
            "language.code": ["en"] * 30 + ["fr"] * 10,
            "script.main": ["Latin"] * 39 + ["Han"],
            "boilerplate.lines": [0.5] * n,
            "content.missing": [None] * (n - 1) + ["input"],
            "labels.conflict": [True, True] + [False] * (n - 2),
            "labels.suspect": [True] + [False] * (n - 1),
            "labels.probability": [0.01] + [0.9] * (n - 1),
        },
        labels=["a"] * 37 + ["A ", "b", "c"],
        fields=[{"text": "x", "note": "one" if at < 4 else None} for at in range(n)],
    )
    options = LookOptions(test="data/test.csv", test_labels=("a", "z"), bad=(("rows.csv:9", "an object", "a number"),))
    return build(measured, (), decide(measured.columns, ()), options)


def test_every_kind_of_alert_is_there_and_the_weightiest_comes_first(document: dict[str, Any]) -> None:
    found = document["alerts"]
    assert {alert["name"] for alert in found} == set(SEVERITY) - {"canary", "secrets", "removed", "tags"}
    weights = [alert["weight"] for alert in found]
    assert weights == sorted(weights, reverse=True)
    for alert in found:
        assert alert["weight"] == pytest.approx(SEVERITY[alert["name"]] * alert["rows"] / 40, abs=1e-6)


def test_every_alert_says_what_to_do_or_why_it_matters(document: dict[str, Any]) -> None:
    for alert in document["alerts"]:
        assert alert["yaml"] or alert["command"] or alert["why"], alert["name"]


def test_the_lines_for_hone_yaml_are_valid_there_and_make_rules(document: dict[str, Any]) -> None:
    lines = [alert["yaml"] for alert in document["alerts"] if alert["yaml"].startswith("clean:")]
    assert len(lines) >= 8
    prints = Fingerprints.of({"test": [("a text", "a text")]}, lambda reason: None)
    for line in lines:
        section = Clean.model_validate(yaml.safe_load(line)["clean"])
        bare = section.model_copy(update={"preset": "none"})
        plan = plan_of(bare, "classify", Given(folder=Path(), fingerprints=prints))
        assert set(section.rules) <= {rule.name for rule in plan.rules}


def test_every_alert_links_to_a_part_of_the_page(document: dict[str, Any]) -> None:
    from hone.data.looking.html import html

    page = html(document)
    for alert in document["alerts"]:
        assert f'id="{alert["section"]}"' in page, alert["name"]


def test_a_missed_canary_comes_before_everything(make_measured: Any) -> None:
    measured = make_measured(["a"] * 5, {"contamination.share": [0.0] * 5, "contamination.ngrams": [0] * 5})
    options = LookOptions(canaries=({"words": 9, "found": False}, {"words": 20, "found": True}))
    found = build(measured, (), decide(measured.columns, ()), options)["alerts"]
    assert found[0]["name"] == "canary"
    assert "missed 1 of 2" in found[0]["title"]


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (["input"], "1 row holds no text"),
        (["label"] * 2, "2 rows hold no label"),
        (["label", "input", "label"], "3 rows hold no text or no label"),
        (["answer", "input"], "2 rows hold no text or no answer"),
    ],
)
def test_empty_rows_are_said_to_lack_what_they_lack(make_measured: Any, missing: list[str], told: str) -> None:
    texts = [f"text number {at} of all" for at in range(9)]
    measured = make_measured(texts, {"content.missing": [*missing, *[None] * (9 - len(missing))]})
    found = build(measured, (), decide(measured.columns, ()), LookOptions())["alerts"]
    assert [alert["title"] for alert in found if alert["name"] == "empty"] == [told]


def test_a_blank_label_is_none(make_measured: Any) -> None:
    measured = make_measured([f"text number {at}" for at in range(9)], {}, labels=["a"] * 4 + ["b"] * 3 + ["", " "])
    labels = build(measured, (), decide(measured.columns, ()), LookOptions())["labels"]
    assert (labels["distinct"], labels["rows"], labels["unlabelled"]) == (2, 7, 2)
    assert not labels["alike"]
