"""The books of the rules: what each removes alone and together adds up to what is gone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.removal import rule_pages, waterfall
from hone.data.looking.samples import Samples
from hone.data.rules import Rule, decide

RULES = (
    Rule(name="long", column="length.chars", high=60, source="test"),
    Rule(name="short", column="length.chars", low=5, source="test"),
    Rule(name="score", column="quality.score", low=0.25, source="test"),
)


@pytest.fixture
def seen(make_measured: Any) -> tuple[Any, Figures, Any]:
    random = np.random.default_rng(0)
    texts = ["x" * int(size) for size in random.integers(0, 90, 500)]
    measured = make_measured(
        texts,
        {"quality.score": [None if at % 50 == 0 else float(random.random()) for at in range(500)]},
        sources=[f"part-{at % 3}.jsonl" for at in range(500)],
    )
    return measured, Figures(measured.columns), decide(measured.columns, RULES)


def test_the_waterfall_adds_up(seen: Any) -> None:
    _, figures, decisions = seen
    found = waterfall(figures, RULES, decisions, LookOptions())
    assert found["kept"] + sum(step["new"] for step in found["steps"]) == found["rows"] == 500
    assert [step["left"] for step in found["steps"]] == list(
        found["rows"] - np.cumsum([step["new"] for step in found["steps"]])
    )
    assert found["steps"][-1]["left"] == found["kept"]
    # A rule that removes a row alone removes it wherever it stands.
    assert all(step["alone"] <= step["new"] <= step["fails"] for step in found["steps"])


def test_combinations_are_exclusive_and_complete(seen: Any) -> None:
    _, figures, decisions = seen
    found = waterfall(figures, RULES, decisions, LookOptions())
    assert sum(combination["rows"] for combination in found["overlaps"]) == found["rows"] - found["kept"]
    alone = {one["rules"][0]: one["rows"] for one in found["overlaps"] if len(one["rules"]) == 1}
    assert alone == {step["rule"]: step["alone"] for step in found["steps"] if step["alone"]}


def test_sources_add_up(seen: Any) -> None:
    _, figures, decisions = seen
    found = waterfall(figures, RULES, decisions, LookOptions())
    assert sum(source["rows"] for source in found["sources"]) == 500
    assert sum(source["kept"] for source in found["sources"]) == found["kept"]
    for step in found["steps"]:
        assert sum(source["fails"].get(step["rule"], 0) for source in found["sources"]) == step["fails"]


def test_rows_of_other_splits_are_not_judged(make_measured: Any) -> None:
    measured = make_measured(["x" * at for at in range(1, 9)], splits=["train", "dev"] * 4)
    figures, decisions = Figures(measured.columns), decide(measured.columns, RULES[1:2])
    samples = Samples(measured.store, figures, sensitive=False)
    page = rule_pages(figures, RULES[1:2], decisions, samples, LookOptions())[0]
    assert page["histogram"]["n"] == 4
    assert [row["value"] for row in page["dropped"]] == [3, 1]
    assert [row["value"] for row in page["kept"]] == [5, 7]


def test_rows_shown_lie_nearest_to_the_line_on_their_side(seen: Any) -> None:
    measured, figures, decisions = seen
    samples = Samples(measured.store, figures, sensitive=False)
    pages = rule_pages(figures, RULES, decisions, samples, LookOptions(samples=4))
    samples.fill()
    scores = figures.numbers("quality.score")
    page = pages[2]
    shown = {side: [row["value"] for row in page[side]] for side in ("dropped", "kept")}
    assert shown["dropped"] == sorted(scores[scores < 0.25], reverse=True)[:4]
    assert shown["kept"] == sorted(scores[scores >= 0.25])[:4]
    assert all(len(row["text"]) == row["chars"] for row in pages[0]["dropped"])
