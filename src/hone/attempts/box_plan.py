"""What a box of minutes is planned to: which size, how many steps, how often judged. Measured on this machine.

Set-up counts: where it has taken most of the box, nothing more is measured, and the smallest there is is planned.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from hone.attempts.bench import Bench, build_model, source_of
from hone.attempts.box_sizes import LAST_RESORT, Candidate, is_enough, of_size, why_this_size
from hone.attempts.boxed import AIM, WRITING_BYTES_PER_S
from hone.attempts.cadence import (
    CADENCES,
    EVALUATION_SHARE,
    LEAST_ROWS,
    Cadence,
    cadence,
    cadence_line,
    confirms,
    last_scoring_s,
    planned_scoring_s,
)
from hone.attempts.calibrate import Judging, Speed, bench_of, judging_of, speed_of
from hone.hardware import accelerator
from hone.processes import Channel
from hone.task.recipe import Recipe, of_length
from hone.wording import counted

if TYPE_CHECKING:
    from torch import nn

    from hone.train.source import BatchSource

FEW_STEPS = 40
"""Below so many steps a smaller size is looked for: a rate has hardly risen and fallen in them."""
LEAVE_THE_DEFAULT = frozenset(
    {"base", "seed", "threads", "processes", "strategy", "accumulate", "precision", "compile"}
    | {"gradient_checkpointing", "eval_rows", "keep_states"}
)
"""Keys of a recipe that may be set, and it still learns in as many epochs as the default does."""
JUDGED_ROWS = 32
"""Dev rows that are scored to learn how long judging takes, in a box, where time allows."""
MEASURED_FROM = 0.35
"""Share of the box that must be left for anything to be measured."""
ENOUGH = 2.0
"""A box of so many times the seconds that set-up takes leaves half of it, well over that share."""
MEASURING_SHARE = 0.15
"""Of what is left, how much measuring speeds may take before no other size is begun."""
LEAST_AFTER_S = 1.0
"""Saving, the diagnosis and the end of the processes, where nobody else takes the cores."""
MOST_SLOWER = 3.0
UNKNOWN_SLOWER = 3.0
"""How much slower than alone a machine is taken to be that had no time to measure it."""
UNKNOWN_STEP_S = 0.5
UNKNOWN_JUDGING = Judging(loss_s=0.5, row_s=0.05, rows=0, fixed_s=1.0)
"""What judging is taken to cost then."""
BASE_AGAIN = 3
"""The distance from a base opens it again and reads a neutral text; about so many times as long as opening it."""


def early_line(used_s: float, box_s: float) -> str:
    """A sentence where a box is likely to be too small, before anything is measured; else empty.

    Opening the workers and making tokens takes about as long as what came before, or longer.
    """
    if 2 * used_s <= (1 - MEASURED_FROM) * box_s:
        return ""
    return (
        f"box: {used_s:.0f} of {box_s:.0f} s are used before anything was measured, and opening and tokens take about "
        "as long again or longer: on this machine as it is now the box will hardly hold a step and an evaluation; how "
        "many minutes would do is told once set-up is measured"
    )


def _minutes(seconds: float) -> float:
    """Minutes to name to a person: whole and half ones."""
    return math.ceil(seconds / 30) / 2


def most_steps_of(order: dict[str, Any], steps_per_epoch: int) -> int:
    """Steps beyond which the default gains nothing; 0 where a key was set of which that is not known."""
    if order["kept"] - LEAVE_THE_DEFAULT or math.isinf(order["most_epochs"]):
        return 0
    most_epochs: float = order["most_epochs"]
    return max(FEW_STEPS, round(most_epochs * steps_per_epoch))


def plan_box(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """Measure sizes and plan a box, in a worker: the recipe as plain values, lines that say how, seconds kept back.

    ``order``: folder, task, data, recipe; ``sizes`` (bases to choose among, ascending; may be empty), ``kept`` (keys
    of the recipe that are not to be changed), ``box_s``, ``ends`` (by the monotonic clock) and ``most_epochs``.
    """
    import torch

    torch.set_num_threads(order["recipe"].threads)
    bench = bench_of(channel, order)
    source = source_of(bench)
    left = order["ends"] - time.monotonic()
    if left < MEASURED_FROM * order["box_s"]:
        return {**_unmeasured(order), "device": accelerator()}
    measuring = _Measuring(bench, source, order, channel)
    chosen, why = measuring.size()
    judging = judging_of(bench, measuring.model, JUDGED_ROWS, most_s=0.03 * left)
    lines = [item.line() for item in measuring.measured]
    if order["sizes"]:
        lines.append(why)
    recipe = of_size(order["recipe"], chosen.base, order["kept"])
    slower = min(MOST_SLOWER, 1 / max(1e-9, chosen.speed.core_share))
    after_s = slower * LEAST_AFTER_S + 8 * chosen.parameters / WRITING_BYTES_PER_S + measuring.opening_s
    found = _planned(order, recipe, chosen.speed, judging, source.num_steps(0), after_s, lines)
    return {**found, "device": accelerator(), "size_lines": lines, "steps_per_epoch": source.num_steps(0)}


def plan_group(order: dict[str, Any], alone: dict[str, Any], group: Recipe, measured: dict[str, Any]) -> dict[str, Any]:
    """The plan of a box again, for the group of processes that will carry it out; imports no torch.

    Args:
        order: as :func:`plan_box` had it.
        alone: what that planned for one process.
        group: that recipe with its processes and threads.
        measured: by :func:`group_speed`; its first process judges, with threads of its own number.
    """
    speed, judging = Speed(**measured["speed"]), Judging(**measured["judging"])
    again = _planned(order, group, speed, judging, alone["steps_per_epoch"], alone["after_s"], alone["size_lines"])
    return {**alone, **again}


class _Measuring:
    """Sizes as they are trained for a moment each, until one is too large or the time for it is over."""

    model: nn.Module
    """That of the size that was chosen."""

    def __init__(self, bench: Bench, source: BatchSource, order: dict[str, Any], channel: Channel) -> None:
        self._bench, self._source, self._order, self._channel = bench, source, order, channel
        left = order["ends"] - time.monotonic()
        self._until = time.monotonic() + MEASURING_SHARE * left
        self._trial_s = min(2.5, max(0.8, 0.008 * order["box_s"]))
        self._most_s = max(self._trial_s, 0.05 * left)
        self.measured: list[Candidate] = []
        self.opening_s = 0.0

    def size(self) -> tuple[Candidate, str]:
        """The size to take, and a line that says why."""
        kind, most = self._order["task"].kind, self._order["most_epochs"]
        bases = tuple(self._order["sizes"]) or (self._order["recipe"].base,)
        usual = [base for base in bases if base != LAST_RESORT] or list(bases)
        chosen: Candidate | None = None
        for base in usual:
            found, model = self._try(base)
            if chosen is None or is_enough(found, kind, most):
                chosen, self.model = found, model
            if not is_enough(found, kind, most) or time.monotonic() > self._until:
                break
        assert chosen is not None, "there is one size at least"
        why = why_this_size(chosen, self.measured, kind, most)
        if chosen.steps < FEW_STEPS and LAST_RESORT in bases and chosen.base != LAST_RESORT:
            before = chosen
            chosen, self.model = self._try(LAST_RESORT)
            why = (
                f"size: {chosen.base}: the box affords {before.base} {before.steps:,.0f} steps, and fewer than "
                f"{FEW_STEPS} teach little"
            )
        return chosen, why

    def _try(self, base: str) -> tuple[Candidate, nn.Module]:
        order, bench = self._order, self._bench
        self._channel.send({"kind": "stage", "status": f"measuring {base}"})
        sized = of_size(order["recipe"], base, order["kept"])
        began = time.monotonic()
        trial = build_model(sized, bench.tokenizer, bench.data.labels)
        if not base.startswith("scratch"):
            self.opening_s = BASE_AGAIN * (time.monotonic() - began) + BASE_AGAIN
        speed = speed_of(bench, trial, self._source, sized, self._trial_s, self._most_s)
        left = max(1.0, (order["ends"] - time.monotonic()) * (1 - EVALUATION_SHARE))
        steps = left / speed.step_s
        found = Candidate(
            base=base,
            parameters=sum(param.numel() for param in trial.parameters()),
            speed=speed,
            tokens=left * speed.tokens_per_second,
            epochs=steps / self._source.num_steps(0),
            steps=steps,
        )
        self.measured.append(found)
        return found, trial


def _unmeasured(order: dict[str, Any]) -> dict[str, Any]:
    """The smallest plan there is, of a box whose time is nearly over."""
    base = order["sizes"][0] if order["sizes"] else order["recipe"].base
    recipe = of_size(order["recipe"], base, order["kept"])
    left = order["ends"] - time.monotonic()
    judging = replace(UNKNOWN_JUDGING, rows=len(order["data"].dev))
    after_s = UNKNOWN_SLOWER * LEAST_AFTER_S
    steps = max(1, int((left - judging.seconds(LEAST_ROWS) - after_s) / UNKNOWN_STEP_S))
    chosen = _with_rewinds(recipe, CADENCES[-1])
    found = _values(order, recipe, chosen, judging, steps=steps, after_s=after_s)
    box_s, used_s = order["box_s"], order["box_s"] - left
    line = (
        f"box: {used_s:.0f} of {box_s:.0f} s are used, so nothing is measured: {base}, as many steps as the clock "
        f"allows (one at least), judged {'once, at the end,' if chosen.count == 1 else 'at most twice'} on "
        f"{found['recipe']['eval_rows']} dev rows. That is hardly "
        f"of use: --minutes {_minutes(ENOUGH * used_s):g} or more leaves time to learn (tokenizer and tokens are kept)"
    )
    return {**found, "lines": [line], "step_s": 0.0, "tokens_per_second": 0.0}


def _planned(
    order: dict[str, Any],
    recipe: Recipe,
    speed: Speed,
    judging: Judging,
    steps_per_epoch: int,
    after_s: float,
    lines: list[str],
) -> dict[str, Any]:
    box_s: float = order["box_s"]
    scratch = recipe.base.startswith("scratch")
    left = max(0.0, order["ends"] - time.monotonic() - (1 - AIM) * box_s - after_s)
    chosen = _with_rewinds(recipe, cadence(judging, box_s, scratch=scratch, left_s=left))
    each_s, final_s = chosen.judging_s(judging), last_scoring_s(judging, box_s)
    judging_line = cadence_line(chosen, judging, box_s, scratch=scratch)
    for_steps = left - chosen.seconds(judging, box_s, scratch=scratch)
    if chosen.rows < judging.rows and confirms(chosen.count, each_s, final_s, box_s):
        for_steps -= chosen.count * final_s
        judging_line += "; what leads on the way is scored on all rows before it is kept as the best"
    elif chosen.rows < judging.rows:
        judging_line += f"; the best is chosen on {chosen.rows:,} rows, as all of them each time would take too long"
    for_steps = max(0.0, for_steps)
    fitting, most = max(1, int(for_steps / speed.step_s)), most_steps_of(order, steps_per_epoch)
    early = 0 < most < fitting
    found = _values(order, recipe, chosen, judging, steps=most if early else fitting, after_s=after_s)
    found["most_steps"] = most if early else 0
    recipe = Recipe.model_validate(found["recipe"])
    epochs = recipe.steps / steps_per_epoch
    if early:
        spare_s = (fitting - most) * speed.step_s
        end = (
            f"{recipe.steps * speed.step_s:.0f} s; the box ends early, {spare_s:.0f} of its {box_s:.0f} s before its "
            f"time: beyond {order['most_epochs']:g} epochs ({FEW_STEPS} steps at least) the default gains nothing "
            "(--steps N instead trains N steps)"
        )
    else:
        end = f"{for_steps:.0f} s; the clock decides in the end"
    lines = [
        *lines,
        f"steps: about {recipe.steps:,} of {speed.step_s * 1000:,.0f} ms = {epochs:,.1f} epochs in {end}",
        _schedule_line(recipe),
        judging_line,
    ]
    if for_steps < FEW_STEPS * speed.step_s:
        more_s = (FEW_STEPS * speed.step_s - for_steps) / (AIM * (1 - EVALUATION_SHARE))
        lines.append(
            f"note: a box of {box_s:.0f} s has {for_steps:.0f} s for steps of {speed.step_s:.1f} s on this machine as "
            f"it is now, and fewer than {FEW_STEPS} steps teach little: --minutes {_minutes(box_s + more_s):g} or more"
        )
    if epochs > order["most_epochs"] and not early:
        lines.append(
            f"note: beyond {order['most_epochs']:g} epochs the default gains nothing; the best weights are kept"
        )
    return {**found, "lines": lines, "step_s": speed.step_s, "tokens_per_second": speed.tokens_per_second}


def _with_rewinds(recipe: Recipe, chosen: Cadence) -> Cadence:
    """A rewind goes back to the step of an evaluation, so that one must come before the end.

    Its state is written even where the box leaves the evaluation itself out.
    """
    return replace(chosen, count=max(2, chosen.count)) if recipe.on_spike == "rewind" else chosen


def _values(
    order: dict[str, Any], recipe: Recipe, chosen: Cadence, judging: Judging, *, steps: int, after_s: float
) -> dict[str, Any]:
    """The recipe with its plan, and the seconds of what is beside its steps."""
    steps = max(steps, 2 if recipe.on_spike == "rewind" else 1)
    changes: dict[str, Any] = {
        "steps": steps,
        **of_length(steps, chosen.count),
        "eval_rows": max(1, min(chosen.rows, judging.rows)),
    }
    if chosen.count == 1:
        # The last step is judged in any case; a single evaluation is not to come before it where steps are fast.
        changes["eval_every"] = 2 * steps
    recipe = recipe.child(**{key: value for key, value in changes.items() if key not in order["kept"]})
    loss_share = chosen.loss_share(judging)
    return {
        "recipe": recipe.model_dump(mode="json"),
        "judging_s": judging.seconds(recipe.eval_rows, loss_share=loss_share),
        "scoring_s": planned_scoring_s(recipe, judging, order["box_s"]),
        "after_s": after_s,
        "fixed_s": judging.fixed_s + loss_share * judging.loss_s,
        "loss_share": loss_share,
        "first": chosen.first,
        "first_s": chosen.first_s(judging, scratch=recipe.base.startswith("scratch")),
        "most_steps": 0,
    }


def group_speed(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """The speed of a recipe of several processes, in each of them, and of judging, which the first one does.

    ``order``: folder, task, data, recipe; ``seconds`` to train for, and ``most_s`` for a closer look at judging.
    """
    import torch

    from hone.train.launch import my_rank

    recipe: Recipe = order["recipe"]
    torch.set_num_threads(recipe.threads)
    bench = bench_of(channel, order)
    model = build_model(recipe, bench.tokenizer, bench.data.labels)
    found = {"speed": asdict(speed_of(bench, model, source_of(bench), recipe, order["seconds"]))}
    if my_rank() == 0:
        found["judging"] = asdict(judging_of(bench, model, JUDGED_ROWS, most_s=order["most_s"]))
    return found


def _schedule_line(recipe: Recipe) -> str:
    if recipe.schedule == "constant" or not recipe.decay_share:
        return "schedule: the rate does not fall"
    return (
        f"schedule: warmup of {counted(recipe.warmup_steps, 'step')}, then the full rate; it begins to fall when "
        f"{recipe.decay_share:.0%} of the steps are left by the clock, and is {recipe.least_rate:g} at the end"
    )
