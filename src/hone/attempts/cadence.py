"""How often a box is judged, and on how many rows: what the evaluations may cost follows from what one was measured at.

All of them, with the last scoring, take at most a tenth of the box, and a quarter of what is left of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from hone.attempts.calibrate import Judging
from hone.attempts.judging import UNTRAINED_ROWS
from hone.task.recipe import Recipe

EVALUATION_SHARE = 0.10
EVALUATION_SHARE_LEFT = 0.25
"""Of what is left of the box when it is planned: set-up may have taken most of it."""
SCORING_SHARE = 0.05
"""Share of the box that is kept for the last scoring at most; where all of dev takes longer, a part is scored."""
LEAST_ROWS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Cadence:
    """The evaluations of a box."""

    count: int
    """After the first step."""
    rows: int
    """Dev rows of each."""
    whole_loss: bool = True
    """Whether the loss is read from all of dev, or from as many rows as are scored."""
    first: bool = True
    """Whether the model is judged before its first step."""

    def loss_share(self, judging: Judging) -> float:
        """Share of dev whose loss is read."""
        return 1.0 if self.whole_loss else min(1.0, self.rows / max(1, judging.rows))

    def judging_s(self, judging: Judging) -> float:
        """Seconds of an evaluation on the way."""
        return judging.seconds(self.rows, loss_share=self.loss_share(judging))

    def first_s(self, judging: Judging, *, scratch: bool) -> float:
        """Seconds of the one before the first step."""
        if not self.first:
            return 0.0
        rows = min(UNTRAINED_ROWS, self.rows) if scratch else self.rows
        return judging.seconds(rows, loss_share=self.loss_share(judging))

    def seconds(self, judging: Judging, box_s: float, *, scratch: bool) -> float:
        """Of all of them, the last scoring included."""
        on_the_way = self.first_s(judging, scratch=scratch) + self.count * self.judging_s(judging)
        return on_the_way + last_scoring_s(judging, box_s)


CADENCES = (
    *(Cadence(count=count, rows=rows) for count, rows in ((4, 256), (4, 128), (3, 128), (3, 64), (2, 64))),
    *(Cadence(count=count, rows=rows, whole_loss=False) for count, rows in ((2, 64), (2, 32), (2, 16), (1, 16))),
    Cadence(count=1, rows=16, whole_loss=False, first=False),
    Cadence(count=1, rows=LEAST_ROWS, whole_loss=False, first=False),
)
"""The most wanted first."""


def last_scoring_s(judging: Judging, box_s: float) -> float:
    """Seconds that are kept for the last scoring."""
    return min(judging.seconds(judging.rows), SCORING_SHARE * box_s)


def planned_scoring_s(recipe: Recipe, judging: Judging, box_s: float) -> float:
    """Seconds that a plan keeps for the last scoring: none where each evaluation is on all of dev and stands for it.

    A classifier's does not: it is calibrated behind the last one, and scored as it is kept.
    """
    stands = recipe.eval_rows >= judging.rows and recipe.objective != "classify-sequence"
    return 0.0 if stands else last_scoring_s(judging, box_s)


def cadence(judging: Judging, box_s: float, *, scratch: bool = True, left_s: float | None = None) -> Cadence:
    """The most wanted evaluations that stay within their share; the least there are, where none do.

    Args:
        judging: as it was measured.
        box_s: the whole box.
        scratch: whether training starts from nothing, so that a few rows do for the evaluation of its start.
        left_s: seconds that are left of the box; all of it by default.
    """
    budget = min(EVALUATION_SHARE * box_s, EVALUATION_SHARE_LEFT * (box_s if left_s is None else left_s))
    fitting = (item for item in CADENCES if item.seconds(judging, box_s, scratch=scratch) <= budget)
    return next(fitting, CADENCES[-1])


def cadence_line(chosen: Cadence, judging: Judging, box_s: float, *, scratch: bool) -> str:
    """A line on the evaluations that were chosen, for people."""
    share = chosen.seconds(judging, box_s, scratch=scratch) / box_s
    over = "" if share <= EVALUATION_SHARE else f"; that is over {EVALUATION_SHARE:.0%}, and nothing less would judge"
    behind = "after the one at the start" if chosen.first else "and none at the start, to save its time"
    rows = min(chosen.rows, judging.rows)
    loss = "" if chosen.whole_loss or rows == judging.rows else f" (their loss on {rows:,}, too)"
    return (
        f"evaluations: {chosen.count} {behind}, on {rows:,} dev rows{loss}, about {chosen.judging_s(judging):.1f} s "
        f"each; all {judging.rows:,} rows, as far as time allows, for the best weights alone, about "
        f"{last_scoring_s(judging, box_s):.1f} s: together {share:.1%} of the box{over}"
    )


def confirms(count: int, judging_s: float, scoring_s: float, box_s: float) -> bool:
    """Whether ``count`` evaluations may each be followed by one on all of dev, within a tenth of the box.

    ``scoring_s`` is that of all of dev where it is under the share that the last scoring may take.
    """
    if scoring_s >= SCORING_SHARE * box_s:
        return False
    return (count + 1) * (judging_s + scoring_s) + scoring_s <= EVALUATION_SHARE * box_s
