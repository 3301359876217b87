"""Golden vectors of texts' own vectors."""

from __future__ import annotations

import math


def differs(model, golden, item):
    """How far a text's vector lies from the golden one, by the length of that."""
    found, expected = model.answer(item["prompt_ids"]), item["vector"]
    apart = math.dist(found, expected) / math.hypot(*expected)
    return None if apart <= golden["most_apart"] else f"another vector: {apart:.3f} of its length off the golden one"
