"""A box of minutes: which size, how many steps, how often judged. Measured here, planned to the end of the box.

The box is the wall time of the command, imports included, over all calls that carry on the same run. What is planned
is written into the run's folder, so that a call that goes on takes the same plan; when the decay begins is decided on
the way (:mod:`hone.train.horizon`), because somebody else may take the cores.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.attempts.bench import build_model, source_of
from hone.attempts.calibrate import LEAST_STEPS, Judging, Speed, bench_of, judging_of, speed_of
from hone.attempts.judging import UNTRAINED_ROWS
from hone.files import read_json, write_json
from hone.hardware import accelerator
from hone.lab import jsonl
from hone.processes import Channel
from hone.task.recipe import Recipe, of_length
from hone.task.spec import Task

if TYPE_CHECKING:
    from torch import nn

    from hone.task.scores import Score
    from hone.train.horizon import BentHorizon
    from hone.train.records import Judgement

SIZES = ("500k", "1m", "2m", "5m", "15m", "30m")
"""Presets that a box chooses among, where the task says no more than ``scratch``."""
BYTES_PER_PARAMETER = 34 / 32
"""Of a quantized artifact, Q8_0: 32 weights in 34 bytes."""
TOKENS_PER_PARAMETER = 20.0
"""Below this a smaller model is the better use of the same arithmetic (J. Hoffmann et al., arXiv:2203.15556)."""
EPOCHS_SHARE = 0.5
"""Share of the most epochs that gain anything which a size must get, for a larger one to be taken."""
EVALUATION_SHARE = 0.10
SCORING_SHARE = 0.05
"""Share of the box that is kept for the last scoring at most; where all of dev takes longer, a part is scored."""
CADENCES = ((4, 256), (4, 128), (3, 128), (3, 64), (2, 64), (1, 64), (1, 32))
"""Evaluations of a box after the first step and dev rows of each, the most wanted first."""
JUDGED_ROWS = 32
"""Dev rows that are scored to learn how long judging takes, in a box."""
AIM = 0.985
"""Share of the box that is planned with: a little early is better than a little late."""
LEAST_AFTER_S = 1.0
BASE_AGAIN = 3
"""The distance from a base opens it again and reads a neutral text; about so many times as long as opening it."""
WRITING_BYTES_PER_S = 100e6
PLAN_FILE, HORIZON_FILE = "box.json", "horizon.jsonl"


def sizes_for(task: Task, recipe: Recipe) -> tuple[str, ...]:
    """The sizes that a box may choose among, ascending: those whose artifact fits the task's device."""
    from hone.model.presets import parameters, shape_of

    room = math.inf if task.device.size_mb is None else 1e6 * task.device.size_mb
    fitting = []
    for size in SIZES:
        shape = shape_of(recipe.child(base=f"scratch:{size}"), recipe.vocab_size)
        if BYTES_PER_PARAMETER * parameters(shape) <= room:
            fitting.append(f"scratch:{size}")
    return tuple(fitting) or (f"scratch:{SIZES[0]}",)


def of_size(recipe: Recipe, base: str, kept: Collection[str] = ()) -> Recipe:
    """The recipe with another size from scratch; the initial weights shrink with the root of the width."""
    if base == recipe.base:
        return recipe
    from hone.model.presets import DEFAULT_PRESET, preset

    widths = [preset(name.partition(":")[2] or DEFAULT_PRESET).hidden for name in (recipe.base, base)]
    std = round(recipe.init_std * math.sqrt(widths[0] / widths[1]), 4)
    return recipe.child(base=base, **({} if "init_std" in kept else {"init_std": std}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A size that was measured, and what the box affords with it."""

    base: str
    parameters: int
    speed: Speed
    tokens: float
    """Tokens, padding included, that the box affords."""
    epochs: float

    def line(self) -> str:
        """One line for people."""
        return (
            f"  {self.base}: {self.parameters:,} parameters, {self.speed.tokens_per_second:,.0f} tokens/s measured, "
            f"so {self.tokens / 1e6:,.1f} M tokens = {self.tokens / self.parameters:,.1f} per parameter, "
            f"{self.epochs:,.1f} epochs"
        )


def is_enough(candidate: Candidate, kind: str, most_epochs: float) -> bool:
    """Whether the box affords this size what it needs; a larger one is looked at only then."""
    if kind == "language-model":
        useful = candidate.tokens * min(1.0, most_epochs / max(1e-9, candidate.epochs))
        return useful >= TOKENS_PER_PARAMETER * candidate.parameters
    return candidate.epochs >= EPOCHS_SHARE * most_epochs


def why_this_size(chosen: Candidate, measured: Sequence[Candidate], kind: str, most_epochs: float) -> str:
    """A line that says why a size was taken."""
    if kind == "language-model":
        bound = f"{TOKENS_PER_PARAMETER:g} tokens per parameter, of at most {most_epochs:g} epochs"
    else:
        bound = f"{EPOCHS_SHARE * most_epochs:g} epochs (half of {most_epochs:g}, beyond which nothing is gained)"
    if not is_enough(chosen, kind, most_epochs):
        return f"size: {chosen.base}, the smallest: the box affords none {bound}"
    larger = [item for item in measured if item.parameters > chosen.parameters]
    end = "a larger one would not get them" if larger else "no larger one was to be looked at"
    return f"size: {chosen.base}, the largest that gets {bound}; {end}"


def cadence(judging: Judging, box_s: float) -> tuple[int, int, str]:
    """Evaluations after the first step, dev rows of each, and a line: a tenth of the box at most, with all scoring."""
    final_s = min(judging.seconds(judging.rows), SCORING_SHARE * box_s)

    def cost(count: int, rows: int) -> float:
        return judging.seconds(UNTRAINED_ROWS) + count * judging.seconds(rows) + final_s

    budget = EVALUATION_SHARE * box_s
    count, rows = next((item for item in CADENCES if cost(*item) <= budget), CADENCES[-1])
    share = cost(count, rows) / box_s
    over = "" if share <= EVALUATION_SHARE else f"; that is over {EVALUATION_SHARE:.0%}, and nothing less would judge"
    line = (
        f"evaluations: {count} after the one at the start, on {min(rows, judging.rows):,} dev rows, about "
        f"{judging.seconds(rows):.1f} s each; all {judging.rows:,} rows, as far as time allows, for the best "
        f"weights alone, about {final_s:.1f} s: together {share:.1%} of the box{over}"
    )
    return count, rows, line


def confirms(count: int, judging_s: float, scoring_s: float, box_s: float) -> bool:
    """Whether ``count`` evaluations may each be followed by one on all of dev, within a tenth of the box.

    ``scoring_s`` is that of all of dev where it is under the share that the last scoring may take.
    """
    if scoring_s >= SCORING_SHARE * box_s:
        return False
    return (count + 1) * (judging_s + scoring_s) + scoring_s <= EVALUATION_SHARE * box_s


@dataclass(kw_only=True)
class Box:
    """The time of a run in a box, as the process that trains sees it."""

    ends: float
    """When it ends, by :func:`time.monotonic`, which all processes of a machine share."""
    seconds: float
    judging_s: float
    """Seconds of an evaluation on the way; measured again by each of them."""
    scoring_s: float
    """Seconds of the last scoring, on all dev rows."""
    after_s: float
    """Seconds of whatever else comes behind the last step."""
    _planned_judging_s: float = field(init=False)
    _confirming_s: float = field(init=False, default=0.0)
    """Seconds that the last evaluation took on all of dev, where it was a candidate to best."""

    def __post_init__(self) -> None:
        """What was planned is kept beside what is measured."""
        self._planned_judging_s = self.judging_s

    def left_s(self) -> float:
        """Seconds left for steps and the evaluations between them."""
        slower = self.judging_s / self._planned_judging_s if self._planned_judging_s else 1.0
        late = (1 - AIM) * self.seconds
        scoring_s = min(self.scoring_s * slower, SCORING_SHARE * self.seconds)
        return self.ends - time.monotonic() - late - self.judging_s - scoring_s - self.after_s

    def timed(self, evaluate: Callable[[nn.Module, int], Judgement]) -> Callable[[nn.Module, int], Judgement]:
        """The same evaluation, its seconds taken; that of an untrained model is another matter."""

        def judged(model: nn.Module, step: int) -> Judgement:
            begin = time.monotonic()
            found = evaluate(model, step)
            if step > 0:
                self.judging_s = time.monotonic() - begin
            self._confirming_s = 0.0
            return found if found.confirm is None else replace(found, confirm=self._timed(found.confirm))

        return judged

    def _timed(self, confirm: Callable[[], Score]) -> Callable[[], Score]:
        def confirmed() -> Score:
            begin = time.monotonic()
            found = confirm()
            self._confirming_s = time.monotonic() - begin
            return found

        return confirmed

    def may_confirm(self, recipe: Recipe) -> bool:
        """Whether all of dev can be scored for each evaluation within the share that is planned for them.

        It follows from the plan, which is kept with the run, and not from the clock of now.
        """
        count = -(-recipe.steps // recipe.eval_every)
        return confirms(count, self._planned_judging_s, self.scoring_s, self.seconds)

    def affords(self, rows: int, judged_rows: int) -> int:
        """Of ``rows`` dev rows, how many there is time to score at the end, as fast as ``judged_rows`` were judged."""
        left = self.ends - time.monotonic() - self.after_s - (1 - AIM) / 2 * self.seconds
        fitting = int(left / max(1e-9, self.judging_s / max(1, judged_rows)))
        return min(rows, max(UNTRAINED_ROWS, fitting))

    def to_json(self, folder: Path) -> dict[str, Any]:
        """How the box was used so far, and what the clock decided: from which step on the run was to end at which."""
        decided = [[row["step"], row["end"]] for row in jsonl.read(folder / HORIZON_FILE).rows]
        used_s = self.seconds - (self.ends - time.monotonic())
        return {"seconds": self.seconds, "used_s": round(used_s, 2), "decided": decided}

    def horizon(self, recipe: Recipe, folder: Path, *, first: bool) -> BentHorizon:
        """The schedule of a run that bends to this box."""
        from hone.train.horizon import BentHorizon, Clock

        clock = Clock(left_s=self.left_s, evaluation_s=lambda: self.judging_s + self._confirming_s)
        return BentHorizon(recipe, folder / HORIZON_FILE, clock if first else None)


@dataclass(kw_only=True)
class Plan:
    """What a box was planned to, as it lies in the run's folder."""

    asked: str
    """Hash of what was asked for: the recipe before the plan, and the minutes."""
    seconds: float
    recipe: Recipe
    lines: list[str]
    judging_s: float
    scoring_s: float
    after_s: float
    used_s: float = 0.0
    """Seconds of the box that earlier calls have used."""

    def save(self, folder: Path) -> None:
        """Write it into a run's folder."""
        write_json(folder / PLAN_FILE, {**asdict(self), "recipe": self.recipe.model_dump(mode="json")})

    @classmethod
    def read(cls, folder: Path) -> Plan | None:
        """The plan of a run, None where it is not in a box."""
        path = folder / PLAN_FILE
        if not path.exists():
            return None
        values = read_json(path)
        return cls(**{**values, "recipe": Recipe.model_validate(values["recipe"])})

    def times(self, started: float) -> dict[str, float]:
        """What makes the :class:`Box` of a call that began at ``started``."""
        return {
            "ends": started + self.seconds - self.used_s,
            "seconds": self.seconds,
            "judging_s": self.judging_s,
            "scoring_s": self.scoring_s,
            "after_s": self.after_s,
        }


def plan_box(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """Measure sizes and plan a box, in a worker: the recipe as plain values, lines that say how, seconds kept back.

    ``order``: folder, task, data, recipe; ``sizes`` (bases to choose among, ascending; may be empty), ``kept`` (keys
    of the recipe that are not to be changed), ``box_s``, ``ends`` (by the monotonic clock) and ``most_epochs``.
    """
    import torch

    recipe: Recipe = order["recipe"]
    torch.set_num_threads(recipe.threads)
    bench = bench_of(channel, order)
    kind, most = order["task"].kind, order["most_epochs"]
    source = source_of(bench)
    steps_per_epoch = source.num_steps(0)
    trial_s = min(2.5, max(0.8, 0.008 * order["box_s"]))
    model: nn.Module | None = None
    measured: list[Candidate] = []
    chosen: Candidate | None = None
    for base in order["sizes"] or (recipe.base,):
        sized = of_size(recipe, base, order["kept"])
        began = time.monotonic()
        trial = build_model(sized, bench.tokenizer, bench.data.labels)
        opening_s = 0.0 if base.startswith("scratch") else BASE_AGAIN * (time.monotonic() - began) + BASE_AGAIN
        speed = speed_of(bench, trial, source, sized, trial_s)
        left = max(1.0, (order["ends"] - time.monotonic()) * (1 - EVALUATION_SHARE))
        found = Candidate(
            base=base,
            parameters=sum(param.numel() for param in trial.parameters()),
            speed=speed,
            tokens=left * speed.tokens_per_second,
            epochs=left / speed.step_s / steps_per_epoch,
        )
        measured.append(found)
        if chosen is None or is_enough(found, kind, most):
            chosen, model = found, trial
        if not is_enough(found, kind, most):
            break
    assert chosen is not None, "there is one size at least"
    assert model is not None, "it has been built"
    judging = judging_of(bench, model, JUDGED_ROWS)
    lines = [item.line() for item in measured]
    if order["sizes"]:
        lines.append(why_this_size(chosen, measured, kind, most))
    recipe = of_size(recipe, chosen.base, order["kept"])
    order = {**order, "opening_s": opening_s}
    return _planned(order, recipe, chosen, judging, steps_per_epoch, lines)


def _planned(
    order: dict[str, Any], recipe: Recipe, chosen: Candidate, judging: Judging, steps_per_epoch: int, lines: list[str]
) -> dict[str, Any]:
    box_s: float = order["box_s"]
    count, rows, judging_line = cadence(judging, box_s)
    after_s = LEAST_AFTER_S + 8 * chosen.parameters / WRITING_BYTES_PER_S + order["opening_s"]
    left = order["ends"] - time.monotonic() - (1 - AIM) * box_s - after_s
    final_s = min(judging.seconds(judging.rows), SCORING_SHARE * box_s)
    for_steps = left - judging.seconds(UNTRAINED_ROWS) - count * judging.seconds(rows) - final_s
    if rows < judging.rows and confirms(count, judging.seconds(rows), final_s, box_s):
        for_steps -= count * final_s
        judging_line += "; what leads on the way is scored on all rows before it is kept as the best"
    elif rows < judging.rows:
        judging_line += f"; the best is chosen on {rows:,} rows, as all of them each time would take too long"
    steps = max(1, int(for_steps / chosen.speed.step_s))
    changes: dict[str, Any] = {
        "steps": steps,
        **of_length(steps, count),
        "eval_rows": min(rows, judging.rows),
    }
    recipe = recipe.child(**{key: value for key, value in changes.items() if key not in order["kept"]})
    epochs = steps / steps_per_epoch
    lines.append(
        f"steps: about {steps:,} of {chosen.speed.step_s * 1000:,.0f} ms = {epochs:,.1f} epochs in {for_steps:.0f} s; "
        "the clock decides in the end"
    )
    lines += [_schedule_line(recipe), judging_line]
    if for_steps < LEAST_STEPS * chosen.speed.step_s:
        lines.append(
            f"note: a box of {box_s:.0f} s leaves {for_steps:.0f} s for steps of {chosen.speed.step_s:.1f} s on this "
            "machine as it is now: nothing will be learned; take a larger box"
        )
    if epochs > order["most_epochs"]:
        lines.append(
            f"note: beyond {order['most_epochs']:g} epochs the default gains nothing; the best weights are kept"
        )
    return {
        "recipe": recipe.model_dump(mode="json"),
        "lines": lines,
        "judging_s": judging.seconds(recipe.eval_rows),
        "scoring_s": final_s,
        "after_s": after_s,
        "step_s": chosen.speed.step_s,
        "tokens_per_second": chosen.speed.tokens_per_second,
        "device": accelerator(),
    }


def group_speed(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """The speed of a recipe of several processes, in each of them; ``order``: folder, task, data, recipe, seconds."""
    recipe: Recipe = order["recipe"]
    bench = bench_of(channel, order)
    model = build_model(recipe, bench.tokenizer, bench.data.labels)
    return asdict(speed_of(bench, model, source_of(bench), recipe, order["seconds"]))


def _schedule_line(recipe: Recipe) -> str:
    if recipe.schedule == "constant" or not recipe.decay_share:
        return "schedule: the rate does not fall"
    return (
        f"schedule: warmup of {recipe.warmup_steps} steps, then the full rate; it begins to fall when "
        f"{recipe.decay_share:.0%} of the steps are left by the clock, and is {recipe.least_rate:g} at the end"
    )
