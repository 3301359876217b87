"""At step 1: an untrained model guesses, and a uniform guess among ``n`` has a loss of ln n."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from hone.train.objectives import NextToken, Objective, SeveralLabels


def choices(model: nn.Module, objective: Objective, *, several: bool = False) -> int:
    """Among how many an untrained model guesses: tokens of the vocabulary, classes or tags, or yes and no.

    ``several`` says that the rows bring several labels each; each class is then a guess of its own.
    """
    if several or isinstance(objective, SeveralLabels):
        return 2
    known: Any = model
    among_tokens = isinstance(objective, NextToken) or known.get_output_embeddings() is not None
    return int(known.config.vocab_size if among_tokens else known.config.num_labels)


def first_loss_line(loss: float, choices: int, unit: str = "nats per token") -> str:
    """A sentence on the loss of the first step of an untrained model, beside that of a uniform guess.

    Args:
        loss: mean over the supervised positions, in nats.
        choices: among how many it guesses, see :func:`choices`.
        unit: see :func:`hone.train.loss_units.loss_unit`.
    """
    uniform = math.log(choices)
    line = f"first loss {loss:.2f} {unit}; a uniform guess has ln {choices:,} = {uniform:.2f}"
    if loss > 2 * uniform:
        return line + ": more than twice that, so the initial weights are too large for this shape"
    if loss < 0.5 * uniform:
        return line + ": less than half of that, so the model is not untrained, or it sees what it is to predict"
    return line
