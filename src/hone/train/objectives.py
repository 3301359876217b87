"""Objectives: from a model and a batch to a *sum* of losses and the number of tokens it was summed over.

The engine divides once, by the tokens of the whole optimizer step on all processes. An objective that averaged
by itself would weight short batches more, and accumulation would change the loss (law 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from hone.model import faster
from hone.model.fused_head import head_loss
from hone.model.heads import encoder_logits, has_encoder_head
from hone.train.batches import Batch

PLAIN_HEADS = frozenset({"llama", "qwen2", "qwen3", "mistral"})
"""Model types whose logits are exactly ``lm_head(last hidden state)``; others scale or cap them."""


Weights = Sequence[float] | Tensor
"""(K,) what each class counts."""


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

    Where nothing stands in the way it is computed by :mod:`hone.model.faster`: the same numbers to rounding.

    Args:
        label_smoothing: share of the target spread evenly over the vocabulary (C. Szegedy et al., arXiv:1512.00567).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def loss(self, model: nn.Module, batch: Batch) -> TokenLoss:
        """See :class:`Objective`."""
        if faster.obstacle(model) is not None:
            return _cross_entropy(supervised_logits(model, batch), batch.targets, self.label_smoothing)
        decoder: Any = model
        hidden = faster.hidden_states(decoder, batch.ids, batch.position_ids, batch.lengths, batch.predict_from)
        weight_VH = decoder.get_output_embeddings().weight
        rows_S = hidden.rows(batch.predict_from)
        total = head_loss(hidden.states, weight_VH, rows_S, batch.targets, self.label_smoothing)
        return TokenLoss(total, torch.tensor(batch.targets.numel()))


class AtPositions:
    """Cross entropy of what is to be predicted at supervised positions, read from both sides, in nats, summed.

    Masked tokens (J. Devlin et al., arXiv:1810.04805), tags, and the class of a whole row are all this; rows that bring
    several labels are :class:`SeveralLabels`.

    Args:
        label_smoothing: share of the target spread evenly over the outputs; of several labels none.
        class_weights: (K,) what each class counts; a mean of 1 over the training rows leaves the rate as it was.
    """

    def __init__(self, label_smoothing: float = 0.0, class_weights: Weights | None = None) -> None:
        self.label_smoothing = label_smoothing
        self.class_weights = None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32)

    def loss(self, model: nn.Module, batch: Batch) -> TokenLoss:
        """See :class:`Objective`."""
        if batch.labels is not None:
            return SeveralLabels(self.class_weights).loss(model, batch)
        logits_SK = _logits_of_encoder(model, batch)
        weights = None if self.class_weights is None else self.class_weights.to(logits_SK)
        return _cross_entropy(logits_SK, batch.targets, self.label_smoothing, weights)


class SeveralLabels:
    """Binary cross entropy of each class by itself, for rows that can have several; summed over rows and classes.

    The number of tokens is that of the decisions, rows times classes.

    Args:
        class_weights: (K,) what a row that has the class counts, beside 1 for a row that has it not.
    """

    def __init__(self, class_weights: Weights | None = None) -> None:
        self.class_weights = None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32)

    def loss(self, model: nn.Module, batch: Batch) -> TokenLoss:
        """See :class:`Objective`."""
        logits_NK = _full(_logits_of_encoder(model, batch))
        labels = logits_NK.new_zeros(logits_NK.shape) if batch.labels is None else batch.labels.to(logits_NK)
        weights = None if self.class_weights is None else self.class_weights.to(logits_NK)
        total = functional.binary_cross_entropy_with_logits(logits_NK, labels, reduction="sum", pos_weight=weights)
        return TokenLoss(total, torch.tensor(labels.numel(), device=total.device))


def objective_for(
    model: nn.Module, label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None
) -> Objective:
    """The objective that a model's head is made for: its own class says whether it writes, guesses, tags or classifies.

    Args:
        model: a Transformers model.
        label_smoothing: see there.
        class_weights: see there.
    """
    if not has_encoder_head(model):
        return NextToken(label_smoothing)
    return AtPositions(label_smoothing, class_weights)


def _cross_entropy(
    logits: Tensor, targets: Tensor, label_smoothing: float, class_weights: Tensor | None = None
) -> TokenLoss:
    total = functional.cross_entropy(
        _full(logits), targets, weight=class_weights, reduction="sum", label_smoothing=label_smoothing
    )
    return TokenLoss(total, torch.tensor(targets.numel(), device=total.device))


def _full(logits: Tensor) -> Tensor:
    """In float32 whatever the precision of the matrices: a sum of thousands of terms loses digits in bfloat16."""
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits


def _logits_of_encoder(model: nn.Module, batch: Batch) -> Tensor:
    """Logits (S, K); those of rows that are not there (an empty share) are left out, and keep the graph."""
    logits = encoder_logits(model, batch.ids, batch.lengths, batch.predict_from, position_ids=batch.position_ids)
    return logits[: len(batch.targets)]


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
