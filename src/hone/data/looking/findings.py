"""What was found inside texts: test text, personal data, unwanted words, an assistant's phrases."""

from __future__ import annotations

from typing import Any

import numpy as np

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.histogram import histogram
from hone.data.looking.samples import Sample, Samples
from hone.data.looking.sampling import order_by_hash, share, total

MOST_CHOSEN = 2_000
"""Rows out of which a few are chosen."""
_PII_WHOLE = ("pii.count", "pii.spans")


def contamination(figures: Figures, samples: Samples, options: LookOptions) -> dict[str, Any] | None:
    """Training rows that hold text of the test, the most covered first, what they share highlighted.

    A whole test row or a run of the longest n-gram (13 words) is evidence; a shorter run alone is a ``hint``, because
    ready phrases are shared without anybody having copied.
    """
    if not figures.has("contamination.share"):
        return None
    shares, whole = figures.numbers("contamination.share"), figures.flags("contamination.whole")
    strong = whole | (np.nan_to_num(figures.numbers("contamination.ngrams")) > 0)
    positions = np.flatnonzero(strong | (np.nan_to_num(shares) > 0))
    order = positions[np.lexsort((positions, -np.nan_to_num(shares[positions]), ~strong[positions], ~whole[positions]))]
    return {
        "rows": int(strong.sum()),
        "whole": int(whole.sum()),
        "hints": len(positions) - int(strong.sum()),
        "share": share(int(strong.sum()), figures.n, options.of).to_json(),
        "against": figures.counts("contamination.against"),
        "canaries": [dict(canary) for canary in options.canaries],
        "tests": [dict(test) for test in options.tests],
        "samples": [
            samples.at(
                int(at),
                [(start, end, "shared") for _, start, end in figures.spans("contamination.spans", int(at))],
                share=None if np.isnan(shares[at]) else float(shares[at]),
                whole=bool(whole[at]),
                hint=not strong[at],
                against=figures.word("contamination.against", int(at)),
            )
            for at in order[: options.listed]
        ],
    }


def personal(figures: Figures, samples: Samples, options: LookOptions) -> dict[str, Any] | None:
    """Personal data by kind: rows, finds, and some rows with the finds masked."""
    if not figures.has("pii.count"):
        return None
    kinds: list[dict[str, Any]] = []
    for name in figures.named("pii."):
        if name in _PII_WHOLE or not figures.is_number(name):
            continue
        values = np.nan_to_num(figures.numbers(name))
        rows = np.flatnonzero(values > 0)
        if len(rows):
            kind = name.partition(".")[2]
            kinds.append(
                {
                    "kind": kind,
                    "rows": len(rows),
                    "share": share(len(rows), figures.n, options.of).to_json(),
                    "finds": total(values, options.of).to_json(),
                    "samples": [_found(figures, samples, "pii.spans", int(at), kind) for at in rows[: options.samples]],
                }
            )
    hit = int((np.nan_to_num(figures.numbers("pii.count")) > 0).sum())
    kinds.sort(key=lambda kind: -kind["rows"])
    return {"rows": hit, "share": share(hit, figures.n, options.of).to_json(), "kinds": kinds}


def toxicity(figures: Figures, samples: Samples, options: LookOptions) -> dict[str, Any] | None:
    """Rows with listed words, and the score of a fitted model where there is one."""
    if not figures.has("toxicity.words"):
        return None
    words = np.nan_to_num(figures.numbers("toxicity.words"))
    rows = np.flatnonzero(words > 0)
    found: dict[str, Any] = {
        "rows": len(rows),
        "share": share(len(rows), figures.n, options.of).to_json(),
        "samples": [_found(figures, samples, "toxicity.spans", int(at)) for at in _some(rows, figures, options)],
    }
    if figures.has("toxicity.score") and np.isfinite(figures.numbers("toxicity.score")).any():
        found["score"] = histogram(figures.numbers("toxicity.score"), [0.5])
    return found


def disclaimers(figures: Figures, samples: Samples, options: LookOptions) -> dict[str, Any] | None:
    """Rows in which an assistant speaks of being one, and those in which it refuses."""
    if not figures.has("disclaimer.count"):
        return None
    speaks = np.nan_to_num(figures.numbers("disclaimer.count")) > 0
    refuses = np.zeros(figures.n, bool)
    if figures.has("disclaimer.refusals"):
        refuses = np.nan_to_num(figures.numbers("disclaimer.refusals")) > 0
    shown = _some(np.flatnonzero(speaks | refuses), figures, options)
    return {
        "rows": int(speaks.sum()),
        "share": share(int(speaks.sum()), figures.n, options.of).to_json(),
        "refusals": int(refuses.sum()),
        "samples": [_found(figures, samples, "disclaimer.spans", int(at)) for at in shown],
    }


def _found(figures: Figures, samples: Samples, spans: str, position: int, only: str = "") -> Sample:
    marks = [(start, end, kind) for kind, start, end in figures.spans(spans, position) if only in ("", kind)]
    return samples.at(position, marks, chars=260)


def _some(rows: Any, figures: Figures, options: LookOptions) -> list[int]:
    """A few of the rows, by a seeded hash of their ids."""
    few = rows[:MOST_CHOSEN]
    names = [figures.word("row", int(at)) or "" for at in few]
    return [int(few[at]) for at in order_by_hash(names, options.seed)[: 2 * options.samples]]
