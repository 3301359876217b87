"""An encoder behind the callables that scoring takes: labels of rows, tags at positions, masked tokens.

Rows of similar length are read together; a result does not depend on what else is read beyond the rounding of floats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hone.evaluate.generate import MaskedNats
from hone.evaluate.torch_generate import evaluating
from hone.model.heads import encoder_logits
from hone.task.render import Example

KnownLogits = Mapping[tuple[int, ...], NDArray[np.float64]]
"""A row's ids to its logits (labels,)."""
MOST_TOKENS = 2**14
MOST_LOGITS = 2**24


class EncoderLabels:
    """Log-probabilities of a row's labels; see :class:`hone.evaluate.generate.LabelLogprobs`.

    Args:
        model: an encoder with a head over rows.
        temperature: what logits are divided by.
        several: whether a row can have several labels: each is then judged by itself.
        known: (labels,) logits of rows by their ids, of the same weights: what is in it is not computed again.
    """

    def __init__(
        self, model: nn.Module, temperature: float = 1.0, *, several: bool = False, known: KnownLogits | None = None
    ) -> None:
        self.model, self.temperature, self.several = model, temperature, several
        self.known = known or {}

    def logits(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """(rows, labels) before the temperature."""
        keys = [tuple(row) for row in rows]
        missing = [index for index, key in enumerate(keys) if key not in self.known]
        made = at_positions(self.model, [rows[index] for index in missing], [[0]] * len(missing))
        new = dict(zip(missing, made, strict=True))
        found = [new[index][0] if index in new else self.known[key] for index, key in enumerate(keys)]
        return np.stack(found) if found else np.zeros((0, 0))

    def __call__(self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float64]:
        """(rows, labels) natural-log probabilities."""
        logits = torch.from_numpy(self.logits(prompts) / self.temperature)
        found = nn.functional.logsigmoid(logits) if self.several else torch.log_softmax(logits, -1)
        return np.asarray(found.numpy()[:, list(label_ids)])


class EncoderTags:
    """Logits of tags at given positions."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, rows: Sequence[Sequence[int]], at: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """For each row (positions, tags)."""
        return at_positions(self.model, rows, at)


class EncoderMasked:
    """How well masked tokens are guessed."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, examples: Sequence[Example]) -> list[MaskedNats]:
        """One sum for each masked row."""
        at = [np.flatnonzero(example.supervised).tolist() for example in examples]
        tables = _streamed(self.model, [example.ids.tolist() for example in examples], at)
        found: list[MaskedNats | None] = [None] * len(examples)
        for index, logits in tables:
            targets = torch.from_numpy(examples[index].targets[at[index]]).long().to(logits.device)  # type: ignore[index]
            nats = nn.functional.cross_entropy(logits.double(), targets, reduction="sum")
            found[index] = MaskedNats(float(nats), int((logits.argmax(-1) == targets).sum()), len(targets))
        return [one for one in found if one is not None]


def at_positions(
    model: nn.Module, rows: Sequence[Sequence[int]], at: Sequence[Sequence[int]]
) -> list[NDArray[np.float64]]:
    """Logits (positions, outputs) of each row; a head over rows gives one line whatever the positions are."""
    found: list[NDArray[np.float64]] = [np.zeros((0, 0))] * len(rows)
    for index, logits in _streamed(model, rows, at):
        found[index] = logits.double().cpu().numpy()
    return found


def _streamed(
    model: Any, rows: Sequence[Sequence[int]], at: Sequence[Sequence[int]]
) -> Iterator[tuple[int, torch.Tensor]]:
    """(row, its logits), shortest rows first; logits of one batch are alive at a time."""
    device = next(model.parameters()).device
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    with evaluating(model):
        for group in _groups(order, rows, at, int(getattr(model.config, "vocab_size", 1))):
            width = len(rows[group[-1]])
            ids = torch.zeros((len(group), width), dtype=torch.int64)
            for place, index in enumerate(group):
                ids[place, : len(rows[index])] = torch.tensor(rows[index])
            lengths = torch.tensor([len(rows[index]) for index in group])
            flat = torch.tensor([place * width + p for place, index in enumerate(group) for p in at[index]])
            logits = encoder_logits(model, ids.to(device), lengths.to(device), flat.long().to(device))
            parts = torch.split(logits, [len(at[index]) for index in group])
            yield from zip(group, parts, strict=True)


def _groups(
    order: Sequence[int], rows: Sequence[Sequence[int]], at: Sequence[Sequence[int]], vocabulary: int
) -> Iterator[list[int]]:
    group: list[int] = []
    lines = 0
    for index in order:
        full = (len(group) + 1) * len(rows[index]) > MOST_TOKENS or (lines + len(at[index])) * vocabulary > MOST_LOGITS
        if group and full:
            yield group
            group, lines = [], 0
        group.append(index)
        lines += len(at[index])
    if group:
        yield group
