"""The profile: every figure of a report by name, flat, so that two reports can be compared figure by figure."""

from __future__ import annotations

from typing import Any

import numpy as np

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.sampling import Estimate, at_most, mean, repeats, share, total
from hone.data.rules import Decisions

_LENGTHS = ("chars", "words", "lines", "tokens")
_MOST_VALUES = 60
"""Values of one column (languages, labels) that get a figure of their own."""


def profile(figures: Figures, decisions: Decisions, options: LookOptions) -> dict[str, dict[str, float | int]]:
    """Figures by name.

    Returns:
        Name to ``value``, ``low`` and ``high`` (an interval of 95 %; all equal where every row was measured) and
        ``n``, the rows it was computed from. Names end in their unit: ``rows``, ``share``, ``mean``, ``median``,
        ``total``.
    """
    found: dict[str, Estimate] = {"rows": _rows(figures, options)}
    found |= _lengths(figures, options)
    found |= _repeats(figures, options)
    found |= _flags(figures, options)
    found |= _values(figures, options)
    found |= _signals(figures, options)
    found["kept.share"] = share(int(decisions.keep.sum()), figures.n, options.of)
    for rule, mask in decisions.failed.items():
        found[f"rule.{rule}.share"] = share(int(mask.sum()), figures.n, options.of)
    return {name: estimate.to_json() for name, estimate in found.items()}


def _rows(figures: Figures, options: LookOptions) -> Estimate:
    value = float(options.of or figures.n)
    return Estimate(value=value, low=value, high=value, n=figures.n)


def _lengths(figures: Figures, options: LookOptions) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for unit in _LENGTHS:
        name = f"length.{unit}"
        if not figures.has(name):
            continue
        values = figures.numbers(name)
        found[f"{name}.total"] = total(values, options.of)
        found[f"{name}.mean"] = mean(values, options.of)
        found[f"{name}.median"] = _median(values, options)
    return found


def _median(values: np.ndarray[Any, Any], options: LookOptions) -> Estimate:
    """The median with the interval of its order statistics (binomial, normal approximation)."""
    seen = np.sort(values[~np.isnan(values)])
    n = len(seen)
    if not n:
        return Estimate(value=0.0, low=0.0, high=0.0, n=0)
    value = float(np.median(seen))
    if options.of is None or options.of <= len(values):
        return Estimate(value=value, low=value, high=value, n=n)
    half = 1.96 * np.sqrt(n) / 2
    low, high = max(0, int(n / 2 - half)), min(n - 1, int(np.ceil(n / 2 + half)))
    return Estimate(value=value, low=float(seen[low]), high=float(seen[high]), n=n)


def _repeats(figures: Figures, options: LookOptions) -> dict[str, Estimate]:
    """Exact repeats, and near ones that are no exact ones."""
    found = {}
    exact = np.zeros(figures.n, bool)
    for kind in ("exact", "near"):
        if figures.has(f"{kind}.survivor"):
            removed = figures.given(f"{kind}.survivor") & ~exact
            found[f"duplicates.{kind}.share"] = repeats(int(removed.sum()), figures.n, options.of)
            exact = removed
    return found


def _flags(figures: Figures, options: LookOptions) -> dict[str, Estimate]:
    """Shares of rows in which a count is not zero or a flag is set."""
    names = {
        "empty.share": None,
        "pii.share": "pii.count",
        "toxicity.share": "toxicity.words",
        "disclaimer.share": "disclaimer.count",
        "labels.conflict.share": "labels.conflict",
        "labels.suspect.share": "labels.suspect",
        "contamination.whole.share": "contamination.whole",
    }
    found = {}
    for name, column in names.items():
        if column is None:
            rows = empty_rows(figures)
        elif figures.has(column):
            rows = figures.flags(column)
        else:
            continue
        estimated = {"labels.conflict.share": repeats, "labels.suspect.share": at_most}.get(name, share)
        found[name] = estimated(int(rows.sum()), figures.n, options.of)
    return found


def empty_rows(figures: Figures) -> np.ndarray[Any, Any]:
    """(N,) bool: rows with nothing but white space in them."""
    if figures.has("content.missing"):
        return figures.given("content.missing")
    for name in ("length.words", "length.chars"):
        if figures.has(name):
            return np.asarray(figures.numbers(name) == 0)
    return np.zeros(figures.n, bool)


def _values(figures: Figures, options: LookOptions) -> dict[str, Estimate]:
    """Shares of languages, scripts and labels. Labels are left out where no text may be shown."""
    columns = {"language": "language.code", "script": "script.main"} | ({} if options.sensitive else {"label": "label"})
    return {
        f"{kind}.{value}.share": share(count, figures.n, options.of)
        for kind, column in columns.items()
        for value, count in figures.counts(column)[:_MOST_VALUES]
    }


def _signals(figures: Figures, options: LookOptions) -> dict[str, Estimate]:
    """Means of every other number that was measured."""
    skipped = ("row", "source", "split", "label")
    found = {}
    for name in figures.table.column_names:
        if name in skipped or name.startswith("length.") or name.endswith(".cluster") or not figures.is_number(name):
            continue
        found[f"{name}.mean"] = mean(figures.numbers(name), options.of)
    return found
