"""Quantization-aware training: the model computes with rounded matrices while their unrounded values are trained.

:class:`OnGrid` is the module transform that the engine is handed (:mod:`hone.train.transforms`): it rounds every matrix
in place on the very grid that the artifact will have, so what was trained is exported without another change. A base
that was trained in floats begins where GPTQ leaves it (:func:`calibrated_grid`) and is held to its own answers
(:class:`OwnAnswers`): the model in floats teaches its rounded copy whole distributions, which says more than the rows
alone (Z. Liu et al., "LLM-QAT", arXiv:2305.17888). Imports torch inside.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hone.deploy.quantization.calibration import batches_of, logits_of, places
from hone.deploy.quantization.grids import LIMITS, SMALLEST, Grid, grid_of, values_of
from hone.deploy.quantization.sequence import round_matrices
from hone.deploy.weights import Codes, row_problems, weight_format
from hone.errors import InputError
from hone.task.render import Example

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hone.train.batches import Batch
    from hone.train.objectives import TokenLoss

WITHIN = 0.45
"""How far from its code, in steps of the grid, a trained value begins at most: nearer to half a step the first update
would flip it, whatever it says."""


class OnGrid:
    """Rounds a model's matrices in place to the nearest values of a format's grid; what lies on it stays.

    Vectors (norms, biases) keep their values, as in every artifact.

    Args:
        module: the model, on its device.
        weights: a format with a symmetric grid (:data:`hone.deploy.quantization.grids.GRIDS`).
        begun: codes of the matrices that training goes on from: their scales stay, and a trained value begins where it
            is rounded to its code, as near to its own value as that allows. Without them the scales follow the values,
            as in plain rounding.

    Raises:
        InputError: for another format, or rows that do not divide into its blocks.
    """

    def __init__(self, module: nn.Module, weights: str, begun: Mapping[str, Codes] | None = None) -> None:
        self._grid = grid_of(weights)
        by_name = {name: module.get_parameter(name) for name in places(module)}
        shapes = {name: tuple(param.shape) for name, param in by_name.items()}
        if problems := row_problems(shapes, weight_format(weights)):
            raise InputError(problems)
        self._params = list(by_name.values())
        self._scales: list[Tensor | None] = [None] * len(self._params)
        if begun is not None:
            self._scales = [_begin(param, begun[name]) for name, param in by_name.items()]

    @property
    def params(self) -> Sequence[nn.Parameter]:
        """The matrices."""
        return self._params

    def apply(self) -> None:
        """Round them."""
        for param, scale in zip(self._params, self._scales, strict=True):
            values = param.data
            values.copy_(on_grid(values, self._grid) if scale is None else on_scales(values, scale, self._grid.bits))


def calibrated_grid(module: nn.Module, weights: str, examples: Sequence[Example]) -> OnGrid:
    """The grid of a model that was trained in floats, begun where GPTQ leaves it on rendered training rows.

    The same rows and weights give the same grid, so a resumed run finds its own again.
    """
    kinds = dict.fromkeys(places(module), weights)
    return OnGrid(module, weights, round_matrices(module, batches_of(examples), kinds, "gptq"))


class OwnAnswers:
    """Divergence of the rounded model from the same model in floats, summed over supervised tokens, in nats.

    Rows with several labels are a decision for each class, and the divergence is that of the decisions.

    Args:
        module: the model as it is now, which is copied: what the training begins with.
    """

    def __init__(self, module: nn.Module) -> None:
        self._teacher = copy.deepcopy(module).eval().requires_grad_(False)

    def loss(self, model: nn.Module, batch: Batch) -> TokenLoss:
        """See :class:`hone.train.objectives.Objective`."""
        import torch

        from hone.train.objectives import TokenLoss

        teacher = self._teacher.to(batch.ids.device)
        with torch.no_grad():
            wanted = logits_of(teacher, batch)
        given = logits_of(model, batch)
        apart = divergences(wanted, given, several=batch.labels is not None)
        # Rows that are not there (an empty share) are left out, and keep the graph.
        apart = apart[: apart.numel() if batch.labels is not None else batch.targets.numel()]
        return TokenLoss(apart.sum(), torch.tensor(apart.numel(), device=apart.device))


def _begin(param: nn.Parameter, codes: Codes) -> Tensor:
    """Move a parameter to where it is rounded to these codes; their scales (rows, blocks), float32."""
    import torch

    values = torch.from_numpy(values_of(codes)).to(param)
    scales = torch.from_numpy(codes.scales.astype("float32")).to(param)
    reach = WITHIN * scales.abs().repeat_interleave(codes.block, 1)
    param.data.copy_(values + (param.data - values).clamp(-reach, reach))
    return scales


def on_scales(matrix: Tensor, scales: Tensor, bits: int) -> Tensor:
    """(rows, columns) the nearest values to a matrix on a grid with given scales (rows, blocks)."""
    import torch

    low, high = LIMITS[bits]
    x, scale = matrix.reshape(*scales.shape, -1), scales.unsqueeze(-1)
    codes = torch.where(scale == 0, torch.zeros_like(x), x / scale).round().clamp(low, high)
    return (codes * scale).reshape(matrix.shape)


def on_grid(matrix: Tensor, grid: Grid) -> Tensor:
    """(rows, columns) the values that :func:`hone.deploy.quantization.grids.nearest` stands for, exactly."""
    import torch

    bits = grid.bits
    x = matrix.float().reshape(-1, grid.block)
    largest = x.gather(-1, x.abs().argmax(-1, keepdim=True))
    scale = largest.abs() / 127 if bits == 8 else largest / -8
    inverse = torch.where(scale.abs() > float(SMALLEST), 1.0 / scale, torch.zeros_like(scale))
    scaled = x * inverse
    if bits == 8:
        whole = scaled.abs().floor()
        codes = (whole + (2 * (scaled.abs() - whole)).floor()) * scaled.sign()
    else:
        codes = (scaled + 8.5).trunc().clamp(0, 15) - 8
    return (codes * scale.half().float()).reshape(matrix.shape).to(matrix.dtype)


def divergences(wanted: Tensor, given: Tensor, *, several: bool = False) -> Tensor:
    """Kullback-Leibler divergence of each decision, in nats, from logits (S, K): (S,), or (S * K,) with ``several``."""
    import torch
    from torch.nn import functional

    if several:
        wanted, given = (torch.stack((one, torch.zeros_like(one)), -1).flatten(0, -2) for one in (wanted, given))
    aim, own = functional.log_softmax(wanted.float(), -1), functional.log_softmax(given.float(), -1)
    found: Tensor = (aim.exp() * (aim - own)).sum(-1)
    return found
