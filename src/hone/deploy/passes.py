"""From passes over token ids to a :class:`hone.deploy.runtime.Session`: what decoders of all runtimes do alike.

A runtime computes :class:`Pass` es over sequences that it keeps apart; generating, streaming and probabilities follow.
No sequence ever sees another, every call starts from an empty cache, and nothing is reused between calls: a result
depends on its prompt alone, as far as floats allow (runtimes pick other kernels for other batch sizes).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hone.deploy.runtime import Timings
from hone.deploy.sampling import choose, draws, log_softmax
from hone.errors import FailedError, InputError
from hone.evaluate.generate import GREEDY, Generation, Sampling


@dataclass(kw_only=True, slots=True)  # not frozen: that doubles the cost of making one, at every token
class Pass:
    """Ids of one sequence from position ``start`` on; logits of the last, or of ``every`` position."""

    ids: Sequence[int]
    start: int
    sequence: int
    every: bool = False


@dataclass(slots=True)
class _Row:
    """One prompt on its way through :meth:`PassSession.generate`."""

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


class PassSession(ABC):
    """The token side of a session over a runtime's passes. A subclass sets the four fields."""

    context: int
    """Longest prompt and answer together, in tokens."""
    vocab_size: int
    parallel: int
    """Sequences computed at once."""
    threads: int

    def __init__(self) -> None:
        # Tokens and milliseconds, each of passes with a prompt in them and of those of single tokens.
        self._spent: tuple[list[int], list[float]] = ([0, 0], [0.0, 0.0])

    @property
    @abstractmethod
    def _is_open(self) -> bool:
        """Whether passes can be computed."""

    @abstractmethod
    def _compute(self, passes: Sequence[Pass]) -> list[NDArray[np.float32]]:
        """For each pass the logits asked for, (len or 1, vocab); they hold until the next call."""

    @abstractmethod
    def _compute_one(self, token: int, position: int) -> NDArray[np.float32]:
        """(vocab,) logits behind one token of sequence 0, until the next call: the shortest way there is."""

    @abstractmethod
    def _clear(self) -> None:
        """Forget all sequences."""

    @abstractmethod
    def _forget(self, sequence: int) -> None:
        """Forget one sequence, so that its number can be used again."""

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
                    self._forget(sequence)
        return [Generation(ids=tuple(row.ids), finished=row.finished) for row in rows]

    def stream(
        self, prompt: Sequence[int], *, max_new_tokens: int, end_id: int, sampling: Sampling = GREEDY
    ) -> Iterator[int]:
        """The ids of one continuation as they come, without ``end_id``."""
        self._check([prompt])
        row = self._row(prompt, max_new_tokens, draws([prompt], sampling)[0])
        if row.limit <= 0:
            return
        self._clear()
        logits = self._run([row.next_pass(0)])[0][-1]
        for position in range(len(row.prompt), len(row.prompt) + row.limit):
            token = choose(logits, sampling, row.draw)
            if token == end_id:
                return
            yield token
            if position + 1 < len(row.prompt) + row.limit:
                logits = self._next(token, position)

    def _next(self, token: int, position: int) -> NDArray[np.float32]:
        """(vocab,) logits behind one token of the only sequence, number 0."""
        started = time.perf_counter()
        logits = self._compute_one(token, position)
        tokens, spent_ms = self._spent
        spent_ms[1] += (time.perf_counter() - started) * 1e3
        tokens[1] += 1
        return logits

    def _row(self, prompt: Sequence[int], max_new_tokens: int, number: np.random.Generator | None) -> _Row:
        return _Row(prompt=list(prompt), limit=min(max_new_tokens, self.context - len(prompt)), draw=number)

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
        tokens, spent_ms = self._spent
        return Timings(
            prompt_tokens=tokens[0], prompt_ms=spent_ms[0], generated_tokens=tokens[1], generated_ms=spent_ms[1]
        )

    def _run(self, passes: Sequence[Pass]) -> list[NDArray[np.float32]]:
        # Counted without objects: at a million parameters a step takes some hundred microseconds.
        tokens, single = 0, 1
        for one in passes:
            tokens += len(one.ids)
            if len(one.ids) > 1:
                single = 0
        started = time.perf_counter()
        logits = self._compute(passes)
        self._spent[1][single] += (time.perf_counter() - started) * 1e3
        self._spent[0][single] += tokens
        return logits

    def _check(self, prompts: Sequence[Sequence[int]]) -> None:
        """Ids out of range would end the process inside some runtimes, so they are refused here."""
        if not self._is_open:
            raise FailedError("the session is closed")
        if problems := id_problems(prompts, "prompt", self.context, self.vocab_size):
            raise InputError(problems)


def id_problems(rows: Sequence[Sequence[int]], what: str, context: int, vocab_size: int) -> list[str]:
    """Sentences on rows of ids that a session cannot read; ``what`` names a row."""
    problems = []
    for at, ids in enumerate(rows):
        if not 0 < len(ids) <= context:
            problems.append(f"{what} {at}: {len(ids)} tokens; this session takes 1 to {context}")
        elif min(ids) < 0 or max(ids) >= vocab_size:
            problems.append(f"{what} {at}: ids {min(ids)} to {max(ids)}; the vocabulary has {vocab_size}")
    return problems
