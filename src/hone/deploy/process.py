"""An artifact opened in a fresh Python process, without torch and transformers, behind the ``Session`` shape."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.runtime import Timings, runtime_of
from hone.deploy.wire import Array, receive, send
from hone.errors import FailedError, InputError
from hone.evaluate.generate import GREEDY, Generation, Sampling

ANSWER_SECONDS = 900.0


class FreshProcess:
    """A running worker (:mod:`hone.deploy.worker`) with an artifact open in it; a ``Session`` over a pipe.

    Use it as a context manager, or call :meth:`close`: that ends the process.

    Args:
        path: the artifact.
        threads, context, parallel: as for :meth:`hone.deploy.runtime.Runtime.open`.
        answer_seconds: longest wait for one answer.
    """

    def __init__(
        self, path: Path, *, threads: int, context: int, parallel: int = 1, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self.path, self.threads, self.parallel, self._answer_seconds = path, threads, parallel, answer_seconds
        self._runtime = runtime_of(path).name
        # A file and not a pipe: a full pipe that nobody reads would stop the worker.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed in close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hone.deploy.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(),
        )
        self._buffer = bytearray()
        try:
            self.reopen(context=context, parallel=parallel)
        except BaseException:
            self.close()
            raise

    def reopen(self, *, context: int, parallel: int) -> None:
        """Open the artifact again in the same process with another number of sequences."""
        asked = {"path": str(self.path), "threads": self.threads, "context": context, "parallel": parallel}
        opened = self.ask("open", runtime_name=self._runtime, **asked)[0]
        self.context, self.vocab_size, self.parallel = int(opened["context"]), int(opened["vocab_size"]), parallel

    def __enter__(self) -> FreshProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The shape of a session.

    def metadata(self, key: str) -> str:
        """A text stored in the artifact; empty when there is none under that key."""
        return str(self._plain("metadata", key))

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text by the runtime's own tokenizer."""
        return list(self._plain("tokenize", text))

    def detokenize(self, ids: Sequence[int]) -> str:
        """Text of ids by the runtime's own tokenizer, special ids left out."""
        return str(self._plain("detokenize", list(ids)))

    def token_id(self, text: str) -> int:
        """Id of the token that is written exactly like this; -1 when there is none."""
        return int(self._plain("token_id", text))

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
            prompts=_plain_ids(prompts),
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
        return self.ask("label_logprobs", prompts=_plain_ids(prompts), label_ids=[int(one) for one in label_ids])[1][0]

    def next_logprobs(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """(vocab,) natural-log probabilities of the token after ``ids``."""
        last: NDArray[np.float32] = self.logprobs([ids])[0][-1]
        return last

    def logprobs(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """For each sequence (len, vocab) natural-log probabilities of the token after each position."""
        return self.ask("logprobs", sequences=_plain_ids(sequences))[1]

    def token_logprobs(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """For each sequence of T ids the T - 1 natural-log probabilities of ids 1 to T - 1."""
        rows = self.ask("token_logprobs", sequences=_plain_ids(sequences))[1]
        return [row.astype(np.float64) for row in rows]

    def timings(self) -> Timings:
        """What was computed since the artifact was opened."""
        return Timings(**self.ask("timings")[0])

    # What only a process of its own can say.

    def facts(self) -> dict[str, Any]:
        """Memory of the process, its interpreter's share, and the training-side modules in it."""
        return dict(self.ask("facts")[0])

    def measure(self, prompt: Sequence[int], *, new_tokens: int, repeats: int) -> dict[str, Any]:
        """Times of the artifact inside the process; see :func:`hone.deploy.stopwatch.time_session`."""
        return dict(self.ask("measure", prompt=_plain_ids([prompt])[0], new_tokens=new_tokens, repeats=repeats)[0])

    def own_timings(self, prompt: Sequence[int], *, context: int, new_tokens: int) -> dict[str, Any]:
        """Times as the runtime itself reports them, in the same process after ours is closed."""
        self.ask("close")
        request = {"path": str(self.path), "threads": self.threads, "context": context, "new_tokens": new_tokens}
        return dict(self.ask("own_timings", runtime_name=self._runtime, prompt=_plain_ids([prompt])[0], **request)[0])

    def example_problems(self) -> list[str]:
        """What the stored examples and the artifact's own rendering disagree on."""
        return list(self.ask("render")[0])

    # The pipe.

    def ask(self, do: str, **request: Any) -> tuple[Any, list[Array]]:
        """Send one request and wait for its answer.

        Raises:
            InputError, FailedError: as the worker raised them; FailedError when it died, with its last words.
        """
        assert self._process.stdin is not None
        try:
            send(self._process.stdin, {"do": do, **request})  # type: ignore[arg-type]
            value, arrays = receive(self._read_line, self._read)
        except (EOFError, BrokenPipeError, OSError) as error:
            raise FailedError(self._death(do)) from error
        if not value["ok"]:
            raise (InputError if value["kind"] == "InputError" else FailedError)(value["error"])
        return value["result"], arrays

    def _plain(self, do: str, *args: Any) -> Any:
        return self.ask(do, args=list(args))[0]

    def _read_line(self) -> bytes:
        deadline = time.monotonic() + self._answer_seconds
        while (end := self._buffer.find(b"\n")) < 0:
            self._more(deadline)
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line

    def _read(self, size: int) -> bytes:
        deadline = time.monotonic() + self._answer_seconds
        while len(self._buffer) < size:
            self._more(deadline)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _more(self, deadline: float) -> None:
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        ready, _, _ = select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            self._process.kill()
            raise FailedError(f"{self.path}: no answer within {self._answer_seconds:.0f} s; the process was ended")
        data = os.read(handle, 1 << 20)
        if not data:
            raise EOFError
        self._buffer += data

    def _death(self, do: str) -> str:
        status = self._process.wait()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        self._errors.seek(0)
        words = self._errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()[-3:]
        return f"{self.path}: the process that runs it {how} during {do}; its last words: {' | '.join(words) or 'none'}"

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    self._process.kill()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def _plain_ids(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    return [[int(one) for one in ids] for ids in prompts]


def _environment() -> dict[str, str]:
    """This process's environment, with the folder that holds ``hone`` first on the path."""
    home = str(Path(__file__).parents[2])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
