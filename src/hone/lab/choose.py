"""Choosing a run: by a reference that a person types, or by its score on dev."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hone.errors import InputError, nearest
from hone.lab.run import Run
from hone.task.scores import Score

NEWEST = 3
"""Runs that are named where a number is none."""


def find(runs: Sequence[Run], ref: int | str, where: str) -> Run:
    """The run that a number, a name, a folder name or a unique beginning of either means.

    An exact fit goes before a beginning. Digits are a number and nothing else.

    Raises:
        InputError: when none or several fit.
    """
    text = str(ref).strip()
    if not runs:
        raise InputError(f'no run "{text}": there are no runs in {where}; start one with hone solve or hone train')
    if text.isdigit():
        exact = [run for run in runs if run.number == int(text)]
    else:
        exact = [run for run in runs if text in (run.name, run.header.folder_name)]
    fits = exact or [run for run in runs if _begins(run, text)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        listed = ", ".join(run.header.folder_name for run in fits)
        raise InputError(f'"{text}" means {len(fits)} runs in {where}: {listed}; give the number')
    if text.isdigit():  # a number that is near another one means nothing
        newest = ", ".join(run.header.folder_name for run in reversed(runs[-NEWEST:]))
        raise InputError(f"no run {text} among the {len(runs)} in {where}; the newest: {newest}")
    names = [*dict.fromkeys(name for run in runs for name in (run.name, run.header.folder_name)), "best"]
    numbers = f"numbers {runs[0].number} to {runs[-1].number}"
    raise InputError(f'no run "{text}" among the {len(runs)} in {where} ({numbers}); {nearest(text, names)}')


def best_of(runs: Sequence[Run], metric: str, where: str) -> Run:
    """The run whose dev score has the best pessimistic end; of equals the best mean, then the earliest run.

    A copy that was trained for rounded weights is no other attempt: beside the run that it is of, it is never the best.

    Raises:
        InputError: when no run has a score, or the metric is not named and runs have several.
    """
    if not runs:
        raise InputError(f"no best run: there are no runs in {where}; start one with hone solve or hone train")
    scored = {run.number: run.scores() for run in runs}
    metric = metric or _common_metric(runs, scored)
    known = sorted({name for scores in scored.values() for name in scores})
    candidates = [run for run in runs if metric in scored[run.number]]
    numbers = {run.number for run in candidates}
    copies = {run.number for run in candidates if run.header.parent in numbers and _is_rounded_copy(run, runs)}
    candidates = [run for run in candidates if run.number not in copies]
    if not known:
        raise InputError(f"no best run: none of the {len(runs)} runs in {where} has a score on dev yet")
    if not candidates:
        raise InputError(f'no run in {where} has a score "{metric}" on dev; {nearest(metric, known)}')

    def rank(run: Run) -> tuple[float, float, int]:
        score = scored[run.number][metric]
        sign = -1.0 if score.higher_is_better else 1.0
        return sign * score.pessimistic, sign * score.mean, run.number

    return min(candidates, key=rank)


def _is_rounded_copy(run: Run, runs: Sequence[Run]) -> bool:
    """Whether a run trained its parent's model for rounded weights; known by its end, as task folders may move."""
    recipe = run.recipe
    parents = [one.model.parts[-3:] for one in runs if one.number == run.header.parent]
    return recipe.get("aware", "none") != "none" and Path(str(recipe.get("base", ""))).parts[-3:] in parents


def _common_metric(runs: Sequence[Run], scored: dict[int, dict[str, Score]]) -> str:
    """The metric that the runs were started for, or the only one they have."""
    named = {run.header.metric for run in runs if run.header.metric}
    found = named or {name for scores in scored.values() for name in scores}
    if len(found) > 1:
        raise InputError(f"which metric decides? the runs have {', '.join(sorted(found))}; name one")
    return next(iter(found), "")


def _begins(run: Run, text: str) -> bool:
    return not text.isdigit() and (run.name.startswith(text) or run.header.folder_name.startswith(text))
