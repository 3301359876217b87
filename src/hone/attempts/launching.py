"""Work of one recipe in forks of the warm process: in one, or in as many as the recipe has processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from hone import processes
from hone.errors import HoneError

Work = Callable[[processes.Channel, dict[str, Any]], Any]
LOST_NEIGHBOUR = ("Connection closed by peer", "Connection reset by peer", "remote process exited")
"""What collectives say in a process whose neighbour has ended."""
SETTLE_S = 1.0
"""Once a process has failed, the others have so long to say how they ended: the first word may be a consequence."""


def launch(
    name: str,
    work: Work,
    order: dict[str, Any],
    count: int = 1,
    *,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
    patient: bool = True,
) -> Any:
    """Run ``work(channel, order)`` in ``count`` forks that form one group; what the first of them returned.

    Args:
        name: of the workers, in error messages.
        work: must be importable by name.
        order: plain values, the same for every process.
        count: data-parallel processes.
        on_event: takes the events of the first process.
        should_stop: when it says so, the processes are asked to save and end.
        patient: False takes the processes down at once when it says so: there is nothing to save.

    Raises:
        HoneError: the work's own. FailedError: when a process died; the others are taken down then.
        KeyboardInterrupt: when it was to stop and is not patient.
    """
    if count == 1:
        workers = [processes.start(name, work, order)]
    else:
        from hone.train.launch import free_port

        port = free_port()
        workers = [processes.start(f"{name}-{rank}", _as_rank, work, order, rank, count, port) for rank in range(count)]
    try:
        for item in processes.events(workers):
            if should_stop():
                if not patient:
                    raise KeyboardInterrupt
                _ask_to_stop(workers)
            if item is not None and item[0] is workers[0]:
                on_event(item[1])
            if any(worker.error for worker in workers):
                break
        if count > 1 and any(worker.error for worker in workers):
            _let_settle(workers)
            raise _failure(workers)
        return processes.result_of(workers[0])
    finally:
        for worker in workers:
            if not worker.done:
                worker.kill()


def _ask_to_stop(workers: Sequence[processes.Worker]) -> None:
    for worker in workers:
        if not worker.done and not worker.stop_asked:
            worker.ask_to_stop()


def _as_rank(channel: processes.Channel, work: Work, order: dict[str, Any], rank: int, count: int, port: int) -> Any:
    from hone.train.launch import rank_environment

    os.environ.update(rank_environment(rank, count, port))
    return work(channel, order)


def _let_settle(workers: Sequence[processes.Worker]) -> None:
    end = time.monotonic() + SETTLE_S
    for _ in processes.events(list(workers), timeout_s=0.05):
        if time.monotonic() > end:
            return


def _failure(workers: Sequence[processes.Worker]) -> HoneError:
    """The error that explains the others: wrong input, then a death, then one that is not about a lost neighbour."""

    def weight(item: tuple[int, processes.Worker]) -> tuple[bool, bool, bool]:
        error = item[1].error or ""
        lost = any(text in error for text in LOST_NEIGHBOUR)
        return item[1].error_exit != 2, "before it had a result" not in error, lost

    rank, worker = min(((i, worker) for i, worker in enumerate(workers) if worker.error), key=weight)
    return processes.error_of(
        worker,
        f"process {rank} of {len(workers)}: {worker.error}; the others were ended, the run is as it was last saved",
    )
