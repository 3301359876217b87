"""A run whose processes torchrun has started: the first one makes the run, the others are told of it."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from hone.errors import InputError
from hone.processes import leave_signals_to_the_parent
from hone.task.recipe import Recipe

PATIENCE = timedelta(hours=24)
"""Data is prepared, and a box measured, before the others hear of the run: no collective waits for that."""


def started_processes() -> int:
    """How many processes somebody has started as one group; 0 where nobody has."""
    return int(os.environ.get("WORLD_SIZE", "0"))


def check_started() -> None:
    """Refuse an environment that names a group which torchrun has not made.

    Raises:
        InputError: with what to type instead.
    """
    wanted = ("RANK", "MASTER_ADDR", "MASTER_PORT")
    missing = [name for name in wanted if name not in os.environ]
    if missing or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        why = f"{', '.join(missing)} is missing" if missing else "it was not torchrun"
        raise InputError(
            f"WORLD_SIZE is {started_processes()}, so this process belongs to a group, but {why}; start the group with "
            f"torchrun --nproc-per-node {started_processes()} -m hone train, or unset WORLD_SIZE and set processes"
        )


class Group:
    """The processes that torchrun has started, and what the first of them tells the others."""

    def __init__(self) -> None:
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        self.rank = int(os.environ["RANK"])
        self._key = f"hone/order/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        self._store = TCPStore(address, port, None, False, PATIENCE)

    def tell(self, order: dict[str, Any]) -> None:
        """In the first process: what all are to work on."""
        plain = {**order, "recipe": order["recipe"].model_dump(mode="json")}
        self._store.set(self._key, json.dumps(plain))

    def hear(self) -> dict[str, Any]:
        """In the others: the order, once there is one."""
        self._store.wait([self._key], PATIENCE)
        plain = json.loads(self._store.get(self._key))
        return {**plain, "recipe": Recipe.model_validate(plain["recipe"])}


def follow(folder: Path) -> None:
    """Take part in the run that the first process makes: all of training, and nothing of the lab.

    Raises:
        HoneError: what training raises.
    """
    leave_signals_to_the_parent()  # the first process hears them, and all stop after the same step
    from hone.attempts import work
    from hone.data.prepare import prepare
    from hone.data.task_file import load_task
    from hone.solving.watched import Here, Watched

    order = Group().hear()
    task = load_task(folder)
    data = prepare(task, folder, folder / ".hone" / "cache", lambda line: None)
    work(Here(Watched()), {**order, "folder": str(folder), "task": task, "data": data})
