"""The yardstick: a bare PyTorch training loop on the same model and batches, and nothing else.

No checkpoints, no evaluation, no records, no guards, no resume: what is left is the arithmetic. It comes in two forms.
``gather=True`` computes logits at supervised positions only, as hone's objective does, so that the two differ by the
engine alone; ``gather=False`` is the loop as it is usually written, with the logits of every position.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hone.task.recipe import Recipe
from hone.train.batches import PackedRow
from workload import Gate

IGNORED = -100


def collate(rows: list[PackedRow]) -> tuple[Tensor, Tensor]:
    """Ids and labels (B, T), padded to the longest row; labels of positions that carry no loss are ignored."""
    length = max(len(row[0].ids) for row in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.int64)
    labels = torch.full((len(rows), length), IGNORED)
    for index, (example,) in enumerate(rows):
        tokens = torch.from_numpy(example.ids).long()
        ids[index, : len(tokens)] = tokens
        labels[index, : len(tokens)] = torch.where(torch.from_numpy(example.supervised), tokens, IGNORED)
    return ids, labels


def loss_of(model: Any, ids: Tensor, labels: Tensor, gather: bool) -> Tensor:
    """Mean cross entropy of the supervised tokens."""
    targets = labels[:, 1:]
    if gather:
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        supervised = targets != IGNORED
        return cross_entropy(model.lm_head(hidden[:, :-1][supervised]), targets[supervised])
    logits = model(input_ids=ids, use_cache=False).logits
    return cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def train(model: Any, steps: Iterable[list[PackedRow]], recipe: Recipe, gate: Gate, *, gather: bool) -> None:
    """Train until the gate says stop."""
    torch.set_num_threads(recipe.threads)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.learning_rate,
        betas=(recipe.beta1, recipe.beta2),
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    model.train()
    for rows in steps:
        ids, labels = collate(rows)
        loss_of(model, ids, labels, gather).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if gate.step(ids.numel()):
            return
