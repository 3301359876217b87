"""Optimizers against their definitions: AdamW step by step, Muon by its singular values; what they move and keep."""

from __future__ import annotations

import pytest
import torch
from small_runs import RECIPE, model, weights_hash
from torch import nn

import hone.train.muon as muon_module
from hone.errors import FailedError, InputError
from hone.model.presets import Shape, from_scratch
from hone.train.averaging import Average
from hone.train.layers import depths, rate_shares
from hone.train.muon import LEVEL, PART_OF_MEAN, REACHES, Muon, Polynomial, orthogonalise, polynomials_for
from hone.train.optimizers import build_optimizers, describe, hidden_matrices


def with_spectrum(spectrum: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    u = torch.linalg.qr(torch.randn(rows, rows, generator=generator, dtype=torch.float64))[0]
    v = torch.linalg.qr(torch.randn(columns, columns, generator=generator, dtype=torch.float64))[0]
    small = min(rows, columns)
    return u[:, :small] @ torch.diag(spectrum.double()) @ v[:small]


def by_the_svd(matrix: torch.Tensor) -> torch.Tensor:
    """What is approximated."""
    u, _, vh = torch.linalg.svd(matrix.double(), full_matrices=False)
    return LEVEL * u @ vh


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(32, 32), (64, 32), (32, 64), (24, 96), (128, 352), (200, 200)])
def test_singular_values_down_to_an_eighth_of_their_mean_come_near_the_level(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    side = min(shape)
    error = {3: 0.28, 4: 0.22}[len(polynomials_for(side))] + 0.02 * (dtype == torch.bfloat16)
    for spectrum in (
        torch.ones(side),
        torch.logspace(-0.8, 0, side),
        torch.ones(side).index_fill(0, torch.tensor(0), 3.0),
    ):
        assert spectrum.min() >= spectrum.square().mean().sqrt() / PART_OF_MEAN
        for size in (1e-4, 1.0, 1e3):
            matrix = size * with_spectrum(spectrum, *shape)
            values = torch.linalg.svdvals(orthogonalise(matrix.to(dtype)[None])[0].double())
            assert LEVEL * (1 - error) < values.min() <= values.max() < LEVEL * (1 + error)


@pytest.mark.parametrize("rank", [1, 5])
def test_what_lies_below_grows_and_never_overshoots(rank: int) -> None:
    spectrum = torch.cat([torch.ones(rank), torch.logspace(-6, -3, 64 - rank)])
    values = torch.linalg.svdvals(orthogonalise(with_spectrum(spectrum, 64, 64).float()[None])[0])
    assert values.max() < LEVEL * 1.28


@pytest.mark.parametrize(("reach", "steps"), REACHES)
def test_each_polynomial_is_the_best_for_the_interval_that_the_one_before_leaves(
    reach: float, steps: tuple[Polynomial, ...]
) -> None:
    """Chebyshev: of three free coefficients the best have four equal largest errors of changing sign."""
    low, high = reach, 1.0
    for index, (a, b, c) in enumerate(steps):
        last = index + 1 == len(steps)
        room, level = (1.0, LEVEL) if last else (1.01, 1.0)
        x = torch.linspace(low, high, 400_001, dtype=torch.float64)
        values = (a * room * x + b * room**3 * x**3 + c * room**5 * x**5) / level
        inside = values[1:-1]
        turns = inside[((inside - values[:-2]) * (values[2:] - inside)) < 0]
        errors = torch.cat([values[:1], turns, values[-1:]]) - 1
        assert len(errors) == 4
        assert torch.allclose(errors.abs(), errors.abs().mean().expand(4), atol=4e-3)
        assert (errors[1:] * errors[:-1] < 0).all()
        low, high = float(values.min()), float(values.max())


def test_an_orthogonalised_gradient_moves_like_the_exact_one() -> None:
    for seed, shape in enumerate([(128, 128), (352, 128), (128, 352), (256, 704)]):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        exact, found = by_the_svd(matrix), orthogonalise(matrix[None])[0].double()
        assert (exact * found).sum() / (exact.norm() * found.norm()) > 0.96


def test_wide_matrices_by_their_gram_matrices_are_those_by_the_matrices_themselves() -> None:
    wide = torch.randn(3, 16, 64, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    wide /= wide.norm(dim=(-2, -1), keepdim=True)
    for _, steps in REACHES:
        assert torch.allclose(muon_module._directly(wide, steps), muon_module._by_gram(wide, steps), atol=1e-9)


def test_a_matrix_without_gradient_stays_without_update() -> None:
    assert orthogonalise(torch.zeros(1, 8, 32)).abs().max() == 0


def test_orthogonalising_keeps_the_directions() -> None:
    u, _ = torch.linalg.qr(torch.randn(24, 24, generator=torch.Generator().manual_seed(1)))
    v, _ = torch.linalg.qr(torch.randn(24, 24, generator=torch.Generator().manual_seed(2)))
    spectrum = torch.linspace(0.2, 5.0, 24)
    out = orthogonalise((u @ torch.diag(spectrum) @ v.T)[None])[0]
    in_basis = u.T @ out @ v
    assert (in_basis - torch.diag(in_basis.diagonal())).abs().max() < 1e-4


def test_stacking_does_not_change_a_matrix() -> None:
    matrices = torch.randn(5, 32, 16, generator=torch.Generator().manual_seed(3))
    together, alone = orthogonalise(matrices), torch.cat([orthogonalise(one[None]) for one in matrices])
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_muon_step_is_nesterov_momentum_orthogonalised_and_scaled() -> None:
    weight = nn.Parameter(torch.randn(64, 16, generator=torch.Generator().manual_seed(4)))
    start, momentum = weight.detach().clone(), torch.zeros(64, 16)
    optimizer = Muon([weight], lr=0.1, momentum=0.9, weight_decay=0.5)
    for seed in (5, 6):
        grad = torch.randn(64, 16, generator=torch.Generator().manual_seed(seed))
        momentum = 0.9 * momentum + 0.1 * grad
        update = orthogonalise((0.1 * grad + 0.9 * momentum)[None])[0]
        start = start * (1 - 0.1 * 0.5) - 0.1 * 2.0 * update  # sqrt(64 / 16) = 2
        weight.grad = grad
        optimizer.step()
    assert torch.allclose(weight, start, atol=1e-5)


def test_muon_refuses_what_is_not_a_matrix() -> None:
    with pytest.raises(ValueError, match="matrices"):
        Muon([nn.Parameter(torch.zeros(3))], lr=0.1)


def test_adamw_is_adamw_with_decay_on_matrices_only() -> None:
    recipe = RECIPE.child(optimizer="adamw", weight_decay=0.1, learning_rate=0.01)
    module = model()
    (part,) = build_optimizers(module, recipe)
    for index, param in enumerate(module.parameters()):
        param.grad = torch.randn(param.shape, generator=torch.Generator().manual_seed(index))
    expected = {}
    for name, param in module.named_parameters():
        # First step: both bias-corrected moments are the gradient itself, so the update is g / (|g| + eps).
        decayed = param.detach() * (1 - 0.01 * 0.1 * (param.ndim == 2))
        expected[name] = decayed - 0.01 * param.grad / (param.grad.abs() + 1e-8)
    assert part.set_rate(1.0) == 0.01
    part.optimizer.step()
    for name, param in module.named_parameters():
        assert torch.allclose(param, expected[name], atol=1e-6), name


def test_muon_takes_the_hidden_matrices_and_nothing_else() -> None:
    module = model()
    hidden = hidden_matrices(module)
    assert len(hidden) == 2 * 7
    assert not any("embed" in name or "norm" in name for name in hidden)
    adamw, muon = build_optimizers(module, RECIPE)
    assert set(muon.names.values()) == hidden
    assert set(adamw.names.values()) == {name for name, _ in module.named_parameters()} - hidden


def test_the_average_warms_up_and_gives_the_weights_back_to_the_bit() -> None:
    module = nn.Linear(2, 1, bias=False)
    average = Average(module, decay=0.5)
    by_hand = module.weight.detach().clone()
    for update in range(6):
        with torch.no_grad():
            module.weight.add_(1.0)
        average.update()
        keep = min(0.5, (1 + update) / (10 + update))
        by_hand = keep * by_hand + (1 - keep) * module.weight.detach()
    own = module.weight.detach().clone()
    with average.applied():
        assert torch.allclose(module.weight, by_hand)
        assert not torch.allclose(module.weight, own)
    assert torch.equal(module.weight, own)


def give_gradients(module: nn.Module, seed: int) -> None:
    for index, param in enumerate(module.parameters()):
        generator = torch.Generator().manual_seed(1000 * seed + index)
        param.grad = torch.randn(param.shape, generator=generator) if param.requires_grad else None


def stepped(module: nn.Module, parts: list, seeds: range) -> nn.Module:
    for seed in seeds:
        give_gradients(module, seed)
        for part in parts:
            part.set_rate(1.0)
            part.optimizer.step()
    return module


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "muon"])
@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_an_optimizer_goes_on_from_its_saved_state_to_the_bit(optimizer: str, layer_decay: float) -> None:
    recipe = RECIPE.child(optimizer=optimizer, layer_decay=layer_decay, weight_decay=0.1)
    whole = model()
    stepped(whole, build_optimizers(whole, recipe), range(6))
    first = model()
    parts = build_optimizers(first, recipe)
    stepped(first, parts, range(3))
    saved = {name: value.clone() for part in parts for name, value in part.tensors().items()}
    second = model()
    second.load_state_dict(first.state_dict())
    parts = build_optimizers(second, recipe)
    for part in parts:
        part.load(saved)
    assert {name: value.shape for part in parts for name, value in part.tensors().items()} == {
        name: value.shape for name, value in saved.items()
    }
    stepped(second, parts, range(3, 6))
    assert weights_hash(second) == weights_hash(whole)


def test_state_of_a_parameter_that_is_not_trained_is_refused() -> None:
    (part,) = build_optimizers(model(), RECIPE.child(optimizer="adamw"))
    with pytest.raises(FailedError, match=r"no\.such\.weight, which adamw does not train"):
        part.load({"adamw/exp_avg/no.such.weight": torch.zeros(1)})


def test_adafactor_moves_a_matrix_by_the_rate_times_its_own_size_and_keeps_rows_and_columns() -> None:
    module = model()
    (part,) = build_optimizers(module, RECIPE.child(optimizer="adafactor", learning_rate=0.01, weight_decay=0.0))
    before = {name: param.detach().clone() for name, param in module.named_parameters()}
    grads = {}
    for name, param in module.named_parameters():
        # A gradient of rank one has second moments of rank one, which rows and columns hold exactly: the update is
        # the gradient's signs.
        generator = torch.Generator().manual_seed(len(name))
        column, row = (
            torch.randn(param.shape[0], generator=generator),
            torch.randn(param.shape[-1], generator=generator),
        )
        param.grad = grads[name] = column[:, None] * row[None] if param.ndim == 2 else column
    part.set_rate(1.0)
    part.optimizer.step()
    for name, param in module.named_parameters():
        size = max(1e-3, float(before[name].square().mean().sqrt()))
        assert torch.allclose(param, before[name] - 0.01 * size * grads[name].sign(), atol=1e-5), name
    shapes = {name: value.shape for name, value in part.tensors().items()}
    assert shapes["adafactor/row_var/model.layers.0.mlp.up_proj.weight"] == (64, 1)
    assert shapes["adafactor/col_var/model.layers.0.mlp.up_proj.weight"] == (1, 32)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "muon"])
def test_a_layers_rate_is_the_decay_times_that_of_the_layer_above(optimizer: str) -> None:
    recipe = RECIPE.child(optimizer=optimizer, layer_decay=0.5, learning_rate=0.01, matrix_learning_rate=0.1)
    module = from_scratch(Shape(hidden=32, layers=2, heads=2, kv_heads=2, ffn=64, vocab=60, context=64, tied=False), 0)
    parts = build_optimizers(module, recipe)
    for part in parts:
        part.set_rate(0.5)
    rates = {
        part.names[param]: group["lr"] / (0.5 * part.peak_rate)
        for part in parts
        for group in part.optimizer.param_groups
        for param in group["params"]
    }
    assert set(rates) == {name for name, _ in module.named_parameters()}
    for name, rate in rates.items():
        layer = {"model.embed_tokens.weight": 0.125, "model.norm.weight": 1.0, "lm_head.weight": 1.0}
        expected = layer.get(name, 0.25 if ".layers.0." in name else 0.5)
        assert rate == pytest.approx(expected), name


def test_rates_by_layer_give_muon_the_same_update_times_the_share() -> None:
    plain, decayed = model(), model()
    start = {name: param.detach().clone() for name, param in plain.named_parameters()}
    for module, decay in ((plain, 1.0), (decayed, 0.5)):
        stepped(module, build_optimizers(module, RECIPE.child(layer_decay=decay, weight_decay=0.0)), range(1))
    shares = rate_shares(decayed, list(start), 0.5)
    moved = dict(plain.named_parameters())
    for name, param in decayed.named_parameters():
        assert torch.allclose(param - start[name], shares[name] * (moved[name] - start[name]), atol=1e-6), name


def test_depth_is_read_from_the_names_of_the_field() -> None:
    class Layered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embeddings = nn.ModuleDict({"word": nn.Embedding(5, 4), "LayerNorm": nn.LayerNorm(4)})
            self.encoder = nn.ModuleDict({"layer": nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])})
            self.classifier = nn.Linear(4, 2)

    by_name = depths(Layered())
    assert {by_name[name] for name in by_name if name.startswith("embeddings")} == {0}
    assert by_name["encoder.layer.0.weight"] == 1
    assert by_name["encoder.layer.1.bias"] == 2
    assert by_name["classifier.weight"] == 3
    assert hidden_matrices(Layered()) == {"encoder.layer.0.weight", "encoder.layer.1.weight"}


def test_rates_by_layer_without_layers_are_refused() -> None:
    with pytest.raises(InputError, match=r"layer_decay is 0\.9 and no trained parameter.*set layer_decay to 1"):
        rate_shares(nn.Linear(3, 3), ["weight", "bias"], 0.9)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "muon"])
def test_frozen_parameters_are_left_alone_and_the_others_are_not(optimizer: str) -> None:
    module = model()
    before = {name: param.detach().clone() for name, param in module.named_parameters()}
    recipe = RECIPE.child(optimizer=optimizer, freeze=("*embed*", "*.layers.[0]*"))
    parts = build_optimizers(module, recipe)
    stepped(module, parts, range(2))
    for name, param in module.named_parameters():
        frozen = "embed" in name or ".layers.0." in name
        assert torch.equal(param, before[name]) == frozen, name
    assert not any("embed" in name or ".layers.0." in name for part in parts for name in part.tensors())


def test_freezing_a_tied_head_freezes_the_embedding_and_says_so() -> None:
    module = model()  # tied: lm_head.weight is the embedding
    recipe = RECIPE.child(freeze=("lm_head.*",))
    lines = describe(module, recipe)
    size = module.get_input_embeddings().weight.numel()
    total = sum(param.numel() for param in module.parameters())
    assert lines[0] == f"{total - size:,} parameters are trained, {size:,} are frozen"
    assert lines[1] == "model.embed_tokens.weight and lm_head.weight are one tensor, frozen for both"
    assert module.get_input_embeddings().weight.requires_grad  # telling changes nothing
    build_optimizers(module, recipe)
    assert not module.get_input_embeddings().weight.requires_grad


def test_patterns_that_match_nothing_are_refused_all_at_once_with_near_names() -> None:
    with pytest.raises(InputError) as refusal:
        build_optimizers(model(), RECIPE.child(freeze=("embed_tokens", "*.layers.7.*", "*.mlp.*")))
    first, second = refusal.value.problems
    assert 'freeze "embed_tokens" matches none' in first
    assert 'did you mean "*embed_tokens*", which matches model.embed_tokens.weight' in first
    assert '"*.layers.7.*"' in second


def test_freezing_everything_is_refused() -> None:
    module = model()
    with pytest.raises(InputError, match=r"leaves none of the .* parameters to train"):
        build_optimizers(module, RECIPE.child(freeze=("*",)))
    assert all(param.requires_grad for param in module.parameters())


def test_rates_by_layer_are_told_from_the_embeddings_to_the_head() -> None:
    module = model()
    recipe = RECIPE.child(layer_decay=0.5, learning_rate=0.004, matrix_learning_rate=0.02)
    lines = describe(module, recipe)
    told = "times by layer: embeddings 0.125, layer 0 0.25, layer 1 0.5, head 1"
    assert lines[-1] == f"peak rates: adamw 0.004, muon 0.02, {told}"
    assert "with the rate of an embedding" in lines[1]
    plain = describe(model(), RECIPE.child(optimizer="adafactor", learning_rate=0.01))
    assert plain[-1] == "peak rates: adafactor 0.01"
