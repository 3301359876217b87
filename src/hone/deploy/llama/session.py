"""GGUF artifacts run by llama.cpp in this process, driven by token ids.

A session holds one context with ``parallel`` sequences. No sequence ever sees another, every call starts
from an empty cache, and nothing is reused between calls: a result depends on its prompt alone, as far as
floats allow (llama.cpp picks other kernels for other batch sizes).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hone.deploy.llama.batch import Pass, TokenBatch
from hone.deploy.llama.library import Library, open_library
from hone.deploy.llama.vocabulary import Vocabulary
from hone.deploy.runtime import Timings
from hone.deploy.sampling import choose, draws, log_softmax
from hone.errors import FailedError, InputError
from hone.evaluate.generate import GREEDY, Generation, Sampling

BATCH_TOKENS = 2048
COMPUTE_TOKENS = 512


@dataclass(slots=True)
class _Row:
    """One prompt on its way through :meth:`LlamaCppSession.generate`."""

    prompt: list[int]
    limit: int
    draw: np.random.Generator | None
    ids: list[int] = field(default_factory=list)
    finished: bool = False

    def next_pass(self, sequence: int) -> Pass:
        """The prompt the first time, then the newest id."""
        if not self.ids:
            return Pass(ids=self.prompt, start=0, sequence=sequence)
        return Pass(ids=self.ids[-1:], start=len(self.prompt) + len(self.ids) - 1, sequence=sequence)

    def take(self, token: int, end_id: int) -> bool:
        """Add an id; True when the row is done."""
        if token == end_id:
            self.finished = True
            return True
        self.ids.append(token)
        return len(self.ids) >= self.limit


class LlamaCppSession:
    """An opened GGUF artifact, see :class:`hone.deploy.runtime.Session`.

    Args:
        path: the artifact.
        threads: CPU threads for every pass.
        context: longest prompt and answer together, in tokens; at most what the model was trained for.
        parallel: sequences computed at once (each costs its own key-value cache).

    Raises:
        InputError: when the file is missing or ``context`` is longer than the model's.
        FailedError: when llama.cpp refuses the file, with its own words.
    """

    def __init__(self, path: Path, *, threads: int, context: int, parallel: int = 1) -> None:
        if not path.is_file():
            raise InputError(f"{path}: there is no such artifact")
        self._library: Library = open_library()
        library = self._library
        self._model = library.llama_model_load_from_file(str(path).encode(), library.llama_model_default_params())
        self._context: int | None = None
        if not self._model:
            raise FailedError(f"{path}: llama.cpp cannot load it: {library.last_words()}")
        trained = int(library.llama_model_n_ctx_train(self._model))
        if context > trained:
            self.close()
            raise InputError(f"{path}: context {context} is over the {trained} tokens that the model was built for")
        self.context, self.threads, self.parallel = context, threads, parallel
        self._vocabulary = Vocabulary(library, library.llama_model_get_vocab(self._model))
        self.vocab_size = self._vocabulary.size
        self._start(path)
        self._timings = Timings()

    def _start(self, path: Path) -> None:
        library = self._library
        params = library.llama_context_default_params()
        params.n_ctx, params.n_seq_max = self.context * self.parallel, self.parallel
        params.n_batch, params.n_ubatch = BATCH_TOKENS, COMPUTE_TOKENS
        self._context = library.llama_init_from_model(self._model, params)
        if not self._context:
            reason = library.last_words()
            self.close()
            raise FailedError(f"{path}: llama.cpp cannot start with {self.parallel} x {self.context} tokens: {reason}")
        library.llama_set_n_threads(self._context, self.threads, self.threads)
        arrived = (library.llama_n_seq_max(self._context), library.llama_n_threads(self._context))
        room = library.llama_n_ctx_seq(self._context)
        if arrived != (self.parallel, self.threads) or room < self.context:
            self.close()
            raise FailedError(
                f"llama.cpp took sequences, threads {arrived} and {room} tokens each instead of "
                f"{(self.parallel, self.threads)} and {self.context}: its layout has changed"
            )
        self._memory = library.llama_get_memory(self._context)
        self._batch = TokenBatch(library, self._context, self.vocab_size, BATCH_TOKENS)

    # Text and ids.

    def metadata(self, key: str) -> str:
        """A text stored in the artifact; empty when there is none under that key."""
        from ctypes import create_string_buffer

        size = 1 << 12
        while True:
            buffer = create_string_buffer(size)
            length = self._library.llama_model_meta_val_str(self._model, key.encode(), buffer, size)
            if length < 0:
                return ""
            if length < size:
                return buffer.value.decode("utf-8")
            size = length + 1

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text by llama.cpp's tokenizer; never a special id."""
        return self._vocabulary.tokenize(text)

    def detokenize(self, ids: Sequence[int]) -> str:
        """Text of ids by llama.cpp's tokenizer, special ids left out."""
        return self._vocabulary.piece(ids).decode("utf-8", "replace")

    def token_id(self, text: str) -> int:
        """Id of the token that is written exactly like this; -1 when there is none."""
        return self._vocabulary.token_id(text)

    # Tokens.

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        end_id: int,
        sampling: Sampling = GREEDY,
    ) -> list[Generation]:
        """Continue each prompt; as many at once as the session has sequences."""
        self._check(prompts)
        numbers = draws(prompts, sampling)
        rows = [self._row(prompt, max_new_tokens, number) for prompt, number in zip(prompts, numbers, strict=True)]
        # Prompts of one length are computed together in one go; the order changes no result.
        waiting = deque(sorted((row for row in rows if row.limit > 0), key=lambda row: len(row.prompt)))
        active: dict[int, _Row] = {}
        free = list(range(self.parallel))[::-1]
        self._clear()
        while waiting or active:
            while waiting and free:
                active[free.pop()] = waiting.popleft()
            logits = self._run([row.next_pass(sequence) for sequence, row in active.items()])
            for (sequence, row), scores in zip(list(active.items()), logits, strict=True):
                if row.take(choose(scores[-1], sampling, row.draw), end_id):
                    del active[sequence]
                    free.append(sequence)
                    self._library.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return [Generation(ids=tuple(row.ids), finished=row.finished) for row in rows]

    def stream(
        self, prompt: Sequence[int], *, max_new_tokens: int, end_id: int, sampling: Sampling = GREEDY
    ) -> Iterator[int]:
        """The ids of one continuation as they come, without ``end_id``."""
        self._check([prompt])
        row = self._row(prompt, max_new_tokens, draws([prompt], sampling)[0])
        self._clear()
        while len(row.ids) < row.limit:
            token = choose(self._run([row.next_pass(0)])[0][-1], sampling, row.draw)
            row.take(token, end_id)
            if row.finished:
                return
            yield token

    def _row(self, prompt: Sequence[int], max_new_tokens: int, number: np.random.Generator | None) -> _Row:
        return _Row(prompt=list(prompt), limit=min(max_new_tokens, self.context - len(prompt)), draw=number)

    # Probabilities.

    def label_logprobs(self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float32]:
        """(n, num_labels) natural-log probabilities of the labels after each prompt."""
        self._check(prompts)
        columns = np.asarray(label_ids, dtype=np.int64)
        found = np.zeros((len(prompts), len(columns)), dtype=np.float32)
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        for start in range(0, len(order), self.parallel):
            chunk = order[start : start + self.parallel]
            self._clear()
            passes = [Pass(ids=list(prompts[row]), start=0, sequence=place) for place, row in enumerate(chunk)]
            logits = self._run(passes)
            for row, scores in zip(chunk, logits, strict=True):
                found[row] = log_softmax(scores[-1])[columns]
        return found

    def next_logprobs(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """(vocab,) natural-log probabilities of the token after ``ids``."""
        self._check([ids])
        self._clear()
        return log_softmax(self._run([Pass(ids=list(ids), start=0, sequence=0)])[0][-1])

    def logprobs(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """For each sequence (len, vocab) natural-log probabilities of the token after each position."""
        self._check(sequences)
        found: list[NDArray[np.float32]] = []
        for start in range(0, len(sequences), self.parallel):
            self._clear()
            chunk = sequences[start : start + self.parallel]
            passes = [Pass(ids=list(ids), start=0, sequence=place, every=True) for place, ids in enumerate(chunk)]
            found += [log_softmax(scores) for scores in self._run(passes)]
        return found

    def token_logprobs(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """For each sequence of T ids the T - 1 natural-log probabilities of ids 1 to T - 1."""
        found: list[NDArray[np.float64]] = []
        for start in range(0, len(sequences), self.parallel):
            chunk = sequences[start : start + self.parallel]
            for ids, rows in zip(chunk, self.logprobs(chunk), strict=True):
                targets = np.asarray(ids[1:], dtype=np.int64)
                found.append(rows[np.arange(len(targets)), targets].astype(np.float64))
        return found

    def timings(self) -> Timings:
        """What was computed since the session was opened."""
        return self._timings

    def close(self) -> None:
        """Free the context and the model."""
        if self._context:
            self._library.llama_free(self._context)
            self._context = None
        if self._model:
            self._library.llama_model_free(self._model)
            self._model = None

    # Passes.

    def _clear(self) -> None:
        self._library.llama_memory_clear(self._memory, False)

    def _run(self, passes: Sequence[Pass]) -> list[NDArray[np.float32]]:
        started = time.perf_counter()
        logits = self._batch.run(passes)
        spent_ms = (time.perf_counter() - started) * 1e3
        tokens, before = sum(len(one.ids) for one in passes), self._timings
        if any(len(one.ids) > 1 for one in passes):
            self._timings = Timings(
                prompt_tokens=before.prompt_tokens + tokens,
                prompt_ms=before.prompt_ms + spent_ms,
                generated_tokens=before.generated_tokens,
                generated_ms=before.generated_ms,
            )
        else:
            self._timings = Timings(
                prompt_tokens=before.prompt_tokens,
                prompt_ms=before.prompt_ms,
                generated_tokens=before.generated_tokens + tokens,
                generated_ms=before.generated_ms + spent_ms,
            )
        return logits

    def _check(self, prompts: Sequence[Sequence[int]]) -> None:
        """Ids out of range would end the process inside llama.cpp, so they are refused here."""
        if not self._context:
            raise FailedError("the session is closed")
        problems = []
        for index, ids in enumerate(prompts):
            if not 0 < len(ids) <= self.context:
                problems.append(f"prompt {index}: {len(ids)} tokens; this session takes 1 to {self.context}")
            elif min(ids) < 0 or max(ids) >= self.vocab_size:
                problems.append(f"prompt {index}: ids {min(ids)} to {max(ids)}; the vocabulary has {self.vocab_size}")
        if problems:
            raise InputError(problems)
