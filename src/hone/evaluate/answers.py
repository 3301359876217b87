"""What a model answered for one row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the model answered for one row.

    ``value`` is the metric on this row alone; ``text`` what was written when it could not be parsed; ``finished``
    whether it stopped by itself; ``logprob`` the log-probability of the gold label (classify).
    """

    row: str
    input: str
    expected: Any
    got: Any
    value: float
    finished: bool = True
    text: str = ""
    logprob: float | None = None
