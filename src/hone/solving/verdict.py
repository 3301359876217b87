"""The verdict: the certified artifact scored once on the sealed test, and what to try next when it falls short."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hone.attempts import AttemptReport
from hone.data.prepare import DataVersion
from hone.lab.lab import Lab
from hone.solving.artifact import evaluation_json, score_artifact
from hone.solving.propose import OVERFIT_RATIO, WIDER
from hone.task.recipe import Recipe
from hone.task.scores import Score
from hone.task.spec import Task

SHOWN_SLICES = 3


def score_test(
    lab: Lab, task: Task, data: DataVersion, artifact: Path, run: int, longest_answer: int
) -> tuple[dict[str, Any], int]:
    """Open the sealed test, recorded before anything is read, and score the artifact on it.

    A solve calls this once for the artifact it ends with, after every choice was made on dev. Another solve over the
    same data, or one whose box has grown and that found a better model, is another reading.

    Returns:
        The evaluation, and how many readings of this data version's test the lab now knows. A reading that was cut off
        before it gave a figure, for the same run, counts with its repetition as one.
    """

    def record(reason: str) -> None:
        lab.record_test_reading(reason, data_id=data.id, artifact=artifact.name, run=run)

    rows = data.test.read(record, _REASON)
    evaluation = evaluation_json(score_artifact(artifact, task, rows, longest_answer))
    known = [reading for reading in lab.test_readings() if reading.data_id == data.id and reading.reason == _REASON]
    repeated = sum(one.run == other.run for one, other in itertools.pairwise(known))
    return evaluation, len(known) - repeated


_REASON = "verdict"


def advice(
    recipe: Recipe,
    report: AttemptReport,
    slices: Sequence[dict[str, Any]],
    baselines: Sequence[dict[str, Any]],
    curve: str,
) -> list[str]:
    """What to try next, most telling first: a baseline that wins, data, a larger model, more time, failing slices."""
    lines = baseline_lines(report.score, baselines)
    if report.dev_loss is not None and report.train_loss is not None:
        gap = report.dev_loss / max(report.train_loss, 1e-9)
        fits = f"dev loss {report.dev_loss:.3f} against {report.train_loss:.3f} on training rows"
        if gap > OVERFIT_RATIO:
            lines.append(f"it overfits ({fits}): more or more varied rows, or regularisation, before a larger model")
        else:
            larger = WIDER.get(recipe.base)
            hint = f" (`base: {larger}` in hone.yaml)" if larger else ""
            lines.append(f"it does not overfit ({fits}): a larger model{hint} or a longer box should help")
    lines.append("repeat `hone solve` with more --minutes: it goes on from here, and tries longer and other recipes")
    lines.append(curve)
    lines += [f"fails most: {part['line']}" for part in slices[:SHOWN_SLICES]]
    return lines


def baseline_lines(score: Score | None, baselines: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each baseline that does at least as well as the model."""
    if score is None:
        return []
    lines = []
    for item in baselines:
        other = Score.from_json(item["score"])
        wins = other.mean >= score.mean if score.higher_is_better else other.mean <= score.mean
        if wins:
            lines.append(
                f"the baseline {item['name']} ({other.mean:.3f}) does at least as well as the model "
                f"({score.mean:.3f}): the model adds nothing yet"
            )
    return lines


def distance_line(score: Score, target: float) -> str:
    """How far a score's pessimistic end is from the target."""
    end = score.low if score.higher_is_better else score.high
    missing = target - end if score.higher_is_better else end - target
    return (
        f"{score.name} {score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]: "
        f"{missing:.3f} short of {target:g} at the pessimistic end"
    )
