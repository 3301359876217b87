"""Schedules against values worked out by hand, and against those of Transformers and torch."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from transformers import optimization

from hone.task.recipe import Recipe
from hone.train.schedules import constant, rate_factor, warmup_cosine, warmup_linear, warmup_stable_decay


def test_warmup_is_linear_and_starts_above_zero() -> None:
    for schedule in (
        lambda step: constant(step, warmup_steps=4),
        lambda step: warmup_cosine(step, steps=100, warmup_steps=4),
        lambda step: warmup_stable_decay(step, steps=100, warmup_steps=4, decay_share=0.2),
    ):
        assert [schedule(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_cosine_is_half_a_cosine_behind_the_warmup() -> None:
    at = {step: warmup_cosine(step, steps=110, warmup_steps=10) for step in (10, 35, 60, 85, 110, 500)}
    assert at[10] == 1.0
    assert at[35] == pytest.approx(0.5 + 0.25 * math.sqrt(2))
    assert at[60] == pytest.approx(0.5)
    assert at[85] == pytest.approx(0.5 - 0.25 * math.sqrt(2))
    assert at[110] == at[500] == pytest.approx(0.0, abs=1e-15)


def test_stable_decay_falls_linearly_over_the_stated_share() -> None:
    factors = [warmup_stable_decay(step, steps=20, warmup_steps=0, decay_share=0.25) for step in range(20)]
    assert factors[:16] == [1.0] * 16
    assert factors[16:] == pytest.approx([0.8, 0.6, 0.4, 0.2])


def test_stable_part_does_not_know_the_horizon() -> None:
    short = [warmup_stable_decay(step, steps=100, warmup_steps=5, decay_share=0.3) for step in range(70)]
    long = [warmup_stable_decay(step, steps=1000, warmup_steps=5, decay_share=0.3) for step in range(70)]
    assert short == long


def test_no_warmup_and_no_decay_is_the_peak_from_the_first_step() -> None:
    recipe = Recipe(warmup_steps=0, decay_share=0.0, steps=7)
    assert {rate_factor(recipe, step) for step in range(7)} == {1.0}


def test_each_schedule_of_a_recipe_is_reached_by_name() -> None:
    by_name = {
        name: rate_factor(Recipe(schedule=name, steps=100, warmup_steps=0, decay_share=0.1), 50)
        for name in ("constant", "warmup-stable-decay", "warmup-cosine", "warmup-linear")
    }
    half = pytest.approx(0.5)
    assert by_name == {"constant": 1.0, "warmup-stable-decay": 1.0, "warmup-cosine": half, "warmup-linear": half}


# Against the schedules of Transformers, whose warmup starts at zero: their step is ours plus one until the peak.


def transformers_factors(make, steps: int, **arguments) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer, **arguments)
    factors = []
    for _ in range(steps):
        factors.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return factors


@pytest.mark.parametrize("warmup", [0, 1, 7])
@pytest.mark.parametrize(
    ("schedule", "least", "make", "arguments"),
    [
        ("warmup-linear", 0.0, optimization.get_linear_schedule_with_warmup, {"num_training_steps": 40}),
        ("warmup-cosine", 0.0, optimization.get_cosine_schedule_with_warmup, {"num_training_steps": 40}),
        (
            "warmup-cosine",
            0.1,
            optimization.get_cosine_with_min_lr_schedule_with_warmup,
            {"num_training_steps": 40, "min_lr_rate": 0.1},
        ),
        ("constant", 0.0, optimization.get_constant_schedule_with_warmup, {}),
        (
            "warmup-stable-decay",
            0.2,
            optimization.get_wsd_schedule,
            {"num_training_steps": 40, "num_decay_steps": 10, "decay_type": "linear", "min_lr_ratio": 0.2},
        ),
        (
            "warmup-stable-decay",
            0.0,
            optimization.get_wsd_schedule,
            {"num_training_steps": 40, "num_decay_steps": 10, "decay_type": "linear"},
        ),
    ],
)
def test_schedules_are_those_of_transformers_but_for_the_first_update(schedule, least, make, arguments, warmup) -> None:
    recipe = Recipe(schedule=schedule, steps=40, warmup_steps=warmup, decay_share=0.25, least_rate=least)
    theirs = transformers_factors(make, 40, num_warmup_steps=warmup, **arguments)
    ours = [rate_factor(recipe, step) for step in range(40)]
    if least == 0:  # theirs begins a warmup at the least rate, ours at zero
        assert ours[: max(0, warmup - 1)] == pytest.approx(theirs[1:warmup])
    assert ours[warmup:] == pytest.approx(theirs[warmup:])


def test_cosine_without_warmup_is_torchs_annealing() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30, eta_min=0.05)
    for step in range(30):
        assert warmup_cosine(step, steps=30, warmup_steps=0, least=0.05) == pytest.approx(annealing.get_last_lr()[0])
        optimizer.step()
        annealing.step()


def test_linear_falls_evenly_from_the_peak_to_the_least_rate() -> None:
    factors = [warmup_linear(step, steps=12, warmup_steps=2, least=0.5) for step in range(12)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[3:] == pytest.approx([1 - 0.05 * (step - 2) for step in range(3, 12)])


@pytest.mark.parametrize("schedule", ["warmup-linear", "warmup-cosine", "warmup-stable-decay"])
def test_a_falling_schedule_never_goes_below_the_least_rate(schedule: str) -> None:
    recipe = Recipe(schedule=schedule, steps=50, warmup_steps=0, least_rate=0.3)
    factors = [rate_factor(recipe, step) for step in range(60)]
    assert min(factors) == pytest.approx(0.3)
    assert factors[50:] == pytest.approx([0.3] * 10)
    assert all(later <= earlier for earlier, later in itertools.pairwise(factors))
