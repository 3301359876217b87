"""Labels: their balance, those of one split only, texts with two of them, and those that look wrong."""

from __future__ import annotations

from collections import Counter
from statistics import NormalDist
from typing import Any

import numpy as np

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.samples import Samples
from hone.data.looking.sampling import at_most, repeats, share
from hone.task.scores import wilson

MOST_LABELS = 100


def labels(figures: Figures, samples: Samples, options: LookOptions) -> dict[str, Any] | None:
    """The labels of the rows; None where there are none."""
    # A blank label is none: its rows are without a label, and counted as such.
    counts = [(name, count) for name, count in figures.counts("label") if name.strip()]
    if not counts:
        return None
    names = Names(dict(counts), options.sensitive)
    rows = sum(count for _, count in counts)
    largest, smallest = counts[0][1], counts[-1][1]
    shares = np.asarray([count / rows for _, count in counts])
    return {
        "distinct": len(counts),
        "rows": rows,
        "unlabelled": figures.n - rows,
        "balance": [
            {"label": names.shown(name), "rows": count, "share": share(count, figures.n, options.of).to_json()}
            for name, count in counts[:MOST_LABELS]
        ],
        "imbalance": largest / smallest,
        "imbalance_at_least": _imbalance(largest, smallest, rows, len(counts), options.of),
        # Entropy over that of equal shares: 1 where all labels are as frequent.
        "evenness": float(-(shares * np.log(shares)).sum() / np.log(len(shares))) if len(shares) > 1 else 1.0,
        "alike": _alike(counts, options, names),
        "one_split": _one_split(figures, options, names),
        "suspect": _suspect(figures, samples, options, names),
        "conflicts": _conflicts(figures, samples, options, names),
    }


def _imbalance(largest: int, smallest: int, rows: int, labels: int, of: int | None) -> float:
    """How many times the rows of the rarest label the most frequent one has: of a sample the low end of 95 %.

    The most frequent and the rarest are chosen among all labels, so each interval has to hold for all of them
    (Bonferroni).
    """
    if of is None or of <= rows:
        return largest / smallest
    z = NormalDist().inv_cdf(1 - 0.05 / (2 * max(2, labels)))
    low, high = (wilson(count, rows, z)[end] for count, end in ((largest, 0), (smallest, 1)))
    return max(1.0, low / high)


def _alike(counts: list[tuple[str, int]], options: LookOptions, names: Names) -> list[list[dict[str, Any]]]:
    """Labels, those of the test too, that differ by case or spaces alone: to a model they are different labels."""
    rows = {**dict.fromkeys(options.test_labels, 0), **dict(counts)}
    groups: dict[str, list[str]] = {}
    for name in rows:
        groups.setdefault(" ".join(name.casefold().split()), []).append(name)
    return [
        [{"label": names.shown(name), "rows": rows[name]} for name in group]
        for group in groups.values()
        if len(group) > 1
    ]


class Names:
    """Labels as a report may show them: the words, or a number by frequency where no text may be shown."""

    def __init__(self, counts: dict[str, int], sensitive: bool) -> None:
        self._number = {name: at for at, name in enumerate(counts, 1)}
        self._sensitive = sensitive

    def shown(self, name: str | None) -> str | None:
        """The label, or what stands for it."""
        if name is None or not self._sensitive:
            return name
        return f"label {self._number[name]}" if name in self._number else "label not in these rows"


def _one_split(figures: Figures, options: LookOptions, names: Names) -> list[dict[str, Any]]:
    """Labels that only one split has: no model learns what only the test holds. A sample cannot say what is missing."""
    if options.of is not None:
        return []
    (split_of, known), (label_of, found) = figures.codes("split"), figures.codes("label")
    both = (split_of >= 0) & (label_of >= 0)
    splits: dict[str, set[str]] = {}
    for pair in np.unique(split_of[both] * len(found) + label_of[both]).tolist():
        splits.setdefault(known[pair // len(found)], set()).add(found[pair % len(found)])
    if options.test_labels:
        splits["test"] = splits.get("test", set()) | set(options.test_labels)
    if len(splits) < 2:
        return []
    seen = Counter(label for held in splits.values() for label in held)
    return [
        {"split": split, "labels": [names.shown(label) for label in sorted(held) if seen[label] == 1]}
        for split, held in splits.items()
        if any(seen[label] == 1 for label in held)
    ]


def _suspect(figures: Figures, samples: Samples, options: LookOptions, names: Names) -> dict[str, Any] | None:
    """Labels that a quick model, which had not seen the row, finds unlikely: the least likely first."""
    if not figures.has("labels.suspect", "labels.probability"):
        return None
    rows = np.flatnonzero(figures.flags("labels.suspect"))
    probability = figures.numbers("labels.probability")
    order = rows[np.argsort(np.nan_to_num(probability[rows]), kind="stable")]
    return {
        "rows": len(rows),
        "share": at_most(len(rows), figures.n, options.of).to_json(),
        "samples": [
            samples.at(
                int(at),
                chars=240,
                given=names.shown(figures.word("label", int(at))),
                suggested=names.shown(figures.word("labels.suggested", int(at))),
                probability=None if np.isnan(probability[at]) else float(probability[at]),
            )
            for at in order[: 2 * options.listed]
        ],
    }


def _conflicts(figures: Figures, samples: Samples, options: LookOptions, names: Names) -> dict[str, Any] | None:
    """Rows whose text another row has under another label."""
    if not figures.has("labels.conflict"):
        return None
    rows = np.flatnonzero(figures.flags("labels.conflict"))
    others = figures.table.column("labels.others") if figures.has("labels.others") else None
    found = []
    for at in rows[: options.listed]:
        value = None if others is None else others[int(at)].as_py()
        listed = value if isinstance(value, list) else [] if value is None else [value]
        found.append(
            samples.at(
                int(at),
                chars=240,
                given=names.shown(figures.word("label", int(at))),
                others=[names.shown(str(name)) for name in listed],
            )
        )
    return {"rows": len(rows), "share": repeats(len(rows), figures.n, options.of).to_json(), "samples": found}
