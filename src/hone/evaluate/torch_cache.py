"""Keys and values of a batch of prompts of different lengths, in buffers that rows can leave.

Prompts are run in groups of equal length, so nothing is padded while prompts are read. Their keys and values are
then laid side by side, flush right; the columns left of a shorter prompt are masked out, which gives them an attention
weight of exactly 0. Transformers' own cache copies everything for each new token; here a token goes into spare room.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

ROOM = 32


class BufferLayer(DynamicLayer):  # type: ignore[misc]  # Transformers carries no types
    """One layer's states (rows, heads, columns, width); ``keys`` and ``values`` are views of what is filled."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self._keys, self._values, self._used = keys, values, keys.shape[2]
        self.keys, self.values = keys, values

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: object, **_kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write the new columns and give back everything filled so far."""
        end = self._used + key_states.shape[2]
        if end > self._keys.shape[2]:
            self._keys = _widened(self._keys, self._used, end + ROOM + end // 2)
            self._values = _widened(self._values, self._used, end + ROOM + end // 2)
        self._keys[:, :, self._used : end] = key_states
        self._values[:, :, self._used : end] = value_states
        self._used = end
        self.keys, self.values = self._keys[:, :, :end], self._values[:, :, :end]
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows only."""
        self._keys, self._values = self._keys[indices], self._values[indices]
        self.keys, self.values = self._keys[:, :, : self._used], self._values[:, :, : self._used]


def _widened(buffer: Tensor, used: int, columns: int) -> Tensor:
    rows, heads, _, width = buffer.shape
    wide = buffer.new_empty(rows, heads, columns, width)
    wide[:, :, :used] = buffer[:, :, :used]
    return wide


def side_by_side(groups: Sequence[Cache]) -> Cache:
    """One cache of the rows of several, in order, each flush right in as many columns as the longest has."""
    if len(groups) == 1:
        return Cache(layers=[BufferLayer(layer.keys, layer.values) for layer in groups[0].layers])
    longest = max(group.get_seq_length() for group in groups)
    layers = []
    for index in range(len(groups[0].layers)):
        keys = torch.cat([_flush_right(group.layers[index].keys, longest) for group in groups])
        values = torch.cat([_flush_right(group.layers[index].values, longest) for group in groups])
        layers.append(BufferLayer(keys, values))
    return Cache(layers=layers)


def _flush_right(states: Tensor, columns: int) -> Tensor:
    return torch.nn.functional.pad(states, (0, 0, columns - states.shape[2], 0))
