"""Golden vectors of texts' own vectors."""

from __future__ import annotations

import math


def differs(model, golden, item):
    """What a text's vector has otherwise: its direction."""
    found, expected = model.answer(item["prompt_ids"]), item["vector"]
    cosine = (
        sum(one * other for one, other in zip(found, expected, strict=True))
        / math.hypot(*found)
        / math.hypot(*expected)
    )
    return (
        None if cosine >= golden["least_cosine"] else f"another vector: its cosine with the golden one is {cosine:.6f}"
    )
