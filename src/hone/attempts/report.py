"""What came out of a recipe."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from hone.task.scores import Score


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptReport:
    """What came out of a recipe so far."""

    run: int
    status: str
    """finished, paused or stopped."""
    step: int
    score: Score | None
    """The task's metric on dev: all dev rows when finished, the first 256 when paused."""
    dev_loss: float | None
    scores: dict[str, Score] = field(default_factory=dict)
    train_loss: float | None = None
    seconds: float = 0.0
    tokens_per_second: float = 0.0
    peak_rss_bytes: int = 0
    model: str | None = None
    longest_answer: int = 0
    """New tokens that an answer may take."""
    slices: list[dict[str, Any]] = field(default_factory=list)
    worst: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values; :meth:`from_json` is the inverse."""
        plain = asdict(self)
        plain["score"] = None if self.score is None else self.score.to_json()
        plain["scores"] = {name: score.to_json() for name, score in self.scores.items()}
        return plain

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> AttemptReport:
        """The report that :meth:`to_json` wrote."""
        score = None if data["score"] is None else Score.from_json(data["score"])
        scores = {name: Score.from_json(value) for name, value in data["scores"].items()}
        return cls(**{**data, "score": score, "scores": scores})
