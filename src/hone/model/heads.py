"""Encoders: reading from both sides, with logits only where something is supervised.

Shapes: ``B`` rows, ``T`` tokens of the longest row, ``S`` supervised positions, ``H`` hidden width, ``K`` outputs of
the head (the vocabulary for masked tokens, tags, or classes).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hone.errors import InputError


def encoder_logits(
    model: Any, ids: Tensor, lengths: Tensor, at: Tensor, *, position_ids: Tensor | None = None
) -> Tensor:
    """Logits (S, K) of an encoder with a head; for a head over the whole row (B, K), one line a row.

    Args:
        model: a Transformers ``...ForMaskedLM``, ``...ForTokenClassification`` or ``...ForSequenceClassification``.
        ids: (B, T) int64; what stands behind a row's length is never seen.
        lengths: (B,) real tokens of each row.
        at: (S,) flat positions in (B*T) that are supervised; unused by a head over the whole row.
        position_ids: (B, T), starting at 0 with each packed example, which then see themselves only.
    """
    inputs = _inputs(model, ids, lengths, position_ids)
    if _is_over_rows(model):
        over_rows: Tensor = _mean_logits(model, inputs) if _pools_by_mean(model) else model(**inputs).logits
        return over_rows
    head = _gathered_head(model)
    if head is None:
        everywhere: Tensor = model(**inputs).logits
        return everywhere.flatten(0, 1).index_select(0, at)
    states_BTH = model.base_model(**inputs)[0]
    # Gathered before the head: one token in seven is masked, and the head's matrix is the largest of a small encoder.
    logits: Tensor = head(states_BTH.flatten(0, 1).index_select(0, at))
    return logits


def _inputs(model: Any, ids: Tensor, lengths: Tensor, position_ids: Tensor | None) -> dict[str, Any]:
    real_BT = torch.arange(ids.shape[1], device=ids.device)[None] < lengths[:, None]
    if position_ids is None:
        return {"input_ids": ids, "attention_mask": real_BT}
    # Packed: a token sees the real tokens of its own example.
    example_BT = (position_ids == 0).cumsum(1)
    sees_BTT = (example_BT[:, :, None] == example_BT[:, None, :]) & (real_BT[:, :, None] == real_BT[:, None, :])
    # RoBERTa counts positions from behind its padding id.
    first = getattr(getattr(model.base_model, "embeddings", None), "padding_idx", None)
    shifted = position_ids if first is None else position_ids + first + 1
    return {"input_ids": ids, "attention_mask": sees_BTT[:, None], "position_ids": shifted}


def has_encoder_head(model: Any) -> bool:
    """Whether a model is an encoder with one of the heads that are trained here."""
    return _name(model).endswith(("ForMaskedLM", "ForTokenClassification", "ForSequenceClassification"))


def _name(model: Any) -> str:
    """The class of a model, also where sharding has made a subclass of it."""
    return type(model).__name__.removeprefix("FSDP")


def pool_by_mean(model: Any) -> None:
    """Let the mean of a row's states stand for the row, in place of its first state.

    The config says so under ModernBERT's key, ``classifier_pooling``. BERT's pooler, a layer over the first state, is
    taken out.

    Raises:
        InputError: for a family whose head over rows is not known here.
    """
    if _name(model) == "ModernBertForSequenceClassification":
        model.config.classifier_pooling = "mean"
        return
    if _name(model) not in _ROW_HEADS:
        raise InputError(f"pooling mean is not known for {_name(model)}; set pooling: first, which is that model's own")
    model.config.classifier_pooling = "mean"
    if getattr(model.base_model, "pooler", None) is not None:
        model.base_model.pooler = None


def _pools_by_mean(model: Any) -> bool:
    return getattr(model.config, "classifier_pooling", None) == "mean" and _name(model) in _ROW_HEADS


def _mean_logits(model: Any, inputs: dict[str, Any]) -> Tensor:
    states_BTH = model.base_model(**inputs)[0]
    real_BT1 = inputs["attention_mask"][:, :, None].to(states_BTH.dtype)
    mean_BH = (states_BTH * real_BT1).sum(1) / real_BT1.sum(1)
    logits: Tensor = _ROW_HEADS[_name(model)](model, mean_BH)
    return logits


def _after_dropout(model: Any, states_BH: Tensor) -> Tensor:
    logits: Tensor = model.classifier(model.dropout(states_BH))
    return logits


def _distilbert(model: Any, states_BH: Tensor) -> Tensor:
    logits: Tensor = model.classifier(model.dropout(torch.relu(model.pre_classifier(states_BH))))
    return logits


def _roberta(model: Any, states_BH: Tensor) -> Tensor:
    logits: Tensor = model.classifier(states_BH[:, None])  # it takes the first position itself
    return logits


_ROW_HEADS = {
    "BertForSequenceClassification": _after_dropout,
    "DistilBertForSequenceClassification": _distilbert,
    "RobertaForSequenceClassification": _roberta,
    "XLMRobertaForSequenceClassification": _roberta,
}
"""Heads over rows as functions of one state per row (B, H), by family."""


def _is_over_rows(model: Any) -> bool:
    return _name(model).endswith("ForSequenceClassification")


def _gathered_head(model: Any) -> Any:
    """The head as a function of states (S, H), for the families whose head is known; None for others."""
    name = _name(model)
    if name.endswith("ForTokenClassification") and hasattr(model, "dropout") and hasattr(model, "classifier"):
        return lambda states: model.classifier(model.dropout(states))
    if not name.endswith("ForMaskedLM"):
        return None
    if name == "DistilBertForMaskedLM":
        return lambda states: model.vocab_projector(
            model.vocab_layer_norm(model.activation(model.vocab_transform(states)))
        )
    if name == "BertForMaskedLM":
        return model.cls
    return model.lm_head if name in ("RobertaForMaskedLM", "XLMRobertaForMaskedLM") else None
