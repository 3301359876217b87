"""Stopping work cleanly: the first ctrl-C (or SIGTERM) asks, the second ctrl-C insists."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

GO_ON = "stopped; everything finished is saved: repeat the command to go on"


@contextlib.contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets; a second SIGINT raises KeyboardInterrupt.

    The block decides what asking means; usually that the step in progress is finished and saved. The handlers of
    before are put back at its end. Outside the main thread, where Python takes no handlers, the event is never set.
    """
    pressed = threading.Event()

    def ask(number: int, _: FrameType | None) -> None:
        if pressed.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not pressed.is_set():
            pressed.set()
            print("\nsaving; press again to stop at once", file=sys.stderr, flush=True)

    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, ask) for number in numbers]
    try:
        yield pressed
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
