"""Shapes: the formula counts what the module has, the seed decides the weights, quantized rows divide."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from hone.errors import InputError
from hone.model.estimate import MicroBatch, flops_per_token, parameter_figure, training_memory, training_seconds
from hone.model.memory import activation_bytes, held_bytes
from hone.model.presets import PRESETS, Shape, from_scratch, matrix_parameters, parameters, preset, shape_of
from hone.model.sizes import size_of
from hone.task.recipe import Recipe

GROUPED = Shape(hidden=96, layers=3, heads=6, kv_heads=2, ffn=160, vocab=301, context=32, tied=False)
SMALL = ("tiny", "500k", "1m", "2m")


@pytest.mark.parametrize("arch", ["llama", "qwen3"])
@pytest.mark.parametrize("shape", [*(PRESETS[name] for name in SMALL), GROUPED], ids=[*SMALL, "grouped, untied"])
def test_the_formula_counts_the_parameters_of_the_module(shape: Shape, arch: str) -> None:
    shape = replace(shape, arch=arch)  # type: ignore[arg-type]
    module = from_scratch(shape, seed=0)
    assert parameters(shape) == sum(param.numel() for param in module.parameters())
    named = dict(module.named_parameters())
    lookup_only = {"model.embed_tokens.weight"} if not shape.tied else set()
    used = sum(param.numel() for name, param in named.items() if param.ndim == 2 and name not in lookup_only)
    assert matrix_parameters(shape) == used


@pytest.mark.parametrize("arch", ["llama", "qwen3"])
@pytest.mark.parametrize("name", [name for name in PRESETS if name not in SMALL])
def test_the_formula_counts_large_presets_too(name: str, arch: str) -> None:
    shape = replace(PRESETS[name], arch=arch)  # type: ignore[arg-type]
    with torch.device("meta"):  # no memory and no arithmetic
        module = from_scratch(shape, seed=0)
    assert parameters(shape) == sum(param.numel() for param in module.parameters())
    assert matrix_parameters(shape) == sum(param.numel() for param in module.parameters() if param.ndim == 2)


MILLIONS = {
    "500k": 0.5,
    "1m": 1,
    "2m": 2,
    "5m": 5,
    "15m": 15,
    "20m": 20,
    "30m": 30,
    "60m": 60,
    "125m": 125,
    "350m": 350,
}


@pytest.mark.parametrize(("name", "millions"), MILLIONS.items())
def test_a_preset_has_about_as_many_parameters_as_its_name_says(name: str, millions: float) -> None:
    assert parameters(preset(name)) / 1e6 == pytest.approx(millions, rel=0.12)


def test_every_matrix_of_a_preset_divides_into_quantized_blocks() -> None:
    for shape in PRESETS.values():
        assert shape.hidden % 64 == 0
        assert shape.ffn % 32 == 0
        assert (shape.heads * shape.head_width) % 32 == 0
    for name in ("15m", "30m", "60m", "125m", "350m"):  # whole blocks of K-quants, and heads as wide as kernels like
        shape = PRESETS[name]
        assert (shape.hidden % 256, shape.ffn % 256, shape.head_width) == (0, 0, 64), name


def test_the_seed_decides_the_weights_and_the_callers_generator_is_left_alone() -> None:
    shape = PRESETS["tiny"]
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    one, same, other = (from_scratch(shape, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_the_initial_deviation_is_the_one_asked_for() -> None:
    for std in (0.02, 0.08):
        named = dict(from_scratch(PRESETS["1m"], 0, init_std=std).named_parameters())
        assert float(named["model.embed_tokens.weight"].detach().std()) == pytest.approx(std, rel=0.02)
        assert float(named["model.layers.0.mlp.up_proj.weight"].detach().std()) == pytest.approx(std, rel=0.02)


def test_a_recipe_says_preset_vocabulary_context_and_rotation() -> None:
    recipe = Recipe(base="scratch:2m-qwen3", context=96, rope_theta=500.0)
    shape = shape_of(recipe, 777)
    assert (shape.hidden, shape.arch, shape.vocab, shape.context, shape.rope_theta) == (192, "qwen3", 777, 96, 500.0)
    config = from_scratch(shape, 0).config
    assert config.rope_parameters["rope_theta"] == 500.0
    assert shape_of(Recipe(base="scratch"), 300).hidden == PRESETS["1m"].hidden


def test_wrong_shapes_and_names_are_sentences() -> None:
    with pytest.raises(InputError) as refusal:
        replace(GROUPED, hidden=100, ffn=50, kv_heads=4)
    assert len(refusal.value.problems) == 4
    with pytest.raises(InputError, match='preset "1mm" is not known; did you mean "1m"'):
        preset("1mm")
    with pytest.raises(InputError, match="not made from scratch"):
        shape_of(Recipe(base="some/folder"), 300)


def test_operations_per_token_are_those_of_the_matrix_products() -> None:
    shape = PRESETS["1m"]
    layers = 4 * (4 * 128 * 128 + 3 * 128 * 352)
    assert flops_per_token(shape, 60).value == 6 * (layers + 1024 * 128) + 12 * 4 * 128 * 60


@pytest.mark.parametrize("name", ["tiny", "1m", "1m-qwen3", "2m"])
def test_activations_are_estimated_to_a_sixth_of_what_is_kept(name: str) -> None:
    shape, rows, tokens = preset(name), 4, 48
    module = from_scratch(shape, 0)
    weights = {param.untyped_storage().data_ptr() for param in module.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def remember(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids = torch.randint(4, shape.vocab, (rows, tokens))
    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        hidden = module.model(input_ids=ids, use_cache=False).last_hidden_state.flatten(0, 1)  # type: ignore[operator, union-attr]
        torch.nn.functional.cross_entropy(module.lm_head(hidden), ids.flatten())  # type: ignore[operator]
    real = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    # The estimate also counts the gradient of the logits, which does not exist before the backward pass.
    estimate = activation_bytes(size_of(shape), rows=rows, tokens_per_row=tokens) - rows * tokens * shape.vocab * 4
    assert real == pytest.approx(estimate, rel=1 / 6)


def test_training_memory_counts_each_moment_and_average() -> None:
    shape = PRESETS["1m"]
    count, hidden = parameters(shape), 4 * (4 * 128 * 128 + 3 * 128 * 352)

    def fixed(recipe: Recipe) -> int:
        return held_bytes(size_of(shape), recipe)

    assert fixed(Recipe(optimizer="adamw", average=0.0)) == 16 * count
    assert fixed(Recipe(optimizer="adamw", average=0.9)) == 20 * count
    assert fixed(Recipe(optimizer="muon", average=0.0)) == 16 * count - 4 * hidden


def test_every_figure_says_its_formula() -> None:
    lines = [
        parameter_figure(PRESETS["1m"]).line(),
        flops_per_token(PRESETS["1m"], 60).line(),
        training_memory(PRESETS["1m"], Recipe(average=0.9), MicroBatch(rows=32, longest=80)).line(),
        training_seconds(3e6, 10_000).line(),
    ]
    assert lines[0].startswith("parameters: 935,040 = V*h + L*(")
    assert "6*N + 12*L*h*T" in lines[1]
    assert "average" in lines[2]
    assert lines[3] == "training time: 300 s = 3,000,000 tokens / 10,000 tokens per second (measured)"
    assert math.isfinite(training_seconds(1, 1).value)
