"""What to try next: children of the best recipe, each with one named change and the reason for it."""

from __future__ import annotations

from dataclasses import dataclass
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


def proposals(task: Task, parent: Recipe, report: AttemptReport) -> list[Proposal]:
    """Changes in the order in which they seem worth trying, judged by the parent's losses.

    A run whose dev loss is more than twice its training loss overfits: then regularising changes come first.
    Otherwise those that learn faster or more.
    """
    overfit = (
        report.dev_loss is not None
        and report.train_loss is not None
        and report.dev_loss > OVERFIT_RATIO * max(report.train_loss, 1e-6)
    )
    regularising = _regularising(task, parent)
    learning = _learning(parent)
    ordered = [*regularising, *learning] if overfit else [*learning, *regularising]
    return [proposal for proposal in ordered if proposal.changes]


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
            changes={"batch_size": max(parent.accumulate * parent.processes, parent.batch_size // 2)},
            hypothesis="more, noisier steps on the same rows learn more",
            predicted="lower dev loss per row seen",
        ),
    ]
    wider = {"scratch:500k": "scratch:1m", "scratch:1m": "scratch:2m", "scratch:2m": "scratch:5m"}.get(parent.base)
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
            changes={"label_smoothing": 0.05} if parent.label_smoothing < 0.05 else {},
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
