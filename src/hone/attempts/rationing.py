"""What judging on the way may cost: a tenth of the training between two evaluations, decided before the first step.

Outside a box the cost is counted in tokens, from recipe and data and never by a clock, so that a run that was killed
judges by the same rows as one that was not (law 1). A step reads its tokens forward and backward, three times the
arithmetic of reading them (J. Kaplan et al., arXiv:2001.08361, section 2.1). In a box seconds were measured when it
was planned, and the plan is kept with the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hone.attempts.bench import Bench
from hone.task.encoding import EncoderRenderer
from hone.task.recipe import Recipe
from hone.train.spending import LEAST_SECONDS, less_often
from hone.wording import counted, every

if TYPE_CHECKING:
    from hone.attempts.boxed import Box

SHARE = 0.10
"""Of the training, what judging on the way may cost at most."""
STEP = 3.0
"""A token of a step in tokens read."""
WRITTEN = 3.0
"""A token of an answer that is written, in tokens read: 2.1 (15M) to 3.0 (1M) on a CPU, batches of 64."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ration:
    """What the evaluations of a run may read.

    Attributes:
        loss_rows: dev rows (windows of them for language-model) whose loss is computed on the way.
        confirms: whether what leads on the first rows is scored on all of dev before it becomes the best.
        share: of the arithmetic of training; 0 in a box, where seconds were planned.
        lines: how it was decided, for people.
    """

    loss_rows: int
    confirms: bool
    share: float = 0.0
    lines: tuple[str, ...] = ()


def ration_of(bench: Bench, tokens_per_step: float, box: Box | None = None) -> Ration:
    """The ration of a recipe on its data; in a box as it was planned."""
    rows, judged = len(bench.data.dev), _judged(bench)
    if box is not None:
        confirms = judged < rows and box.may_confirm(bench.recipe)
        return Ration(loss_rows=max(1, round(box.loss_share * len(bench.dev))), confirms=confirms)
    reading = sum(len(example.ids) for example in bench.dev)
    scoring = reading if not writes(bench) else _written(bench)
    budget = SHARE * STEP * bench.recipe.eval_every * tokens_per_step
    each = len(bench.dev) / rows  # windows of a document, and rows that fit
    metric = scoring * judged / rows
    fitting = int(len(bench.dev) * max(0.0, budget - metric) / max(1, reading))
    loss_rows = min(len(bench.dev), max(round(judged * each), fitting))
    spent = metric + reading * loss_rows / max(1, len(bench.dev))
    confirms = judged < rows and spent + scoring <= budget
    share = spent / max(1.0, budget / SHARE)
    lines = _lines(bench, loss_rows, confirms, share=share)
    return Ration(loss_rows=loss_rows, confirms=confirms, share=share, lines=lines)


def _judged(bench: Bench) -> int:
    return min(len(bench.data.dev), bench.recipe.eval_rows)


def writes(bench: Bench) -> bool:
    """Whether the task's metric needs answers that are written, token by token."""
    return bench.task.kind in ("extract", "generate") and not isinstance(bench.renderer, EncoderRenderer)


def _written(bench: Bench) -> float:
    return sum(item.prompt_len + WRITTEN * (len(item.ids) - item.prompt_len) for item in bench.dev)


def _lines(bench: Bench, loss_rows: int, confirms: bool, *, share: float) -> tuple[str, ...]:
    rows, judged, recipe = len(bench.data.dev), _judged(bench), bench.recipe
    if judged == rows and loss_rows == len(bench.dev) and share <= SHARE:
        return ()
    line = f"evaluations: {every(recipe.eval_every, 'step')} on {judged:,} of {counted(rows, 'dev row')}"
    if loss_rows < len(bench.dev):
        line += f", their loss on {loss_rows:,} of {len(bench.dev):,}"
    line += f", about {share:.0%} of the arithmetic of training"
    if writes(bench):
        line += "; written token by token they take a larger share of the time, which is told once it is measured"
    if share > SHARE:
        line += f" (more than {SHARE:.0%}: set a larger eval_every, or fewer eval_rows)"
    if judged < rows:
        these = "this row" if judged == 1 else f"these {judged:,} rows"
        line += (
            "; what leads there is scored on all of dev before it is kept as the best"
            if confirms
            else f"; the best is chosen on {these} alone, as all of dev each time would take more than {SHARE:.0%}"
        )
    return (line,)


def measured_line(recipe: Recipe, evaluation_s: float, step_s: float) -> str:
    """A line where evaluations as measured take over a tenth of the time of a run; empty where they do not.

    Args:
        recipe: how often, and for how many steps.
        evaluation_s: seconds of one.
        step_s: seconds of a step.
    """
    between_s = recipe.eval_every * step_s
    share = evaluation_s / max(1e-9, evaluation_s + between_s)
    if share <= SHARE or recipe.steps * (step_s + evaluation_s / recipe.eval_every) < LEAST_SECONDS:
        return ""
    instead = less_often(share, SHARE, recipe.eval_every, recipe.steps)
    advice = f"; set {instead}, or fewer eval_rows" if instead else ""
    return (
        f"evaluations take about {share:.0%} of the time: one took {evaluation_s:.1f} s, and "
        f"{counted(recipe.eval_every, 'step')} between two take {between_s:.1f} s{advice}"
    )
