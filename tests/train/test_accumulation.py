"""Law 2: the gradient does not depend on how the rows of a step are cut up or dealt out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_runs import RECIPE, apart, gradient, gradient_two, model

from hone.errors import InputError
from hone.train.fabric import connect
from hone.train.stepping import normalise


def assert_same(one: dict, other: dict) -> None:
    largest = max(np.abs(grad).max() for grad in one["grads"].values())
    for name, grad in one["grads"].items():
        assert np.abs(grad - other["grads"][name]).max() <= 1e-6 * largest, name
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-9)
    assert one["norm"] == pytest.approx(other["norm"], rel=1e-9)


def test_eight_rows_at_once_are_eight_times_one_row() -> None:
    whole = gradient(0, 1, 1)
    assert_same(whole, gradient(0, 1, 8))
    assert_same(whole, gradient(0, 1, 4))


def test_two_processes_of_four_times_one_row_are_eight_rows_at_once() -> None:
    whole = gradient(0, 1, 1)
    ranks = apart(gradient_two, 4)
    assert len(ranks) == 2
    for rank in ranks:
        assert_same(whole, rank)


def test_clipping_is_to_the_norm_of_the_whole_gradient() -> None:
    module = model()
    params = list(module.parameters())
    for param in params:
        param.grad = param.detach().clone() + 1
    whole = np.sqrt(sum(float((param.grad.double() ** 2).sum()) for param in params)) / 5
    assert float(normalise(params, num_tokens=torch.tensor(5), processes=1, clip_norm=0.5)) == pytest.approx(
        whole, rel=1e-5
    )
    clipped = np.sqrt(sum(float((param.grad.double() ** 2).sum()) for param in params))
    assert clipped == pytest.approx(0.5, rel=1e-4)


def test_a_recipe_for_more_processes_than_there_are_says_how_to_start_them() -> None:
    with pytest.raises(InputError, match=r"2 processes and this is one of 1.*launch"):
        connect(RECIPE.child(processes=2))
