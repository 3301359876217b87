"""Passes of token ids through an ONNX Runtime session over a decoder.

A prompt is read alone, in pieces whose attention scores stay small; single tokens of all sequences are one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.onnx.decoder import LOGITS_FROM
from hone.deploy.onnx.slots import Slots, aligned_zeros
from hone.deploy.passes import Pass

PIECE_TOKENS = 512
"""Tokens of a prompt that are read at once: attention scores take heads * piece * context * 4 bytes."""


class Decoding:
    """Runs passes over ``parallel`` sequences of up to ``context`` positions.

    A step of single tokens binds nothing anew: ids and lengths are written into arrays that stay where they are. Its
    mask is as long as the context, with ones up to each row's length; only a prompt's mask has to end with the prompt,
    for that is how ``GroupQueryAttention`` tells the two apart.

    Args:
        session: an ``onnxruntime.InferenceSession`` over a decoder of :mod:`hone.deploy.onnx.decoder`.
        vocab_size, parallel, context: of the session that owns this.
    """

    def __init__(self, session: Any, vocab_size: int, parallel: int, context: int) -> None:
        self._session, self._vocab_size = session, vocab_size
        self.slots = Slots(session, parallel, context)
        self._prompt, self._prompt_slot = session.io_binding(), -1
        self._steps: dict[int, Any] = {}
        self._ids = np.zeros((parallel, 1), np.int64)
        self._masks = np.zeros((parallel, context), np.int64)
        self._masked = [0] * parallel
        self._logits = aligned_zeros((parallel, 1, vocab_size))
        self._first_logits: NDArray[np.float32] = self._logits[0, 0]
        self._ones = np.ones(context, np.int64)
        self._first = np.zeros(1, np.int64)

    def run(self, passes: Sequence[Pass]) -> list[NDArray[np.float32]]:
        """For each pass the logits asked for, (len or 1, vocab); rows of single tokens hold until the next call."""
        places = [self.slots.place(one.sequence) for one in passes]
        steps = {place: at for at, (place, one) in enumerate(zip(places, passes, strict=True)) if _is_step(one)}
        together = range(len(steps))
        found: dict[int, NDArray[np.float32]] = {}
        if steps and all(place in steps for place in together):
            self._step([passes[steps[place]] for place in together])
            found = {steps[place]: self._logits[place] for place in together}
        for at, one in enumerate(passes):
            if at not in found:
                found[at] = self._read(one, places[at])
        return [found[at] for at in range(len(passes))]

    def next(self, token: int, position: int) -> NDArray[np.float32]:
        """(vocab,) logits behind one token of the sequence in the first slot; they hold until the next call.

        The way of one sequence alone, at every token: nothing else is asked or made.
        """
        self._fill(0, token, position)
        self._session.run_with_iobinding(self._steps.get(1) or self._new_step(1))
        return self._first_logits

    def _step(self, passes: Sequence[Pass]) -> None:
        """One token of each of the first sequences, together."""
        for row, one in enumerate(passes):
            self._fill(row, one.ids[0], one.start)
        count = len(passes)
        self._session.run_with_iobinding(self._steps.get(count) or self._new_step(count))

    def _fill(self, row: int, token: int, position: int) -> None:
        self._ids[row, 0] = token
        if self._masked[row] == position:
            self._masks[row, position] = 1
        else:
            self._masks[row, : position + 1], self._masks[row, position + 1 :] = 1, 0
        self._masked[row] = self.slots.filled[row] = position + 1

    def _new_step(self, count: int) -> Any:
        binding = self._steps[count] = self._session.io_binding()
        self.slots.bind(binding, 0, count)
        _bind(binding, "input_ids", self._ids[:count])
        _bind(binding, "attention_mask", self._masks[:count])
        _bind_output(binding, self._logits[:count])
        return binding

    def _read(self, one: Pass, slot: int) -> NDArray[np.float32]:
        """Tokens of one sequence, in pieces."""
        ids = np.asarray(one.ids, np.int64)
        logits = np.empty((len(ids) if one.every else 1, self._vocab_size), np.float32)
        if slot != self._prompt_slot:
            self.slots.bind(self._prompt, slot, 1)
            self._prompt_slot = slot
        for low in range(0, len(ids), PIECE_TOKENS):
            piece = ids[low : low + PIECE_TOKENS]
            self._first[0] = 0 if one.every else len(piece) - 1
            _bind(self._prompt, "input_ids", piece[None])
            _bind(self._prompt, "attention_mask", self._ones[None, : one.start + low + len(piece)])
            _bind(self._prompt, LOGITS_FROM, self._first)
            _bind_output(self._prompt, (logits[low : low + len(piece)] if one.every else logits)[None])
            self._session.run_with_iobinding(self._prompt)
        self.slots.filled[slot] = one.start + len(ids)
        return logits


def _is_step(one: Pass) -> bool:
    return len(one.ids) == 1 and one.start > 0


def _bind(binding: Any, name: str, values: NDArray[np.int64]) -> None:
    """Let a run read an array in place; whoever calls keeps it until the run is over."""
    binding.bind_input(name, "cpu", 0, np.int64, values.shape, values.ctypes.data)


def _bind_output(binding: Any, logits: NDArray[np.float32]) -> None:
    binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
