"""The fresh process that runs an artifact: ``python -m hone.deploy.worker``, driven over a pipe.

It imports numpy and the one runtime that it is asked to open, nothing of the training side; :func:`facts` says so from
``sys.modules``, at the end of the work as well. Requests are ``{"do": name, ...}`` (:mod:`hone.deploy.wire`); an answer
is ``{"ok": true, "result": ...}`` or ``{"ok": false, "error": ..., "kind": ...}``.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hone.deploy import stopwatch
from hone.deploy.runtime import runtime
from hone.deploy.wire import Array, receive, send
from hone.errors import FailedError, HoneError, InputError
from hone.evaluate.generate import Sampling

TRAINING_SIDE = ("torch", "transformers", "lightning_fabric", "tensorflow", "jax")
LIBRARIES = ("gguf", "onnx", "onnxruntime", "onnxruntime_genai", "xllamacpp")
PLAIN_CALLS = ("metadata", "tokenize", "detokenize", "token_id", "encode_with_places")
TIMED: dict[str, Callable[..., Any]] = {
    one.__name__: one
    for one in (
        stopwatch.time_session,
        stopwatch.time_prompts,
        stopwatch.time_positions,
        stopwatch.past_context,
        stopwatch.time_encoder,
        stopwatch.encoder_past_context,
    )
}

Answer = tuple[Any, list[Array]]


def peak_resident_bytes() -> int:
    """Largest resident set of this program so far.

    ``VmHWM`` and not ``getrusage``: on Linux the latter starts at the size of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    from hone.hardware import peak_rss_bytes

    return peak_rss_bytes()


def facts(interpreter_bytes: int, without_model_bytes: int) -> dict[str, Any]:
    """Memory of this process, the runtimes' libraries that it imported, and whether the training side got in.

    Args:
        interpreter_bytes: the peak before any runtime was loaded: Python, numpy and hone.
        without_model_bytes: the peak with the runtime's library loaded and nothing opened.
    """
    return {
        "peak_bytes": peak_resident_bytes(),
        "interpreter_bytes": interpreter_bytes,
        "without_model_bytes": without_model_bytes,
        "training_modules": sorted(name for name in TRAINING_SIDE if name in sys.modules),
        "libraries": sorted(name for name in LIBRARIES if name in sys.modules),
        "modules": len(sys.modules),
        "process": os.getpid(),
    }


class Worker:
    """Carries out requests on at most one opened artifact."""

    def __init__(self) -> None:
        self.interpreter_bytes = peak_resident_bytes()
        self.without_model_bytes = 0
        self._session: Any = None

    def answer(self, request: dict[str, Any]) -> Answer:
        """Carry out one request."""
        do = request.pop("do")
        if do in PLAIN_CALLS:
            return getattr(self.session, do)(*request["args"]), []
        own: dict[str, Callable[..., Answer]] = {
            "open": self._open,
            "close": self._close,
            "facts": self._facts,
            "generate": self._generate,
            "label_logprobs": self._label_logprobs,
            "logprobs": self._logprobs,
            "token_logprobs": self._token_logprobs,
            "classify": self._classify,
            "tag": self._tag,
            "embed": self._embed,
            "vectors": self._vectors,
            "timings": self._timings,
            "time": self._time,
            "own_timings": self._own_timings,
            "render": self._render,
        }
        if do not in own:
            raise InputError(f'the worker knows no "{do}"')
        return own[do](**request)

    @property
    def session(self) -> Any:
        """The opened artifact: a session, or an encoder's."""
        if self._session is None:
            raise FailedError("no artifact is open in the worker")
        return self._session

    def _open(self, runtime_name: str, path: str, threads: int, context: int, parallel: int) -> Answer:
        """Open for ``parallel`` sequences; 0 of them opens an encoder."""
        self._close()
        found = runtime(runtime_name)
        found.ready()
        if not self.without_model_bytes:
            self.without_model_bytes = peak_resident_bytes()
        started = time.perf_counter()
        if parallel:
            self._session = found.open(Path(path), threads, context, parallel)
        else:
            self._session = found.open_encoder(Path(path), threads, context)
        load_ms = (time.perf_counter() - started) * 1e3
        return {"context": self._session.context, "vocab_size": self._session.vocab_size, "load_ms": load_ms}, []

    def _close(self) -> Answer:
        if self._session is not None:
            self._session.close()
            self._session = None
        return None, []

    def _facts(self) -> Answer:
        return facts(self.interpreter_bytes, self.without_model_bytes), []

    def _generate(self, prompts: list[list[int]], max_new_tokens: int, end_id: int, sampling: dict[str, Any]) -> Answer:
        how = Sampling(**sampling)
        done = self.session.generate(prompts, max_new_tokens=max_new_tokens, end_id=end_id, sampling=how)
        return [[list(one.ids), one.finished] for one in done], []

    def _label_logprobs(self, prompts: list[list[int]], label_ids: list[int]) -> Answer:
        return None, [self.session.label_logprobs(prompts, label_ids)]

    def _logprobs(self, sequences: list[list[int]]) -> Answer:
        return None, self.session.logprobs(sequences)

    def _token_logprobs(self, sequences: list[list[int]]) -> Answer:
        return None, [row.astype(np.float32) for row in self.session.token_logprobs(sequences)]

    def _classify(self, sequences: list[list[int]]) -> Answer:
        return None, [self.session.classify(sequences)]

    def _tag(self, sequences: list[list[int]]) -> Answer:
        return None, self.session.tag(sequences)

    def _embed(self, sequences: list[list[int]]) -> Answer:
        return None, self.session.embed(sequences)

    def _vectors(self, sequences: list[list[int]]) -> Answer:
        return None, [self.session.vectors(sequences)]

    def _timings(self) -> Answer:
        return asdict(self.session.timings()), []

    def _time(self, what: str, prompt: list[int], **request: Any) -> Answer:
        if what not in TIMED:
            raise InputError(f'the worker times no "{what}"')
        return TIMED[what](self.session, prompt, **request), []

    def _own_timings(self, runtime_name: str, path: str, threads: int, context: int, **request: Any) -> Answer:
        return runtime(runtime_name).own_timings(Path(path), threads, context, **request), []

    def _render(self) -> Answer:
        """Differences between the stored examples and what the artifact alone renders; see :mod:`rendering`."""
        from hone.deploy.rendering import example_problems

        return example_problems(self.session), []


def serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Answer requests until the pipe closes."""
    worker = Worker()
    while True:
        try:
            request, _ = receive(incoming.readline, incoming.read)
        except EOFError:
            return
        arrays: list[Array] = []
        try:
            result, arrays = worker.answer(request)
            value = {"ok": True, "result": result}
        except HoneError as error:
            value = {"ok": False, "error": str(error), "kind": type(error).__name__}
        send(outgoing, value, arrays)


def main() -> None:
    """Keep the pipe to ourselves: whatever a library prints goes to standard error."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # sent to the whole group: the parent's to answer
        signal.signal(number, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb") as outgoing:
        os.dup2(2, 1)
        serve(sys.stdin.buffer, outgoing)


if __name__ == "__main__":
    main()
