"""What a model's matrices are given to read: second moments of their inputs over rendered training rows.

Imports torch inside. Rows are those that the model was trained on: dev chooses and test is read once, so neither of
them may shape a weight.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.weights import KEPT_IN_FLOATS
from hone.errors import InputError
from hone.task.render import Example

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hone.train.batches import Batch

ROWS, TOKENS = 256, 16_384
"""Rows and tokens that calibrate at most. On the voice task 96 rows gave GPTQ the divergence that 512 gave it."""
TOGETHER = 32
"""Rows in one forward pass."""


_HEADS = tuple(name.removesuffix(".weight") for name in KEPT_IN_FLOATS)


class Enough(Exception):  # noqa: N818  (no error: a stop)
    """Everything that was to be read of a batch is read; what a model would still compute is of no use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a stored matrix is multiplied."""

    name: str
    """The tensor's name in the model folder."""
    module: Any
    """The ``nn.Linear`` that multiplies by it; the embedding where nothing multiplies."""
    embeds: bool
    """Whether rows of it are looked up, too or only."""
    multiplies: bool
    """Whether inputs are multiplied by it; of an embedding only where the output layer shares it."""


def places(module: nn.Module) -> dict[str, Place]:
    """The matrices of a model that a weight format stores, by the names of the model folder's tensors.

    A matrix that embedding and output layer share is one place, named as the embedding and read as the output layer.
    """
    from torch import nn

    model: Any = module
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head is not None and head.weight is embedding.weight
    found: dict[str, Place] = {}
    for name, part in module.named_modules():
        if _is_unread(name, model.config):
            continue
        if part is embedding:
            user = head if tied else embedding
            found[f"{name}.weight"] = Place(name=f"{name}.weight", module=user, embeds=True, multiplies=tied)
        elif isinstance(part, nn.Linear) and not ((tied and part is head) or name.endswith(_HEADS)):
            found[f"{name}.weight"] = Place(name=f"{name}.weight", module=part, embeds=False, multiplies=True)
    return found


def _is_unread(name: str, config: Any) -> bool:
    """Whether a module is BERT's pooler where the mean of a row's states stands for it: no folder keeps that one."""
    return getattr(config, "classifier_pooling", None) == "mean" and ".pooler." in f".{name}."


def batches_of(examples: Sequence[Example], most_rows: int = ROWS, most_tokens: int = TOKENS) -> list[Batch]:
    """Rows as padded batches, similar lengths together; spread evenly over all rows where these are too many.

    Raises:
        InputError: when there is no row.
    """
    from hone.train.batches import collate

    if not examples:
        raise InputError("calibration needs rows, and there are none; give rendered rows of the task's training data")
    step = max(1, -(-len(examples) // most_rows))
    chosen: list[Example] = []
    tokens = 0
    for example in (examples[at] for at in range(0, len(examples), step)):
        tokens += len(example.ids)
        if chosen and tokens > most_tokens:
            break
        chosen.append(example)
    chosen.sort(key=lambda example: len(example.ids))
    return [
        collate([(example,) for example in chosen[start : start + TOGETHER]])
        for start in range(0, len(chosen), TOGETHER)
    ]


def logits_of(model: nn.Module, batch: Batch) -> Tensor:
    """Logits (S, K) at the supervised positions of a batch, whatever head the model has.

    Decoders take the faster way of :mod:`hone.model.faster` where nothing stands in it, such as somebody listening.
    """
    from hone.model import faster
    from hone.model.heads import encoder_logits, has_encoder_head
    from hone.train.objectives import supervised_logits

    if has_encoder_head(model):
        return encoder_logits(model, batch.ids, batch.lengths, batch.predict_from, position_ids=batch.position_ids)
    if faster.obstacle(model) is not None:
        return supervised_logits(model, batch)
    decoder: Any = model
    hidden = faster.hidden_states(decoder, batch.ids, batch.position_ids, batch.lengths, batch.predict_from)
    states = hidden.states.index_select(0, hidden.rows(batch.predict_from))
    logits: Tensor = states @ decoder.get_output_embeddings().weight.T
    return logits


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Inside the block the model computes without dropout and without gradients."""
    import torch

    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)


def reading_order(module: nn.Module, batch: Batch) -> list[tuple[str, ...]]:
    """Names of the multiplied matrices in the order of a forward pass; those that read the same input together."""
    order: list[tuple[str, ...]] = []
    before: list[Tensor] = []  # kept, so that no other input gets its identity

    def note(name: str, given: Tensor) -> None:
        if before and before[-1] is given:
            order[-1] = (*order[-1], name)
        else:
            order.append((name,))
            before.append(given)

    known = places(module)
    with evaluating(module), _listening(known, [name for name, one in known.items() if one.multiplies], note):
        logits_of(module, batch)
    return order


def moments(
    module: nn.Module,
    batches: Sequence[Batch],
    names: Collection[str],
    *,
    squares: bool = False,
    begin: Callable[[int], None] = lambda batch: None,
) -> dict[str, NDArray[np.float64]]:
    """Mean ``x x^T`` over the inputs ``x`` of matrices, padding left out: (columns, columns) each.

    Of the output layer only inputs from which something is predicted are taken, where the others are not computed.
    What comes behind the last of the matrices is not computed.

    Args:
        module: the model, with the weights that come before a matrix as they will be stored.
        batches: rows as :func:`batches_of` makes them.
        names: names of matrices that are multiplied.
        squares: only their diagonals, (columns,) each, which is far less work.
        begin: is told the number of each batch before it is read.
    """
    import torch

    sums: dict[str, Tensor] = {}
    counts = dict.fromkeys(names, 0)
    shared: list[tuple[Tensor, Tensor]] = []
    real: list[Tensor] = []
    heard: set[str] = set()

    def add(name: str, given: Tensor) -> None:
        if shared and shared[-1][0] is given:
            product = shared[-1][1]
        else:
            inputs = given[real[-1]] if given.shape[:-1] == real[-1].shape else given.flatten(0, -2)
            inputs = inputs.float()
            product = inputs.square().sum(0).double() if squares else (inputs.T @ inputs).double()
            shared[:] = [(given, product)]
        sums[name] = sums[name] + product if name in sums else product
        counts[name] += int(real[-1].sum()) if given.shape[:-1] == real[-1].shape else given[..., 0].numel()
        heard.add(name)
        if len(heard) == len(names):
            raise Enough

    with evaluating(module), _listening(places(module), names, add):
        for number, batch in enumerate(batches):
            begin(number)
            here = batch.to(next(module.parameters()).device)
            real[:] = [torch.arange(here.ids.shape[1], device=here.ids.device)[None] < here.lengths[:, None]]
            shared.clear()
            heard.clear()
            with suppress(Enough):
                logits_of(module, here)
    return {name: (sums[name] / counts[name]).cpu().numpy() for name in names}


@contextmanager
def _listening(known: Mapping[str, Place], names: Collection[str], hear: Any) -> Iterator[None]:
    """Inside the block ``hear(name, input)`` is called whenever one of these matrices is multiplied."""
    handles = [
        known[name].module.register_forward_pre_hook(lambda module, given, name=name: hear(name, given[0]))
        for name in names
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
