"""Optimizers against their definitions: AdamW step by step, Muon by its singular values."""

from __future__ import annotations

import pytest
import torch
from small_runs import RECIPE, model
from torch import nn

from hone.train.averaging import Average
from hone.train.muon import Muon, orthogonalise
from hone.train.optimizers import build_optimizers, hidden_matrices


@pytest.mark.parametrize("shape", [(4, 32, 32), (2, 64, 32), (3, 32, 96)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(matrices))
    # The authors' coefficients trade exactness for speed: [0.68, 1.13] at the fixed points, smaller only for
    # directions that were almost absent (a square random matrix has some).
    assert values.max() < 1.25
    assert (values > 0.6).float().mean() > 0.95


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
