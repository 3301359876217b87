"""Batches: rows of examples as padded tensors, with the positions that carry loss worked out beforehand.

Shapes: ``B`` rows, ``T`` tokens of the longest row, ``S`` supervised tokens of the batch. A *row* is one
sequence that the model reads: one example, or several packed behind each other.

Padding stands on the right. Where attention is causal nothing masks it: no real token ever sees it, and no padding is
supervised. That saves the attention mask, and the fast path of attention stays open. A model that reads from both
sides (``bidirectional``) is told the lengths, and masks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hone.task.render import Example, labels_of

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
    """(S,) int64: flat positions in (B*T) from which a target is predicted, in reading order: the one before a
    supervised id, or the supervised position itself where the batch is ``bidirectional``."""
    targets: Tensor
    """(S,) int64: the supervised ids themselves, or what is to be predicted at the supervised positions."""
    lengths: Tensor
    """(B,) int64: real tokens of each row."""
    rows: tuple[str, ...]
    """Ids of the source rows, in reading order."""
    labels: Tensor | None = None
    """(N, K) float32 for the N examples in reading order: 1 for each class that an example has (multi-label)."""
    bidirectional: bool = False
    """Whether real tokens would see the padding: the model needs an attention mask made of ``lengths``."""

    @property
    def num_tokens(self) -> int:
        """Tokens computed on, padding included: B*T."""
        return self.ids.numel()

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device; itself when it is there already."""
        if self.ids.device == device:
            return self
        moved = {name: value.to(device) for name, value in self._asdict().items() if isinstance(value, Tensor)}
        return Batch(**{**self._asdict(), **moved})

    def one_row(self, index: int) -> Batch:
        """Row ``index`` alone, without padding; with all row ids where rows are packed: they cannot be told apart."""
        length, width = int(self.lengths[index]), self.ids.shape[1]
        mine = self.predict_from // width == index
        plain = self.position_ids is None and len(self.rows) == len(self.lengths)
        return self._replace(
            ids=self.ids[index : index + 1, :length],
            supervised=self.supervised[index : index + 1, :length],
            position_ids=None if self.position_ids is None else self.position_ids[index : index + 1, :length],
            predict_from=self.predict_from[mine] - index * width,
            targets=self.targets[mine],
            lengths=self.lengths[index : index + 1],
            rows=(self.rows[index],) if plain else (f"packed row {index}",),
            labels=None if self.labels is None else self.labels[mine],
        )


def collate(rows: Sequence[PackedRow]) -> Batch:
    """Pad rows to the longest and find the supervised positions.

    An empty list gives one row of one unsupervised token: the share of a process that has no row in this step,
    which takes part in the collectives and adds nothing to loss or gradient.
    """
    if not rows:
        empty = torch.zeros(0, dtype=torch.int64)
        one = torch.zeros((1, 1), dtype=torch.int64)
        return Batch(one, one > 0, None, empty, empty, torch.ones(1, dtype=torch.int64), ())
    lengths = [sum(len(example.ids) for example in row) for row in rows]
    shape = (len(rows), max(lengths))
    ids, supervised = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    bidirectional = rows[0][0].reads_both_ways
    wanted = np.zeros(shape, np.int64) if bidirectional else ids
    positions = np.zeros(shape, np.int64) if any(len(row) > 1 for row in rows) else None
    for index, row in enumerate(rows):
        start = 0
        for example in row:
            end = start + len(example.ids)
            ids[index, start:end] = example.ids
            supervised[index, start:end] = example.supervised
            if example.targets is not None:
                wanted[index, start:end] = example.targets
            if positions is not None:
                positions[index, start:end] = np.arange(end - start)
            start = end
        if positions is not None:
            positions[index, start:] = np.arange(shape[1] - start)
    flat = np.flatnonzero(supervised)
    return Batch(
        ids=torch.from_numpy(ids),
        supervised=torch.from_numpy(supervised),
        position_ids=None if positions is None else torch.from_numpy(positions),
        # The id at flat position p is predicted from p - 1; the guards make sure that no row starts supervised.
        predict_from=torch.from_numpy(flat if bidirectional else flat - 1),
        targets=torch.from_numpy(wanted.ravel()[flat]),
        lengths=torch.tensor(lengths),
        rows=tuple(example.row for row in rows for example in row),
        labels=_labels(rows),
        bidirectional=bidirectional,
    )


def _labels(rows: Sequence[PackedRow]) -> Tensor | None:
    if rows[0][0].labels is None:
        return None
    return torch.from_numpy(np.stack([labels_of(example) for row in rows for example in row]).astype(np.float32))
