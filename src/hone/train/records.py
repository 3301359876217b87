"""What the engine tells its caller: one record per step, one per evaluation, one at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from hone.task.scores import Score

Status = Literal["finished", "paused", "stopped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRecord:
    """One optimizer step. ``step`` counts the steps done, this one included."""

    step: int
    epoch: int
    loss: float
    """Mean loss per supervised token over the whole step, in nats (label smoothing included)."""
    learning_rate: float
    grad_norm: float
    """Norm of the whole gradient before clipping."""
    supervised_tokens: int
    tokens: int
    """Tokens computed on, padding included, over all processes."""
    seconds: float
    """Wall time of the step, collating included."""
    tokens_per_second: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What an evaluation callback returns: the task metric that decides, and numbers worth keeping."""

    score: Score
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """A judgement with the number of steps done when it was made."""

    step: int
    score: Score
    numbers: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values; :meth:`from_json` is the inverse."""
        return {"step": self.step, "score": self.score.to_json(), "numbers": dict(self.numbers)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluated:
        """The record that :meth:`to_json` wrote."""
        return cls(step=data["step"], score=Score.from_json(data["score"]), numbers=dict(data["numbers"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class FitResult:
    """How a call of ``fit`` ended."""

    status: Status
    """``finished``: the whole schedule; ``paused``: at ``until_step``; ``stopped``: ``should_stop`` said so."""
    step: int
    epoch: int
    tokens: int
    """Tokens computed on since step 0, padding included, over all calls and processes."""
    seconds: float
    """Wall time of the steps since step 0, evaluations and saving left out, over all calls."""
    loss: float | None
    """Loss of the last step; None when no step was done in this call."""
    evaluations: tuple[Evaluated, ...]
    best: Evaluated | None
    """The best evaluation by the task metric; an earlier one wins a tie."""
    best_weights: Path | None
    """Folder of the weights that were evaluated as the best (``weights.safetensors``)."""
