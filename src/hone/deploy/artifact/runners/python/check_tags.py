"""Golden vectors of tags."""

from __future__ import annotations


def differs(model, golden, item):
    """What the tags have otherwise."""
    found = model.tags(item["prompt_ids"])
    return "other tags" if [found[at] for at in item["at"]] != item["tags"] else None
