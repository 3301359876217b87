"""Weights that a model computes with beside those that are trained: what the engine does with a transform."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import RECIPE, examples, fresh_each_epoch, judge, model, outcome, small_fit
from torch import nn

from hone.train.batches import collate
from hone.train.engine import fit
from hone.train.guards.flow import FlowGuard
from hone.train.objectives import NextToken
from hone.train.records import Judgement
from hone.train.source import BatchSource
from hone.train.transforms import Underneath

EIGHTH = 0.125


class Coarse:
    """Matrices rounded to multiples of an eighth."""

    step = EIGHTH

    def __init__(self, module: nn.Module) -> None:
        self._params = [param for param in module.parameters() if param.ndim == 2]

    @property
    def params(self) -> Sequence[nn.Parameter]:
        return self._params

    def apply(self) -> None:
        for param in self._params:
            param.data.copy_(torch.round(param.data / self.step) * self.step)


class Fine(Coarse):
    """So fine that gradients reach every layer, and still far coarser than a small step."""

    step = EIGHTH / 64


def is_coarse(module: nn.Module) -> bool:
    return all(torch.equal(torch.round(p / EIGHTH) * EIGHTH, p) for p in module.parameters() if p.ndim == 2)


def fit_coarse(folder: Path, **arguments: Any) -> Any:
    return small_fit(folder, transform=Coarse, evaluate=judge, **arguments)


def test_ten_steps_are_three_a_pause_and_seven_with_a_transform(tmp_path: Path) -> None:
    whole = outcome(fit_coarse(tmp_path / "whole"))
    fit_coarse(tmp_path / "parts", until_step=3)
    assert outcome(fit_coarse(tmp_path / "parts")) == whole
    assert outcome(small_fit(tmp_path / "plain", evaluate=judge)) != whole


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_what_is_judged_kept_and_left_is_transformed(tmp_path: Path, average: float) -> None:
    recipe, seen = RECIPE.child(average=average), []

    def watch(module: nn.Module, step: int) -> Judgement:
        seen.append(is_coarse(module))
        return judge(module, step)

    module = model()
    result = fit(
        module, BatchSource.of_recipe(fresh_each_epoch, recipe), recipe, tmp_path, evaluate=watch, transform=Coarse
    )
    assert seen == [True, True, True]
    assert is_coarse(module)
    from hone.train.checkpoints import load_weights

    load_weights(module, result.best_weights)
    assert is_coarse(module)


def test_trained_values_move_by_less_than_the_transform_can_say() -> None:
    module = model()
    before = module.model.layers[0].mlp.up_proj.weight.detach().clone()
    underneath = Underneath(Coarse(module))
    with underneath.shown():
        assert torch.equal(module.model.layers[0].mlp.up_proj.weight, before)
        module.model.layers[0].mlp.up_proj.weight.data += 1e-3
    assert is_coarse(module)
    with underneath.shown():
        assert torch.equal(module.model.layers[0].mlp.up_proj.weight, before + 1e-3)


def test_the_gradient_passes_straight_through() -> None:
    """As by the estimator written out: rounded in the forward pass, the identity in the backward one."""
    plain, rounded = model(), model()
    batch = collate([(one,) for one in examples(6)])
    Coarse(rounded).apply()
    NextToken().loss(rounded, batch).total.backward()

    values = dict(plain.named_parameters())
    straight = {
        name: value + (torch.round(value / EIGHTH) * EIGHTH - value).detach() if value.ndim == 2 else value
        for name, value in values.items()
    }
    logits = torch.func.functional_call(plain, straight, (), {"input_ids": batch.ids, "use_cache": False}).logits
    losses = nn.functional.cross_entropy(logits.flatten(0, 1)[batch.predict_from], batch.targets, reduction="sum")
    losses.backward()
    for name, value in rounded.named_parameters():
        expected = values[name].grad
        assert expected is not None
        assert torch.allclose(value.grad, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max())), name


def test_how_far_a_step_moves_weights_is_told_of_the_trained_ones(tmp_path: Path) -> None:
    """At a rate a thousand times smaller rounded values stand still, and those they are made of do not."""
    ratios = {}
    for name, transform in (("plain", None), ("rounded", Fine)):
        recipe = RECIPE.child(learning_rate=1e-6, matrix_learning_rate=1e-6)
        watcher = FlowGuard(2)
        small_fit(tmp_path / name, recipe, transform=transform, watchers=[watcher])
        ratios[name] = watcher.update_ratio or 0.0
    assert 0 < ratios["plain"] < 1e-3
    assert ratios["rounded"] == pytest.approx(ratios["plain"], rel=0.2)
