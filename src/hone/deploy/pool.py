"""One artifact in several fresh processes of one thread each: rows are shared out, answers come back in order.

For small models this is how all cores are used: llama.cpp's threads wait for each other several times per layer, and
when anything else runs on the machine two threads were measured 30 times slower than one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from hone.deploy.process import FreshEncoder, FreshProcess
from hone.evaluate.generate import GREEDY, Generation, Sampling

T = TypeVar("T")
P = TypeVar("P", FreshProcess, FreshEncoder)


class _Pool(Generic[P]):
    """Processes that are started together by ``start``, each of one thread, and end together."""

    def __init__(self, path: Path, processes: int, context: int, start: Callable[[], P]) -> None:
        self._stack = ExitStack()
        self._threads = self._stack.enter_context(ThreadPoolExecutor(max_workers=processes))
        futures = [self._threads.submit(start) for _ in range(processes)]
        self._processes: list[P] = []
        try:
            for future in futures:
                self._processes.append(self._stack.enter_context(future.result()))
        except BaseException:
            self._stop_late(futures[len(self._processes) :])
            raise
        self.context, self.vocab_size, self.path = context, self._processes[0].vocab_size, path

    def _stop_late(self, futures: Sequence[Future[P]]) -> None:
        for future in futures:
            if future.exception() is None:
                future.result().close()
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def metadata(self, key: str) -> str:
        """A text stored in the artifact; empty when there is none under that key."""
        return self._processes[0].metadata(key)

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text by the runtime's own tokenizer."""
        return self._processes[0].tokenize(text)

    def detokenize(self, ids: Sequence[int]) -> str:
        """Text of ids by the runtime's own tokenizer, special ids left out."""
        return self._processes[0].detokenize(ids)

    def token_id(self, text: str) -> int:
        """Id of the token that is written exactly like this; -1 when there is none."""
        return self._processes[0].token_id(text)

    def _shared(self, rows: Sequence[Sequence[int]], work: Callable[[P, Sequence[Sequence[int]]], list[T]]) -> list[T]:
        """Rows dealt out by length, so that every process gets as much to do; results in the order of the rows."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, ids in enumerate(rows):
            groups.setdefault(tuple(ids), []).append(index)
        hands: list[list[int]] = [[] for _ in self._processes]
        for place, key in enumerate(sorted(groups, key=len)):
            hands[place % len(hands)] += groups[key]
        dealt = [(process, sorted(hand)) for process, hand in zip(self._processes, hands, strict=True) if hand]
        futures = [self._threads.submit(work, process, [rows[index] for index in hand]) for process, hand in dealt]
        found: dict[int, T] = {}
        for (_, hand), future in zip(dealt, futures, strict=True):
            found.update(zip(hand, future.result(), strict=True))
        return [found[index] for index in range(len(rows))]

    def close(self) -> None:
        """End the processes."""
        self._stack.close()


class FreshPool(_Pool[FreshProcess]):
    """Fresh processes (:class:`hone.deploy.process.FreshProcess`) that score rows together.

    Results are those of one process: no row's answer depends on another's, and sampled answers follow the prompt and
    how often it came before, so equal prompts are kept together.

    Args:
        path: the artifact.
        processes: how many, each of one thread; they start together.
        context: longest prompt and answer together, in tokens.
        parallel: sequences that each process computes at once.
    """

    def __init__(self, path: Path, *, processes: int, context: int, parallel: int = 32) -> None:
        def start() -> FreshProcess:
            return FreshProcess(path, threads=1, context=context, parallel=parallel)

        super().__init__(path, processes, context, start)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        end_id: int,
        sampling: Sampling = GREEDY,
    ) -> list[Generation]:
        """Continue each prompt."""

        def part(process: FreshProcess, some: Sequence[Sequence[int]]) -> list[Generation]:
            return process.generate(some, max_new_tokens=max_new_tokens, end_id=end_id, sampling=sampling)

        return self._shared(prompts, part)

    def label_logprobs(self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float32]:
        """(n, num_labels) natural-log probabilities of the labels after each prompt."""
        rows = self._shared(prompts, lambda process, some: list(process.label_logprobs(some, label_ids)))
        return np.stack(rows) if rows else np.zeros((0, len(label_ids)), dtype=np.float32)

    def token_logprobs(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """For each sequence of T ids the T - 1 natural-log probabilities of ids 1 to T - 1."""
        return self._shared(sequences, lambda process, some: process.token_logprobs(some))


class FreshReaders(_Pool[FreshEncoder]):
    """The same of an encoder: an :class:`hone.deploy.runtime.EncoderSession` over several processes.

    Args:
        path: the artifact.
        processes: how many, each of one thread.
        context: longest sequence, in tokens.
    """

    def __init__(self, path: Path, *, processes: int, context: int) -> None:
        super().__init__(path, processes, context, lambda: FreshEncoder(path, threads=1, context=context))

    def encode_with_places(self, text: str) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """Ids of plain text, the characters that each came from, and the word that each belongs to."""
        return self._processes[0].encode_with_places(text)

    def classify(self, sequences: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(n, num_labels) logits of whole sequences."""
        return np.stack(self._shared(sequences, lambda process, some: list(process.classify(some))))

    def tag(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """For each sequence (len, num_labels) logits."""
        return self._shared(sequences, lambda process, some: process.tag(some))
