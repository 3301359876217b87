"""The lines that are printed off a terminal: each evaluation stands on the line of its own step, below a header."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from hone.cli.live import PlainLines, cells
from hone.cli.train import _say_report
from hone.cli.watching import _Watch
from hone.task.scores import Score


def score(mean: float) -> dict[str, Any]:
    return Score(name="accuracy", mean=mean, low=0.0, high=1.0, n=10).to_json()


def watched(events: list[dict[str, Any]]) -> list[str]:
    out = io.StringIO()
    watch = _Watch(PlainLines(out), "attempt", 0.0)
    for event in events:
        watch(event)
    return out.getvalue().splitlines()


def step(number: int) -> dict[str, Any]:
    return {"kind": "step", "step": number, "steps": 12, "tokens_per_second": 100.0, "left_s": 3.0}


def evaluated(number: int, mean: float) -> dict[str, Any]:
    return {"kind": "evaluated", "step": number, "dev_loss": 2.0, "score": score(mean)}


def test_each_evaluation_stands_on_the_line_of_its_own_step_and_on_no_other() -> None:
    events = [{"kind": "stage", "status": "judging on 8 dev rows"}, evaluated(0, 0.111)]
    for number in range(1, 13):
        events += [step(number), *([evaluated(number, 0.2 + number / 100)] if number % 3 == 0 else [])]
    lines = watched(events)
    assert lines[0].split()[:3] == ["attempt", "what", "steps"]
    for number, mean in ((0, "0.111"), (3, "0.230"), (6, "0.260"), (9, "0.290"), (12, "0.320")):
        (line,) = [line for line in lines if mean in line]
        assert f" {number}/" in line, line


def test_what_goes_on_beside_the_steps_is_printed_at_once() -> None:
    lines = watched([step(1), step(2), {"kind": "stage", "status": "scoring on 700 dev rows, about 6 s"}])
    assert lines[-1].endswith("scoring on 700 dev rows, about 6 s")
    assert " 2/12 " in lines[-1]


def test_a_score_of_another_step_is_told_as_such_where_it_stays_in_sight() -> None:
    from hone.solving.show import TableRow

    here = Score.from_json(score(0.5))
    row = TableRow(name="a", what="b", score=here, scored_at=3, step=5, steps=12, status="running")
    assert cells(row)[4].endswith(" at 3")
    assert cells(TableRow(name="a", what="b", score=here, scored_at=5, step=5, steps=12))[4].endswith("]")


def test_the_last_line_and_the_report_name_the_step_whose_weights_are_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hone.attempts import AttemptReport

    here = Score.from_json(score(0.75))
    for kept, named in ((3, True), (12, False)):
        out = io.StringIO()
        watch = _Watch(PlainLines(out), "attempt", 0.0)
        for event in (step(3), evaluated(3, 0.75), step(12), evaluated(12, 0.25)):
            watch(event)
        report = AttemptReport(run=1, status="finished", step=12, score=here, dev_loss=2.0, kept_step=kept)
        watch.end(report)
        last = out.getvalue().splitlines()[-1]
        assert "12/12" in last
        assert "0.750" in last
        assert ("] at 3" in last) == named
        _say_report(report, tmp_path)
        assert ("with the weights of step 3, after 12 steps" in capsys.readouterr().out) == named


def test_a_long_name_leaves_the_figures_under_their_heads() -> None:
    from hone.solving.show import TableRow

    out = io.StringIO()
    lines = PlainLines(out)
    for name in ("attempt", "base-eval_every-eval_rows-steps"):
        lines.row(TableRow(name=name, what="one recipe", step=3, steps=12, dev_loss=2.345, status="paused"))
    head, *rows = out.getvalue().splitlines()
    for row in rows:
        assert row.index("3/12") == head.index("steps")
        assert row.index("2.345") == head.index("dev loss")
