"""Golden vectors of labels."""

from __future__ import annotations


def differs(model, golden, item):
    """What the labels have otherwise; the one that was chosen counts where it stands clear of the others."""
    pairs = zip(model.shares(item["prompt_ids"]), item["shares"], strict=True)
    if not all(abs(found - share) <= golden["share_tolerance"] for found, share in pairs):
        return "other probabilities"
    return "another label" if item["clear"] and model.answer(item["prompt_ids"]) != item["value"] else None
