"""What the rows are made of: languages, scripts, sources, lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.histogram import histogram
from hone.data.looking.samples import Samples
from hone.data.looking.sampling import mean, share

UNSURE = 0.65
"""Below this probability a language is a guess (the threshold of FineWeb)."""
_LENGTHS = (
    ("characters", "length.chars"),
    ("words", "length.words"),
    ("lines", "length.lines"),
    ("tokens", "length.tokens"),
)


def languages(figures: Figures, options: LookOptions) -> dict[str, Any] | None:
    """Languages by rows, and how sure they are."""
    if not figures.has("language.code"):
        return None
    found = _shares(figures, "language.code", options)
    if figures.has("language.probability"):
        probability = figures.numbers("language.probability")
        unsure = int((probability < UNSURE).sum())
        found["unsure"] = {"below": UNSURE, "rows": unsure, "share": share(unsure, figures.n, options.of).to_json()}
        found["histogram"] = histogram(probability, [UNSURE])
    return found


def scripts(figures: Figures, options: LookOptions) -> dict[str, Any] | None:
    """Scripts by rows, and words that mix two of them."""
    if not figures.has("script.main"):
        return None
    mixed = int((np.nan_to_num(figures.numbers("script.mixed")) > 0).sum())
    return {
        **_shares(figures, "script.main", options),
        "mixed": {"rows": mixed, "share": share(mixed, figures.n, options.of).to_json()},
    }


def lengths(figures: Figures, samples: Samples, options: LookOptions) -> dict[str, Any]:
    """Histograms of every length that was measured; the shortest and the longest rows."""
    found: dict[str, Any] = {"figures": []}
    for unit, name in _LENGTHS:
        if figures.has(name):
            values = figures.numbers(name)
            found["figures"].append(
                {"unit": unit, "mean": mean(values, options.of).to_json(), "histogram": histogram(values, whole=True)}
            )
    if figures.has("length.chars") and figures.n:
        chars = np.nan_to_num(figures.numbers("length.chars"))
        order = np.argsort(chars, kind="stable")
        found["shortest"] = [samples.at(int(at), chars=160) for at in order[: options.samples]]
        found["longest"] = [samples.at(int(at), chars=160) for at in order[::-1][: options.samples]]
    return found


def _shares(figures: Figures, name: str, options: LookOptions) -> dict[str, Any]:
    """Values by rows, as shares of the rows that have one: of a text without words nobody knows the language."""
    counts = figures.counts(name)
    rows = sum(count for _, count in counts)
    return {
        "rows": rows,
        "unmeasured": figures.n - rows,
        "distinct": len(counts),
        "values": [
            {"value": value, "rows": count, "share": share(count, rows, _of(rows, figures.n, options.of)).to_json()}
            for value, count in counts[: options.listed]
        ],
    }


def _of(rows: int, n: int, of: int | None) -> int | None:
    """About how many rows of all have a value, where only a sample was looked at."""
    return None if of is None or not n else max(rows, round(of * rows / n))
