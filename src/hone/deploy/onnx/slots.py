"""Keys and values of several sequences, in buffers that ONNX Runtime reads and writes in place.

Each sequence has a slot of ``context`` positions. ``GroupQueryAttention`` sees that what was computed before and what
is to be written lie at one address, and appends; so a token costs no copy of the past. Sequences in use fill the first
slots without a gap, because a batch is one range of memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LINE_BYTES = 64


class Slots:
    """Buffers (parallel, kv heads, context, head width) of keys and of values for each layer.

    Args:
        session: an ``onnxruntime.InferenceSession`` over a decoder of :mod:`hone.deploy.onnx.decoder`.
        parallel: number of slots.
        context: positions of each.
    """

    def __init__(self, session: Any, parallel: int, context: int) -> None:
        past = [one for one in session.get_inputs() if one.name.startswith("past_key_values.")]
        self._buffers: dict[str, NDArray[np.float32]] = {
            one.name: aligned_zeros((parallel, one.shape[1], context, one.shape[3])) for one in past
        }
        self.filled = [0] * parallel
        """Positions that each slot holds."""
        self._order: list[int] = []

    def clear(self) -> None:
        """Forget all sequences; what they left is never read, because a row sees its own length only."""
        self._order.clear()

    def place(self, sequence: int) -> int:
        """The slot of a sequence; the next free one for a new sequence."""
        order = self._order
        if sequence not in order:
            order.append(sequence)
        return order.index(sequence)

    def forget(self, sequence: int) -> None:
        """Free a sequence's slot; the last one moves into it."""
        slot, last = self.place(sequence), len(self._order) - 1
        if slot != last:
            size = self.filled[last]
            for buffer in self._buffers.values():
                buffer[slot, :, :size] = buffer[last, :, :size]
            self._order[slot], self.filled[slot] = self._order[last], size
        self._order.pop()

    def bind(self, binding: Any, first: int, count: int) -> None:
        """Let a run read and write ``count`` slots from ``first`` on."""
        for name, buffer in self._buffers.items():
            part = buffer[first : first + count]
            there = ("cpu", 0, np.float32, part.shape, part.ctypes.data)
            binding.bind_input(name, *there)
            binding.bind_output(name.replace("past_key_values", "present"), *there)


def aligned_zeros(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros that begin on a cache line, as the runtime's own allocator places them; numpy's begin anywhere."""
    count = int(np.prod(shape))
    raw = np.zeros(count + LINE_BYTES // 4, np.float32)
    first = -raw.ctypes.data % LINE_BYTES // 4
    return raw[first : first + count].reshape(shape)
