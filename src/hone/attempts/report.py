"""What came out of a recipe."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
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
    """The task's metric on dev: all dev rows when finished (in a box as many as there was time for), the first
    ``eval_rows`` of them when paused."""
    dev_loss: float | None
    scores: dict[str, Score] = field(default_factory=dict)
    chosen_on_dev: list[str] = field(default_factory=list)
    """What was chosen on rows that ``score`` is told of, and flatters it: the best weights."""
    kept_step: int | None = None
    """The step whose weights are kept and scored; None where it is not finished."""
    train_loss: float | None = None
    seconds: float = 0.0
    tokens_per_second: float = 0.0
    peak_rss_bytes: int = 0
    model: str | None = None
    longest_answer: int = 0
    """New tokens that an answer may take."""
    tokens: int = 0
    """Tokens computed on, padding included."""
    train_rows: int = 0
    reason: str = ""
    """Why it ended before the end of its schedule."""
    seconds_by_part: dict[str, float] = field(default_factory=dict)
    """Wall seconds of reading, computing, judging, saving and the rest."""
    peak_bytes: int | None = None
    """Most memory that training took at once, measured; see :class:`hone.train.records.FitResult`."""
    estimated_bytes: int | None = None
    """The same as it was estimated before the start."""
    diagnosis: dict[str, Any] | None = None
    """What the curves say: underfit, overfit or a good fit, and at which step it should have stopped."""
    distance: dict[str, Any] | None = None
    """How far the model has gone from its base, where it has one."""
    box: dict[str, Any] | None = None
    """For a run in a box of minutes: its seconds, those used, and when the clock decided what."""
    slices: list[dict[str, Any]] = field(default_factory=list)
    worst: list[dict[str, Any]] = field(default_factory=list)
    calibration: dict[str, Any] = field(default_factory=dict)
    """Temperature, threshold and calibration error on dev of an encoder's classifier."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; :meth:`from_json` is the inverse."""
        plain = asdict(self)
        plain["score"] = None if self.score is None else self.score.to_json()
        plain["scores"] = {name: score.to_json() for name, score in self.scores.items()}
        return plain

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> AttemptReport:
        """The report that :meth:`to_json` wrote; also from a run's ``result.json``, which has more in it."""
        score = None if data["score"] is None else Score.from_json(data["score"])
        scores = {name: Score.from_json(value) for name, value in data["scores"].items()}
        mine = {item.name: data[item.name] for item in fields(cls) if item.name in data}
        return cls(**{**mine, "score": score, "scores": scores})
