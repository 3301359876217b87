"""The profile: every figure of a report by name, flat, so that two reports can be compared figure by figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.sampling import (
    OF_COMPANY,
    Estimate,
    at_most,
    estimated_by,
    kept,
    mean,
    median,
    repeats,
    share,
    total,
    unestimated,
)
from hone.data.rules import Decisions, Rule

_LENGTHS = ("chars", "words", "lines", "tokens")
_OF_COMPANY = ("exact.", "near.", "boilerplate.", "labels.")
"""What these signals say of a row depends on the rows beside it, of which a sample has fewer."""
_MOST_VALUES = 60
"""Values of one column (languages, labels) that get a figure of their own."""


def profile(
    figures: Figures, decisions: Decisions, options: LookOptions, rules: Sequence[Rule] = ()
) -> dict[str, dict[str, float | int | str | None]]:
    """Figures by name; ``rules`` are those of the decisions.

    Returns:
        Name to ``value``, ``low`` and ``high`` (an interval of 95 %; all equal where every row was measured; null where
        a sample says too little, with ``no_interval``, the reason) and ``n``, the rows it was computed from; of no rows
        all are null. Names end in their unit: ``rows``, ``share``, ``mean``, ``median``, ``total``.
    """
    found: dict[str, Estimate] = {"rows": _rows(figures, options)}
    found |= _lengths(figures, options)
    found |= _repeats(figures, options)
    found |= _flags(figures, options)
    found |= _values(figures, options)
    found |= _signals(figures, options)
    columns = {rule.name: rule.column for rule in rules}
    found["kept.share"] = kept_share(figures, decisions, rules, options)
    for rule, mask in decisions.failed.items():
        found[f"rule.{rule}.share"] = estimated_by(columns.get(rule, ""))(int(mask.sum()), figures.n, options.of)
    return {name: estimate.to_json() for name, estimate in found.items()}


def kept_share(figures: Figures, decisions: Decisions, rules: Sequence[Rule], options: LookOptions) -> Estimate:
    """The share of rows that pass all rules."""
    if not decisions.failed:
        return share(figures.n, figures.n, options.of)
    return kept(decisions.failed, {rule.name: rule.column for rule in rules}, options.of)


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
        found[f"{name}.median"] = median(values, options.of)
    return found


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
        "refusal.share": "disclaimer.refusals",
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
    """Means of every other number that was measured; of a flag it is the share of rows that have it."""
    skipped = ("row", "source", "split", "label")
    found = {}
    for name in figures.table.column_names:
        if name in skipped or name.startswith("length.") or name.endswith(".cluster") or not figures.is_number(name):
            continue
        values = figures.numbers(name)
        estimate = mean(values, options.of)
        if options.of is not None and options.of > figures.n and estimate.n:
            if name.startswith(_OF_COMPANY):
                estimate = unestimated(estimate.value, estimate.n, OF_COMPANY)
            elif figures.is_flag(name):
                estimate = share(round(float(np.nansum(values))), estimate.n, options.of)
        found[f"{name}.mean"] = estimate
    return found
