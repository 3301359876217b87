"""A fresh Python process at the other end of a pipe (:mod:`hone.deploy.worker`), and what any artifact in it says."""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from hone.deploy.artifact.folder import whole_model_file
from hone.deploy.runtime import Timings, runtime_of
from hone.deploy.wire import Array, receive, send
from hone.errors import FailedError, InputError

ANSWER_SECONDS = 900.0


class ArtifactProcess:
    """A running worker that opens one artifact. Use it as a context manager, or call :meth:`close` to end it.

    Args:
        path: the artifact: its folder or its model file, whose bytes are first compared with the hash kept of them.
        threads: CPU threads of the runtime.
        answer_seconds: longest wait for one answer.

    Raises:
        InputError: when there is no such artifact. FailedError: when its bytes have changed.
    """

    def __init__(self, path: Path, *, threads: int, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.path, self.threads, self._answer_seconds = path, threads, answer_seconds
        self.file = whole_model_file(path)
        """The model file."""
        self.runtime = runtime_of(self.file).name
        self.load_ms = 0.0
        """Time that the runtime took to open it, the last time that it did."""
        # A file and not a pipe: a full pipe that nobody reads would stop the worker.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed in close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hone.deploy.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(),
        )
        assert self._process.stdin is not None
        # A worker that hangs reads nothing, and a pipe that is full would stop this process as well.
        os.set_blocking(self._process.stdin.fileno(), False)
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What an opened artifact says.

    def metadata(self, key: str) -> str:
        """A text stored in the artifact; empty when there is none under that key."""
        return str(self._plain("metadata", key))

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text by the runtime's own tokenizer."""
        return list(self._plain("tokenize", text))

    def detokenize(self, ids: Sequence[int]) -> str:
        """Text of ids by the runtime's own tokenizer, special ids left out."""
        return str(self._plain("detokenize", plain_ids([ids])[0]))

    def token_id(self, text: str) -> int:
        """Id of the token that is written exactly like this; -1 when there is none."""
        return int(self._plain("token_id", text))

    def timings(self) -> Timings:
        """What was computed since the artifact was opened."""
        return Timings(**self.ask("timings")[0])

    def example_problems(self) -> list[str]:
        """What the stored examples and the artifact's own rendering disagree on."""
        return list(self.ask("render")[0])

    def facts(self) -> dict[str, Any]:
        """Memory of the process, what it took without a model, and the training-side modules in it."""
        return dict(self.ask("facts")[0])

    def time(self, what: str, prompt: Sequence[int], **request: Any) -> Any:
        """Times taken inside the process: ``what`` is a function of :mod:`hone.deploy.stopwatch`."""
        return self.ask("time", what=what, prompt=plain_ids([prompt])[0], **request)[0]

    # The pipe.

    def open(self, **asked: Any) -> dict[str, Any]:
        """Open the artifact in the worker; what it says of it. An earlier opening is closed."""
        opened = self.ask("open", runtime_name=self.runtime, path=str(self.file), threads=self.threads, **asked)[0]
        self.load_ms = float(opened["load_ms"])
        return dict(opened)

    def ask(self, do: str, **request: Any) -> tuple[Any, list[Array]]:
        """Send one request and wait for its answer.

        Raises:
            InputError, FailedError: as the worker raised them; FailedError when it died, with its last words.
        """
        message = io.BytesIO()
        send(message, {"do": do, **request})
        try:
            self._send(message.getbuffer())
            value, arrays = receive(self._read_line, self._read)
        except (EOFError, BrokenPipeError, OSError) as error:
            raise FailedError(self._death(do)) from error
        if not value["ok"]:
            raise (InputError if value["kind"] == "InputError" else FailedError)(value["error"])
        return value["result"], arrays

    def _plain(self, do: str, *args: Any) -> Any:
        return self.ask(do, args=list(args))[0]

    def _send(self, message: memoryview) -> None:
        assert self._process.stdin is not None
        handle, deadline = self._process.stdin.fileno(), time.monotonic() + self._answer_seconds
        while message:
            if not select.select([], [handle], [], max(0.0, deadline - time.monotonic()))[1]:
                self._give_up()
            message = message[os.write(handle, message) :]

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
            self._give_up()
        data = os.read(handle, 1 << 20)
        if not data:
            raise EOFError
        self._buffer += data

    def _give_up(self) -> NoReturn:
        self._process.kill()
        raise FailedError(f"{self.path}: no answer within {self._answer_seconds:.0f} s; the process was ended")

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


def plain_ids(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Ids as plain integers, which JSON takes."""
    return [[int(one) for one in ids] for ids in prompts]


def _environment() -> dict[str, str]:
    """This process's environment, with the folder that holds ``hone`` first on the path."""
    home = str(Path(__file__).parents[2])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
