"""Stopping work cleanly: the first ctrl-C (SIGINT), SIGTERM or SIGHUP asks, the second insists."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

GO_ON = "stopped; everything finished is saved: repeat the command to go on"
ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Sent by timeout, systemd, Slurm and docker stop; and by a terminal that is closed."""
ONE_WISH_S = 1.0
"""A signal that is forwarded so soon after another is the same wish: timeout sends one of :data:`ENDING` to the process
and to its group, and torchrun hands on each that its processes have heard as well."""


class Stopped(KeyboardInterrupt):
    """A signal ended the work; the words, if any, say how it goes on."""

    def __init__(self, number: int, *words: object) -> None:
        super().__init__(*words)
        self.exit_code = 128 + number
        """What a shell gives for a process that a signal ended."""


@contextlib.contextmanager
def stoppable(clock: Callable[[], float] = time.monotonic) -> Iterator[threading.Event]:
    """Yield an event that the first signal sets; a second one raises :class:`Stopped` at once.

    The block decides what asking means; usually that the step in progress is finished and saved. A KeyboardInterrupt
    that it then raises leaves as :class:`Stopped`, with its words. The handlers of before are put back at its end. A
    signal of :data:`ENDING` that was ignored (nohup) stays so. Outside the main thread, where Python takes no
    handlers, the event is never set.

    Args:
        clock: seconds that pass.
    """
    pressed = threading.Event()
    forwarded = (*ENDING, signal.SIGINT) if "TORCHELASTIC_RUN_ID" in os.environ else ENDING
    first: list[tuple[int, float]] = []

    def ask(number: int, _: FrameType | None) -> None:
        if not first:
            first.append((number, clock()))
            pressed.set()
            name = "" if number == signal.SIGINT else f"{signal.Signals(number).name}: "
            again = "press again to stop" if number == signal.SIGINT else "a second signal stops"
            _tell(f"\n{name}saving; {again} at once")
        elif number not in forwarded or clock() - first[0][1] > ONE_WISH_S:
            raise Stopped(first[0][0])

    with handled_by(ask, (signal.SIGINT, *_heard())):
        try:
            yield pressed
        except KeyboardInterrupt as error:
            if not first or isinstance(error, Stopped):
                raise
            raise Stopped(first[0][0], *error.args) from error


@contextlib.contextmanager
def endable() -> Iterator[None]:
    """Inside the block SIGTERM and SIGHUP raise :class:`Stopped`, so that what has to be cleaned up is."""

    def end(number: int, _: FrameType | None) -> None:
        raise Stopped(number)

    with handled_by(end, _heard()):
        yield


def _heard() -> list[signal.Signals]:
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]


@contextlib.contextmanager
def handled_by(
    handler: Callable[[int, FrameType | None], None] | signal.Handlers, numbers: Sequence[int]
) -> Iterator[None]:
    """Some signals handled in a way of our own; Python lets the main thread alone choose it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, earlier in zip(numbers, before, strict=True):
            signal.signal(number, earlier)


def _tell(line: str) -> None:
    """Print a line on standard error; where the terminal is gone, whatever is printed from now on goes nowhere."""
    try:
        print(line, file=sys.stderr, flush=True)
    except RuntimeError:  # the signal came in the middle of another print
        with contextlib.suppress(OSError):
            os.write(2, f"{line}\n".encode())
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        os.close(nowhere)
