"""What to try next: children of the best recipe, each with one named change and the reason for it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hone.attempts import AttemptReport
from hone.task.recipe import Recipe
from hone.task.spec import Task

OVERFIT_RATIO = 2.0
"""Dev loss over training loss beyond which a run counts as overfitting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """One change, why it should help, and what is predicted."""

    name: str
    changes: dict[str, Any]
    hypothesis: str
    predicted: str

    def recipe(self, parent: Recipe) -> Recipe:
        """The child recipe."""
        return parent.child(**self.changes)


LADDERS = (
    ("scratch:500k", "scratch:1m", "scratch:2m", "scratch:5m"),
    ("scratch:bert-1m", "scratch:bert-2m", "scratch:bert-5m"),
)
"""Sizes from scratch, of decoders and of encoders, each wider than the one before."""
WIDER = dict(pair for ladder in LADDERS for pair in pairwise(ladder))
NARROWER = {wider: narrower for narrower, wider in WIDER.items()}


def proposals(
    task: Task,
    parent: Recipe,
    report: AttemptReport,
    *,
    most_steps: int | None = None,
    over_budget: bool = False,
) -> list[Proposal]:
    """Changes in the order in which they seem worth trying, judged by the parent's losses.

    Args:
        task: its kind decides what there is to change.
        parent: the recipe that is changed.
        report: what came of it.
        most_steps: steps beyond which the default gains nothing; a parent with fewer is also tried longer.
        over_budget: the parent's artifact does not fit the device; then a narrower model comes first.

    A run whose dev loss is more than twice its training loss overfits: then regularising changes come first.
    Otherwise those that learn faster or more.
    """
    overfit = (
        report.dev_loss is not None
        and report.train_loss is not None
        and report.dev_loss > OVERFIT_RATIO * max(report.train_loss, 1e-6)
    )
    regularising = _regularising(task, parent)
    learning = [*_longer(parent, most_steps), *_learning(parent)]
    ordered = [*regularising, *learning] if overfit else [*learning, *regularising]
    ordered = [*_narrower(parent), *ordered] if over_budget else ordered
    return [proposal for proposal in ordered if proposal.changes]


def _longer(parent: Recipe, most_steps: int | None) -> list[Proposal]:
    if most_steps is None or parent.steps >= most_steps:
        return []
    steps = min(most_steps, 2 * parent.steps)
    return [
        Proposal(
            name="longer",
            changes={"steps": steps},
            hypothesis="the box, not the rows, ended the learning",
            predicted="lower dev loss at the end",
        )
    ]


def _narrower(parent: Recipe) -> list[Proposal]:
    base = NARROWER.get(parent.base)
    if base is None:
        return []
    return [
        Proposal(
            name="narrower",
            changes={"base": base},
            hypothesis="a smaller model fits the device and still reaches the target",
            predicted="a smaller, faster artifact with a somewhat higher dev loss",
        )
    ]


def _learning(parent: Recipe) -> list[Proposal]:
    muon = parent.optimizer == "muon"
    rate = "matrix_learning_rate" if muon else "learning_rate"
    value = getattr(parent, rate)
    found = [
        Proposal(
            name="rate-up",
            changes={rate: round(value * 1.6, 8)},
            hypothesis=f"{rate} {value:g} is too careful for so few steps",
            predicted="lower dev loss at the same step",
        ),
        Proposal(
            name="rate-down",
            changes={rate: round(value / 1.6, 8)},
            hypothesis=f"{rate} {value:g} is too coarse to settle",
            predicted="lower dev loss at the end",
        ),
        Proposal(
            name="smaller-batch",
            changes=_smaller_batch(parent),
            hypothesis="more, noisier steps on the same rows learn more",
            predicted="lower dev loss per row seen",
        ),
    ]
    wider = WIDER.get(parent.base)
    if wider:
        found.append(
            Proposal(
                name="wider",
                changes={"base": wider},
                hypothesis="the model is too small for the task",
                predicted="lower dev loss, slower steps, a larger artifact",
            )
        )
    return found


def _smaller_batch(parent: Recipe) -> dict[str, Any]:
    """Half the rows of a step, or half its tokens where it is counted in them; the longest row has to fit."""
    if parent.batch_tokens is not None:
        half = max(parent.context, parent.batch_tokens // 2)
        return {"batch_tokens": half} if half < parent.batch_tokens else {}
    parts = parent.accumulate * parent.processes
    half = max(parts, parent.batch_size // (2 * parts) * parts)
    return {"batch_size": half} if half < parent.batch_size else {}


def _regularising(task: Task, parent: Recipe) -> list[Proposal]:
    found = [
        Proposal(
            name="more-decay",
            changes={"weight_decay": round(max(0.05, parent.weight_decay * 5), 4)},
            hypothesis="weights grow more than the rows support",
            predicted="dev loss nearer to the training loss",
        ),
        Proposal(
            name="smoothing",
            # Of several labels of a row each is decided by itself, without smoothing.
            changes={"label_smoothing": 0.05} if parent.label_smoothing < 0.05 and task.kind != "multi-label" else {},
            hypothesis="the model is surer than the rows support",
            predicted="better metric at a similar dev loss",
        ),
        Proposal(
            name="average",
            changes={"average": 0.995} if not parent.average else {},
            hypothesis="the last weights carry the noise of the last batches",
            predicted="a little better metric",
        ),
    ]
    if task.kind == "extract":
        more = min(1.0, parent.swap_values + 0.3)
        found.insert(
            0,
            Proposal(
                name="more-swaps",
                changes={"swap_values": round(more, 3)} if more > parent.swap_values else {},
                hypothesis="the model remembers values instead of copying them",
                predicted="better field F1 on values that train does not have",
            ),
        )
    return found
