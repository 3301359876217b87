"""Everything that is said of a run, as plain values: the verdict, the rate, time, memory, layers, guards, curves."""

from __future__ import annotations

import math
from typing import Any

from hone.attempts.boxed import PLAN_FILE
from hone.attempts.diagnosing.reading import Logged, read_run
from hone.lab.run import Run
from hone.train.curves import LEAST_POINTS, Points, smooth
from hone.train.diagnosis import by_rate, diagnose
from hone.train.loss_units import loss_unit
from hone.train.rate_curve import RateCurve, RateVerdict, judge_rate, judge_whole
from hone.train.spending import memory_report, why_slow

FORMAT = 1
MOST_POINTS = 1_000
"""Points of a curve in the document; of longer ones evenly chosen points are kept."""


def diagnose_run(run: Run) -> dict[str, Any]:
    """What happened in a run, finished, stopped or failed.

    Returns:
        ``verdict`` (see :class:`hone.train.diagnosis.Diagnosis`), ``rate`` (what its curve says against the learning
        rate, or None), ``slow`` (parts of the time with a sentence each), ``memory`` (estimate beside peak, or None),
        ``loss_unit`` (what losses are told in), ``layers`` (the last look), ``events`` (what guards said), ``curves``,
        and the run's identity and recipe.
    """
    logged = read_run(run)
    recipe = run.recipe
    memory = memory_report(logged.estimated_bytes, logged.peak_bytes)
    rate = _said_rate(logged) or _rate(logged, recipe)
    found = diagnose(logged.curves)
    verdict = (found if rate is None else by_rate(found, rate)).to_json()
    return {
        "format": FORMAT,
        "run": {
            "number": run.number,
            "name": run.header.folder_name,
            "status": run.status,
            "reason": run.reason,
            "step": run.last_step(),
            "steps": recipe.get("steps"),
            "created": run.header.created,
        },
        "verdict": verdict,
        "rate": None if rate is None else rate.to_json(),
        "slow": [
            part.to_json()
            for part in why_slow(
                logged.seconds,
                eval_every=int(recipe.get("eval_every", 0)),
                steps=int(recipe.get("steps", 0)),
                in_box=(run.folder / PLAN_FILE).exists(),
                padding_share=logged.padding_share,
                packing=bool(recipe.get("packing")),
            )
        ],
        "memory": None if memory is None else memory.to_json(),
        "layers": logged.flow[-1] if logged.flow else None,
        "events": logged.events,
        "curves": _curves(logged),
        "loss_unit": logged.loss_unit or loss_unit(str(recipe.get("objective", "next-token"))),
        "metric": {"name": logged.metric, "higher_is_better": logged.curves.higher_is_better, "points": logged.judged},
        "clip_norm": recipe.get("clip_norm"),
        "recipe": recipe,
    }


def _said_rate(logged: Logged) -> RateVerdict | None:
    """What the guard of rates said while the run went on: it saw every step."""
    parts = {"verdict", "sentence", "suggested"}
    said = [event for event in logged.events if event["guard"] == "rates" and parts <= event.keys()]
    if not said:
        return None
    last = said[-1]
    return RateVerdict(verdict=last["verdict"], sentence=last["sentence"], suggested=last["suggested"])


def _rate(logged: Logged, recipe: dict[str, Any]) -> RateVerdict | None:
    norms = dict(logged.grad_norms)
    both = [(step, loss) for step, loss in logged.curves.train if step in norms]
    if not both or not all(math.isfinite(loss) for _, loss in both):
        return None
    moved = [layer["update"] for look in logged.flow for layer in look["layers"] if layer.get("update")]
    first = _untrained(logged.curves.dev) if _trains_on_devs_loss(recipe) else None
    # Logged rows begin at the tenth step: the first loss is that of the untrained model where dev was judged.
    losses = [max(both[0][1], first or 0.0), *(loss for _, loss in both[1:])]
    curve = RateCurve(
        steps=[step for step, _ in both],
        losses=losses,
        grad_norms=[norms[step] for step, _ in both],
        clip_norm=float(recipe.get("clip_norm", 1.0)),
        peak_rate=float(recipe.get("learning_rate", 0.0)),
        matrix_rate=float(recipe["matrix_learning_rate"]) if recipe.get("optimizer") == "muon" else None,
        total_steps=int(recipe.get("steps", both[-1][0])),
        warmup_steps=int(recipe.get("warmup_steps", 0)),
        update_ratio=sorted(moved)[len(moved) * 3 // 4] if moved else None,
    )
    return judge_rate(curve) if first is None else judge_whole(curve, first)


def _trains_on_devs_loss(recipe: dict[str, Any]) -> bool:
    """Whether the loss of training may be held against dev's before training: of one measure, on one kind of rows.

    Dev is judged without label smoothing, class weights and dropout, and on its own rows alone. A model from scratch
    takes all rows for equally unlikely; a base does not, and an encoder's own dropout is not on record.
    """
    if recipe.get("label_smoothing") or recipe.get("class_weights", "none") != "none":
        return False
    if str(recipe.get("base", "")).startswith("scratch"):
        return True
    encoder = recipe.get("objective", "next-token") != "next-token"
    if encoder and recipe.get("dropout") is None:
        return False
    return not any(recipe.get(key) for key in ("dropout", "replay_share", "swap_values", "random_words"))


def _untrained(dev: Points) -> float | None:
    """The loss on dev before the first step, where it was measured."""
    return next((value for step, value in dev if step == 0 and math.isfinite(value)), None)


def _curves(logged: Logged) -> dict[str, list[list[float | None]]]:
    """Curves by name as [step, value]; what is not finite has no value."""
    named = {
        "train": logged.curves.train,
        "dev": logged.curves.dev,
        "learning_rate": logged.curves.rates,
        "grad_norm": logged.grad_norms,
    }
    plain = {name: _thinned(points) for name, points in named.items()}
    return {**plain, "train_smooth": _smooth(logged.curves.train), "dev_smooth": _smooth(logged.curves.dev)}


def _smooth(points: Points) -> list[list[float | None]]:
    finite = [(step, value) for step, value in sorted(points) if math.isfinite(value)]
    if len(finite) < LEAST_POINTS:
        return []
    course = smooth([step for step, _ in finite], [value for _, value in finite])
    return _thinned(list(zip(map(int, course.steps), map(float, course.values), strict=True)))


def _thinned(points: Points) -> list[list[float | None]]:
    every = max(1, math.ceil(len(points) / MOST_POINTS))
    return [[step, value if math.isfinite(value) else None] for step, value in points[::every]]
