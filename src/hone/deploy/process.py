"""An artifact opened in a fresh Python process, without torch and transformers, behind the shapes of a session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.pipe import ANSWER_SECONDS, ArtifactProcess, plain_ids
from hone.evaluate.generate import GREEDY, Generation, Sampling


class FreshProcess(ArtifactProcess):
    """A fresh process with a model that writes open in it; a :class:`hone.deploy.runtime.Session` over a pipe.

    Args:
        path: the artifact, its folder or its model file.
        threads, context, parallel: as for :meth:`hone.deploy.runtime.Runtime.open`.
        answer_seconds: longest wait for one answer.
    """

    def __init__(
        self, path: Path, *, threads: int, context: int, parallel: int = 1, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        super().__init__(path, threads=threads, answer_seconds=answer_seconds)
        try:
            self.reopen(context=context, parallel=parallel)
        except BaseException:
            self.close()
            raise

    def reopen(self, *, context: int, parallel: int, threads: int | None = None) -> None:
        """Open the artifact again in the same process with another number of sequences, or of threads."""
        self.threads = self.threads if threads is None else threads
        opened = self.open(context=context, parallel=parallel)
        self.context, self.vocab_size, self.parallel = int(opened["context"]), int(opened["vocab_size"]), parallel

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        end_id: int,
        sampling: Sampling = GREEDY,
    ) -> list[Generation]:
        """Continue each prompt."""
        rows = self.ask(
            "generate",
            prompts=plain_ids(prompts),
            max_new_tokens=max_new_tokens,
            end_id=end_id,
            sampling=asdict(sampling),
        )[0]
        return [Generation(ids=tuple(ids), finished=finished) for ids, finished in rows]

    def stream(
        self, prompt: Sequence[int], *, max_new_tokens: int, end_id: int, sampling: Sampling = GREEDY
    ) -> Iterator[int]:
        """The ids of one continuation, all at its end: a pipe is not for watching tokens come."""
        yield from self.generate([prompt], max_new_tokens=max_new_tokens, end_id=end_id, sampling=sampling)[0].ids

    def label_logprobs(self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float32]:
        """(n, num_labels) natural-log probabilities of the labels after each prompt."""
        return self.ask("label_logprobs", prompts=plain_ids(prompts), label_ids=[int(one) for one in label_ids])[1][0]

    def next_logprobs(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """(vocab,) natural-log probabilities of the token after ``ids``."""
        last: NDArray[np.float32] = self.logprobs([ids])[0][-1]
        return last

    def logprobs(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """For each sequence (len, vocab) natural-log probabilities of the token after each position."""
        return self.ask("logprobs", sequences=plain_ids(sequences))[1]

    def token_logprobs(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """For each sequence of T ids the T - 1 natural-log probabilities of ids 1 to T - 1."""
        rows = self.ask("token_logprobs", sequences=plain_ids(sequences))[1]
        return [row.astype(np.float64) for row in rows]

    # What only a process of its own can say.

    def measure(self, prompt: Sequence[int], *, new_tokens: int, repeats: int) -> dict[str, Any]:
        """Times of the artifact inside the process; see :func:`hone.deploy.stopwatch.time_session`."""
        return dict(self.time("time_session", prompt, new_tokens=new_tokens, repeats=repeats))

    def own_timings(self, prompt: Sequence[int], *, context: int, new_tokens: int) -> dict[str, Any]:
        """Times as the runtime itself reports them, in the same process after ours is closed."""
        self.ask("close")
        request = {"path": str(self.file), "threads": self.threads, "context": context, "new_tokens": new_tokens}
        return dict(self.ask("own_timings", runtime_name=self.runtime, prompt=plain_ids([prompt])[0], **request)[0])


class FreshEncoder(ArtifactProcess):
    """A fresh process with an encoder open in it; a :class:`hone.deploy.runtime.EncoderSession` over a pipe.

    Args:
        path: the artifact, its folder or its model file.
        threads, context: as for :meth:`hone.deploy.runtime.Runtime.open_encoder`.
        answer_seconds: longest wait for one answer.
    """

    def __init__(self, path: Path, *, threads: int, context: int, answer_seconds: float = ANSWER_SECONDS) -> None:
        super().__init__(path, threads=threads, answer_seconds=answer_seconds)
        try:
            self.reopen(context=context)
        except BaseException:
            self.close()
            raise

    def reopen(self, *, context: int, threads: int | None = None) -> None:
        """Open the artifact again in the same process with another number of threads."""
        self.threads = self.threads if threads is None else threads
        opened = self.open(context=context, parallel=0)
        self.context, self.vocab_size = int(opened["context"]), int(opened["vocab_size"])

    def encode_with_places(self, text: str) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """Ids of plain text, the characters that each came from, and the word that each belongs to."""
        ids, places, words = self._plain("encode_with_places", text)
        return list(ids), [(start, end) for start, end in places], list(words)

    def classify(self, sequences: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(n, num_labels) logits of whole sequences."""
        return self.ask("classify", sequences=plain_ids(sequences))[1][0]

    def tag(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """For each sequence (len, num_labels) logits."""
        return self.ask("tag", sequences=plain_ids(sequences))[1]

    def embed(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """For each sequence (len, width): the last hidden states."""
        return self.ask("embed", sequences=plain_ids(sequences))[1]

    def vectors(self, sequences: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(n, width): one vector for each whole sequence."""
        return self.ask("vectors", sequences=plain_ids(sequences))[1][0]
