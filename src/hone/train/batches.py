"""Batches: rows of examples as padded tensors, with the positions that carry loss worked out beforehand.

Shapes: ``B`` rows, ``T`` tokens of the longest row, ``S`` supervised tokens of the batch. A *row* is one
sequence that the model reads: one example, or several packed behind each other.

Padding stands on the right and nothing masks it: attention is causal, so no real token ever sees it, and no
padding is supervised. That saves the attention mask, and the fast path of attention stays open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hone.task.render import Example

PackedRow = tuple[Example, ...]
"""Examples that share one sequence, in order; most often just one."""


class Batch(NamedTuple):
    """What a model reads in one forward pass. A named tuple, which every wrapper of modules can pass on."""

    ids: Tensor
    """(B, T) int64; 0 behind the end of a row, where nothing reads it."""
    supervised: Tensor
    """(B, T) bool: which ids carry loss."""
    position_ids: Tensor | None
    """(B, T) int64, starting at 0 with each example of a packed row; None where each row is one example."""
    predict_from: Tensor
    """(S,) int64: flat positions in (B*T) whose next id is supervised, in reading order."""
    targets: Tensor
    """(S,) int64: the supervised ids themselves."""
    lengths: Tensor
    """(B,) int64: real tokens of each row."""
    rows: tuple[str, ...]
    """Ids of the source rows, in reading order."""

    @property
    def num_tokens(self) -> int:
        """Tokens computed on, padding included: B*T."""
        return self.ids.numel()

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device; itself when it is there already."""
        if self.ids.device == device:
            return self
        return Batch(
            ids=self.ids.to(device),
            supervised=self.supervised.to(device),
            position_ids=None if self.position_ids is None else self.position_ids.to(device),
            predict_from=self.predict_from.to(device),
            targets=self.targets.to(device),
            lengths=self.lengths.to(device),
            rows=self.rows,
        )


def collate(rows: Sequence[PackedRow]) -> Batch:
    """Pad rows to the longest and find the supervised positions.

    An empty list gives one row of one unsupervised token: the share of a process that has no row in this step,
    which takes part in the collectives and adds nothing to loss or gradient.
    """
    if not rows:
        return _arrays_to_batch(np.zeros((1, 1), np.int64), np.zeros((1, 1), np.bool_), None, [1], ())
    lengths = [sum(len(example.ids) for example in row) for row in rows]
    shape = (len(rows), max(lengths))
    ids, supervised = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    packed = any(len(row) > 1 for row in rows)
    positions = np.zeros(shape, np.int64) if packed else None
    for index, row in enumerate(rows):
        start = 0
        for example in row:
            end = start + len(example.ids)
            ids[index, start:end] = example.ids
            supervised[index, start:end] = example.supervised
            if positions is not None:
                positions[index, start:end] = np.arange(end - start)
            start = end
        if positions is not None:
            positions[index, start:] = np.arange(shape[1] - start)
    return _arrays_to_batch(ids, supervised, positions, lengths, tuple(e.row for row in rows for e in row))


def _arrays_to_batch(
    ids: NDArray[np.int64],
    supervised: NDArray[np.bool_],
    positions: NDArray[np.int64] | None,
    lengths: Sequence[int],
    row_ids: tuple[str, ...],
) -> Batch:
    flat = np.flatnonzero(supervised)
    return Batch(
        ids=torch.from_numpy(ids),
        supervised=torch.from_numpy(supervised),
        position_ids=None if positions is None else torch.from_numpy(positions),
        # The id at flat position p is predicted from p - 1; the guards make sure that no row starts supervised.
        predict_from=torch.from_numpy(flat - 1),
        targets=torch.from_numpy(ids.ravel()[flat]),
        lengths=torch.tensor(lengths),
        rows=row_ids,
    )
