"""All matrices of a model rounded: each by itself, by what it is given to read, or in order behind those before it.

Imports torch inside.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hone.deploy.quantization.calibration import Place, moments, places, reading_order
from hone.deploy.quantization.gptq import gptq
from hone.deploy.quantization.grids import grid_of, nearest, searched, values_of
from hone.deploy.quantization.replaying import Replay
from hone.deploy.weights import Codes

if TYPE_CHECKING:
    from torch import nn

    from hone.train.batches import Batch

How = Literal["none", "importance", "gptq"]
HOWS: tuple[How, ...] = ("none", "importance", "gptq")
"""Ways of rounding, the cheapest first: to nearest; with scales by what the inputs weigh; by what the outputs lose."""
LOOKUP = 1.0
"""What an error in a looked-up row counts beside one in the logits, where embedding and output layer share a matrix: in
mean squares of the output layer's inputs. Where only the outputs counted, GPTQ would bend the embeddings."""


def round_matrices(
    module: nn.Module,
    batches: Sequence[Batch],
    kinds: Mapping[str, str],
    how: How,
    beside: Mapping[str, NDArray[np.float32]] | None = None,
    done: Callable[[float], None] = lambda share: None,
) -> dict[str, Codes]:
    """Codes of a model's matrices; the model itself stays as it is.

    Args:
        module: the model in floats.
        batches: calibration rows, see :func:`hone.deploy.quantization.calibration.batches_of`; unread by ``none``.
        kinds: by name, a format with a symmetric grid for each matrix that is to be rounded.
        how: see :data:`HOWS`. With ``gptq`` a matrix is rounded for the inputs that it will have once those before it
            are rounded.
        beside: values of matrices that were rounded otherwise: with ``gptq`` the others are rounded behind them.
        done: is told the share of the work that is done, where it takes long.
    """
    known = {name: place for name, place in places(module).items() if name in kinds}
    if how == "none":
        return {name: nearest(matrix_of(module, name), *grid_of(kinds[name])) for name in known}
    # Rows that are only looked up have no inputs: each has the scales of least squared error.
    found = {name: _searched(module, name, kinds[name]) for name, place in known.items() if not place.multiplies}
    if how == "importance":
        for name, worth in importance_of(module, batches).items():
            if name in known:
                found[name] = _searched(module, name, kinds[name], worth)
        return found
    work = copy.deepcopy(module)
    _put(work, {**(beside or {}), **{name: values_of(codes) for name, codes in found.items()}})
    shapes = {name: module.get_parameter(name).shape for name in known}
    costs = {name: rows * columns**2 for name, (rows, columns) in shapes.items()}
    here = [batch.to(next(work.parameters()).device) for batch in batches]
    replay = Replay(work, here, known)
    for group in _in_order(work, here[0], known):
        if all(name in found for name, place in known.items() if place.embeds):
            replay.finish(found)
        for name, second in moments(work, here, group, begin=replay.begin).items():
            bits, block = grid_of(kinds[name])
            codes = gptq(matrix_of(module, name), _with_lookups(second, known[name]), bits, block=block)
            found[name] = codes
            _put(work, {name: values_of(codes)})
            done(sum(costs[one] for one in found) / sum(costs.values()))
    return found


def _searched(module: nn.Module, name: str, kind: str, importance: NDArray[np.floating] | None = None) -> Codes:
    bits, block = grid_of(kind)
    return searched(matrix_of(module, name), bits, importance, block)


def importance_of(module: nn.Module, batches: Sequence[Batch]) -> dict[str, NDArray[np.float32]]:
    """(columns,) what a squared error counts in each column of each matrix that is multiplied."""
    known = {name: place for name, place in places(module).items() if place.multiplies}
    read = moments(module, batches, known, squares=True)
    return {name: _with_lookups(squares, known[name]).astype(np.float32) for name, squares in read.items()}


def matrix_of(module: nn.Module, name: str) -> NDArray[np.float32]:
    """A copy of a parameter as float32."""
    return np.array(module.get_parameter(name).detach().float().cpu().numpy())


@contextmanager
def carrying(module: nn.Module, values: Mapping[str, NDArray[np.float32]]) -> Iterator[None]:
    """Inside the block the model carries these values; behind it its own weights again."""
    own = {name: module.get_parameter(name).detach().clone() for name in values}
    _put(module, values)
    try:
        yield
    finally:
        for name, before in own.items():
            module.get_parameter(name).data.copy_(before)


def _put(module: nn.Module, values: Mapping[str, NDArray[np.float32]]) -> None:
    import torch

    for name, one in values.items():
        module.get_parameter(name).data.copy_(torch.from_numpy(one))


def _in_order(module: nn.Module, batch: Batch, known: Mapping[str, Place]) -> list[tuple[str, ...]]:
    """Groups of matrices in the order in which they are rounded: one that is looked up too comes first."""
    groups = [tuple(name for name in group if name in known) for group in reading_order(module, batch)]
    groups = [group for group in groups if group]
    return sorted(groups, key=lambda group: not any(known[name].embeds for name in group))


def _with_lookups(second: NDArray[np.float64], place: Place) -> NDArray[np.float64]:
    """The second moments of a matrix's inputs, or their mean squares, with what looking its rows up adds."""
    if not place.embeds:
        return second
    if second.ndim == 1:
        return second + LOOKUP * float(second.mean())
    return second + LOOKUP * float(np.diag(second).mean()) * np.eye(len(second))
