"""Objectives: from a model and a batch to a *sum* of losses and the number of tokens it was summed over.

The engine divides once, by the tokens of the whole optimizer step on all processes. An objective that averaged
by itself would weight short batches more, and accumulation would change the loss (law 2).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from hone.train.batches import Batch

PLAIN_HEADS = frozenset({"llama", "qwen2", "qwen3", "mistral"})
"""Model types whose logits are exactly ``lm_head(last hidden state)``; others scale or cap them."""


class TokenLoss(NamedTuple):
    """A loss before it is normalised."""

    total: Tensor
    """() sum over supervised tokens."""
    num_tokens: Tensor
    """() how many."""


class Objective(Protocol):
    """What is minimised."""

    def loss(self, model: nn.Module, batch: Batch) -> TokenLoss:
        """Sum of losses and number of supervised tokens of a batch."""
        ...


class NextToken:
    """Cross entropy of each supervised token given everything before it, in nats, summed.

    Args:
        label_smoothing: share of the target spread evenly over the vocabulary (C. Szegedy et al., arXiv:1512.00567).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def loss(self, model: nn.Module, batch: Batch) -> TokenLoss:
        """See :class:`Objective`."""
        logits_SV = supervised_logits(model, batch)
        # In float32 whatever the precision of the matrices: a sum of thousands of terms loses digits in bfloat16.
        if logits_SV.dtype in (torch.bfloat16, torch.float16):
            logits_SV = logits_SV.float()
        total = functional.cross_entropy(
            logits_SV, batch.targets, reduction="sum", label_smoothing=self.label_smoothing
        )
        return TokenLoss(total, torch.tensor(batch.targets.numel(), device=total.device))


def supervised_logits(model: Any, batch: Batch) -> Tensor:
    """Logits (S, V) at the supervised positions only.

    Hidden states are gathered *before* the output matrix: where a third of the tokens is supervised, two thirds of
    the largest matrix product and of its memory are saved. No attention mask and no cache are passed: only so
    do restarting position ids isolate packed examples in Transformers.
    """
    inputs: dict[str, Any] = {"input_ids": batch.ids, "use_cache": False}
    if batch.position_ids is not None:
        inputs["position_ids"] = batch.position_ids
    if model.config.model_type in PLAIN_HEADS:
        hidden_BTH = model.base_model(**inputs).last_hidden_state
        logits: Tensor = model.get_output_embeddings()(hidden_BTH.flatten(0, 1).index_select(0, batch.predict_from))
        return logits
    full: Tensor = model(**inputs).logits
    return full.flatten(0, 1).index_select(0, batch.predict_from)
