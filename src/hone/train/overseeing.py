"""What becomes of what watchers say: lines are said, a stop is noted, a rewind is carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.task.recipe import Recipe
from hone.train.batches import Batch
from hone.train.keeping import Keeper
from hone.train.records import PassedOver, StepRecord
from hone.train.source import Cursor
from hone.train.state import Progress
from hone.train.trainable import Trainable
from hone.train.watching import Lookout, Rewind, StepView, Stop, Verdict, Watcher, weightiest

MOST_REWINDS = 5
"""A run that jumps more often has a fault that passing over rows does not cure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """A step that watchers look at."""

    due: Sequence[Watcher]
    before: Progress
    """Counters before the step."""
    behind: Cursor
    """Where the step after it reads."""
    batches: Sequence[Batch]


class Overseer:
    """Asks the watchers of a run and carries out what they ask for. All processes call it on the same steps.

    Attributes:
        reason: why the run is to stop; empty while it is not.
    """

    def __init__(
        self,
        lookout: Lookout,
        keeper: Keeper,
        trainable: Trainable,
        recipe: Recipe,
        folder: Path,
        *,
        say: Callable[[str], None],
        on_guard: Callable[[Mapping[str, Any]], None] | None,
    ) -> None:
        self._lookout = lookout
        self._keeper = keeper
        self._trainable = trainable
        self._recipe = recipe
        self._folder = folder
        self._say = say
        self._on_guard = on_guard
        self.reason = ""

    def due(self, step: int) -> list[Watcher]:
        """The watchers that look at a step."""
        return self._lookout.due(step)

    def before_update(self, looked: Looked, record: StepRecord) -> Progress | None:
        """Ask before the update; the counters to go on from where the step is not to be made, else None."""
        view = self._view(looked, record)
        instead = self._heed([watcher.before_update(view) for watcher in looked.due], looked)
        if instead is looked.before:
            # The step has drawn random numbers and is not made: a state of here would go on to draw others. Where
            # none is on the disk yet, that is the lesser evil.
            return self._keeper.go_back(looked.before) or looked.before
        return instead

    def after_step(self, looked: Looked, record: StepRecord) -> Progress | None:
        """Ask behind the step; the counters to go on from where it was undone, else None."""
        view = self._view(looked, record)
        back = self._heed([watcher.after_step(view) for watcher in looked.due], looked)
        return None if back is looked.before else back

    def _view(self, looked: Looked, record: StepRecord) -> StepView:
        trainable = self._trainable
        return StepView(
            record=record,
            model=trainable.model,
            objective=trainable.objective,
            batches=looked.batches,
            cursor=looked.before.cursor,
            folder=self._folder,
            trained=trainable.trained_weights,
        )

    def _heed(self, verdicts: Sequence[Verdict | None], looked: Looked) -> Progress | None:
        """The counters to go on from, ``looked.before`` itself where the run stops here; None where nothing acts."""
        lines, act = weightiest(verdicts)
        for line in lines:
            self._say(line)
        if act is None:
            return None
        if isinstance(act, Stop):
            self.reason = act.reason
            return looked.before
        if self._recipe.on_spike != "rewind":
            if self._recipe.on_spike == "say":
                self._say(f"step {looked.before.step + 1:,}: {act.reason}; on_spike is say, so the run goes on")
            return None
        return self._rewind(act, looked)

    def _rewind(self, act: Rewind, looked: Looked) -> Progress:
        made = len(looked.before.passed_over)
        if made >= MOST_REWINDS:
            self.reason = (
                f"step {looked.before.step + 1:,}: {act.reason}, after {made} rewinds; passing over rows does not cure "
                f"it: lower learning_rate (now {self._recipe.learning_rate:g}), or look at the data"
            )
            return looked.before
        back = self._keeper.rewind(looked.before, act.reason, looked.behind)
        if back is None:
            self.reason = (
                f"step {looked.before.step + 1:,}: {act.reason}, and no whole state to go back to is on the disk"
            )
            return looked.before
        passed = back.passed_over[-1]
        self._say(passed_over_line(passed, len(back.passed_over)))
        if self._on_guard is not None:
            self._on_guard({"guard": "rewind", "kind": "rewound", "line": passed.reason, **passed.to_json()})
        return back


def passed_over_line(passed: PassedOver, count: int) -> str:
    """A sentence on a rewind, the ``count``-th of its run."""
    (epoch, index), (to_epoch, to_index) = passed.first, passed.behind
    return (
        f"step {passed.step:,}: {passed.reason}; back to the state of step {passed.back_to:,}, passing over the rows "
        f"from step {index:,} of epoch {epoch} up to step {to_index:,} of epoch {to_epoch} (rewind {count} of at most "
        f"{MOST_REWINDS})"
    )
