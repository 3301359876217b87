"""The rows' own columns, on rows whose figures can be counted by hand."""

from __future__ import annotations

from typing import Any

from hone.data.looking.fields import fields
from hone.data.looking.figures import Figures, LookOptions

ROWS = [
    {"text": "a", "lang": "en", "score": 1, "licence": "CC0"},
    {"text": "b", "lang": "en", "score": "1", "licence": "CC0"},
    {"text": "", "lang": "en", "score": None, "licence": "MIT"},
    {"text": "d", "lang": "en", "tags": ["x", 2]},
]


def test_missing_constant_unique_and_mixed_columns(make_measured: Any) -> None:
    measured = make_measured([row["text"] for row in ROWS], fields=ROWS)
    found = fields(measured.store, Figures(measured.columns), LookOptions())
    columns = {column["name"]: column for column in found["columns"]}
    assert {name: column["missing"] for name, column in columns.items()} == {
        "text": 1, "lang": 0, "score": 2, "licence": 1, "tags": 3
    }  # fmt: skip
    assert [name for name, column in columns.items() if column["constant"]] == ["lang"]
    assert columns["text"]["unique"]
    assert columns["score"]["kinds"] == {"number": 1, "text": 1}
    assert columns["tags"]["common"] == [{"value": '["x", 2]', "rows": 1}]
    assert [(value["value"], value["rows"]) for value in found["licences"]["values"]] == [("CC0", 2), ("MIT", 1)]
    assert columns["text"]["missing_share"]["value"] == 0.25


def test_values_are_not_shown_where_no_text_may_be(make_measured: Any) -> None:
    measured = make_measured([row["text"] for row in ROWS], fields=ROWS)
    found = fields(measured.store, Figures(measured.columns), LookOptions(sensitive=True))
    assert all(column["common"] == [] for column in found["columns"])
    assert found["licences"]["values"] == []
    assert found["licences"]["distinct"] == 2
