"""Workers forked from one warm process.

Importing torch and Transformers costs about 7 s, so it is paid once, by the standard library's fork
server: it imports (:data:`WARM_MODULES`) and computes nothing, and every worker is a fork of it. A fork
after a tensor operation that used threads would hang; the fork server never runs one.

A worker runs ``function(channel, *args)`` and talks through its :class:`Channel`: it sends events,
asks :meth:`Channel.should_stop`, and returns a value. Ctrl-C, SIGTERM and SIGHUP are the parent's, also where they
are sent to the whole group: it asks its workers to stop, and they save their state and end.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from hone.errors import FailedError, HoneError, InputError

WARM_MODULES = ("hone.warm",)
"""Imported by the fork server; ``hone.warm`` pulls in torch, the Llama class and Fabric."""


TIME_IS_UP = "time is up"
PARENTS_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a command to end; its workers hear of it from their parent."""


def warm_up() -> None:
    """Start the fork server, which begins to import; returns at once."""
    spin_briefly()
    multiprocessing.set_forkserver_preload(list(WARM_MODULES))
    start_server()


def start_server() -> None:
    """Start the fork server with what it is set to import, unless it runs; no :data:`PARENTS_SIGNALS` end it.

    Its forks begin with these signals blocked.
    """
    from multiprocessing import forkserver, resource_tracker

    # The fork server ignores ctrl-C only once it has imported, and the others never: one would end it, and every worker
    # with it. A blocked signal stays blocked in the process that is started, and waits for this one. The tracker that
    # the fork server wants would unblock it, so it is started before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PARENTS_SIGNALS)
    try:
        with _nothing_of_the_current_folder():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _nothing_of_the_current_folder() -> Iterator[None]:
    """A Python started inside the block does not import from the folder that it is started in.

    The fork server is ``python -c``, which would: a person's own ``token.py`` there would be run in place of the
    standard library's.
    """
    own = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if own is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = own


def spin_briefly() -> None:
    """Let OpenMP threads spin a moment while they wait for each other, then sleep.

    GNU's OpenMP spins for milliseconds by default; where another program needs one of the cores, a step of two
    threads then waits a scheduler's slice at every matrix product. Measured for one step of the 1m preset on two cores:
    96 ms idle and 3,590 ms busy by default, 163 and 377 ms when threads always sleep, 103 and 281 ms with 50,000 spins.
    A value in the user's environment is kept. Must be called before torch is imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "50000")


class Channel:
    """A worker's line to its parent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stop = False
        self.time_is_up = False
        """The parent asked for an end because the time is up, and wants what there is."""

    def send(self, event: dict[str, Any]) -> None:
        """Send an event (plain values only)."""
        with contextlib.suppress(BrokenPipeError):
            self._connection.send(("event", event))

    def should_stop(self) -> bool:
        """True once the parent asked to stop, or is gone."""
        if not self._stop and self._connection.poll():
            try:
                asked = self._connection.recv()
                self._stop, self.time_is_up = True, asked == TIME_IS_UP
            except (EOFError, OSError):
                self._stop = True
        return self._stop


@dataclass
class Worker:
    """A running worker as its parent sees it."""

    name: str
    process: Any
    connection: Connection
    started: float
    result: Any = None
    error: str | None = None
    error_exit: int = 3
    problems: tuple[str, ...] = ()
    """Of an error that is the input's: one sentence each."""
    done: bool = False
    stop_asked: bool = field(default=False)

    def ask_to_stop(self, why: str = "stop") -> None:
        """Ask the worker to save and end; it does so after the step in progress.

        With :data:`TIME_IS_UP` it is asked to make the best of what it has as well.
        """
        self.stop_asked = True
        with contextlib.suppress(BrokenPipeError, OSError):
            self.connection.send(why)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self.process.is_alive():
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()
        self.done = True


def start(name: str, function: Callable[..., Any], *args: Any) -> Worker:
    """Fork a worker from the warm process and return at once. ``function`` must be importable by name."""
    context = multiprocessing.get_context("forkserver")
    spin_briefly()
    multiprocessing.set_forkserver_preload(list(WARM_MODULES))
    mine, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, function, args), name=f"hone-{name}", daemon=False)
    process.start()
    theirs.close()
    return Worker(name=name, process=process, connection=mine, started=time.monotonic())


def events(
    workers: list[Worker], timeout_s: float = 0.5, pressed: threading.Event | None = None
) -> Iterator[tuple[Worker, dict[str, Any]] | None]:
    """Events of running workers as they come, until all are done.

    Yields None when ``timeout_s`` passes quietly and when a worker has come to its end, so that whoever follows them
    can start another before the end is taken for the end of all: ``workers`` may grow meanwhile.

    When ``pressed`` is set, every worker is asked to stop once.
    """
    while alive := [worker for worker in workers if not worker.done]:
        if pressed is not None and pressed.is_set():
            for worker in alive:
                if not worker.stop_asked:
                    worker.ask_to_stop()
        ready = wait([worker.connection for worker in alive], timeout=timeout_s)
        if not ready:
            yield None
        for worker in alive:
            if worker.connection in ready:
                event = _receive(worker)
                if event is not None:
                    yield worker, event
        if any(worker.done for worker in alive):
            yield None


def run(
    name: str, function: Callable[..., Any], *args: Any, on_event: Callable[[dict[str, Any]], None] | None = None
) -> Any:
    """Run one worker to its end and return its value.

    Raises:
        FailedError: with the worker's own error sentence.
    """
    worker = start(name, function, *args)
    for item in events([worker]):
        if item is not None and on_event is not None:
            on_event(item[1])
    return result_of(worker)


def result_of(worker: Worker) -> Any:
    """The value of a worker that is done.

    Raises:
        HoneError: the worker's own, or a FailedError when it crashed.
    """
    if worker.error is not None:
        raise error_of(worker)
    return worker.result


def error_of(worker: Worker, sentence: str = "") -> HoneError:
    """What a worker that has failed raises here; ``sentence`` stands in the place of its own where it is no input's."""
    if worker.problems:
        return InputError(worker.problems)
    error = FailedError(sentence or worker.error or "")
    error.exit_code = worker.error_exit
    return error


def _receive(worker: Worker) -> dict[str, Any] | None:
    try:
        kind, value = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join()
        if not worker.done:
            code = worker.process.exitcode
            how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
            worker.error = f"the worker {worker.name} {how} before it had a result"
            worker.done = True
        return None
    if kind == "event":
        return dict(value)
    if kind == "result":
        worker.result = value
    else:
        worker.error, worker.error_exit, worker.problems = value
    worker.done = True
    worker.process.join()
    return None


def leave_signals_to_the_parent() -> None:
    """Ignore what asks the whole command to end."""
    for number in PARENTS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _work(connection: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    leave_signals_to_the_parent()
    message: tuple[str, Any]
    try:
        message = ("result", function(Channel(connection), *args))
    except HoneError as error:
        message = ("error", (str(error), error.exit_code, error.problems if isinstance(error, InputError) else ()))
    except MemoryError:
        message = ("error", ("out of memory; use a smaller batch_size or preset", 3, ()))
    except BaseException:
        message = ("error", (traceback.format_exc(), 3, ()))
    # After a second ctrl-C the parent is gone, and nobody is left to tell.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.send(message)
    connection.close()
