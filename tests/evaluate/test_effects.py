"""The interval of an effect over seeds and rows: published quantiles, and coverage and power by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from hone.errors import InputError
from hone.evaluate.effects import crossed_effect, t_quantile


@pytest.mark.parametrize(
    ("share", "freedom", "published"),
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 4, 2.776),
        (0.975, 9, 2.262),
        (0.975, 30, 2.042),
        (0.95, 5, 2.015),
        (0.8, 2, 1.061),
        (0.975, 100_000, 1.960),
    ],
)
def test_quantiles_are_those_of_the_tables(share: float, freedom: float, published: float) -> None:
    assert t_quantile(share, freedom) == pytest.approx(published, abs=6e-4)


def simulated(random: np.random.Generator, effect: float, seeds: int = 4, rows: int = 200) -> np.ndarray:
    luck_of_seeds = random.normal(0, 0.02, (seeds, 1))
    kind_of_rows = random.normal(0, 0.3, (1, rows))
    return np.asarray(effect + luck_of_seeds + kind_of_rows + random.normal(0, 0.3, (seeds, rows)))


def test_the_interval_covers_the_truth_at_least_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    found = [crossed_effect(simulated(random, 0.03)) for _ in range(600)]
    covered = np.mean([effect.low <= 0.03 <= effect.high for effect in found])
    assert covered >= 0.94


def test_an_effect_of_the_detectable_size_is_found_in_about_four_of_five() -> None:
    random = np.random.default_rng(1)
    size = float(np.median([crossed_effect(simulated(random, 0.0)).detectable for _ in range(200)]))
    found = [crossed_effect(simulated(random, size)).verdict == "better" for _ in range(400)]
    assert 0.7 <= np.mean(found) <= 0.97


def test_no_effect_is_seldom_called_one() -> None:
    random = np.random.default_rng(2)
    verdicts = [crossed_effect(simulated(random, 0.0)).verdict for _ in range(400)]
    assert np.mean([verdict != "no difference seen" for verdict in verdicts]) <= 0.06


def test_one_seed_has_no_interval() -> None:
    with pytest.raises(InputError, match="at least 2 seeds and 2 rows; got 1 and 5"):
        crossed_effect(np.zeros((1, 5)))
