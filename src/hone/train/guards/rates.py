"""A learning rate that its own curve refutes, said while there is time to change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hone.task.recipe import Recipe
from hone.train.guards.flow import FlowGuard
from hone.train.guards.spikes import Tell
from hone.train.rate_curve import RateCurve, judge_rate
from hone.train.watching import Say, StepView, Verdict, Watcher

_MOST_POINTS = 400
_LOOK_EVERY = 25


class RateGuard(Watcher):
    """Keeps up to 400 losses over the whole run (every second one is left out when there are more) and judges them."""

    name = "rates"
    every = 1

    def __init__(self, recipe: Recipe, flow: FlowGuard, tell: Tell | None = None) -> None:
        self._recipe = recipe
        self._flow = flow
        self._tell = tell
        self._points: list[tuple[int, float, float]] = []
        self._stride = 1
        self._said: list[str] = []

    def after_step(self, view: StepView) -> Verdict | None:
        """See :class:`hone.train.watching.Watcher`."""
        record = view.record
        if record.step <= 3 or record.step % self._stride == 0:
            self._points.append((record.step, record.loss, record.grad_norm))
            if len(self._points) > _MOST_POINTS:
                self._points = self._points[:3] + self._points[3::2]
                self._stride *= 2
        return self._judge(record.step) if record.step % _LOOK_EVERY == 0 else None

    def _judge(self, step: int) -> Verdict | None:
        steps, losses, norms = zip(*self._points, strict=True)
        recipe = self._recipe
        found = judge_rate(
            RateCurve(
                steps=steps,
                losses=losses,
                grad_norms=norms,
                clip_norm=recipe.clip_norm,
                peak_rate=recipe.learning_rate,
                matrix_rate=recipe.matrix_learning_rate if recipe.optimizer == "muon" else None,
                total_steps=recipe.steps,
                warmup_steps=recipe.warmup_steps,
                update_ratio=self._flow.update_ratio,
            )
        )
        if found is None or found.verdict in self._said:
            return None
        self._said.append(found.verdict)
        if self._tell is not None:
            self._tell({"step": step, "guard": self.name, "kind": "say", "line": found.sentence, **found.to_json()})
        return Say(f"step {step:,}: {found.sentence}")

    def state(self) -> dict[str, Any]:
        """See :class:`hone.train.watching.Watcher`."""
        return {"points": [list(point) for point in self._points], "stride": self._stride, "said": list(self._said)}

    def load(self, state: Mapping[str, Any]) -> None:
        """See :class:`hone.train.watching.Watcher`."""
        self._points = [(int(step), loss, norm) for step, loss, norm in state["points"]]
        self._stride, self._said = state["stride"], list(state["said"])
