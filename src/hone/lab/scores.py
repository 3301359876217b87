"""Scores of a run on disk: appended while it goes on, final ones in its result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hone.task.scores import Score


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRecord:
    """One score of a run: on which split, after which step (``None``: not said), and whether it is the final one."""

    score: Score
    split: str
    step: int | None
    final: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values for a line of ``scores.jsonl``."""
        return {"split": self.split, "step": self.step, **self.score.to_json()}

    @classmethod
    def from_json(cls, row: Mapping[str, Any], *, final: bool = False) -> ScoreRecord:
        """The record that :meth:`to_json` wrote."""
        values = {key: row[key] for key in ("name", "mean", "low", "high", "n", "higher_is_better")}
        return cls(score=Score(**values), split=row["split"], step=row["step"], final=final)


def as_scores(scores: Mapping[str, Score | Mapping[str, Any]] | Iterable[Score | Mapping[str, Any]]) -> list[Score]:
    """Scores out of a mapping by name or an iterable, of :class:`Score` or their plain values."""
    values: Iterable[Any] = scores.values() if isinstance(scores, Mapping) else scores
    return [value if isinstance(value, Score) else Score.from_json(value) for value in values]


def standing(records: Iterable[ScoreRecord], split: str) -> dict[str, Score]:
    """One score per metric on a split: the final one where there is one, else the best so far, the first of equals.

    A step that was scored again, after a rewind or a resume, counts as it was scored last.
    """
    by_step: dict[str, dict[int | None, ScoreRecord]] = {}
    final: dict[str, Score] = {}
    for record in records:
        if record.split != split:
            continue
        by_step.setdefault(record.score.name, {})[record.step] = record
        if record.final:
            final[record.score.name] = record.score
    return {name: final.get(name) or _best(found.values()) for name, found in by_step.items()}


def _best(records: Iterable[ScoreRecord]) -> Score:
    return max((record.score for record in records), key=lambda one: one.mean if one.higher_is_better else -one.mean)
