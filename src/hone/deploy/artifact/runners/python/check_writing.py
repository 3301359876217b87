"""Golden vectors of written answers."""

from __future__ import annotations


def differs(model, golden, item):
    """What an answer has otherwise; it counts up to where tokens tie, and there it is one of them."""
    sure, found = item["sure"], model.generate(item["prompt_ids"], golden["max_new_tokens"])
    if [*found, golden["end_id"]][:sure] != item["ids"][:sure]:
        return f"the answer begins with {found[:sure]}, golden {item['ids'][:sure]}"
    if item["tied"] and [*found, golden["end_id"]][sure] not in item["tied"]:
        return f"the answer begins with {found[: sure + 1]}, golden {item['ids'][:sure]} and one of {item['tied'][:8]}"
    return "another value" if sure == len(item["ids"]) and model.parse(found) != item["value"] else None
