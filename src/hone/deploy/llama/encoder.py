"""GGUF artifacts of encoders run by llama.cpp in this process, driven by token ids."""

from __future__ import annotations

import ctypes as c
import json
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.gguf.encoder import CLS, MEAN, NO_POOLING, RANK, Head
from hone.deploy.llama.batch import TokenBatch
from hone.deploy.llama.model import LoadedModel
from hone.deploy.passes import Pass, id_problems
from hone.deploy.runtime import Timings
from hone.errors import FailedError, InputError
from hone.task.embedding import unit

BATCH_TOKENS = 1024
"""Tokens of one batch; a longer sequence gets a batch as long as itself."""
BATCH_ROWS = 16

KNOWN = (NO_POOLING, MEAN, CLS, RANK)
"""Kinds of pooling that hone writes."""
Rows = NDArray[np.float32]


class LlamaCppEncoder(LoadedModel):
    """An opened GGUF encoder, see :class:`hone.deploy.runtime.EncoderSession`.

    Args:
        path: the artifact. ``tokenizer.json`` beside it says where tokens stand in a text (tags of words need that).
        threads: CPU threads.
        context: longest sequence in tokens; at most what the model was built for.

    Raises:
        InputError: when the file is missing, holds no encoder, or ``context`` is longer than the model's.
        FailedError: when llama.cpp refuses the file, with its own words.
    """

    def __init__(self, path: Path, *, threads: int, context: int) -> None:
        self._load(path, threads, context)
        self._path = path
        if self.metadata("general.architecture") != "bert":
            self.close()
            raise InputError(f"{path} holds no encoder; open it as a decoder")
        library = self._library
        # An encoder reads a sequence in one piece, so that a batch must hold the longest.
        self._capacity = max(BATCH_TOKENS, context)
        params = library.llama_context_default_params()
        params.n_ctx, params.n_seq_max = self._capacity * BATCH_ROWS, BATCH_ROWS
        params.n_batch = params.n_ubatch = self._capacity
        self._begin(path, params, cached=False)
        library.llama_set_embeddings(self._context, True)
        self._pooling = int(library.llama_pooling_type(self._context))
        if self._pooling not in KNOWN:
            self.close()
            raise FailedError(f"{path}: pooling {self._pooling}; hone writes {', '.join(map(str, KNOWN))}")
        self._width = int(library.llama_model_n_embd(self._model))
        self._labels = int(library.llama_model_n_cls_out(self._model))
        self._batch = TokenBatch(library, self._context, self.vocab_size, self._capacity)
        self._tokens, self._spent_ms = 0, 0.0

    def classify(self, sequences: Sequence[Sequence[int]]) -> Rows:
        """(n, num_labels) logits of whole sequences."""
        if self._pooling == RANK:
            found = self._computed(sequences)
            return np.concatenate(found) if found else np.zeros((0, self._labels), np.float32)
        head = self._head_for("mean", "classes of whole rows")
        means = [states.mean(axis=0) for states in self._computed(sequences)]
        return np.stack(means) @ head.weight.T + head.bias if means else np.zeros((0, len(head.bias)), np.float32)

    def tag(self, sequences: Sequence[Sequence[int]]) -> list[Rows]:
        """For each sequence (len, num_labels) logits."""
        head = self._head_for("tokens", "tags of tokens")
        return [states @ head.weight.T + head.bias for states in self._computed(sequences)]

    def embed(self, sequences: Sequence[Sequence[int]]) -> list[Rows]:
        """For each sequence (len, width): the last hidden states.

        Raises:
            InputError: for a classifier by BERT's pooler, whose file gives the logits of rows alone.
        """
        if self._pooling == RANK:
            raise InputError(f"{self._path} gives classes of whole rows; llama.cpp has no states beside them")
        if self._pooling != NO_POOLING:
            raise InputError(f"{self._path} gives one vector for a text; llama.cpp has no states beside it")
        return self._computed(sequences)

    def vectors(self, sequences: Sequence[Sequence[int]]) -> Rows:
        """(n, width): one vector for each whole sequence."""
        if self._pooling not in (MEAN, CLS):
            has = "classes of whole rows" if self._pooling == RANK else "a state for each token"
            raise InputError(f"{self._path} gives {has}, and no one vector for a text")
        found = self._computed(sequences)
        rows = np.concatenate(found) if found else np.zeros((0, self._width), np.float32)
        return unit(rows).astype(np.float32) if self._normalised else rows

    def encode_with_places(self, text: str) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """Ids, where each stands in the text, and its word; see :class:`hone.data.tokenizer.TextTokenizer`.

        Raises:
            InputError: when ``tokenizer.json`` is not beside the artifact.
        """
        found: tuple[list[int], list[tuple[int, int]], list[int]] = self._places.encode_with_places(text)
        return found

    def timings(self) -> Timings:
        """What was computed since the session was opened; all of it counts as prompt."""
        return Timings(prompt_tokens=self._tokens, prompt_ms=self._spent_ms)

    @cached_property
    def _head(self) -> Head | None:
        stored = self.metadata("hone.head")
        return Head.from_text(stored) if stored else None

    @cached_property
    def _normalised(self) -> bool:
        # llama.cpp pools, and leaves lengths to its callers.
        return bool(json.loads(self.metadata("hone.renderer"))["normalised"])

    @cached_property
    def _places(self) -> Any:
        # llama.cpp's tokenizer says ids alone.
        from hone.data.tokenizer import TextTokenizer

        return TextTokenizer.open(self._path.parent)

    def _head_for(self, pooling: str, what: str) -> Head:
        if self._head is None or self._head.pooling != pooling:
            there = {"mean": "classes of whole rows", "tokens": "tags of tokens"}
            has = there["mean"] if self._pooling == RANK else there.get(self._head.pooling if self._head else "")
            raise InputError(f"{self._path} gives {has or 'states alone'}, not {what}")
        return self._head

    def _computed(self, sequences: Sequence[Sequence[int]]) -> list[Rows]:
        """For each sequence its states (len, width); its one (1, width) or logits (1, labels) where the file pools."""
        self._check(sequences)
        found: dict[int, Rows] = {}
        for places in self._batches(sequences):
            passes = [Pass(ids=sequences[at], start=0, sequence=row) for row, at in enumerate(places)]
            started = time.perf_counter()
            self._batch.encode(passes)
            first = 0
            for row, at in enumerate(places):
                length = len(sequences[at])
                found[at] = self._states(first, length) if self._pooling == NO_POOLING else self._pooled(row)
                first += length
            self._spent_ms += (time.perf_counter() - started) * 1e3
            self._tokens += first
        return [found[at] for at in range(len(sequences))]

    def _states(self, first: int, count: int) -> Rows:
        states = np.zeros((count, self._width), dtype=np.float32)
        for at in range(count):
            self._copy(self._library.llama_get_embeddings_ith(self._context, first + at), states[at])
        return states

    def _pooled(self, row: int) -> Rows:
        found = np.zeros((1, self._labels if self._pooling == RANK else self._width), dtype=np.float32)
        self._copy(self._library.llama_get_embeddings_seq(self._context, row), found[0])
        return found

    def _copy(self, source: int | None, into: Rows) -> None:
        if not source:
            raise FailedError(f"llama.cpp has no result for a token or row: {self._library.last_words()}")
        c.memmove(into.ctypes.data, source, into.nbytes)

    def _batches(self, sequences: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Places of sequences that fit into one batch together."""
        batch: list[int] = []
        tokens = 0
        for at, ids in enumerate(sequences):
            if batch and (len(batch) == BATCH_ROWS or tokens + len(ids) > self._capacity):
                yield batch
                batch, tokens = [], 0
            batch.append(at)
            tokens += len(ids)
        if batch:
            yield batch

    def _check(self, sequences: Sequence[Sequence[int]]) -> None:
        """Ids out of range would end the process inside llama.cpp, so they are refused here."""
        if not self._context:
            raise FailedError("the session is closed")
        if problems := id_problems(sequences, "sequence", self.context, self.vocab_size):
            raise InputError(problems)
