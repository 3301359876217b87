"""Watchers: what looks at a run while it trains, and what it may ask of the loop.

A watcher changes no weight. It is called in every process on the same steps, so a verdict other than a line must
follow from what is equal in all of them: the record (but for its seconds), weights, its own state. Then a run that
was killed comes to the same verdicts again, and law 1 holds through them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn

if TYPE_CHECKING:
    from hone.train.batches import Batch
    from hone.train.objectives import Objective
    from hone.train.records import StepRecord
    from hone.train.source import Cursor


@dataclass(frozen=True, kw_only=True, slots=True)
class StepView:
    """What a watcher may look at. Reading a tensor of a GPU waits for it: look at few, or seldom."""

    record: StepRecord
    """The step, counted as done; before the update its ``seconds`` end there."""
    model: nn.Module
    """With gradients of the mean loss per token, clipped, before the update; without gradients after the step."""
    objective: Objective
    batches: Sequence[Batch]
    """This process's micro-batches of the step."""
    cursor: Cursor
    """Where the step's rows were read."""
    folder: Path
    """The run's folder, for a file that a watcher leaves."""
    trained: Callable[[], AbstractContextManager[None]] = nullcontext
    """Inside it the model carries the values that the optimizer moves, where it computes with others made of them."""


@dataclass(frozen=True, slots=True)
class Say:
    """A line that a person should read; the run goes on."""

    line: str


@dataclass(frozen=True, slots=True)
class Rewind:
    """Go back to the last fixed state and pass over these rows, where ``recipe.on_spike`` wants it; else a line."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End the run: behind the step with its state saved, before the update in the newest state on the disk."""

    reason: str


Verdict = Say | Rewind | Stop


class Watcher(Protocol):
    """Looks at each ``every``-th step. Subclass it: what is not overridden does nothing."""

    name: str
    """Under this name its state lies in the checkpoint; one of a kind among the watchers of a run."""
    every: int = 1
    """Looks at the steps whose number, counted from 1, divides by it."""

    def before_update(self, view: StepView) -> Verdict | None:
        """Gradients are there, weights are as they were."""
        del view
        return None

    def after_step(self, view: StepView) -> Verdict | None:
        """Weights are updated, gradients are gone."""
        del view
        return None

    def state(self) -> dict[str, Any]:
        """Plain JSON values, everything that its next verdict depends on."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`state` gave; also called when a run is rewound."""
        del state


class Lookout:
    """The watchers of a run, called on their steps."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        names = [watcher.name for watcher in watchers]
        assert len(set(names)) == len(names), f"watchers share a name: {names}"
        self._watchers = tuple(watchers)
        self._fresh = self.state()

    def due(self, step: int) -> list[Watcher]:
        """Those that look at this step."""
        return [watcher for watcher in self._watchers if step % watcher.every == 0]

    def state(self) -> dict[str, dict[str, Any]]:
        """States by name."""
        return {watcher.name: watcher.state() for watcher in self._watchers}

    def load(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        """Put back what :meth:`state` gave; a watcher that was not there then starts anew."""
        for watcher in self._watchers:
            watcher.load(states.get(watcher.name, self._fresh[watcher.name]))


def weightiest(verdicts: Sequence[Verdict | None]) -> tuple[list[str], Rewind | Stop | None]:
    """The lines among verdicts, and the one that acts: a stop before a rewind."""
    lines = [verdict.line for verdict in verdicts if isinstance(verdict, Say)]
    stop = next((verdict for verdict in verdicts if isinstance(verdict, Stop)), None)
    rewind = next((verdict for verdict in verdicts if isinstance(verdict, Rewind)), None)
    return lines, stop or rewind
