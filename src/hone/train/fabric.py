"""Devices and processes: how a recipe's ``precision`` and ``processes`` become a Fabric."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch

from hone.errors import InputError
from hone.hardware import accelerator
from hone.task.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

COLLECT_EVERY = 500
"""Steps between garbage collections while the collector is off."""


def connect(recipe: Recipe) -> Fabric:
    """A launched Fabric for this process.

    With more than one process this one must have been started as one of them, by :func:`hone.train.launch.run`
    or by torchrun.

    Raises:
        InputError: when the recipe wants another number of processes than there are.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != recipe.processes:
        raise InputError(
            f"the recipe wants {recipe.processes} processes and this is one of {started}; "
            "start them with hone.train.launch.run, or with torchrun --nproc-per-node"
        )
    kind = accelerator()
    if recipe.processes == 1:
        fabric = Fabric(accelerator=kind, devices=1, precision=recipe.precision)
    else:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", str(started)))
        backend = "gloo" if kind == "cpu" else None
        # A process that died must not leave the others waiting for half an hour.
        strategy = DDPStrategy(process_group_backend=backend, timeout=timedelta(minutes=10))
        fabric = Fabric(
            accelerator=kind, devices=local, num_nodes=started // local, strategy=strategy, precision=recipe.precision
        )
    fabric.launch()
    return fabric


def broadcast(fabric: Fabric, value: Any) -> Any:
    """The first process's value on all of them."""
    return value if fabric.world_size == 1 else fabric.broadcast(value)


@contextlib.contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Compute with ``count`` CPU threads inside the block (sums depend on it in their last bits)."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def quiet_collector() -> Iterator[None]:
    """Keep Python's garbage collector from walking all imported modules in the middle of steps."""
    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
