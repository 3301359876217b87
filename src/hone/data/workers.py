"""The same function over many items: here, or in worker processes, with results in the order of the items.

The number of workers changes when things are computed, never what: each item is handled alone. Workers end with the
process that started them, however it ends.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from hone.errors import FailedError
from hone.processes import leave_signals_to_the_parent, start_server

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT = 2
"""Items per worker that are handed out before their results are taken: bounds the memory."""


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, *, stage: str = "measuring"
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order.

    Ctrl-C reaches this process alone; leaving the iteration early, by whatever way, ends the workers at once.

    Args:
        function: a top-level function or a partial of one (it travels to the workers).
        items: taken one by one, at most :data:`IN_FLIGHT` per worker ahead.
        workers: processes; 1 computes in this one. A single item starts none either.
        stage: what is being done, for the error.

    Raises:
        FailedError: a worker died.
    """
    source = iter(items)
    first = list(_taken(source, 2))
    if workers <= 1 or len(first) < 2:
        yield from map(function, first)
        yield from map(function, source)
        return
    import multiprocessing
    from concurrent.futures import Future, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    start_server()
    # Not a fork of this process: it may hold Arrow's and numpy's threads, and their locks.
    context = multiprocessing.get_context("forkserver")
    parent_alive, alive = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(parent_alive,))
    try:
        waiting: deque[Future[Result]] = deque(pool.submit(function, item) for item in first)
        for item in source:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= IN_FLIGHT * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        pool.shutdown()
    except BrokenProcessPool:
        raise FailedError(
            f"{stage}: one of {workers} worker processes ended before it had a result: the system ended it, most often "
            "for want of memory, or code that it ran crashed; repeat with --workers 1: what was done is kept"
        ) from None
    finally:
        alive.close()
        pool.shutdown(cancel_futures=True)
        parent_alive.close()


def _begin(parent_alive: Connection) -> None:
    """What a worker does first: leave signals to its parent, and watch whether the parent is there.

    The other end of the pipe is the parent's alone, so the pipe ends with it, also when it is killed.
    """
    leave_signals_to_the_parent()
    threading.Thread(target=_end_with, args=(parent_alive,), daemon=True).start()


def _end_with(parent_alive: Connection) -> None:
    wait([parent_alive])
    os._exit(1)  # in the middle of an item: what it writes is whole or absent


def _taken(source: Iterator[Item], count: int) -> Iterator[Item]:
    for item in source:
        yield item
        count -= 1
        if not count:
            return
