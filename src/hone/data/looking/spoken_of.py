"""How groups of people are spoken of: how often, with unwanted words, in which company, under which labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.sampling import share
from hone.data.looking.searched import Searched

_EVERY = 2**62
"""A population so large that every share gets its interval: groups are compared, also where every row was read."""


def bias(figures: Figures, searched: Searched, options: LookOptions) -> dict[str, Any] | None:
    """Rows that name each group, how many of them hold an unwanted word, and what else differs between groups.

    Returns:
        ``groups`` by rows, ``overall`` (the share of all rows with an unwanted word), and out of the rows that were
        searched ``company`` (kinds of words near a group's name, as log odds against the other groups of its axis),
        ``words`` and ``labels`` whose intervals say that a group differs. None where groups were not measured.
    """
    names = [name for name in figures.named("bias.") if figures.is_number(name)]
    if not names:
        return None
    toxic = np.nan_to_num(figures.numbers("toxicity.words")) > 0
    groups: list[dict[str, Any]] = []
    for name in names:
        rows = np.nan_to_num(figures.numbers(name)) > 0
        if rows.any():
            count = int(rows.sum())
            group = {
                "group": name.partition(".")[2],
                "rows": count,
                "share": share(count, figures.n, options.of).to_json(),
            }
            if figures.has("toxicity.words"):
                struck = int((rows & toxic).sum())
                group |= {"toxic": struck, "toxic_share": share(struck, count, _EVERY).to_json()}
            groups.append(group)
    groups.sort(key=lambda group: -group["rows"])
    overall = share(int(toxic.sum()), figures.n, _EVERY).to_json() if figures.has("toxicity.words") else None
    return {"groups": groups, "overall": overall, **(_company(searched, options) if groups else {})}


def _company(searched: Searched, options: LookOptions) -> dict[str, Any]:
    from hone.data.associations import bias_summary

    found = bias_summary([searched.batch])
    rates = found["labels"]["rates"]
    # Rates of labels differ where their intervals do not overlap.
    apart = [
        rate
        for rate in rates
        if rate["named"]["low"] > rate["others"]["high"] or rate["named"]["high"] < rate["others"]["low"]
    ]
    apart.sort(key=lambda rate: -abs(rate["named"]["share"] - rate["others"]["share"]))
    return {
        "searched": found["rows"],
        "window_words": found["window_words"],
        "company": found["associations"],
        "words": [] if options.sensitive else found["words"],
        "words_compared": found["words_compared"],
        "labels": [] if options.sensitive else apart[: options.listed],
        "labels_compared": len(rates),
    }
