"""What happened in a run, from its curves: underfit, overfit or good fit, where it should have stopped, what to change.

The signs are those of the field (J. Brownlee, "How to use learning curves to diagnose model performance"): dev loss
that falls and rises again is overfit; loss that is still falling at the end, or has hardly fallen at all, is underfit;
both level is a good fit. What counts is put into numbers here, so that noise decides nothing:

* a rise or a gain counts from 3 % of the loss on (:data:`MATERIAL`), and only beyond its standard errors;
* "still falling" means that twice the steps would bring that much (:func:`hone.train.curves.gain_of_doubling`); from
  fewer than six points nothing is predicted, and it means that the last doubling of steps brought that much;
* smoothing serves these decisions and where a curve grows level: where it is lowest, and each value on dev that is
  told, is as it was measured.

Loss (optimisation) and task metric (performance) are judged apart: a metric often goes on rising where the loss has
turned, because a model that is right more often can be wrong with more confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from hone.train.curves import (
    LEAST_POINTS,
    Gain,
    Points,
    Smooth,
    Turn,
    best_step,
    first_as_low,
    gain_of_doubling,
    in_order,
    smooth,
    turn_of,
)
from hone.train.rate_curve import RateVerdict
from hone.wording import counted, nats

Class = Literal["underfit", "overfit", "good fit", "unclear"]
MATERIAL = 0.03
"""Share of the loss from which on a rise or a gain counts."""
LEARNED = 0.1
"""Share of its first value by which a loss must have fallen; below it nothing was learned."""
_LEAST_OF_FALL = 0.003
"""Where the loss is near zero, a share of it is nothing: a change counts from this share of the whole fall on."""
LEAST_TO_PREDICT = 6
"""Points of a curve below which nothing is said of what more steps would bring."""
_HALF = 0.5
"""Share of its first value above which a loss tells of a refuted learning rate and not of the data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """What a run wrote down. Each point is (steps done, value); order does not matter, a repeated step counts once."""

    train: Points
    """Training loss of single steps."""
    dev: Points = ()
    """Loss on dev."""
    metric: Points = ()
    """Task metric on dev."""
    higher_is_better: bool = True
    """Of the metric."""
    rates: Points = ()
    """Learning rate."""
    kept_step: int | None = None
    """The step whose weights the run kept, where that is on record; else it follows from metric and dev loss."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """What happened, and what to do about it."""

    verdict: Class
    sentence: str
    """What happened, with its numbers."""
    advice: tuple[str, ...]
    """What to change, the likeliest first."""
    stop_step: int | None
    """Where it should have stopped; None where it stopped too early or nothing can be said."""
    stop_low: int | None = None
    """From here..."""
    stop_high: int | None = None
    """...to here dev loss is as low, as far as its noise can tell."""
    metric_step: int | None = None
    """Where the task metric was best, of equal ones where dev loss was lowest: the step that the run keeps."""
    evidence: Mapping[str, float] = field(default_factory=dict)
    """The numbers that decided."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "advice": list(self.advice), "evidence": dict(self.evidence)}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """The curves, smoothed."""

    train: Smooth
    dev: Smooth | None
    turn: Turn | None
    gain: Gain
    start: float
    """The first loss of the curve that decides."""
    end: float
    """Its last: of dev as measured, of training, where each step has other rows, as smoothed."""
    steps: int

    @property
    def decides(self) -> Smooth:
        """Dev where there is one."""
        return self.train if self.dev is None else self.dev

    @property
    def name(self) -> str:
        """What :attr:`decides` is called."""
        return "training loss" if self.dev is None else "dev loss"

    @property
    def smoothed(self) -> str:
        """What is said behind :attr:`end`."""
        return " (smoothed)" if self.dev is None else ""

    @property
    def predicts(self) -> bool:
        """Whether there are points enough to say what more steps would bring."""
        return len(self.decides.steps) >= LEAST_TO_PREDICT

    @property
    def material(self) -> float:
        """How much loss counts."""
        lowest = float(self.decides.values.min())
        return max(MATERIAL * abs(lowest), _LEAST_OF_FALL * max(0.0, self.start - lowest))


def diagnose(curves: Curves) -> Diagnosis:
    """Say what happened in a run.

    Needs four logged training losses; without four evaluations on dev overfitting cannot be seen, and a run that is not
    underfit is ``unclear``.
    """
    train = in_order(curves.train)
    if not np.isfinite(train[1]).all():
        return _not_finite(train)
    if len(train[0]) < LEAST_POINTS:
        return _with_metric(_short(curves, train), curves)
    read = _read(curves, train)
    made = _judged(read)
    return _with_metric(made, curves)


def by_rate(made: Diagnosis, rate: RateVerdict) -> Diagnosis:
    """The diagnosis of a run whose learning rate its own curve refutes.

    Where the loss has not come below half of its first value, the curves tell of the rate: the run is underfit by it,
    however level they are. Overfit stays overfit, and a run that learned all the same keeps its verdict.
    """
    told = asdict(made) | {"advice": (rate.sentence, *made.advice)}
    first, last = made.evidence.get("first_loss"), made.evidence.get("last_loss")
    if first is None or last is None or made.verdict == "overfit" or last < _HALF * first:
        told["sentence"] += f"; the learning rate was {rate.verdict} on the way"
        return Diagnosis(**told)
    told |= {
        "verdict": "underfit",
        "sentence": (
            f"underfit: the learning rate was {rate.verdict}; the loss was {first:.3f} at first and {last:.3f} at the "
            "end, which tells of the rate and nothing of the data or the size of the model"
        ),
        "advice": (rate.sentence, "then look again: with this rate the curves advise nothing else"),
        "stop_step": None,
        "stop_low": None,
        "stop_high": None,
    }
    return Diagnosis(**told)


def _read(curves: Curves, train: tuple[Any, Any]) -> _Read:
    course = smooth(*train)
    steps, values = in_order(curves.dev)
    dev = smooth(steps, values) if len(steps) >= LEAST_POINTS else None
    decides = course if dev is None else dev
    last = float(decides.steps[-1])
    return _Read(
        train=course,
        dev=dev,
        turn=None if dev is None else turn_of(dev),
        gain=_gain(decides, curves.rates, last),
        start=float(decides.measured[0]),
        end=float(course.values[-1] if dev is None else dev.measured[-1]),
        steps=int(max(train[0][-1], last)),
    )


def _gain(course: Smooth, rates: Points, end: float) -> Gain:
    """What twice the steps would bring; where the rate was lowered at the end, as seen before that.

    Lowering the rate brings a fall of its own, which a longer run has once and not twice.
    """
    steps, values = in_order(rates)
    if not len(steps) or values[-1] > 0.5 * values.max():
        return gain_of_doubling(course)
    stable = steps[values >= 0.95 * values.max()]
    if stable[-1] >= 0.4 * end:
        return gain_of_doubling(course, float(stable[-1]))
    return gain_of_doubling(course)  # a rate that falls all the way leaves nothing to look at before


def _judged(read: _Read) -> Diagnosis:
    fall = read.start - float(read.decides.values.min())
    evidence = {
        "first_loss": read.start,
        "last_loss": read.end,
        "last_train_loss": float(read.train.values[-1]),
        "noise": read.decides.noise,
        "material": read.material,
    }
    if read.predicts:
        evidence |= {"gain_of_twice_the_steps": read.gain.expected, "gain_error": read.gain.error}
    else:
        evidence |= {"fall_of_the_second_half": read.gain.last}
    if read.turn is not None:
        evidence |= {"lowest_loss": read.turn.value, "rise": read.turn.rise, "rise_error": read.turn.error}
        learned_nothing = fall < LEARNED * abs(read.start)
        lowest_at_the_end = read.turn.step == int(read.decides.steps[-1])
        if read.turn.sure and read.turn.rise > read.material and not learned_nothing and not lowest_at_the_end:
            return _overfit(read, read.turn, evidence)
    if fall < LEARNED * abs(read.start):
        return _flat(read, evidence)
    brought, sure = (read.gain.expected, read.gain.sure) if read.predicts else (read.gain.last, read.gain.was_falling)
    if sure and brought > read.material:
        return _falling(read, evidence)
    return _good(read, evidence) if read.turn is not None else _unclear(read, evidence)


def _overfit(read: _Read, turn: Turn, evidence: dict[str, float]) -> Diagnosis:
    at_turn, now = read.train.at(turn.step), float(read.train.values[-1])
    evidence |= {"train_loss_at_turn": at_turn}
    sentence = (
        f"overfit: dev loss fell to {nats(turn.value)} at step {turn.step:,} (its lowest place is between "
        f"{turn.low:,} and {turn.high:,}) and was {nats(read.end)} at step {int(read.decides.steps[-1]):,}, "
        f"{read.end / max(turn.value, 1e-9) - 1:.0%} more, while training loss (smoothed) went from "
        f"{nats(at_turn)} to {nats(now)}"
    )
    advice = (
        f"stop at step {turn.step:,}: set steps to it, or early_stop to 3 (the best weights are kept anyway)",
        "more rows, or more different ones: what is learned by heart is what there is too little of",
        "regularise: dropout 0.1, weight_decay 0.1, label_smoothing 0.1 or swap_values, one at a time",
    )
    return Diagnosis(
        verdict="overfit",
        sentence=sentence,
        advice=advice,
        stop_step=turn.step,
        stop_low=turn.low,
        stop_high=turn.high,
        evidence=evidence,
    )


def _flat(read: _Read, evidence: dict[str, float]) -> Diagnosis:
    share = 1 - read.end / max(abs(read.start), 1e-9)
    fell = f"it fell by {share:.1%}" if share > 0 else "it did not fall"
    sentence = (
        f"underfit: {read.name} was {nats(read.start)} at first and {nats(read.end)}{read.smoothed} at the end; "
        f"{fell} in {counted(read.steps, 'step')}, so next to nothing was learned"
    )
    noisy = read.train.noise > 0.1 * abs(read.end)
    advice = (
        "look at the learning rate: ten times more where the loss falls in a straight line, a tenth where it jumps",
        *(("larger steps (batch_size): the noise hides what is learned",) if noisy else ()),
        "let it learn one batch by heart (hone.train.guards.overfit_one_batch): a model that cannot is wired wrongly",
    )
    return Diagnosis(verdict="underfit", sentence=sentence, advice=advice, stop_step=None, evidence=evidence)


def _falling(read: _Read, evidence: dict[str, float]) -> Diagnosis:
    times = read.gain.doublings(read.material) if read.predicts else 2
    sentence = (
        f"underfit: {read.name} was still falling at step {read.steps:,}, from {nats(read.start)} to "
        f"{nats(read.end)}{read.smoothed}; {_brings(read)}"
    )
    larger = ("or a larger preset, where the device has room for it",) if read.predicts else ()
    advice = (f"train longer: steps {times * read.steps:,}{_how_far(times)}", *larger)
    return Diagnosis(verdict="underfit", sentence=sentence, advice=advice, stop_step=None, evidence=evidence)


def _brings(read: _Read) -> str:
    """What twice the steps would bring; where there are too few points, that there are."""
    if not read.predicts:
        points = counted(len(read.decides.steps), "point")
        return f"{points} of it are too few to say what more steps would bring"
    noise = "" if read.gain.sure or read.gain.expected <= read.material else f" ± {nats(read.gain.error)}"
    within = ", no more than its noise" if noise else ""
    return f"twice the steps would bring about {nats(read.gain.expected)} less{noise}{within}"


def _how_far(times: int) -> str:
    """Why that many, where it is more than the doubling that the sentence tells of."""
    return ", twice as many" if times == 2 else f", {times} times as many: each doubling until then would still count"


def _good(read: _Read, evidence: dict[str, float]) -> Diagnosis:
    turn, dev = read.turn, read.decides
    assert turn is not None
    enough = first_as_low(dev, float(dev.values.min()) + max(read.material / 3, float(dev.errors.min())))
    learned = float(read.train.values[-1])
    gap = float(dev.values[-1]) - learned
    evidence |= {"gap": gap}
    since = f"level since about step {enough:,} of" if enough < read.steps else "lowest at its end, step"
    sentence = (
        f"good fit: dev loss is {nats(read.end)} (training, smoothed: {nats(learned)}), {since} "
        f"{read.steps:,}; {_brings(read)}"
    )
    advice = [f"done: {counted(enough, 'step is', 'steps are')} enough" if enough < 0.8 * read.steps else "done"]
    still = read.train.at(enough) - learned
    if gap > 0.2 * abs(read.end) and still > read.material:
        advice.append(
            f"training loss fell by {nats(still)} more behind step {enough:,}, of no use on dev: longer would overfit"
        )
    return Diagnosis(
        verdict="good fit",
        sentence=sentence,
        advice=tuple(advice),
        stop_step=enough,
        stop_low=min(enough, turn.low),
        stop_high=max(enough, turn.high),
        evidence=evidence,
    )


def _unclear(read: _Read, evidence: dict[str, float]) -> Diagnosis:
    sentence = (
        f"unclear: training loss levelled off at {nats(read.end)} (smoothed), and dev was evaluated "
        f"fewer than {LEAST_POINTS} times, so nothing tells a good fit from learning by heart"
    )
    advice = (f"evaluate more often: eval_every {max(1, read.steps // 20):,}",)
    return Diagnosis(verdict="unclear", sentence=sentence, advice=advice, stop_step=None, evidence=evidence)


def _not_finite(train: tuple[Any, Any]) -> Diagnosis:
    first = int(train[0][~np.isfinite(train[1])][0])
    return Diagnosis(
        verdict="unclear",
        sentence=f"the loss was not finite at step {first:,}: nothing behind it means anything",
        advice=("lower the learning rate ten times, and look at the folder that the guard left",),
        stop_step=first,
    )


def _with_metric(made: Diagnosis, curves: Curves) -> Diagnosis:
    """Add where the task metric was best; where loss and metric part, say so."""
    steps, values = in_order(curves.metric)
    if len(steps) < 2 or values.max() == values.min():
        return made  # a metric that never moves is best nowhere
    step = best_step(curves.metric, curves.dev, higher_is_better=curves.higher_is_better)
    if curves.kept_step is not None and curves.kept_step in steps:
        step = curves.kept_step
    best = float(values[steps == step][0])
    told = asdict(made) | {"metric_step": step, "evidence": {**made.evidence, "best_metric": best}}
    if made.stop_step is None or made.verdict != "overfit" or step == made.stop_step:
        return Diagnosis(**told)
    told["sentence"] += f"; the metric is best at step {step:,} ({best:.3f})"
    if len(steps) >= LEAST_POINTS:
        turn = turn_of(smooth(steps, -values if curves.higher_is_better else values))
        if min(turn.low, step) > (made.stop_high or made.stop_step):
            told["sentence"] += (
                ", behind the turn of the loss: the model grows more confident where it is wrong and is right more "
                "often all the same"
            )
    told["advice"] = (
        f"stop at step {step:,} by the metric, at {made.stop_step:,} where probabilities must be honest",
        *made.advice[1:],
    )
    return Diagnosis(**told)


def _short(curves: Curves, train: tuple[Any, Any]) -> Diagnosis:
    """What can be said of a run of few steps: how far its loss came, and whether more steps are worth it."""
    dev = in_order(curves.dev)
    name, (steps, values) = ("dev loss", dev) if len(dev[0]) >= 2 else ("training loss", train)
    logged = counted(len(train[0]), "training loss is", "training losses are")
    few = f"{logged} too few for a verdict ({LEAST_POINTS} at least)"
    if len(steps) < 2:
        return Diagnosis(verdict="unclear", sentence=f"unclear: {few}", advice=("train longer",), stop_step=None)
    lowest, last = int(np.argmin(values)), len(values) - 1
    course = f"{name} went from {nats(values[0])} to {nats(values[last])} in {counted(int(steps[last]), 'step')}"
    if lowest == last:
        told, advice = "and was lowest at the end, so more steps should bring it down further", "train longer"
    elif lowest == 0:
        told, advice = "and was lowest at the beginning", "train longer; if it rises still, lower the learning rate"
    else:
        told, advice = f"and was lowest at step {int(steps[lowest]):,} ({nats(values[lowest])})", "train longer"
    sentence = f"unclear: {course} {told}; {few}"
    evidence = {"first_loss": float(values[0]), "last_loss": float(values[last]), "lowest_loss": float(values[lowest])}
    return Diagnosis(verdict="unclear", sentence=sentence, advice=(advice,), stop_step=None, evidence=evidence)
