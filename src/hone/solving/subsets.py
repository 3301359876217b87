"""Points for the data-scaling curve: subsets of the training rows, really trained, where the box has room."""

from __future__ import annotations

from typing import Any

from hone.attempts import AttemptReport
from hone.hardware import usable_cores
from hone.solving.defaults import Rate
from hone.solving.race import Entry, Race
from hone.solving.scaling import Point, curve_line, fit_curve
from hone.solving.search import side_by_side, step_seconds
from hone.task.recipe import Recipe

SUBSETS = (0.125, 0.25, 0.5)


def scaling_line(race: Race, record: dict[str, Any], report: AttemptReport, rate: Rate) -> str:
    """Train three subsets with the best recipe, and say what the curve through them and the whole tells."""
    parent = Recipe.model_validate(record["recipe"])
    higher = report.score.higher_is_better if report.score else True
    points = [Point(rows=len(race.data.train), value=report.score.mean)] if report.score else []
    cost = sum(SUBSETS) * parent.steps * step_seconds(rate) / min(usable_cores(), 2) + len(SUBSETS) * rate.final_s
    if race.box.left(race.state) > cost:
        side_by_side(race, [_subset(parent, share, record) for share in SUBSETS], None, race.box.left(race.state))
    for item, done in race.with_model():
        if item.get("subset") and done.score is not None and done.status == "finished":
            rows = max(1, round(len(race.data.train) * Recipe.model_validate(item["recipe"]).train_share))
            points.append(Point(rows=rows, value=done.score.mean))
    curve = fit_curve(points, higher_is_better=higher)
    line = curve_line(curve, len(points), race.task.target, higher_is_better=higher)
    if curve is None:
        line += f"; three subsets need about {cost:.0f} s, {race.box.left(race.state):.0f} s are left"
    return line


def _subset(parent: Recipe, share: float, record: dict[str, Any]) -> Entry:
    steps = max(20, round(parent.steps * share))
    return Entry(
        name=f"rows-{share:.1%}".replace("%", "pct").replace(".", "_"),
        what=f"{share:.1%} of the training rows, as many epochs",
        recipe=parent.child(train_share=share, steps=steps, threads=1, eval_every=steps),
        hypothesis="the score grows as a power of the number of rows",
        parent=record["run"],
    )
