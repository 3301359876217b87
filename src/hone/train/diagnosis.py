"""What happened in a run, from its curves: underfit, overfit or good fit, where it should have stopped, what to change.

The signs are those of the field (J. Brownlee, "How to use learning curves to diagnose model performance"): dev loss
that falls and rises again is overfit; loss that is still falling at the end, or has hardly fallen at all, is underfit;
both level is a good fit. What counts is put into numbers here, so that noise decides nothing:

* a rise or a gain counts from 3 % of the loss on (:data:`MATERIAL`), and only beyond its standard errors;
* "still falling" means that twice the steps would bring that much (:func:`hone.train.curves.gain_of_doubling`).

Loss (optimisation) and task metric (performance) are judged apart: a metric often goes on rising where the loss has
turned, because a model that is right more often can be wrong with more confidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from hone.train.curves import LEAST_POINTS, Gain, Smooth, Turn, first_as_low, gain_of_doubling, smooth, turn_of
from hone.train.rate_curve import RateVerdict
from hone.wording import counted

Class = Literal["underfit", "overfit", "good fit", "unclear"]
Points = Sequence[tuple[int, float]]
MATERIAL = 0.03
"""Share of the loss from which on a rise or a gain counts."""
LEARNED = 0.1
"""Share of its first value by which a loss must have fallen; below it nothing was learned."""
_LEAST_OF_FALL = 0.003
"""Where the loss is near zero, a share of it is nothing: a change counts from this share of the whole fall on."""
_MOST_STEPS = 8
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
    """Where the task metric was best."""
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
    steps: int

    @property
    def decides(self) -> Smooth:
        """Dev where there is one."""
        return self.train if self.dev is None else self.dev

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
    train = _arrays(curves.train)
    if len(train[0]) < LEAST_POINTS:
        logged = counted(len(train[0]), "training loss was", "training losses were")
        sentence = f"{logged} logged; {LEAST_POINTS} are needed to say anything"
        return Diagnosis(
            verdict="unclear", sentence=sentence, advice=("train longer, or log more often",), stop_step=None
        )
    if not np.isfinite(train[1]).all():
        return _not_finite(train)
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
    steps, values = _arrays(curves.dev)
    dev = smooth(steps, values) if len(steps) >= LEAST_POINTS else None
    decides = course if dev is None else dev
    end = float(decides.steps[-1])
    return _Read(
        train=course,
        dev=dev,
        turn=None if dev is None else turn_of(dev),
        gain=_gain(decides, curves.rates, end),
        start=float((train[1] if dev is None else values)[0]),
        end=float(decides.values[-1]),
        steps=int(max(train[0][-1], end)),
    )


def _gain(course: Smooth, rates: Points, end: float) -> Gain:
    """What twice the steps would bring; where the rate was lowered at the end, as seen before that.

    Lowering the rate brings a fall of its own, which a longer run has once and not twice.
    """
    steps, values = _arrays(rates)
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
        "gain_of_twice_the_steps": read.gain.expected,
        "gain_error": read.gain.error,
    }
    if read.turn is not None:
        evidence |= {"lowest_loss": read.turn.value, "rise": read.turn.rise, "rise_error": read.turn.error}
        learned_nothing = fall < LEARNED * abs(read.start)
        if read.turn.sure and read.turn.rise > read.material and not learned_nothing:
            return _overfit(read, read.turn, evidence)
    if fall < LEARNED * abs(read.start):
        return _flat(read, fall, evidence)
    if read.gain.sure and read.gain.expected > read.material:
        return _falling(read, evidence)
    return _good(read, evidence) if read.turn is not None else _unclear(read, evidence)


def _overfit(read: _Read, turn: Turn, evidence: dict[str, float]) -> Diagnosis:
    at_turn, now = read.train.at(turn.step), float(read.train.values[-1])
    evidence |= {"train_loss_at_turn": at_turn}
    sentence = (
        f"overfit: dev loss fell to {turn.value:.3f} at step {turn.step:,} (between {turn.low:,} and "
        f"{turn.high:,}) and rose to {read.end:.3f} (both smoothed) by step {read.steps:,}, "
        f"{turn.rise / max(turn.value, 1e-9):.0%} more, while training loss went from {at_turn:.3f} to {now:.3f}"
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


def _flat(read: _Read, fall: float, evidence: dict[str, float]) -> Diagnosis:
    share = fall / max(abs(read.start), 1e-9)
    sentence = (
        f"underfit: the loss was {read.start:.3f} at first and {read.end:.3f} (smoothed) at the end; it fell by "
        f"{max(0.0, share):.1%} in {counted(read.steps, 'step')}, so next to nothing was learned"
    )
    noisy = read.train.noise > 0.1 * abs(read.end)
    advice = (
        "look at the learning rate: ten times more where the loss falls in a straight line, a tenth where it jumps",
        *(("larger steps (batch_size): the noise hides what is learned",) if noisy else ()),
        "let it learn one batch by heart (hone.train.guards.overfit_one_batch): a model that cannot is wired wrongly",
    )
    return Diagnosis(verdict="underfit", sentence=sentence, advice=advice, stop_step=None, evidence=evidence)


def _falling(read: _Read, evidence: dict[str, float]) -> Diagnosis:
    times = _times(read.gain, read.material)
    sentence = (
        f"underfit: the loss was still falling at step {read.steps:,}, from {read.start:.3f} to {read.end:.3f} "
        f"(smoothed); twice the steps would bring about {read.gain.expected:.3f} more"
    )
    advice = (
        f"train longer: steps {times * read.steps:,}{_how_far(times)}",
        "or a larger preset, where the device has room for it",
    )
    return Diagnosis(verdict="underfit", sentence=sentence, advice=advice, stop_step=None, evidence=evidence)


def _how_far(times: int) -> str:
    """Why that many, where it is more than the doubling that the sentence tells of."""
    return ", twice as many" if times == 2 else f", {times} times as many: each doubling until then would still count"


def _times(gain: Gain, material: float) -> int:
    """How many times the steps until another doubling would not count: a power of two, at most eight."""
    times, left = 1, gain.expected
    while left > material and times < _MOST_STEPS:
        times, left = 2 * times, left * max(gain.ratio, 0.1)
    return times


def _good(read: _Read, evidence: dict[str, float]) -> Diagnosis:
    turn, dev = read.turn, read.decides
    assert turn is not None
    enough = first_as_low(dev, turn.value + max(read.material / 3, float(dev.errors.min())))
    gap = read.end - float(read.train.values[-1])
    evidence |= {"gap": gap}
    since = f"level since about step {enough:,} of" if enough < read.steps else "lowest at its end, step"
    noise = f" ± {read.gain.error:.3f}, no more than its noise" if read.gain.expected > read.material else ""
    sentence = (
        f"good fit: dev loss is {read.end:.3f} (training {float(read.train.values[-1]):.3f}; smoothed), {since} "
        f"{read.steps:,}; twice the steps would bring about {read.gain.expected:.3f}{noise}"
    )
    advice = [f"done: {counted(enough, 'step is', 'steps are')} enough" if enough < 0.8 * read.steps else "done"]
    still = read.train.at(enough) - float(read.train.values[-1])
    if gap > 0.2 * abs(read.end) and still > read.material:
        advice.append(
            f"training loss fell by {still:.3f} more behind step {enough:,}, of no use on dev: longer would overfit"
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
        f"unclear: training loss levelled off at {read.end:.3f}, and dev was evaluated fewer than {LEAST_POINTS} "
        "times, so nothing tells a good fit from learning by heart"
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
    steps, values = _arrays(curves.metric)
    if len(steps) < LEAST_POINTS:
        return made
    if values.max() == values.min():
        return made  # a metric that never moves is best nowhere
    course = smooth(steps, -values if curves.higher_is_better else values)
    turn = turn_of(course)
    best = abs(turn.value)
    told = asdict(made) | {"metric_step": turn.step, "evidence": {**made.evidence, "best_metric": best}}
    if made.stop_step is not None and made.verdict == "overfit" and turn.low > (made.stop_high or made.stop_step):
        told["sentence"] += (
            f"; the metric goes another way: it is best at step {turn.step:,} ({best:.3f}), behind the turn of the "
            "loss: the model grows more confident where it is wrong and is right more often all the same"
        )
        told["advice"] = (
            f"stop at step {turn.step:,} by the metric, at {made.stop_step:,} where probabilities must be honest",
            *made.advice[1:],
        )
    return Diagnosis(**told)


def _arrays(points: Points) -> tuple[Any, Any]:
    """Steps and values in order; of a repeated step (after a resume) the last is taken."""
    by_step = {int(step): float(value) for step, value in points}
    steps = sorted(by_step)
    return np.array(steps, dtype=np.float64), np.array([by_step[step] for step in steps], dtype=np.float64)
