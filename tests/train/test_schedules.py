"""Schedules against values worked out by hand."""

from __future__ import annotations

import math

import pytest

from hone.task.recipe import Recipe
from hone.train.schedules import constant, rate_factor, warmup_cosine, warmup_stable_decay


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
        for name in ("constant", "warmup-stable-decay", "warmup-cosine")
    }
    assert by_name == {"constant": 1.0, "warmup-stable-decay": 1.0, "warmup-cosine": pytest.approx(0.5)}
