"""Rows that repeat a text with another answer: no duplicates, and told in the report, its page and the lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone.data.looking.figures import LookOptions
from hone.data.looking.html import html
from hone.data.looking.of_survey import document_of
from hone.data.survey import survey_files
from hone.task.spec import Clean


@pytest.mark.parametrize("same", [0, 2])
def test_repeats_with_another_label_are_told_beside_the_duplicates(tmp_path: Path, same: int) -> None:
    rows = [f"some text of row {n},{'ab'[n % 2]}" for n in range(20)]
    again = [f"Some text of row {n}!,{'ab'[(n + (n >= same)) % 2]}" for n in range(3)]
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *rows, *again]) + "\n")
    said: list[str] = []
    survey = survey_files(["a.csv"], tmp_path, Clean(), tmp_path / ".cache", said.append)
    document = document_of(survey, LookOptions(title="a.csv"))
    exact = document["duplicates"]["exact"]
    assert (exact["repeats"], exact["removed"]) == (3, same)
    (line,) = [line for line in said if line.startswith("exact: ")]
    assert line.startswith("exact: 3 rows equal an earlier one by folded text, ")
    assert line.removeprefix("exact: ") in html(document)
