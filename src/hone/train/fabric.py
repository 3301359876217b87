"""Devices and processes: how ``precision``, ``processes`` and ``strategy`` become a Fabric; which forward pass."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hone.errors import InputError
from hone.hardware import accelerator
from hone.model.faster import obstacle
from hone.task.recipe import Recipe
from hone.train.pages import kept_pages
from hone.train.sharding import shard

if TYPE_CHECKING:
    from lightning_fabric import Fabric

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others inside a step. One that died must not leave them waiting for longer."""
PATIENCE = timedelta(days=7)
"""How long a process waits while the first one judges or saves. That may take hours; a first process that dies closes
its connections, and the others are told at once."""
COLLECT_EVERY = 500
"""Steps between garbage collections while the collector is off."""


def precision_of(recipe: Recipe) -> tuple[str, str]:
    """The precision that a recipe computes in on this machine, ``32-true`` or ``bf16-mixed``, and why."""
    if recipe.precision != "auto":
        return recipe.precision, "the recipe says so"
    kind = accelerator()
    if kind == "cuda":
        major, minor = torch.cuda.get_device_capability()
        device = f"{torch.cuda.get_device_name()} has compute capability {major}.{minor}"
        if major >= 8:
            return "bf16-mixed", f"{device}: it multiplies bfloat16 several times as fast as float32"
        return "32-true", f"{device}, and bfloat16 is fast from 8.0 on"
    if kind == "mps":
        return "32-true", "on Apple's GPU mixed precision is not known to be faster for training"
    capability = torch.backends.cpu.get_cpu_capability()
    return "32-true", f"a CPU ({capability}): with AVX512_BF16 mixed precision took 1.6 times as long as float32"


def forward_of(model: nn.Module, recipe: Recipe) -> tuple[str, str]:
    """Which forward pass a run of this recipe takes on this machine, ``fused`` or ``modules``, and why.

    ``fused`` is :mod:`hone.model.faster`, ``modules`` the forward methods of the model's own classes.
    """
    device = accelerator()
    if device != "cpu":
        why: str | None = f"the fused one is for the CPU, and this runs on {device}"
    elif recipe.compile is True:  # auto compiles on no CPU
        why = "the model is compiled"
    elif recipe.gradient_checkpointing:
        why = "activations are recomputed"
    elif precision_of(recipe)[0] != "32-true":
        why = "the fused one computes in full precision only"
    elif recipe.strategy == "fsdp" and recipe.processes > 1:
        why = "the weights lie in shards"
    else:
        was_training = model.training
        why = obstacle(model.train())
        model.train(was_training)
    return ("fused", "equal to the model's modules to rounding, in less time") if why is None else ("modules", why)


def connect(recipe: Recipe) -> Fabric:
    """A launched Fabric for this process.

    Its precision is always that of the weights, float32: the forward pass is put into bfloat16 by
    :class:`hone.train.compiling.LossModule`, without a walk through every batch for tensors to convert.

    With more than one process this one must have been started as one of them, by :func:`hone.train.launch.run`
    or by torchrun.

    Raises:
        InputError: when the recipe wants another number of processes than there are.
    """
    from lightning_fabric import Fabric

    # Its lines on processes that find each other say nothing to whoever waits for the run.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != recipe.processes:
        raise InputError(
            f"the recipe wants {recipe.processes} processes and this is one of {started}; "
            "start them with hone.train.launch.run, or with torchrun --nproc-per-node"
        )
    kind = accelerator()
    if recipe.processes == 1:
        fabric = Fabric(accelerator=kind, devices=1)
    else:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", str(started)))
        strategy = _strategy(recipe, kind)
        fabric = Fabric(accelerator=kind, devices=local, num_nodes=started // local, strategy=strategy)
    fabric.launch()
    if recipe.processes > 1:
        _patient_group()
    return fabric


def _strategy(recipe: Recipe, kind: str) -> Any:
    """How several processes share the model."""
    from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy

    backend = "gloo" if kind == "cpu" else None
    if recipe.strategy == "fsdp":
        return ModelParallelStrategy(
            lambda module, mesh: shard(module, mesh["data_parallel"]),
            data_parallel_size=recipe.processes,
            tensor_parallel_size=1,
            process_group_backend=backend,
            timeout=TIMEOUT,
        )
    return DDPStrategy(process_group_backend=backend, timeout=TIMEOUT)


def broadcast(fabric: Fabric, value: Any) -> Any:
    """The first process's value on all of them, however long it takes to find it."""
    if fabric.world_size == 1:
        return value
    values = [value]
    # On the CPU and by plain values, which needs no device.
    torch.distributed.broadcast_object_list(values, src=0, group=_patient_group(), device=torch.device("cpu"))
    return values[0]


_groups: list[tuple[Any, Any]] = []
"""The processes of this run, and the same as a group that waits."""


def _patient_group() -> Any:
    """The processes as a group with :data:`PATIENCE`; made by all of them at once, by :func:`connect`."""
    world = torch.distributed.group.WORLD
    if not _groups or _groups[0][0] is not world:
        _groups[:] = [(world, torch.distributed.new_group(backend="gloo", timeout=PATIENCE))]
    return _groups[0][1]


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
def undisturbed() -> Iterator[None]:
    """Keep Python's garbage collector and the C library's allocator from doing their own work in the middle of steps.

    What is there now is set aside without being looked at: a collection before would take longer than a small run.
    Freed memory stays with the process until the end (:mod:`hone.train.pages`).
    """
    was_on = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        with kept_pages():
            yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
