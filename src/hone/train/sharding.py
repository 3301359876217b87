"""One model over several processes, a shard of each parameter in each (PyTorch's FSDP2), and whole tensors of it.

Parameters are then *distributed tensors*: they report the shape of the whole and hold a part. What is judged, written
and given back to the caller is whole, so states of a sharded run have the format of all others.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


def is_sharded(tensor: Tensor) -> bool:
    """Whether a tensor is distributed. By its method: importing its class takes a third of a second."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """The whole tensor; where it is distributed all processes have to ask for it together."""
    gathered: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return gathered


def local(tensor: Tensor) -> Tensor:
    """This process's part, sharing its memory; the tensor itself where it is not distributed."""
    part: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return part


def sharded_like(tensor: Tensor, pattern: Tensor) -> Tensor:
    """A whole tensor, the same in all processes, as a distributed one laid out like ``pattern`` where that is one."""
    if not is_sharded(pattern) or tensor.shape != pattern.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    layout: Any = pattern
    device = layout.to_local().device
    return distribute_tensor(tensor.to(device), layout.device_mesh, layout.placements, src_data_rank=None)


def copy_to_shard(model: nn.Module, device: torch.device) -> nn.Module:
    """A copy on the device, to be sharded; the original stays whole."""
    return copy.deepcopy(model).to(device)


def shard(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """Shard a module in place: each layer by itself, so that one at a time is whole, and the rest together."""
    from torch.distributed.fsdp import fully_shard

    for parent in list(module.modules()):
        if isinstance(parent, nn.ModuleList):
            for layer in parent:
                fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module
