"""Can it learn at all: a model, mask or loss that is wired wrongly cannot learn one batch by heart."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass

import torch
from torch import nn

from hone.train.batches import Batch
from hone.train.objectives import Objective, objective_for


@dataclass(frozen=True, kw_only=True, slots=True)
class Overfit:
    """Losses per token before and after training on one batch alone."""

    first: float
    last: float
    steps: int

    @property
    def learned(self) -> bool:
        """Whether the loss fell below a tenth of what it was."""
        return self.last < 0.1 * self.first


def overfit_one_batch(
    model: nn.Module,
    batch: Batch,
    *,
    objective: Objective | None = None,
    steps: int = 60,
    learning_rate: float = 3e-3,
    most_s: float = math.inf,
) -> Overfit:
    """Train a copy of ``model`` on one batch: a model, mask or loss that is wired wrongly cannot learn it by heart.

    It ends as soon as the batch is learned, behind ``steps``, or when ``most_s`` seconds are over.
    """
    begin = time.monotonic()
    trial, objective = copy.deepcopy(model).train(), objective or objective_for(model)
    optimizer = torch.optim.AdamW(trial.parameters(), lr=learning_rate, weight_decay=0.0, fused=True)
    losses = []
    for _ in range(steps + 1):
        total, num_tokens = objective.loss(trial, batch)
        loss = total / num_tokens
        losses.append(float(loss.detach()))
        found = Overfit(first=losses[0], last=losses[-1], steps=len(losses) - 1)
        if found.learned or time.monotonic() - begin > most_s:
            break
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trial.parameters(), 1.0)
        optimizer.step()
    return found
