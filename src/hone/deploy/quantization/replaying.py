"""Layers that are finished give what they gave before: reading behind them costs the layers that are still open.

Rounding in order reads the inputs of one group of matrices after the other. Without this each reading would compute
every layer before it again. Imports torch inside.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hone.deploy.quantization.calibration import Enough, evaluating, logits_of

if TYPE_CHECKING:
    from torch import nn

    from hone.train.batches import Batch


class Replay:
    """The layers of a model that is worked on; those whose matrices are all finished are computed no more.

    Args:
        module: a copy, whose layers are changed.
        batches: on its device, always read in this order.
        names: the matrices that are going to change, each once.
    """

    def __init__(self, module: nn.Module, batches: Sequence[Batch], names: Collection[str]) -> None:
        self._module, self._batches = module, batches
        self._layers = _layers_of(module, names)
        self._kept: list[Any] = []
        self._done = 0
        self._at = 0

    def begin(self, batch: int) -> None:
        """Say which batch is read now."""
        self._at = batch

    def finish(self, finished: Collection[str]) -> None:
        """Keep what the leading layers give whose matrices are all among these: they are not to change again."""
        count = self._done
        while count < len(self._layers) and self._layers[count][1] <= set(finished):
            count += 1
        if count == self._done:
            return
        self._kept = [self._output(count - 1, at) for at in range(len(self._batches))]
        for layer, _ in self._layers[self._done : count]:
            layer.forward = lambda *_, **__: self._kept[self._at]
        self._done = count

    def _output(self, number: int, batch: int) -> Any:
        """What a layer gives for a batch; what comes behind it is not computed."""
        found: list[Any] = []

        def keep(*given: Any) -> None:
            found.append(given[-1])
            raise Enough

        self.begin(batch)
        handle = self._layers[number][0].register_forward_hook(keep)
        try:
            with evaluating(self._module), suppress(Enough):
                logits_of(self._module, self._batches[batch])
        finally:
            handle.remove()
        return found[0]


def _layers_of(module: nn.Module, names: Collection[str]) -> list[tuple[Any, set[str]]]:
    """The layers of a model in their order, each with those of the matrices that are in it."""
    from torch import nn

    for name, part in module.named_modules():
        if isinstance(part, nn.ModuleList) and any(one.startswith(f"{name}.") for one in names):
            return [
                (layer, {one for one in names if one.startswith(f"{name}.{number}.")})
                for number, layer in enumerate(part)
            ]
    return []
