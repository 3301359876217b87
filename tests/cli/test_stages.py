"""Progress: what is done, of how much, the rate in the same unit, and the time that is left at this rate."""

from __future__ import annotations

import io

import pytest

from hone.cli.stages import Stages, progress_line


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (("reading", 10_000_000, 40_000_000, 5.0), "reading: 10.0 of 40.0 MB, 2.0 MB a second, 15 s left"),
        (("measuring", 3_000_000, 0, 2.0), "measuring: 3.0 M characters, 1.5 M characters a second"),
        (("near", 1_000, 4_000, 1.0), "near: 1,000 of 4,000 rows, 1,000 rows a second, 3 s left"),
        (("near", 0, 4_000, 1.0), "near: 0 of 4,000 rows"),
        (("near", 4_000, 4_000, 2.0), "near: 4,000 of 4,000 rows, 2,000 rows a second"),
    ],
)
def test_a_line_has_what_is_done_the_rate_and_the_time_left(told: tuple[str, int, int, float], line: str) -> None:
    assert progress_line(*told) == line


def test_what_ends_within_the_patience_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hone.cli.stages.PATIENCE_S", float("inf"))
    out = io.StringIO()
    with Stages(stream=out) as stages:
        stages.tell("reading", 1, 2)
    assert out.getvalue() == ""
