"""The yardstick: a bare PyTorch loop on tensors that lie in memory, and nothing else.

No checkpoints, no evaluation, no records, no guards, no resume, no reading: batches are collated before the loop. What
is left is the arithmetic of the Transformers class, fused AdamW and clipping. Logits are computed where a token is
supervised, as hone does; ``all_logits`` computes them everywhere, as such loops usually do.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hone.train.batches import PackedRow
from turns import Gate
from work import Work

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


def loss_of(model: Any, ids: Tensor, labels: Tensor, all_logits: bool) -> Tensor:
    """Mean cross entropy of the supervised tokens."""
    targets = labels[:, 1:]
    if all_logits:
        logits = model(input_ids=ids, use_cache=False).logits
        return cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    supervised = targets != IGNORED
    return cross_entropy(model.lm_head(hidden[:, :-1][supervised]), targets[supervised])


def train(work: Work, gate: Gate, *, all_logits: bool = False) -> None:
    """Train until the gate says stop."""
    recipe, model = work.recipe, work.model()
    batches = [collate(rows) for rows in work.steps()]
    supervised = [int((labels[:, 1:] != IGNORED).sum()) for _, labels in batches]
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.learning_rate,
        betas=(recipe.beta1, recipe.beta2),
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    model.train()
    for (ids, labels), count in itertools.cycle(zip(batches, supervised, strict=True)):
        loss_of(model, ids, labels, all_logits).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if gate.step(ids.numel(), count):
            return
