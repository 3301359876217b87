"""Passes of token ids through an opened llama.cpp context, split into batches that it accepts."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.llama.library import INT_P, Batch, Library
from hone.deploy.passes import Pass
from hone.errors import FailedError
from hone.task.soft_prompt import MASKED_LOGIT


@dataclass(frozen=True, slots=True)
class _Piece:
    """Part of a pass that fits into one batch: rows ``low`` to ``high`` of pass ``index``."""

    index: int
    low: int
    high: int


class TokenBatch:
    """A ``llama_batch`` over arrays that Python owns, so that filling it is a few array copies.

    Args:
        library, context: llama.cpp and its context.
        vocab_size: logits of a row.
        capacity: tokens of a batch at most.
        masked: ids of a soft prompt, whose logits are :data:`~hone.task.soft_prompt.MASKED_LOGIT`.
    """

    def __init__(
        self, library: Library, context: Any, vocab_size: int, capacity: int, masked: Sequence[int] = ()
    ) -> None:
        self._library, self._context = library, context
        self._masked = list(masked)
        self._vocab_size, self._capacity = vocab_size, capacity
        self._tokens = np.zeros(capacity, dtype=np.int32)
        self._positions = np.zeros(capacity, dtype=np.int32)
        self._sequences = np.zeros(capacity, dtype=np.int32)
        self._counts = np.ones(capacity, dtype=np.int32)
        self._wanted = np.zeros(capacity, dtype=np.int8)
        # One pointer per token, each to its own entry of ``_sequences``.
        self._pointers = self._sequences.ctypes.data + np.arange(capacity, dtype=np.uint64) * 4
        self._row = c.c_float * vocab_size
        # Made once: the arrays stay where they are, and pointers to them cost more than a small model's layer.
        self._filled = Batch(
            0,
            self._tokens.ctypes.data_as(INT_P),
            None,
            self._positions.ctypes.data_as(INT_P),
            self._counts.ctypes.data_as(INT_P),
            self._pointers.ctypes.data_as(c.POINTER(INT_P)),
            self._wanted.ctypes.data_as(c.POINTER(c.c_int8)),
        )

    def run(self, passes: Sequence[Pass]) -> list[NDArray[np.float32]]:
        """Compute all passes; for each the logits asked for, (len or 1, vocab).

        Raises:
            FailedError: when llama.cpp refuses a batch, with its own words.
        """
        logits = [np.zeros((len(one.ids) if one.every else 1, self._vocab_size), dtype=np.float32) for one in passes]
        for pieces in self._split(passes):
            filled = self._fill(passes, pieces)
            self._checked(self._library.llama_decode, filled)
            self._collect(passes, pieces, logits)
        if self._masked:
            for table in logits:
                table[:, self._masked] = MASKED_LOGIT
        return logits

    def run_one(self, token: int, position: int) -> NDArray[np.float32]:
        """(vocab,) logits behind one token of sequence 0: llama.cpp's own memory, which the next call writes anew.

        Raises:
            FailedError: when llama.cpp refuses it, with its own words.
        """
        self._tokens[0], self._positions[0], self._sequences[0], self._wanted[0] = token, position, 0, 1
        self._checked(self._library.llama_decode, 1)
        logits = np.frombuffer(memoryview(self._row.from_address(self._logits_of(0))), dtype=np.float32)
        if self._masked:
            logits[self._masked] = MASKED_LOGIT
        return logits

    def _logits_of(self, at: int) -> int:
        """The address of the logits behind token ``at`` of the last batch."""
        source = self._library.llama_get_logits_ith(self._context, at)
        if not source:
            raise FailedError(f"llama.cpp has no logits for token {at}: {self._library.last_words()}")
        return int(source)

    def _split(self, passes: Sequence[Pass]) -> Iterator[list[_Piece]]:
        """Pieces in order, at most ``capacity`` tokens per batch."""
        pieces: list[_Piece] = []
        room = self._capacity
        for index, one in enumerate(passes):
            low = 0
            while low < len(one.ids):
                high = min(len(one.ids), low + room)
                pieces.append(_Piece(index, low, high))
                room -= high - low
                low = high
                if room == 0:
                    yield pieces
                    pieces, room = [], self._capacity
        if pieces:
            yield pieces

    def _fill(self, passes: Sequence[Pass], pieces: Sequence[_Piece]) -> int:
        at = 0
        for piece in pieces:
            one, size = passes[piece.index], piece.high - piece.low
            part = slice(at, at + size)
            self._tokens[part] = one.ids[piece.low : piece.high]
            self._positions[part] = np.arange(one.start + piece.low, one.start + piece.high)
            self._sequences[part] = one.sequence
            self._wanted[part] = one.every
            if piece.high == len(one.ids):
                self._wanted[at + size - 1] = 1
            at += size
        return at

    def encode(self, passes: Sequence[Pass]) -> None:
        """Let an encoder read whole passes, together at most ``capacity`` tokens.

        Raises:
            FailedError: when llama.cpp refuses, with its own words.
        """
        pieces = [_Piece(index, 0, len(one.ids)) for index, one in enumerate(passes)]
        self._checked(self._library.llama_encode, self._fill(passes, pieces))

    def _checked(self, compute: Callable[..., int], filled: int) -> None:
        self._filled.n_tokens = filled
        status = compute(self._context, self._filled)
        if status != 0:
            raise FailedError(
                f"llama.cpp refused a batch of {filled} tokens with status {status}: {self._library.last_words()}"
            )

    def _collect(self, passes: Sequence[Pass], pieces: Sequence[_Piece], logits: list[NDArray[np.float32]]) -> None:
        at, row_bytes = 0, self._vocab_size * 4
        for piece in pieces:
            one = passes[piece.index]
            for row in range(piece.low, piece.high):
                if one.every or row == len(one.ids) - 1:
                    source = self._logits_of(at)
                    place = logits[piece.index].ctypes.data + (row if one.every else 0) * row_bytes
                    c.memmove(place, source, row_bytes)
                at += 1
