"""Curves are judged: on generated ones whose class is known by formula, and on real ones with labels from elsewhere."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hone.train.curves import gain_of_doubling, noise_of, smooth, turn_of
from hone.train.diagnosis import Curves, by_rate, diagnose
from hone.train.rate_curve import RateCurve, RateVerdict, judge_rate
from hone.train.spending import memory_report, why_slow

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "train"))
from curves import shown  # isort: skip
from generated_curves import Generated, generated

REAL = json.loads((Path(__file__).parent / "real_curves.json").read_text(encoding="utf-8"))


def judged(curve: Generated) -> Any:
    return diagnose(Curves(train=curve.train, dev=curve.dev))


# Generated curves. Rules were made while looking at seeds 0 to 8; 1000 was looked at by this test alone.


@pytest.mark.parametrize("seed", [0, 1000])
def test_thirty_generated_curves_are_told_apart(seed: int) -> None:
    curves = generated(seed)
    assert Counter(curve.label for curve in curves) == {"underfit": 10, "overfit": 10, "good fit": 10}
    wrong = [(curve.label, judged(curve).verdict) for curve in curves if judged(curve).verdict != curve.label]
    assert len(wrong) <= 1, wrong


@pytest.mark.parametrize("seed", [0, 1000])
def test_the_stopping_step_is_as_good_as_the_best(seed: int) -> None:
    """At the step that is named the curve without noise is within 3 % of its lowest."""
    for curve in generated(seed):
        found = judged(curve)
        if "underfit" in (curve.label, found.verdict):
            continue
        steps, values = zip(*curve.true_dev, strict=True)
        assert np.interp(found.stop_step, steps, values) <= 1.03 * min(values)
        assert found.stop_low <= found.stop_step <= found.stop_high


def test_the_class_of_a_generated_curve_does_not_hang_on_its_noise() -> None:
    """The same formula under other noise keeps its class: only the label's own criterion decides it."""
    labels = [[curve.label for curve in generated(seed)] for seed in (3, 4)]
    assert labels[0] == labels[1]


# Real curves.


def test_real_curves_of_each_class_carry_labels_from_rows_and_runs_that_are_not_shown() -> None:
    assert len(REAL) >= 9
    assert min(Counter(curve["label"] for curve in REAL).values()) >= 3
    for curve in REAL:
        rise, gain = curve["rise_on_b"], curve.get("gain_of_twice_the_steps", 0.0)
        assert curve["label"] == ("overfit" if rise > 0.03 else "underfit" if gain > 0.03 else "good fit")


def test_real_curves_are_told_apart() -> None:
    found = {curve["name"]: diagnose(Curves(**shown(curve))).verdict for curve in REAL}
    wrong = [curve["name"] for curve in REAL if found[curve["name"]] != curve["label"]]
    # Its rate falls in half a cosine to zero, and levels the curve by itself before the loss is through.
    assert set(wrong) <= {"shakespeare, 300 rows"}, wrong


@pytest.mark.parametrize("curve", REAL, ids=lambda curve: curve["name"])
def test_a_stopping_step_of_a_real_run_is_near_the_best_of_its_evaluations(curve: dict[str, Any]) -> None:
    found = diagnose(Curves(**shown(curve)))
    if found.verdict == "overfit":
        steps, losses, _ = zip(*curve["evaluations"], strict=True)
        assert np.interp(found.stop_step, steps, losses) <= 1.02 * min(losses)


# Laws of single parts.


def test_noise_is_measured_under_any_smooth_course() -> None:
    rng = np.random.default_rng(0)
    at = np.arange(400)
    course = 3 + 4 / (1 + at / 30) + 0.002 * at
    assert noise_of(course + rng.normal(0, 0.05, 400)) == pytest.approx(0.05, rel=0.15)
    assert noise_of(course) < 0.002
    assert math.isnan(noise_of([1.0, 2.0, 3.0]))


def test_a_straight_line_is_its_own_smooth_course_and_one_wild_point_does_not_bend_it() -> None:
    steps = np.arange(0, 300, 10, dtype=float)
    line = 5 - 0.01 * steps
    assert np.allclose(smooth(steps, line).values, line)
    rng = np.random.default_rng(1)
    noisy = line + rng.normal(0, 0.01, len(line))
    wild = noisy.copy()
    wild[12] += 3.0
    assert np.abs(smooth(steps, wild).values - line).max() < 0.05


def test_the_turn_of_a_parabola_is_its_vertex() -> None:
    steps = np.arange(0, 210, 10, dtype=float)
    rng = np.random.default_rng(2)
    turn = turn_of(smooth(steps, 1 + ((steps - 120) / 100) ** 2 + rng.normal(0, 0.005, len(steps))))
    assert turn.low <= 120 <= turn.high
    assert abs(turn.step - 120) <= 10
    assert turn.rise == pytest.approx(0.64, abs=0.05)
    assert turn.sure


def test_a_power_law_tells_what_twice_the_steps_bring() -> None:
    steps = np.arange(0, 4010, 10, dtype=float)
    for power in (0.3, 0.7):
        course = smooth(steps, 1 + 5 * (1 + steps / 5) ** -power)
        truth = 5 * ((1 + 4000 / 5) ** -power - (1 + 8000 / 5) ** -power)
        assert gain_of_doubling(course).expected == pytest.approx(truth, rel=0.1)


def test_the_order_of_points_and_steps_that_were_repeated_after_a_resume_change_nothing() -> None:
    curve = generated(0)[12]
    plain = judged(curve)
    mixed = [*curve.train[::2], *curve.train[1::2]]
    again = [(step, 99.0) for step, _ in curve.dev[:5]] + curve.dev
    assert diagnose(Curves(train=mixed, dev=again)) == plain


def test_the_metric_decides_where_it_goes_another_way_than_the_loss() -> None:
    steps = list(range(0, 1050, 50))
    train = [(step, 4 * 0.995**step) for step in range(10, 1010, 10)]
    dev = [(step, 1 + 3 * 0.99**step + 0.002 * max(0, step - 400)) for step in steps]
    metric = [(step, 0.9 * (1 - 0.997**step) - 0.0001 * max(0, step - 800)) for step in steps]
    found = diagnose(Curves(train=train, dev=dev, metric=metric))
    assert found.verdict == "overfit"
    assert found.stop_step in (350, 400, 450)
    assert found.metric_step in range(700, 1001)
    assert "by the metric" in found.advice[0]
    lower = diagnose(Curves(train=train, dev=dev, metric=[(s, -v) for s, v in metric], higher_is_better=False))
    assert lower.metric_step == found.metric_step


def test_too_few_points_are_said_to_be_too_few() -> None:
    assert diagnose(Curves(train=[(1, 2.0)])).verdict == "unclear"
    level = [(step, 1 + 3 * 0.9**step) for step in range(0, 400, 10)]
    found = diagnose(Curves(train=level))
    assert found.verdict == "unclear"
    assert "eval_every" in found.advice[0]


def test_a_loss_that_is_no_number_is_named_with_its_step() -> None:
    found = diagnose(Curves(train=[(10, 2.0), (20, 1.9), (30, float("nan")), (40, 1.0)]))
    assert found.stop_step == 30
    assert "not finite at step 30" in found.sentence


# What was measured is what is told.


def measured(dev: dict[int, float], metric: dict[int, float] | None = None, **changes: Any) -> Any:
    """The diagnosis of a run with these evaluations and a training loss that falls all the way."""
    train = [(step, 6.0 * 0.9**step) for step in range(1, max(dev) + 1)]
    return diagnose(Curves(train=train, dev=list(dev.items()), metric=list((metric or {}).items()), **changes))


STEEP = {0: 6.9, 50: 5.2, 100: 5.6, 150: 6.5, 200: 7.4, 250: 8.3, 300: 9.1, 350: 9.9, 400: 10.1}
STEEPER = {0: 8.0, 26: 0.37, 52: 0.62, 78: 0.97, 104: 1.01, 130: 1.02, 140: 1.02}


@pytest.mark.parametrize(("dev", "lowest"), [(STEEP, 50), (STEEPER, 26)])
def test_a_steep_beginning_does_not_move_the_turn_from_the_lowest_evaluation(
    dev: dict[int, float], lowest: int
) -> None:
    lower = measured(dev, {step: value / 2 for step, value in dev.items()}, higher_is_better=False)
    higher = measured(dev, {step: -value for step, value in dev.items()})
    for found in (lower, higher):
        assert (found.verdict, found.stop_step, found.metric_step) == ("overfit", lowest, lowest)
        assert found.stop_low < lowest < found.stop_high
        assert f"fell to {dev[lowest]:.3f} at step {lowest} " in found.sentence
        assert f"was {dev[max(dev)]:.3f} at step {max(dev)}" in found.sentence
    assert lower.evidence["best_metric"] == dev[lowest] / 2


def test_the_best_metric_is_that_of_the_step_that_the_run_keeps() -> None:
    """Of equal ones the lowest dev loss, and never step 0 (tests/train/test_best.py); what is on record goes first."""
    dev = {0: 0.2, 10: 4.0, 20: 1.0, 30: 2.0, 40: 3.0}
    metric = {0: 0.8, 10: 0.8, 20: 0.7, 30: 0.8, 40: 0.8}
    assert measured(dev, metric).metric_step == 30
    assert measured(dev, metric, kept_step=10).metric_step == 10
    assert measured(dev, dict.fromkeys(dev, 0.8)).metric_step is None


def test_smoothing_moves_no_point_by_more_than_its_noise_nor_beyond_what_was_measured() -> None:
    steps, values = np.array(list(STEEPER), dtype=float), np.array(list(STEEPER.values()))
    course = smooth(steps, values)
    assert np.abs(course.values - values).max() <= 2.0 * course.noise + 1e-12
    rng = np.random.default_rng(3)
    for _ in range(20):
        noisy = 4 * 0.7 ** np.arange(6) * np.exp(rng.normal(0, 0.1, 6))
        found = smooth(np.arange(6.0), noisy).values
        assert noisy.min() <= found.min()
        assert found.max() <= noisy.max()


def test_no_more_is_expected_than_a_loss_can_fall() -> None:
    steps = np.arange(0, 11, dtype=float)
    line = 7.2 - 0.7 * steps  # at twice the steps the line is far below zero
    gain = gain_of_doubling(smooth(steps, line))
    assert 0 < gain.expected < line[-1]
    # A power law towards zero loses the same share with each doubling, and this is then the truth.
    steps = np.arange(1, 401, dtype=float)
    gain = gain_of_doubling(smooth(steps, 5 / steps))
    assert gain.expected == pytest.approx(5 / 400 - 5 / 800, rel=0.05)


def test_nothing_is_predicted_from_five_points() -> None:
    falling = {0: 6.2, 1: 4.8, 2: 3.4, 3: 2.6, 4: 1.9}
    found = measured(falling)
    assert found.verdict == "underfit"
    assert "from 6.200 to 1.900; 5 points of it are too few to say what more steps would bring" in found.sentence
    assert found.advice == ("train longer: steps 8, twice as many",)
    assert not [key for key in found.evidence if "gain" in key]
    assert "twice the steps would bring" in measured({**falling, 5: 1.3}).sentence


def test_a_run_of_three_steps_is_told_how_far_it_came() -> None:
    train = [(1, 6.1), (2, 5.2), (3, 4.2)]
    rising = diagnose(Curves(train=train, dev=[(0, 4.0), (1, 4.1), (2, 4.3)]))
    falling = diagnose(Curves(train=train, dev=[(0, 6.2), (1, 6.0), (2, 5.2), (3, 4.2)]))
    unjudged = diagnose(Curves(train=train))
    assert "dev loss went from 4.000 to 4.300 in 2 steps and was lowest at the beginning" in rising.sentence
    assert "dev loss went from 6.200 to 4.200 in 3 steps and was lowest at the end" in falling.sentence
    assert "training loss went from 6.100 to 4.200 in 3 steps" in unjudged.sentence
    assert {rising.verdict, falling.verdict, unjudged.verdict} == {"unclear"}


# Rates.


def curve_of(losses: Any, **changes: Any) -> RateCurve:
    count = len(losses)
    values: dict[str, Any] = {
        "steps": list(range(1, count + 1)), "losses": list(losses), "grad_norms": [2.0] * count, "clip_norm": 1.0,
        "peak_rate": 1e-3, "total_steps": count, "update_ratio": 1e-3,
    }  # fmt: skip
    return RateCurve(**{**values, **changes})


def test_a_rate_is_refuted_by_a_loss_above_its_first_one_or_that_rose_again() -> None:
    rng = np.random.default_rng(0)
    noise = np.exp(rng.normal(0, 0.05, 100))
    above = judge_rate(curve_of(np.linspace(4, 9, 100) * noise))
    assert above is not None
    assert (above.verdict, above.suggested) == ("too high", 1e-4)
    back = np.concatenate([np.linspace(4, 1.5, 50), np.linspace(1.5, 3.2, 50)])
    rose = judge_rate(curve_of(back * noise))
    assert rose is not None
    assert (rose.verdict, rose.suggested) == ("too high", 3e-4)


def test_a_rate_is_refuted_where_wild_steps_learn_nothing() -> None:
    rng = np.random.default_rng(0)
    rests = rng.normal(6.3, 0.3, 60)
    found = judge_rate(curve_of(rests, update_ratio=0.2))
    assert found is not None
    assert (found.verdict, found.suggested) == ("too high", 1e-4)
    assert judge_rate(curve_of(rests, update_ratio=1e-3)) is None
    # What large steps have killed has small gradients; what has come down a little may yet learn.
    dead = judge_rate(curve_of(rests, update_ratio=0.2, grad_norms=[0.5] * 60))
    assert dead is not None
    assert dead.verdict == "too high"
    assert judge_rate(curve_of([6.6, *rests], update_ratio=0.2)) is None


def test_a_rate_is_refuted_where_nearly_all_losses_jump_about_far_above_the_first_ones() -> None:
    wild = 1.6 * np.exp(np.random.default_rng(0).normal(1.4, 0.5, 60))
    found = judge_rate(curve_of([1.6, 1.6, 1.7, *wild], update_ratio=0.05))
    assert found is not None
    assert (found.verdict, found.suggested) == ("too high", 1e-4)
    # A first batch that was an easy one beside two that were not.
    assert judge_rate(curve_of([1.6, 5.0, 6.5, *wild], update_ratio=0.05)) is None


def test_a_rate_is_too_low_where_the_loss_falls_slowly_in_a_line_and_weights_hardly_move() -> None:
    rng = np.random.default_rng(0)
    line = np.linspace(4.0, 3.7, 200) + rng.normal(0, 0.02, 200)
    found = judge_rate(curve_of(line, update_ratio=1e-5, total_steps=400))
    assert found is not None
    assert (found.verdict, found.suggested) == ("too low", 0.1)
    still = judge_rate(curve_of(line, update_ratio=0.0, total_steps=400))
    assert still is not None
    assert (still.verdict, still.suggested) == ("too low", 0.1)  # a hundred times the rate is the most that is said
    assert judge_rate(curve_of(line, update_ratio=None)) is None
    # A base that is good already rests where it is, with steps of the usual size.
    assert judge_rate(curve_of(rng.normal(2.0, 0.3, 200))) is None


def test_both_rates_of_muon_are_named_with_what_to_set() -> None:
    rests = np.random.default_rng(0).normal(6.3, 0.3, 60)
    found = judge_rate(curve_of(rests, update_ratio=0.2, peak_rate=0.6, matrix_rate=2.0))
    assert found is not None
    assert "(learning_rate 0.6, matrix_learning_rate 2, 100% of gradients clipped" in found.sentence
    assert found.sentence.endswith("try learning_rate 0.06, matrix_learning_rate 0.2")


# A loss of 6.5 that ends at 5.6, level: what is left of a rate a hundred times too high behind its decay.
def test_level_curves_under_a_rate_that_was_refuted_are_no_good_fit() -> None:
    def course(start: float, end: float) -> Curves:
        points = [(10 * step, end + (start - end) * math.exp(-step / 2)) for step in range(30)]
        return Curves(train=points, dev=points)

    high = RateVerdict(verdict="too high", sentence="learning rate too high: try learning_rate 0.06", suggested=0.06)
    plain = diagnose(course(6.5, 5.6))
    found = by_rate(plain, high)
    assert (plain.verdict, found.verdict, found.stop_step) == ("good fit", "underfit", None)
    assert "the learning rate was too high; the loss was 6.500 at first and 5.600 at the end" in found.sentence
    assert found.advice[0] == high.sentence
    assert not any("done" in line for line in found.advice)
    # A run that learned all the same keeps its verdict, and the rate is told beside it.
    learned = by_rate(diagnose(course(6.5, 0.5)), high)
    assert learned.verdict == "good fit"
    assert learned.sentence.endswith("; the learning rate was too high on the way")
    assert learned.advice[0] == high.sentence


# Time and memory.


def test_each_part_of_the_time_is_told_with_what_to_change() -> None:
    seconds = {"data": 5.0, "compute": 60.0, "evaluation": 30.0, "saving": 4.0, "start": 1.0, "other": 0.0}
    parts = why_slow(seconds, eval_every=100)
    assert [part.part for part in parts][:2] == ["compute", "evaluation"]
    assert sum(part.share for part in parts) == pytest.approx(1.0)
    assert [part.part for part in parts if part.too_much] == ["evaluation"]
    # Evaluating a fourth as often takes 7.5 of 77.5 seconds, less than a tenth; a third would take 10 of 80.
    assert "eval_every to 400 (now 100)" in parts[1].sentence
    assert "eval_every to 300, the end alone (now 100)" in why_slow(seconds, eval_every=100, steps=300)[1].sentence
    assert why_slow({}) == []


def test_a_run_of_some_seconds_is_not_told_how_to_be_faster() -> None:
    shares = {"compute": 0.5, "evaluation": 0.3, "start": 0.1, "saving": 0.1}
    parts = why_slow(shares, eval_every=4, steps=8)
    assert not [part.part for part in parts if part.too_much]
    assert not [part.sentence for part in parts if "eval_every" in part.sentence]
    assert why_slow({part: 100 * share for part, share in shares.items()})[1].too_much


@pytest.mark.parametrize(("steps", "unseen"), [(300, True), (800, True), (900, False), (1600, False)])
def test_who_would_judge_less_than_four_times_is_told_what_is_not_seen_then(steps: int, unseen: bool) -> None:
    """Each 400 steps, and the end, and step 0: 2, 3, 4 and 5 of 300, 800, 900 and 1,600 steps."""
    sentence = why_slow({"compute": 70.0, "evaluation": 30.0}, eval_every=100, steps=steps)[1].sentence
    assert ("where overfitting need not be seen" in sentence) is unseen


@pytest.mark.parametrize("how", [{"eval_every": 1000, "steps": 500}, {"eval_every": 100, "steps": 500, "in_box": True}])
@pytest.mark.parametrize(("part", "instead"), [("evaluation", "set fewer eval_rows"), ("saving", "a faster disk")])
def test_who_judges_the_end_alone_or_is_in_a_box_is_not_told_to_set_eval_every(
    how: dict[str, Any], part: str, instead: str
) -> None:
    """A box plans how often is judged, and nothing is judged less often than once."""
    sentence = why_slow({"compute": 50.0, part: 20.0}, **how)[1].sentence
    assert instead in sentence
    assert "eval_every" not in sentence


def test_the_estimate_stands_beside_the_peak_with_its_error() -> None:
    report = memory_report(110e6, 100e6)
    assert report is not None
    assert report.error == pytest.approx(0.1)
    assert report.line().endswith("110.0 MB estimated, 100.0 MB measured at the peak; the estimate was 10% too high")
    assert memory_report(None, 100e6) is None
