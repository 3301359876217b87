"""What the engine tells its caller: one record per step, one per evaluation, one per rewind, one at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hone.task.scores import Score
from hone.wording import counted

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
    candidate: bool = True
    """Whether these weights may be kept as the best; the score of one that may not is on record alone."""
    confirm: Callable[[], Score] | None = None
    """Gives the score on more rows; called only where ``score`` is ahead of the best so far, and it decides then."""
    on_kept: Callable[[], None] | None = None
    """Called, in the first process, once these weights are on the disk as the best."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """A judgement with the number of steps done when it was made."""

    step: int
    score: Score
    numbers: Mapping[str, float]
    candidate: bool = True
    full: Score | None = None
    """The score on more rows, where it was asked for; see :attr:`Judgement.confirm`."""
    undone: bool = False
    """Whether the run has gone back behind this step since, for a rewind or a damaged state. It is on record only while
    its weights are the best: they were truly measured, and stay until others are as good."""

    def leads(self, best: Evaluated | None) -> bool:
        """Whether its score is ahead of the best's: higher, or as high and the tie is won (:meth:`_wins_tie`)."""
        return self.candidate and (best is None or _ahead(self.score, best.score, tie=self._wins_tie(best)))

    def beats(self, best: Evaluated | None) -> bool:
        """Whether it takes the place of the best so far: it leads, also on more rows where both were scored on them."""
        if best is None or self.full is None or best.full is None:
            return self.leads(best)
        return self.leads(best) and _ahead(self.full, best.full, tie=self._wins_tie(best))

    def _wins_tie(self, best: Evaluated) -> bool:
        """Of equal scores the trained beats that of step 0, then the lower loss on dev, then what is not undone."""
        own, other = self.numbers.get("dev_loss"), best.numbers.get("dev_loss")
        if best.step == 0 or own is None or other is None or own == other:
            return best.step == 0 or best.undone
        return own < other

    def same_as(self, other: Evaluated) -> bool:
        """Whether both are one evaluation, whether or not its step was undone since."""
        # As they are written: a loss that is no number is then equal to itself.
        return replace(self, undone=other.undone).to_json() == other.to_json()

    def to_json(self) -> dict[str, Any]:
        """Plain values; :meth:`from_json` is the inverse."""
        return {
            "step": self.step,
            "score": _plain(self.score.to_json()),
            "numbers": _plain(self.numbers),
            "candidate": self.candidate,
            "full": None if self.full is None else _plain(self.full.to_json()),
            "undone": self.undone,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluated:
        """The record that :meth:`to_json` wrote."""
        full = data.get("full")
        return cls(
            step=data["step"],
            score=_score(data["score"]),
            numbers={name: float(value) for name, value in data["numbers"].items()},
            candidate=data.get("candidate", True),
            full=None if full is None else _score(full),
            undone=data.get("undone", False),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PassedOver:
    """Rows that a rewind passed over: those read from ``first`` on, up to ``behind`` where the run goes on reading."""

    step: int
    """The step that was found bad; what was trained since ``back_to`` is undone."""
    back_to: int
    first: tuple[int, int]
    """Epoch and index of the step."""
    behind: tuple[int, int]
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Plain values; :meth:`from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PassedOver:
        """The record that :meth:`to_json` wrote."""
        return cls(**{**data, "first": tuple(data["first"]), "behind": tuple(data["behind"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class FitResult:
    """How a call of ``fit`` ended."""

    status: Status
    """``finished``: the whole schedule, or ended early by its evaluations; ``paused``: at ``until_step``; ``stopped``:
    ``should_stop`` or a watcher said so."""
    step: int
    epoch: int
    tokens: int
    """Tokens computed on since step 0, padding included, over all calls and processes."""
    seconds: float
    """Wall time of the steps since step 0, evaluations and saving left out, over all calls."""
    loss: float | None
    """Loss of the last step; None when no step was done in this call."""
    evaluations: tuple[Evaluated, ...]
    """In the order in which they were made; ``best`` is always one of them."""
    best: Evaluated | None
    """The best evaluation by the task metric; a tie is won by the lower ``dev_loss`` where both have one, else by the
    earlier, but for that of step 0. None where none could be: nobody judges, or only what is no candidate."""
    best_weights: Path | None
    """Folder of the weights that were evaluated as the best (``weights.safetensors``)."""
    reason: str = ""
    """Why it ended where that is not the end of the schedule: early stopping, or a watcher's sentence."""
    passed_over: tuple[PassedOver, ...] = ()
    """Rows left out by rewinds since step 0."""
    seconds_by_part: Mapping[str, float] = field(default_factory=dict, compare=False)
    """Wall seconds since step 0 over all calls, by :data:`hone.train.measuring.PARTS`."""
    peak_bytes: int | None = field(default=None, compare=False)
    """Most memory that steps held at once, over all calls that computed alike, weights included; judging, saving,
    Python and the libraries left out; see :class:`hone.train.measuring.PeakMemory`. None where the device tells none,
    and where no step was made."""
    used: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What the run computed with: device, precision and why, processes, threads, compiled programs, ..."""


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no word for what is not finite: ``nan`` and ``inf`` as texts."""
    return {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }


def _score(data: Mapping[str, Any]) -> Score:
    return Score.from_json({**data, **{key: float(data[key]) for key in ("mean", "low", "high")}})


UNDONE = ", measured before the run went back behind that step"
"""Behind the step of a best that is undone: what the run came to there the second time is another score."""


def _ahead(one: Score, other: Score, *, tie: bool) -> bool:
    if math.isnan(one.mean) or math.isnan(other.mean):
        return not math.isnan(one.mean)  # what is no number is behind everything that is one
    return not other.better_than(one) if tie else one.better_than(other)


def early_stop_line(step: int, best: Evaluated | None, patience: int) -> str:
    """A sentence on a run that its evaluations ended."""
    named = f"; the best is that of step {best.step:,} with {best.score.name} {best.score.mean:.4g}" if best else ""
    named += UNDONE if best is not None and best.undone else ""
    stale = counted(patience, "evaluation was", "evaluations in a row were")
    return f"ended at step {step:,}: {stale} not better than the best{named}"
