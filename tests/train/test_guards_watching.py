"""The guards of a running loop: each catches its planted fault, and all leave twenty healthy runs alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from healthy_runs import SETTINGS, Setting, carried_out, recipe_of, rows_of
from small_runs import SHAPE, VOCAB, examples

from hone.model.presets import from_scratch
from hone.task.recipe import Recipe
from hone.train.batches import Batch, collate
from hone.train.engine import fit
from hone.train.guards import check_examples, choices, overfit_one_batch, rates
from hone.train.guards.flow import FlowGuard, flow_of, layer_name
from hone.train.guards.rates import RateGuard
from hone.train.guards.spikes import WINDOW, SpikeGuard
from hone.train.guards.standard import standard_watchers
from hone.train.objectives import NextToken, Objective, TokenLoss
from hone.train.rate_curve import LEAST_POINTS, RateCurve, judge_rate
from hone.train.source import BatchSource
from hone.train.watching import Rewind, Say, Verdict, Watcher


def spoken(told: Sequence[Mapping[str, Any]], guard: str) -> list[Mapping[str, Any]]:
    """What a guard said, without the tables of gradient flow."""
    return [event for event in told if event["guard"] == guard and event["kind"] != "flow"]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda one: f"{one.task}-{one.seed}")
def test_twenty_healthy_runs_are_left_alone(setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(setting.task, setting.rows, setting.seed)
    check_examples(rows)
    curves: list[RateCurve] = []
    monkeypatch.setattr(rates, "judge_rate", lambda curve: curves.append(curve) or judge_rate(curve))
    told: list[Mapping[str, Any]] = []
    said: list[str] = []
    recipe = recipe_of(setting, steps=100)
    watchers = standard_watchers(recipe, told.append)
    _, steps, result = carried_out(setting, tmp_path, recipe=recipe, watchers=watchers, say=said.append)
    assert result.status == "finished"
    assert np.mean([one.loss for one in steps[-10:]]) < np.mean([one.loss for one in steps[:3]])
    assert [event for event in told if event["kind"] != "flow"] == []
    # No guard was silent because it never came to judge: curves long enough, a full window, ten looks at layers.
    assert [curve.steps[-1] for curve in curves if len(curve.steps) >= LEAST_POINTS] == [50, 75, 100]
    assert all(curve.update_ratio for curve in curves)
    states = {watcher.name: watcher.state() for watcher in watchers}
    assert len(states["spikes"]["recent"]) == WINDOW
    assert states["rates"]["said"] == []
    (first,) = [line for line in said if "a uniform guess has ln" in line]
    assert "than" not in first
    looks = [event for event in told if event["kind"] == "flow"]
    assert [event["step"] for event in looks] == list(range(10, 101, 10))
    # Every layer was moved and reached; a decoder's embedding is its head here (tied).
    reached = {layer["layer"]: layer for layer in looks[-1]["layers"]}
    assert reached.keys() >= {"embedding", *(f"layer {index}" for index in range(setting.layers))}
    assert all(layer["gradient"] > 0 and layer["dead_share"] < 0.5 for layer in reached.values())


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda one: f"{one.task}-{one.seed}")
def test_a_batch_of_each_healthy_run_is_learned_by_heart(setting: Setting) -> None:
    batch = collate([(row,) for row in rows_of(setting.task, 2, setting.seed)])
    # Babbling repeats itself, and what follows an id differs each time.
    steps = 150 if setting.task == "babbling" else 60
    found = overfit_one_batch(setting.model(), batch, objective=_unsmoothed(setting), steps=steps, learning_rate=2e-2)
    assert found.learned, found


def _unsmoothed(setting: Setting) -> Objective:
    """Smoothed labels cannot be learned to a loss near zero."""
    return setting.objective if setting.family else NextToken()


# The first loss.


class SeesWhatItPredicts(NextToken):
    """Asks at each position for the token that stands there: labels were not shifted."""

    def loss(self, model: torch.nn.Module, batch: Batch) -> TokenLoss:
        return super().loss(model, batch._replace(predict_from=batch.predict_from + 1))


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        ({"init_std": 1.0}, "more than twice that, so the initial weights are too large for this shape"),
        ({"objective": SeesWhatItPredicts()}, "less than half of that, so the model is not untrained, or it sees"),
        ({}, None),
    ],
)
def test_weights_too_large_and_a_leaking_label_show_at_the_first_step(
    fault: dict[str, Any], verdict: str | None, tmp_path: Path
) -> None:
    # Wide and shallow: a state is nearer to its own token than to the sixty others.
    module = from_scratch(replace(SHAPE, hidden=256, layers=1), 0, init_std=fault.get("init_std", 0.02))
    recipe = recipe_of(SETTINGS[0])
    said: list[str] = []
    source = BatchSource.of_recipe(rows_of("counting", 40, 0), recipe)
    objective = fault.get("objective", NextToken())
    fit(module, source, recipe, tmp_path, objective=objective, say=said.append, until_step=1)
    (line,) = [line for line in said if "a uniform guess has ln 60 = 4.09" in line]
    assert (verdict in line) if verdict else ("than" not in line)


# Spikes.


def fed(guard: Watcher, losses: Sequence[float], start: int = 1) -> list[Verdict | None]:
    """The verdicts on losses, as the loop asks for them."""
    views: Any = [SimpleNamespace(record=SimpleNamespace(step=start + i, loss=loss)) for i, loss in enumerate(losses)]
    return [guard.before_update(view) for view in views]


def falling(count: int, seed: int = 0, noise: float = 0.1) -> list[float]:
    """A healthy loss: 5 falling to 1, with noise of ten percent."""
    rng = np.random.default_rng(seed)
    return [float((1 + 4 / (1 + i / 10)) * math.exp(rng.normal(0, noise))) for i in range(count)]


@pytest.mark.parametrize("wanted", ["rewind", "say"])
def test_a_loss_above_the_first_one_is_a_spike_at_once(wanted: str) -> None:
    guard = SpikeGuard(Recipe(on_spike=wanted))
    assert not any(fed(guard, falling(80)))
    (verdict,) = fed(guard, [9.0], start=81)
    assert isinstance(verdict, Rewind if wanted == "rewind" else Say)
    line = verdict.reason if isinstance(verdict, Rewind) else verdict.line
    assert line.startswith("the loss leapt to 9.000" if wanted == "rewind" else "step 81: the loss leapt to 9.000")


def test_one_hard_batch_is_no_spike_and_two_in_a_row_are() -> None:
    losses = falling(80)
    assert not any(fed(SpikeGuard(Recipe()), [*losses, 4.0, *losses[-5:], 4.0, *losses[-5:]]))
    verdicts = fed(SpikeGuard(Recipe()), [*losses, 4.0, 4.1, *losses[-5:]])
    assert [isinstance(verdict, Say) for verdict in verdicts] == [False] * 81 + [True] + [False] * 5


def test_losses_near_zero_may_jump_by_a_hundred_times() -> None:
    rng = np.random.default_rng(1)
    small = [float(10 ** rng.uniform(-4, -2)) for _ in range(300)]
    assert not any(fed(SpikeGuard(Recipe()), [*falling(30), *small]))


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_is_no_spike(seed: int) -> None:
    noise = 0.02 + 0.02 * seed
    assert not any(fed(SpikeGuard(Recipe()), falling(500, seed, noise)))


def test_a_guard_put_back_into_a_state_comes_to_the_same_verdicts() -> None:
    losses = [*falling(80), 4.0, 4.1, *falling(30), 9.0]
    whole, first, second = SpikeGuard(Recipe()), SpikeGuard(Recipe()), SpikeGuard(Recipe())
    expected = fed(whole, losses)
    head = fed(first, losses[:81])
    second.load(first.state())
    assert head + fed(second, losses[81:], start=82) == expected


def test_rows_of_another_kind_in_the_middle_of_a_run_are_seen(tmp_path: Path) -> None:
    setting = SETTINGS[0]
    recipe = recipe_of(setting, steps=55)

    def rows(seed: int, epoch: int) -> Any:
        # The third epoch is noise: another file, or a bug in the augmentation.
        return examples(200, seed) if epoch == 2 else rows_of(setting.task, 200, seed)

    told: list[Mapping[str, Any]] = []
    said: list[str] = []
    model = from_scratch(SHAPE, 0)
    source = BatchSource.of_recipe(rows, recipe)
    fit(model, source, recipe, tmp_path, watchers=standard_watchers(recipe, told.append), say=said.append)
    (event,) = spoken(told, "spikes")[:1]
    assert event["step"] == 51
    assert event["loss"] > 2 * event["median"]
    assert f"step 51: {event['line']}" in said


def test_a_batch_of_garbage_is_passed_over_where_the_recipe_wants_it(tmp_path: Path) -> None:
    setting = SETTINGS[0]
    recipe = recipe_of(setting, steps=70).child(on_spike="rewind", eval_every=25)

    def rows(seed: int, epoch: int) -> Any:
        # One step of noise behind two epochs of 25 steps.
        return examples(8, seed) if epoch == 2 else rows_of(setting.task, 200, seed)

    model = from_scratch(SHAPE, 0)
    told: list[Mapping[str, Any]] = []
    watchers = standard_watchers(recipe, told.append)
    result = fit(model, BatchSource.of_recipe(rows, recipe), recipe, tmp_path, watchers=watchers)
    (passed,) = result.passed_over
    assert (passed.step, passed.back_to) == (51, 50)
    assert passed.first == (2, 0)
    assert passed.behind == (3, 0)
    assert [event["kind"] for event in spoken(told, "spikes")] == ["rewind"]
    assert result.step == 70


# Layers.


def cut_off(model: Any) -> None:
    """The last layer's output is thrown away."""
    model.model.layers[1].register_forward_hook(lambda module, args, out: args[0])


def nearly_cut_off(model: Any) -> None:
    """The last layer counts a hundred-millionth."""
    model.model.layers[1].register_forward_hook(lambda module, args, out: args[0] + 1e-8 * (out - args[0]))


class NeverFires(torch.nn.Module):
    """A rectifier whose threshold nothing reaches."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x - 1e3)


def dead_units(model: Any) -> None:
    """The activation of the last feed-forward never fires."""
    model.model.layers[1].mlp.act_fn = NeverFires()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (cut_off, "layer 1 gets no gradient at all"),
        (nearly_cut_off, "times less gradient than the others"),
        (dead_units, "layer 1 is dead: 100% of the units"),
    ],
)
def test_a_layer_that_nothing_reaches_is_named_once(fault: Any, told: str, tmp_path: Path) -> None:
    setting = SETTINGS[0]
    events, _, _ = carried_out(setting, tmp_path, recipe=recipe_of(setting, steps=40), change=fault)
    said = spoken(events, "flow")
    assert [event["step"] for event in said] == [20]
    assert told in said[0]["line"]
    assert "layer 0" not in said[0]["line"]


def test_frozen_layers_are_not_dead(tmp_path: Path) -> None:
    setting = SETTINGS[0]
    recipe = recipe_of(setting, steps=40).child(freeze=("*.layers.0.*",))
    events, _, _ = carried_out(setting, tmp_path, recipe=recipe)
    assert spoken(events, "flow") == []
    (last,) = [event for event in events if event["kind"] == "flow"][-1:]
    assert "layer 0" not in [layer["layer"] for layer in last["layers"]]


def test_flow_is_the_norm_of_gradients_and_weights_of_each_layer() -> None:
    model: Any = from_scratch(SHAPE, 0)
    batch = collate([(row,) for row in examples(4)])
    NextToken().loss(model, batch).total.backward()
    for one in flow_of(model):
        params = [param for name, param in model.named_parameters() if layer_name(name) == one.layer]
        grads = torch.cat([param.grad.flatten() for param in params])
        assert one.gradient == pytest.approx(float(grads.norm()), rel=1e-5)
        assert one.weight == pytest.approx(float(torch.cat([p.detach().flatten() for p in params]).norm()), rel=1e-5)


@pytest.mark.parametrize(
    ("parameter", "layer"),
    [
        ("model.layers.11.mlp.up_proj.weight", "layer 11"),
        ("bert.encoder.layer.3.attention.self.query.weight", "layer 3"),
        ("transformer.h.0.mlp.c_fc.weight", "layer 0"),
        ("model.embed_tokens.weight", "embedding"),
        ("lm_head.weight", "head"),
        ("classifier.weight", "head"),
        ("model.norm.weight", "other"),
    ],
)
def test_parameters_belong_to_layers_by_their_names(parameter: str, layer: str) -> None:
    assert layer_name(parameter) == layer


# Rates.


def test_a_rate_that_is_far_too_high_is_said_with_another(tmp_path: Path) -> None:
    setting = SETTINGS[0]
    recipe = recipe_of(setting, steps=75).child(learning_rate=3.0, warmup_steps=0)
    events, steps, _ = carried_out(setting, tmp_path, recipe=recipe)
    (event,) = spoken(events, "rates")
    assert "too high" in event["line"]
    assert "learning_rate 3," in event["line"]
    assert event["suggested"] <= 1
    assert "matrix" not in event["line"]
    assert np.median([one.loss for one in steps[-10:]]) > 0.8 * steps[0].loss


@pytest.mark.parametrize(
    ("task", "family", "rate", "seed"), [("class", "bert", 1.0, 226), ("tags", "roberta", 0.1, 225)]
)
def test_a_rate_that_is_too_high_is_said_where_the_loss_jumps_far_above_or_never_falls(
    task: str, family: str, rate: float, seed: int, tmp_path: Path
) -> None:
    """The first stands at four times its first loss and jumps by as much; the second is dead, so nothing is clipped."""
    kind = "classify-sequence" if task == "class" else "tag-tokens"
    setting = Setting(
        task=task, seed=seed, family=family, changes={"optimizer": "adamw", "learning_rate": rate, "objective": kind}
    )
    events, steps, _ = carried_out(setting, tmp_path, recipe=recipe_of(setting, steps=75))
    assert np.median([one.loss for one in steps[-20:]]) > 0.99 * steps[0].loss
    assert ["too high" in event["line"] for event in spoken(events, "rates")] == [True]


def test_a_run_of_single_rows_that_learns_slowly_is_left_alone(tmp_path: Path) -> None:
    """Every gradient is clipped and steps are large: at a tenth of the rate it learns less in 400 steps."""
    changes = {"optimizer": "muon", "learning_rate": 5e-3, "matrix_learning_rate": 0.02, "batch_size": 1}
    setting = Setting(task="doubling", seed=112, changes=changes)
    events, steps, _ = carried_out(setting, tmp_path, recipe=recipe_of(setting, steps=75))
    assert min(one.grad_norm for one in steps) > 1.0
    assert spoken(events, "rates") == []


@pytest.mark.parametrize("rate", [1e-5, 2e-6])
def test_a_rate_that_is_far_too_low_is_said_with_another(rate: float, tmp_path: Path) -> None:
    setting = SETTINGS[0]
    recipe = recipe_of(setting, steps=100).child(learning_rate=rate, warmup_steps=0)
    events, steps, _ = carried_out(setting, tmp_path, recipe=recipe)
    (event,) = spoken(events, "rates")
    assert "too low" in event["line"]
    assert 2 * rate <= event["suggested"] <= 100 * rate
    assert steps[-1].loss > 0.9 * steps[0].loss


def test_all_guards_go_on_from_a_checkpoint_as_if_nothing_had_happened(tmp_path: Path) -> None:
    setting = SETTINGS[0]
    recipe = recipe_of(setting, steps=75).child(learning_rate=0.5, warmup_steps=0, eval_every=30)
    whole, _, _ = carried_out(setting, tmp_path / "whole", recipe=recipe)
    head, _, _ = carried_out(setting, tmp_path / "parts", recipe=recipe, until_step=30)
    rest, _, _ = carried_out(setting, tmp_path / "parts", recipe=recipe)
    assert [*head, *rest] == whole


def test_what_every_run_is_watched_by() -> None:
    watched = standard_watchers(Recipe(steps=4000, on_spike="say"))
    assert [(one.name, one.every) for one in watched] == [("spikes", 1), ("flow", 50), ("rates", 1)]
    assert [one.name for one in standard_watchers(Recipe(on_spike="ignore"))] == ["flow", "rates"]
    flow = FlowGuard(10)
    states = [one.state() for one in (SpikeGuard(Recipe()), flow, RateGuard(Recipe(), flow))]
    assert all(set(map(type, state.values())) <= {list, dict, float, int, str, type(None)} for state in states)


def test_an_untrained_model_guesses_among_its_vocabulary() -> None:
    assert choices(from_scratch(SHAPE, 0), NextToken()) == VOCAB
