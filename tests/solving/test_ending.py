"""When a solve has what was asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hone.solving.ending import Ending
from hone.task.scores import Score

SCORE = Score(name="accuracy", mean=0.9, low=0.85, high=0.94, n=200, higher_is_better=True)


@pytest.mark.parametrize(("within", "status", "target", "holds"), [
    (True, "certified", 0.8, True),
    (None, "certified", 0.8, True),
    (False, "certified", 0.8, False),
    (None, "contract-checked", 0.8, False),
    (None, "certified", 0.88, False),
])  # fmt: skip
def test_a_limit_that_is_not_known_is_no_broken_one(within: bool | None, status: str, target: float, holds: bool):
    ending: Any = Ending.__new__(Ending)
    ending.task = SimpleNamespace(metric="accuracy", target=target)
    made = {
        "within": within,
        "certificate": {"status": status},
        "evaluation": {"scores": {"accuracy": SCORE.to_json()}},
    }
    assert ending.holds(made) is holds
