"""Averaged weights through the engine: once per optimizer step, whatever is accumulated, frozen or resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import RECIPE, examples, judge, model, small_fit, weights_hash
from torch import nn

from hone.task.recipe import Recipe
from hone.train.checkpoints import Checkpoints
from hone.train.engine import fit
from hone.train.source import BatchSource

AVERAGED = RECIPE.child(average=0.6, steps=6, eval_every=6, batch_size=8, freeze=("*embed*",), optimizer="adamw")


def trained(folder: Path, recipe: Recipe, **arguments: Any) -> tuple[list[dict], dict, nn.Module]:
    """The weights after each step, the weights that were judged at the end, and the module (float64)."""
    module = model().double()
    after: list[dict] = [copied(module)]
    judged: dict[str, torch.Tensor] = {}

    def evaluate(seen: nn.Module, step: int) -> Any:
        judged.clear()
        judged.update(copied(seen))
        return judge(seen, step)

    source = BatchSource.of_recipe(examples(), recipe)
    fit(
        module, source, recipe, folder,
        evaluate=evaluate, on_step=lambda record: after.append(copied(module)), **arguments,
    )  # fmt: skip
    return after, judged, module


def copied(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: param.detach().clone() for name, param in module.named_parameters()}


@pytest.mark.parametrize("accumulate", [1, 4])
def test_what_is_judged_is_the_average_of_the_weights_behind_each_optimizer_step(
    tmp_path: Path, accumulate: int
) -> None:
    after, judged, module = trained(tmp_path, AVERAGED.child(accumulate=accumulate))
    by_hand = after[0]
    for update, weights in enumerate(after[1:]):
        keep = min(0.6, (1 + update) / (10 + update))
        by_hand = {name: keep * value + (1 - keep) * weights[name] for name, value in by_hand.items()}
    for name, value in judged.items():
        assert torch.allclose(value, by_hand[name], atol=1e-12), name
        assert torch.equal(module.get_parameter(name), after[-1][name])
        frozen = "embed" in name
        assert torch.equal(value, after[0][name]) == frozen, name


def test_accumulating_changes_no_average(tmp_path: Path) -> None:
    one = trained(tmp_path / "1", AVERAGED.child(accumulate=1))[1]
    four = trained(tmp_path / "4", AVERAGED.child(accumulate=4))[1]
    # Adam divides by the root of the second moments, which makes rounding visible where gradients are near nought.
    assert all(torch.allclose(one[name], four[name], atol=1e-7) for name in one)


def test_frozen_parameters_take_no_room_in_the_state(tmp_path: Path) -> None:
    trained(tmp_path, AVERAGED)
    saved = Checkpoints(tmp_path / "checkpoints", print).newest()
    assert saved is not None
    kept = {name for name in saved.tensors if "embed" in name}
    assert kept == {"weights/model.embed_tokens.weight"}
    assert "average/model.norm.weight" in saved.tensors


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adafactor", "schedule": "warmup-linear", "least_rate": 0.1, "batch_tokens": 120},
        {"layer_decay": 0.7, "freeze": ("*.layers.0.mlp*",), "packing": True, "schedule": "warmup-cosine"},
        {"optimizer": "adamw", "layer_decay": 0.7, "freeze": ("lm_head*",), "batch_tokens": 200, "packing": True},
    ],
)
def test_a_pause_in_the_middle_changes_no_bit(tmp_path: Path, changes: dict) -> None:
    recipe = RECIPE.child(**changes)
    whole, _ = small_fit(tmp_path / "whole", recipe, evaluate=judge)
    small_fit(tmp_path / "paused", recipe, until_step=3, evaluate=judge)
    paused, _ = small_fit(tmp_path / "paused", recipe, evaluate=judge)
    assert paused == whole
    assert whole != weights_hash(model())
