"""ONNX encoders run by ONNX Runtime in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.onnx.encoder import VECTORS
from hone.deploy.onnx.opening import built_for, metadata_of, open_runtime
from hone.deploy.onnx.text import Texts
from hone.deploy.passes import id_problems
from hone.deploy.runtime import Timings
from hone.errors import FailedError, InputError

BATCH_TOKENS = 2048
"""Tokens of one batch, padding included; a longer sequence is a batch of its own."""


class OnnxEncoderSession(Texts):
    """An opened ONNX encoder, see :class:`hone.deploy.runtime.EncoderSession`.

    Sequences are computed in batches of like lengths, padded on the right with what no other token sees.

    Args:
        path: ``model.onnx``; ``tokenizer.json`` lies beside it.
        threads: CPU threads.
        context: longest sequence in tokens; at most what the model was built for.

    Raises:
        InputError: when the file is missing, holds no encoder, or ``context`` is longer than the model's.
        FailedError: when ONNX Runtime refuses the file, with its own words.
    """

    def __init__(self, path: Path, *, threads: int, context: int) -> None:
        self._session: Any = open_runtime(path, threads)
        self._path, self._metadata = path, metadata_of(self._session)
        built_for(path, self._metadata, context)
        outputs = {one.name: one.shape for one in self._session.get_outputs()}
        self._ranks = {name: len(shape) for name, shape in outputs.items()}
        self._labels = int(outputs["logits"][-1]) if "logits" in outputs else 0
        self._width = int(outputs.get("last_hidden_state", [0])[-1])
        if "last_hidden_state" not in self._ranks:
            raise InputError(f"{path} holds no encoder; open it as a decoder")
        self.context, self.threads = context, threads
        self.vocab_size = int(self._metadata["hone.vocab_size"])
        self._tokens, self._spent_ms = 0, 0.0

    def classify(self, sequences: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(n, num_labels) logits of whole sequences."""
        self._wants("logits", 2, "classes of whole rows")
        rows = self._computed(sequences, "logits")
        return np.stack(rows) if rows else np.zeros((0, self._labels), np.float32)

    def tag(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """For each sequence (len, num_labels) logits."""
        self._wants("logits", 3, "tags of tokens")
        return self._computed(sequences, "logits")

    def embed(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """For each sequence (len, width): the last hidden states."""
        return self._computed(sequences, "last_hidden_state")

    def vectors(self, sequences: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(n, width): one vector for each whole sequence."""
        if VECTORS not in self._ranks:
            raise InputError(f"{self._path} gives a state for each token, and no one vector for a text")
        rows = self._computed(sequences, VECTORS)
        return np.stack(rows) if rows else np.zeros((0, self._width), np.float32)

    def timings(self) -> Timings:
        """What was computed since the session was opened; all of it counts as prompt."""
        return Timings(prompt_tokens=self._tokens, prompt_ms=self._spent_ms)

    def close(self) -> None:
        """Free the model."""
        self._session = None

    def _wants(self, output: str, rank: int, what: str) -> None:
        if self._ranks.get(output) != rank:
            there = {2: "classes of whole rows", 3: "tags of tokens"}.get(self._ranks.get("logits", 0), "states alone")
            raise InputError(f"{self._path} gives {there}, not {what}")

    def _computed(self, sequences: Sequence[Sequence[int]], output: str) -> list[NDArray[np.float32]]:
        self._check(sequences)
        found: dict[int, NDArray[np.float32]] = {}
        for batch in _batches(sequences):
            values = self._run([sequences[at] for at in batch], output)
            # A value per token is cut to the sequence, so that padding is not handed out.
            whole = values.ndim == 2
            found |= {at: row if whole else row[: len(sequences[at])] for at, row in zip(batch, values, strict=True)}
        return [found[at] for at in range(len(sequences))]

    def _run(self, rows: Sequence[Sequence[int]], output: str) -> NDArray[np.float32]:
        longest = max(map(len, rows))
        ids = np.zeros((len(rows), longest), np.int64)
        mask = np.zeros_like(ids)
        for at, row in enumerate(rows):
            ids[at, : len(row)], mask[at, : len(row)] = row, 1
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        started = time.perf_counter()
        values: NDArray[np.float32] = self._session.run([output], feeds)[0]
        self._spent_ms += (time.perf_counter() - started) * 1e3
        self._tokens += int(mask.sum())
        return values

    def _check(self, sequences: Sequence[Sequence[int]]) -> None:
        if self._session is None:
            raise FailedError("the session is closed")
        if problems := id_problems(sequences, "sequence", self.context, self.vocab_size):
            raise InputError(problems)


def _batches(sequences: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Places of sequences of like lengths, up to :data:`BATCH_TOKENS` with their padding."""
    batch: list[int] = []
    for at in sorted(range(len(sequences)), key=lambda place: len(sequences[place])):
        if batch and (len(batch) + 1) * len(sequences[at]) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch
