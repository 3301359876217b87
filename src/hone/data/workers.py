"""The same function over many items: here, or in worker processes, with results in the order of the items.

The number of workers changes when things are computed, never what: each item is handled alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT = 2
"""Items per worker that are handed out before their results are taken: bounds the memory."""


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order.

    Args:
        function: a top-level function or a partial of one (it travels to the workers).
        items: taken one by one, at most :data:`IN_FLIGHT` per worker ahead.
        workers: processes; 1 computes in this one. A single item starts none either.
    """
    source = iter(items)
    first = list(_taken(source, 2))
    if workers <= 1 or len(first) < 2:
        yield from map(function, first)
        yield from map(function, source)
        return
    import multiprocessing
    from concurrent.futures import Future, ProcessPoolExecutor

    # Not a fork of this process: it may hold Arrow's and numpy's threads, and their locks.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("forkserver")) as pool:
        waiting: deque[Future[Result]] = deque(pool.submit(function, item) for item in first)
        for item in source:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= IN_FLIGHT * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _taken(source: Iterator[Item], count: int) -> Iterator[Item]:
    for item in source:
        yield item
        count -= 1
        if not count:
            return
