"""Several processes of one run on this machine, as torchrun would start them but inside a Python call.

Each process gets RANK, WORLD_SIZE and an address of this machine in its environment, and Fabric takes it from
there. A process that dies takes the others down; none is left waiting.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal, TypeVar

from hone.errors import FailedError, InputError

T = TypeVar("T")
DYING_S = 1.0
"""How long a process may take between the end of its connections and its own."""
Start = Literal["forkserver", "spawn", "fork"]


def run(work: Callable[[int], T], processes: int, *, start: Start = "forkserver") -> list[T]:
    """Call ``work(rank)`` in ``processes`` processes; what they returned, by rank.

    Args:
        work: called with the rank; must be importable by name, and what it returns is pickled back.
        processes: how many, at least 1.
        start: ``forkserver`` is cheap once :func:`hone.processes.warm_up` has been called. ``fork`` spares the imports
            too, but only in a process that has imported torch and not yet computed with it: the child of one that
            has computed with several threads hangs.

    Raises:
        InputError: when ``work`` found wrong input. FailedError: when a process failed, with its traceback.
    """
    context = multiprocessing.get_context(start)
    port = free_port()
    started: list[tuple[BaseProcess, Connection]] = []
    try:
        for rank in range(processes):
            ours, theirs = context.Pipe(duplex=False)
            arguments = (work, rank, processes, port, theirs)
            process = context.Process(target=_worker, args=arguments, daemon=True)  # type: ignore[attr-defined]
            process.start()
            theirs.close()
            started.append((process, ours))
        return _collect(started)
    finally:
        for process, pipe in started:
            if process.is_alive():
                process.kill()
            process.join()
            pipe.close()


def _collect(started: list[tuple[BaseProcess, Connection]]) -> list[Any]:
    """Results in order of rank; raises as soon as one process fails."""
    results: dict[int, Any] = {}
    waiting = {pipe: rank for rank, (_, pipe) in enumerate(started)}
    while waiting:
        for ready in wait(list(waiting)):
            assert isinstance(ready, Connection)
            rank = waiting.pop(ready)
            try:
                kind, value = ready.recv()
            except EOFError:
                started[rank][0].join()
                raise _died(rank, started) from None
            if kind == "input":
                raise InputError(value)
            if kind == "failed":
                if (cause := _killed(started, list(waiting))) is not None:
                    raise _died(cause, started)
                raise FailedError(f"process {rank} of {len(started)} failed:\n{value}")
            results[rank] = value
    return [results[rank] for rank in range(len(started))]


def _killed(started: list[tuple[BaseProcess, Connection]], waiting: list[Connection]) -> int | None:
    """The rank of a process that was killed, which made the others fail; one that is dying has its time to do so."""
    wait(waiting, timeout=DYING_S)
    for rank, (process, pipe) in enumerate(started):
        if pipe in waiting and pipe.poll():
            process.join(DYING_S)
        if (process.exitcode or 0) < 0:
            return rank
    return None


def _died(rank: int, started: list[tuple[BaseProcess, Connection]]) -> FailedError:
    return FailedError(f"process {rank} of {len(started)} died with exit status {started[rank][0].exitcode}")


def _worker(work: Callable[[int], Any], rank: int, processes: int, port: int, pipe: Connection) -> None:
    os.environ.update(rank_environment(rank, processes, port))
    try:
        pipe.send(("done", work(rank)))
    except InputError as error:
        pipe.send(("input", list(error.problems)))
    except BaseException:  # the parent reports it, whatever it is
        pipe.send(("failed", traceback.format_exc()))


def rank_environment(rank: int, processes: int, port: int) -> dict[str, str]:
    """What torchrun would put into the environment of process ``rank`` of ``processes`` on this machine."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        # By this name Fabric knows that the processes are started by somebody else.
        "TORCHELASTIC_RUN_ID": "hone",
    }


def my_rank() -> int:
    """The number of this process among those of its run; 0 where it is alone."""
    return int(os.environ.get("RANK", "0"))


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
