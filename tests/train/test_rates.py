"""Rates from formulas, against worked examples."""

from __future__ import annotations

import pytest

from hone.errors import InputError
from hone.train.rates import step_law_rate, supervised_token_rate


def test_the_rate_by_supervised_tokens_is_that_of_its_worked_example() -> None:
    advice = supervised_token_rate(base_rate=5e-5, supervised_tokens=2_000_000, steps=350, epochs=1)
    assert advice.rate == pytest.approx(1.88982e-6, rel=1e-5)
    assert advice.line().startswith("learning rate 1.89e-06 = 5e-05 * sqrt(5,714 supervised tokens in a batch")


def test_more_epochs_in_as_many_steps_are_larger_batches() -> None:
    one = supervised_token_rate(base_rate=3e-4, supervised_tokens=10_000, steps=100)
    four = supervised_token_rate(base_rate=3e-4, supervised_tokens=10_000, steps=100, epochs=4)
    assert four.rate == pytest.approx(2 * one.rate)


@pytest.mark.parametrize(
    ("parameters", "tokens", "rate"),
    [(10**6, 10**8, 2.70e-2), (15 * 10**6, 3 * 10**8, 5.48e-3), (135 * 10**6, 27 * 10**8, 2.25e-3)],
)
def test_step_law_gives_its_values(parameters: int, tokens: int, rate: float) -> None:
    advice = step_law_rate(parameters=parameters, tokens=tokens)
    assert advice.rate == pytest.approx(rate, rel=2e-3)
    assert f"{parameters:,}^-0.713" in advice.line()
    assert advice.to_json()["rate"] == advice.rate


def test_numbers_that_are_not_positive_are_refused_all_at_once() -> None:
    with pytest.raises(InputError) as refusal:
        supervised_token_rate(base_rate=0.0, supervised_tokens=-1, steps=3)
    assert len(refusal.value.problems) == 2
