"""Quantization of whole models: what is read, rounded, trained on the grid, offered and refused."""

from __future__ import annotations

import copy
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.deploy.quantization.aware import OnGrid, OwnAnswers, calibrated_grid, on_grid
from hone.deploy.quantization.calibration import batches_of, moments, places, reading_order
from hone.deploy.quantization.grids import Grid, nearest, recognised, values_of
from hone.deploy.quantization.mixed import LADDERS, fitting, mixed_kinds
from hone.deploy.quantization.offered import Offer, as_written, best_of, offers, prepare, same_answers, telling
from hone.deploy.quantization.replaying import Replay
from hone.deploy.quantization.sequence import matrix_of, round_matrices
from hone.errors import InputError
from hone.files import read_json, write_json
from hone.model.folder import save_model_folder
from hone.task.recipe import Recipe
from hone.train.engine import fit
from hone.train.source import BatchSource

EMBEDDING = "model.embed_tokens.weight"
RECIPE = Recipe(base="here", eval_every=100, batch_size=8, context=128, warmup_steps=1, optimizer="adamw")


@pytest.fixture
def module(built: Any) -> Any:
    """A copy of the toy model, width 64."""
    return copy.deepcopy(built.module)


def weights_of(module: Any) -> dict[str, np.ndarray]:
    return {name: matrix_of(module, name) for name in places(module)}


def trained(module: Any, built: Any, folder: Path, steps: int, rate: float, **more: Any) -> None:
    recipe = RECIPE.child(steps=steps, learning_rate=rate)
    fit(module, BatchSource.of_recipe(built.examples, recipe), recipe, folder, **more)


def apart(objective: OwnAnswers, module: Any, batch: Any) -> float:
    with torch.no_grad():
        return float(objective.loss(module, batch).total)


# What is read.


def test_every_stored_matrix_has_a_place_and_a_tied_one_is_read_as_the_output_layer(module: Any) -> None:
    found = places(module)
    assert set(found) == {name for name, param in module.named_parameters() if param.ndim == 2}
    assert (found[EMBEDDING].embeds, found[EMBEDDING].multiplies) == (True, True)


def test_matrices_that_read_one_input_are_read_together_and_the_output_layer_last(module: Any, built: Any) -> None:
    order = reading_order(module, batches_of(built.examples)[0])
    first, last = "model.layers.0.self_attn.", order[-1]
    assert order[0] == tuple(f"{first}{part}_proj.weight" for part in "qkv")
    assert last == (EMBEDDING,)
    assert len(order) == 2 * 4 + 1


def test_inputs_behind_finished_layers_are_those_that_the_whole_model_gives(module: Any, built: Any) -> None:
    """Finished layers are not computed again; what stands behind them reads the same numbers to the bit."""
    batches = batches_of(built.examples)
    known = [name for name in places(module) if "layers" in name]
    first = [name for name in known if "layers.0" in name]
    second = [name for name in known if name not in first]
    wanted = moments(module, batches, second)
    work, calls = copy.deepcopy(module), []
    replay = Replay(work, batches, known)
    work.model.layers[0].self_attn.register_forward_hook(lambda *_: calls.append(1))
    replay.finish(first[:-1])
    assert not calls, "a layer with an open matrix is not finished"
    replay.finish(first)
    once = len(calls)
    found = moments(work, batches, second, begin=replay.begin)
    assert len(calls) == once == len(batches)
    assert all(np.array_equal(found[name], wanted[name]) for name in second)


def test_mean_squares_are_the_diagonal_of_the_second_moments(module: Any, built: Any) -> None:
    batches, names = batches_of(built.examples), list(places(module))
    whole, squares = moments(module, batches, names), moments(module, batches, names, squares=True)
    for name in names:
        assert np.allclose(np.diag(whole[name]), squares[name], rtol=1e-4)


def test_second_moments_are_those_of_real_tokens_alone(module: Any, built: Any) -> None:
    """Of the first layer the inputs are the normalised embeddings, whatever the padding beside them."""
    rows, name = built.examples[:5], "model.layers.0.self_attn.q_proj.weight"
    found = moments(module, batches_of(rows), [name, EMBEDDING])
    ids = torch.cat([torch.from_numpy(np.asarray(one.ids, np.int64)) for one in rows])
    with torch.no_grad():
        given = module.model.layers[0].input_layernorm(module.model.embed_tokens(ids)).double()
    assert np.allclose(found[name], (given.T @ given / len(ids)).numpy(), rtol=1e-4, atol=1e-7)
    assert found[EMBEDDING].shape == (64, 64)


# What is rounded.


@pytest.mark.parametrize("grid", [Grid(4, 32), Grid(8, 32), Grid(4, 16)])
def test_torch_rounds_as_numpy_does_to_the_bit(grid: Grid) -> None:
    plain = (np.random.default_rng(0).standard_normal((50, 96)) * 0.1).astype(np.float32)
    plain[0, :32], plain[1, 3], plain[1, 4] = 0, 0.7, -0.7
    assert np.array_equal(on_grid(torch.from_numpy(plain), grid).numpy(), values_of(nearest(plain, *grid)))


def test_calibrated_rounding_diverges_less_than_plain_and_the_model_stays_as_it_was(module: Any, built: Any) -> None:
    before = weights_of(module)
    found = {one.how: one for one in offers(module, "q4_0", built.examples[:30], built.examples[30:])}
    assert found["gptq"].kld_mean < found["none"].kld_mean
    assert best_of(list(found.values())).kld_mean == min(one.kld_mean for one in found.values())
    assert all(np.array_equal(before[name], now) for name, now in weights_of(module).items())
    assert set(found["gptq"].codes) == set(before)


def test_a_mixture_takes_larger_kinds_where_they_help_within_its_budget(module: Any, built: Any) -> None:
    sizes = sum(one.size for one in weights_of(module).values())
    budget = int(sizes * 6 / 8)
    mixture, costs = mixed_kinds(module, "q4_0", built.examples, budget)
    assert mixture.size_bytes <= budget
    assert set(mixture.kinds.values()) > {"q4_0"}
    assert all(by_kind["q8_0"] < by_kind["q4_0"] for by_kind in costs.values())
    prepared = prepare(built.folder, "q4_0", built.examples, how="gptq", kinds=mixture.kinds, module=module)
    assert {name: codes.bits for name, codes in prepared.codes.items()} == {
        name: {"q4_0": 4, "q8_0": 8}[kind] for name, kind in mixture.kinds.items() if kind in ("q4_0", "q8_0")
    }
    weighed = {name for name, kind in mixture.kinds.items() if kind == "q5_0"}
    assert set(prepared.importance) == weighed


def test_a_matrix_that_is_decided_keeps_its_kind_and_k_kinds_are_for_rows_of_256(module: Any, built: Any) -> None:
    budget = sum(one.size for one in weights_of(module).values())
    mixture, costs = mixed_kinds(module, "q4_0", built.examples, budget, fixed={EMBEDDING: "q8_0"})
    assert mixture.kinds[EMBEDDING] == "q8_0"
    assert EMBEDDING not in costs
    assert {kind for kinds in costs.values() for kind in kinds} == {"q4_0", "q5_0", "q8_0", "f16"}
    assert fitting(LADDERS["q4_0"], 256) == list(LADDERS["q4_0"])


def test_importance_is_kept_for_what_a_writer_rounds_and_the_others_are_rounded_behind_it(
    module: Any, built: Any
) -> None:
    """That the file says what was measured is tested with files (test_mixture_files.py)."""
    name = "model.layers.1.mlp.up_proj.weight"
    kinds = {name: "q5_0", EMBEDDING: "f16"}
    (offer,) = offers(module, "q4_0", built.examples[:30], built.examples[30:], hows=("gptq",), kinds=kinds)
    assert set(offer.codes) == set(places(module)) - set(kinds)
    assert set(offer.importance) == {name}
    # Behind a matrix in floats and a coarse one the others are rounded otherwise than by themselves.
    alone = round_matrices(module, batches_of(built.examples[:30]), dict.fromkeys(offer.codes, "q4_0"), "gptq")
    last = "model.layers.1.mlp.down_proj.weight"
    assert not np.array_equal(offer.codes[last].codes, alone[last].codes)
    coarse = as_written(matrix_of(module, name), "q5_0", offer.importance[name])
    assert 0 < np.abs(coarse - matrix_of(module, name)).max() < 0.1


# Training on the grid.


def test_plain_rounding_leaves_what_was_trained_on_the_grid(module: Any, built: Any, tmp_path: Path) -> None:
    before = weights_of(module)
    trained(module, built, tmp_path, 4, 1e-2, transform=partial(OnGrid, weights="q4_0"))
    for name, values in weights_of(module).items():
        assert np.array_equal(values_of(nearest(values, 4)), values)
        assert not np.array_equal(values, values_of(nearest(before[name], 4))), f"{name} was not trained"


def test_training_that_goes_on_from_gptq_begins_with_its_codes_and_ends_on_its_scales(
    module: Any, built: Any, tmp_path: Path
) -> None:
    kinds = dict.fromkeys(places(module), "q4_0")
    codes = round_matrices(module, batches_of(built.examples), kinds, "gptq")
    begun = copy.deepcopy(module)
    calibrated_grid(begun, "q4_0", built.examples).apply()
    for name, values in weights_of(begun).items():
        assert np.array_equal(values, values_of(codes[name]))
    own = OwnAnswers(module)
    batch = batches_of(built.examples)[0]
    assert apart(own, module, batch) == pytest.approx(0, abs=1e-4)
    worse = apart(own, begun, batch)
    grid = partial(calibrated_grid, weights="q4_0", examples=built.examples)
    trained(module, built, tmp_path, 20, 2e-4, transform=grid, objective=own)
    assert apart(own, module, batch) < 0.9 * worse
    assert all(recognised(values, 4) is not None for values in weights_of(module).values())


def test_a_run_that_goes_on_finds_its_grid_again_to_the_bit(built: Any, tmp_path: Path) -> None:
    grid = partial(calibrated_grid, weights="q4_0", examples=built.examples)

    def run(folder: str, until_step: int | None = None) -> dict[str, np.ndarray]:
        started = copy.deepcopy(built.module)
        own = OwnAnswers(started)
        trained(started, built, tmp_path / folder, 6, 1e-3, transform=grid, objective=own, until_step=until_step)
        return weights_of(started)

    whole = run("whole")
    paused = run("parts", until_step=3)
    resumed = run("parts")
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)
    assert not all(np.array_equal(whole[name], paused[name]) for name in whole)


# What is offered, and refused.


def test_a_folder_that_was_trained_for_a_format_gives_its_own_weights_as_codes(built: Any, tmp_path: Path) -> None:
    module = copy.deepcopy(built.module)
    calibrated_grid(module, "q4_0", built.examples).apply()
    stored = read_json(built.folder / "hone.json")["examples"]
    folder = tmp_path / "model"
    save_model_folder(folder, module, built.tokenizer, built.renderer, stored, {"task": "toy", "aware": "q4_0"})
    for weights in ("q4_0", "int4", "int4-g16"):
        prepared = prepare(folder, weights, [])
        assert prepared.how == "aware"
        for name, codes in prepared.codes.items():
            assert np.array_equal(values_of(codes), matrix_of(module, name))
    assert prepare(folder, "int4-g64", built.examples, how="none").how == "", "two scales of its grid are not one"
    with pytest.raises(InputError, match=r"was trained for q4_0.*leave gptq out"):
        prepare(folder, "q4_0", built.examples, how="gptq")
    spoiled = Path(shutil.copytree(built.folder, tmp_path / "spoiled"))
    write_json(spoiled / "hone.json", {**read_json(spoiled / "hone.json"), "aware": "q4_0"})
    with pytest.raises(InputError, match="does not lie on its grid"):
        prepare(spoiled, "q4_0", [])


def test_what_is_prepared_is_said_and_what_cannot_be_is_refused(module: Any, built: Any) -> None:
    said: list[str] = []
    prepared = prepare(built.folder, "int4", built.examples, module=module, say=said.append)
    assert prepared.how in ("importance", "gptq")
    assert prepared.rows == 30
    assert [line.split(":")[0] for line in said] == ["int4, none", "int4, importance", "int4, gptq", "int4"]
    assert prepare(built.folder, "q8_0", []).codes == {}
    said.clear()
    weighed = prepare(built.folder, "q5_0", built.examples, how="importance", module=module, say=said.append)
    assert set(weighed.importance) == set(places(module))
    assert [line.split(":")[0] for line in said] == ["q5_0, importance"]
    for weights, how, sentence in (
        ("q4_0", "gtpq", 'did you mean "gptq"'),
        ("f16", "gptq", "nothing to calibrate"),
        ("q5_0", "gptq", "q5_0 takes importance"),
    ):
        with pytest.raises(InputError, match=sentence):
            prepare(built.folder, weights, built.examples, how=how, module=module)
    with pytest.raises(InputError, match="calibration needs rows"):
        prepare(built.folder, "q4_0", [], how="gptq", module=module)


def test_long_work_says_how_much_is_left_and_short_work_nothing() -> None:
    said: list[str] = []
    often, seldom = telling(said.append, "q4_0, gptq", every_s=0), telling(said.append, "short", every_s=1e9)
    for share in (0.25, 0.5, 1.0):
        often(share)
        seldom(share)
    assert [line.split(" of")[0] for line in said] == ["q4_0, gptq: 25%", "q4_0, gptq: 50%"]
    assert all(line.endswith(" s left") for line in said)


def test_a_way_whose_divergence_is_no_number_is_never_the_best() -> None:
    broken, fine = (
        Offer(how=how, kld_mean=kld, same_top=1.0, positions=1, seconds=0.0)
        for how, kld in (("none", float("nan")), ("gptq", 0.5))
    )
    assert best_of([broken, fine]).how == best_of([fine, broken]).how == "gptq"


def test_of_several_labels_each_is_a_decision() -> None:
    """Two rows of three labels; one label of the first is given no more, and its likeliest label is another one."""
    before = torch.tensor([[3.0, 2.0, -1.0], [-2.0, -1.0, 4.0]])
    after = torch.tensor([[-1.0, 2.0, -1.0], [-2.0, -1.0, 4.0]])
    assert same_answers(before, after, several=True) == (5, 6)
    assert same_answers(before, after, several=False) == (1, 2)
