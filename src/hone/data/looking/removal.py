"""What the rules remove: one after the other, alone and together, per source, with the rows nearest to each line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.histogram import histogram
from hone.data.looking.profile import kept_share
from hone.data.looking.samples import Mark, Sample, Samples
from hone.data.looking.sampling import estimated_by
from hone.data.rules import Decisions, Rule

MOST_OVERLAPS = 16
MOST_SOURCES = 12


def waterfall(figures: Figures, rules: Sequence[Rule], decisions: Decisions, options: LookOptions) -> dict[str, Any]:
    """Rows and characters before the rules, after each of them in its turn, and kept."""
    chars = np.nan_to_num(figures.numbers("length.chars"))
    left = np.ones(figures.n, bool)
    together = sum((mask.astype(np.int32) for mask in decisions.failed.values()), np.zeros(figures.n, np.int32))
    steps = []
    for rule in rules:
        fails = decisions.failed[rule.name]
        new = fails & left
        left = left & ~fails
        steps.append(
            {
                "rule": rule.name,
                "keeps": rule.sentence(),
                "fails": int(fails.sum()),
                "alone": int((fails & (together == 1)).sum()),
                "new": int(new.sum()),
                "left": int(left.sum()),
                "chars": int(chars[fails].sum()),
                "chars_alone": int(chars[fails & (together == 1)].sum()),
                "share": estimated_by(rule.column)(int(fails.sum()), figures.n, options.of).to_json(),
            }
        )
    kept = int(decisions.keep.sum())
    return {
        "rows": figures.n,
        "chars": int(chars.sum()),
        "kept": kept,
        "kept_chars": int(chars[decisions.keep].sum()),
        "kept_share": kept_share(figures, decisions, rules, options).to_json(),
        "steps": steps,
        "overlaps": _overlaps(decisions),
        "sources": _sources(figures, rules, decisions, chars),
    }


def _overlaps(decisions: Decisions) -> list[dict[str, Any]]:
    """The combinations of rules that rows fail, the most frequent first."""
    names = list(decisions.failed)
    if not names:
        return []
    failing = np.flatnonzero(~decisions.keep)
    packed = np.packbits(np.stack([decisions.failed[name][failing] for name in names], axis=1), axis=1)
    kinds, counts = np.unique(packed, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    found: list[dict[str, Any]] = [
        {"rules": [names[at] for at in np.flatnonzero(np.unpackbits(kinds[i])[: len(names)])], "rows": int(counts[i])}
        for i in order[:MOST_OVERLAPS]
    ]
    rest = int(counts[order[MOST_OVERLAPS:]].sum())
    return found + ([{"rules": [], "rows": rest}] if rest else [])


def _sources(figures: Figures, rules: Sequence[Rule], decisions: Decisions, chars: Any) -> list[dict[str, Any]]:
    """Rows and characters of each source, kept and lost to each rule; the largest sources, then all others as one."""
    codes, known = figures.codes("source")
    if not known:
        return []
    group = np.minimum(np.where(codes < 0, len(known), codes), MOST_SOURCES)
    titles = known[:MOST_SOURCES]
    if len(known) > MOST_SOURCES:
        titles.append(f"{len(known) - MOST_SOURCES:,} other sources")
    kept = np.bincount(group[decisions.keep], minlength=len(titles))
    fails = {rule.name: np.bincount(group[decisions.failed[rule.name]], minlength=len(titles)) for rule in rules}
    rows, size = np.bincount(group, minlength=len(titles)), np.bincount(group, weights=chars, minlength=len(titles))
    return [
        {
            "source": title,
            "rows": int(rows[at]),
            "chars": int(size[at]),
            "kept": int(kept[at]),
            "fails": {name: int(counts[at]) for name, counts in fails.items() if counts[at]},
        }
        for at, title in enumerate(titles)
    ]


def rule_pages(
    figures: Figures, rules: Sequence[Rule], decisions: Decisions, samples: Samples, options: LookOptions
) -> list[dict[str, Any]]:
    """For each rule: the histogram of its column with the thresholds, and rows on both sides nearest to them."""
    order = figures.order(options.seed)
    codes, splits = figures.codes("split")
    pages = []
    for rule in rules:
        fails = decisions.failed[rule.name]
        # A rule for training rows keeps every other row, whatever its value.
        judged = np.isin(codes, [at for at, split in enumerate(splits) if split in rule.splits])
        lines = [value for value in (rule.low, rule.high) if value is not None]
        page: dict[str, Any] = {
            "rule": rule.name,
            "column": rule.column,
            "keeps": rule.sentence(),
            "removes": rule.removal(),
            "low": rule.low,
            "high": rule.high,
            "source": rule.source,
            "fails": int(fails.sum()),
            "share": estimated_by(rule.column)(int(fails.sum()), figures.n, options.of).to_json(),
        }
        if lines and figures.is_number(rule.column):
            whole = figures.is_whole(rule.column) or figures.is_flag(rule.column)
            values = figures.numbers(rule.column)
            page["histogram"] = histogram(values[judged], lines, whole=whole)
            distance = np.min([np.abs(values - line) for line in lines], axis=0)
        else:
            distance = np.zeros(figures.n)
            if not rule.absent:
                page["values"] = [] if options.sensitive else figures.counts(rule.column)[: options.listed]
        # Rows that a rule over repeats keeps show nothing; for thresholds they show what the line spares.
        sides = {"dropped": fails, "kept": judged & ~fails if not rule.absent else np.zeros(figures.n, bool)}
        for side, rows in sides.items():
            page[side] = _side(rule, _nearest(distance, rows, order, options.samples), figures, samples)
        pages.append(page)
    return pages


def _nearest(distance: Any, rows: Any, order: Any, count: int) -> Any:
    """Positions of the rows nearest to the line; ties in the given order, rows without a value left out."""
    positions = order[rows[order] & np.isfinite(distance[order])]
    if len(positions) > count:
        # Only what is as near as the last one taken has to be sorted.
        reach = np.partition(distance[positions], count - 1)[count - 1]
        positions = positions[distance[positions] <= reach]
    return positions[np.argsort(distance[positions], kind="stable")][:count]


def _side(rule: Rule, positions: Any, figures: Figures, samples: Samples) -> list[Sample]:
    found = []
    for position in positions:
        more: dict[str, Any] = {}
        if figures.is_number(rule.column):
            value = figures.numbers(rule.column)[position]
            more["value"] = None if np.isnan(value) else float(value)
        elif rule.absent and rule.column.endswith(".survivor"):
            more["survivor"] = figures.word(rule.column, int(position))
        found.append(samples.at(int(position), marks_of(rule, figures, int(position)), **more))
    return found


def marks_of(rule: Rule, figures: Figures, position: int) -> list[Mark]:
    """Where in its text the evidence is that a row fails a rule."""
    return [
        (start, end, kind)
        for name in rule.evidence
        if name.endswith(".spans")
        for kind, start, end in figures.spans(name, position)
    ]
