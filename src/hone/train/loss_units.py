"""What the loss of an objective is told in. Imports no torch: the page of a diagnosis says it, too."""

from __future__ import annotations

PER = {"masked-tokens": "masked token", "classify-sequence": "row", "tag-tokens": "tagged token"}
"""What an objective's loss is the mean over, where that is not every supervised token."""


def loss_unit(objective: str, *, several: bool = False) -> str:
    """What a recipe's loss is told in: ``nats per row`` for classes; ``several`` says that a row has several labels."""
    return "nats per row and class" if several else f"nats per {PER.get(objective, 'token')}"
