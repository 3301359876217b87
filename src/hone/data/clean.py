"""What leaves the training rows before the split: rules over measured columns, edits by hand, limits per source.

Every row that leaves carries all its reasons. Dev rows leave only when they have no content or equal a test row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hone.data.judged import BY_HAND, Judged
from hone.data.ledger import DUPLICATE, EMPTY, IN_DEV, IN_TEST, Entry, Reason
from hone.data.limits import LIMIT, over_limit
from hone.data.rows import Row, canonical
from hone.data.rules import Decisions, Rule, evidence
from hone.data.sources import Loaded
from hone.data.versions import row_digest
from hone.errors import InputError
from hone.task.render import task_prompt, task_reference
from hone.task.spec import Clean, Task
from hone.wording import counted

NAMED = 3
PREVIEW_CHARS = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleaned:
    """Rows left for train and dev, an entry for each row that went, the fingerprint of each row by id."""

    train: tuple[Row, ...]
    dev: tuple[Row, ...]
    entries: tuple[Entry, ...]
    keys: Mapping[str, str]
    counts: dict[str, int]


def clean(task: Task, loaded: Loaded, section: Clean, judged: Judged, say: Callable[[str], None]) -> Cleaned:
    """Carry out what was decided, and account for every row that leaves.

    Raises:
        InputError: when nothing is left, or a limit names no source.
    """
    columns, rows = judged.columns, (*loaded.train, *loaded.dev)
    reasons = reasons_by_position(columns, judged.plan.rules, judged.decisions)
    for position, reason in over_limit(columns, judged.decisions.keep, section.limits).items():
        reasons.setdefault(position, []).append(reason)
    splits = ["train"] * len(loaded.train) + ["dev"] * len(loaded.dev)
    keys = dict(zip([row.id for row in rows], columns.column("leak.key").to_pylist(), strict=True))
    groups = _groups(loaded.train, keys)
    conflicts = _conflicts(task, groups)
    cleaned = Cleaned(
        train=tuple(row for at, row in enumerate(loaded.train) if at not in reasons),
        dev=tuple(row for at, row in enumerate(loaded.dev, len(loaded.train)) if at not in reasons),
        entries=tuple(
            Entry(
                row=rows[at].id,
                source=splits[at],
                reasons=tuple(reasons[at]),
                text=_preview(task, rows[at]),
                digest=row_digest(rows[at]),
            )
            for at in sorted(reasons)
        ),
        keys=keys,
        counts={
            "train_read": len(loaded.train),
            "folded_duplicates": len(loaded.train) - len(groups),
            "conflicting_texts": len(conflicts),
            "test_rows_in_train": _overlap(loaded, groups),
        },
    )
    _say(judged, cleaned, conflicts, say)
    if not cleaned.train or (loaded.dev and not cleaned.dev):
        raise InputError(
            f"nothing is left: {len(cleaned.train):,} of {len(loaded.train):,} train rows and "
            f"{len(cleaned.dev):,} of {len(loaded.dev):,} dev rows; train, dev and test must hold different texts, "
            f"and the rules of preset {section.preset} must fit the data (hone look shows what each removes)"
        )
    return cleaned


def reasons_by_position(columns: pa.Table, rules: Sequence[Rule], decisions: Decisions) -> dict[int, list[Reason]]:
    """All failed rules of each row that fails one, in the order of the rules, with the evidence."""
    reasons: dict[int, list[Reason]] = {}
    for rule in rules:
        for position in decisions.failed[rule.name].nonzero()[0]:
            reason = Reason(rule.name, evidence(rule, columns, int(position)))
            reasons.setdefault(int(position), []).append(reason)
    return reasons


def _preview(task: Task, row: Row) -> str:
    return task_prompt(task, row.fields)[:PREVIEW_CHARS]


def _groups(rows: Iterable[Row], keys: Mapping[str, str]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(keys[row.id], []).append(row)
    return groups


def _conflicts(task: Task, groups: Mapping[str, list[Row]]) -> list[list[Row]]:
    """For each text that has several answers, the first row of each answer."""
    if task.kind == "language-model":
        return []
    conflicts = []
    for rows in groups.values():
        first_with: dict[str, Row] = {}
        for row in rows if len(rows) > 1 else ():
            first_with.setdefault(canonical(task_reference(task, row.fields)), row)
        if len(first_with) > 1:
            conflicts.append(list(first_with.values()))
    return conflicts


def _overlap(loaded: Loaded, groups: Mapping[str, Any]) -> int:
    """Test rows that equal a training row; folded alike test rows count each."""
    return sum(count for key, count in loaded.test_counts.items() if key in groups)


_WHY = {
    IN_TEST: "equal to a test row after folding",
    IN_DEV: "equal to a dev row after folding",
    EMPTY: "without text or answer",
    DUPLICATE: "repeating an earlier row and its answer",
    BY_HAND.name: "by hand",
    LIMIT: "over the limit of their source",
}
MOST_RULES = 4
"""Other rules that get a line of their own."""


def _say(judged: Judged, cleaned: Cleaned, conflicts: list[list[Row]], say: Callable[[str], None]) -> None:
    for note in judged.plan.notes:
        say(note)
    _say_reasons(judged.plan.rules, cleaned, say)
    counts = cleaned.counts
    if counts["folded_duplicates"]:
        kept = "" if DUPLICATE in judged.decisions.failed else f"; no rule {DUPLICATE}, so they stay"
        found = counted(counts["folded_duplicates"], "folded duplicate")
        say(f"train: {found} among {counted(counts['train_read'], 'row')}{kept}")
    if conflicts:
        shown = "; ".join(" / ".join(row.id for row in rows) for rows in conflicts[:NAMED])
        more = "; ..." if len(conflicts) > NAMED else ""
        say(f"train: texts with conflicting answers: {len(conflicts):,}, all kept: {shown}{more}")


def _say_reasons(rules: Sequence[Rule], cleaned: Cleaned, say: Callable[[str], None]) -> None:
    """A line for each reason; many rules of a preset share one, for a row fails several of them."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for entry in cleaned.entries:
        for reason in entry.reasons:
            by_reason.setdefault((reason.name, entry.source), []).append(entry.row)
    why = {rule.name: f"by rule {rule.name}, {rule.removal()}" for rule in rules} | _WHY
    others = sorted((key for key in by_reason if key[0] not in _WHY), key=lambda key: -len(by_reason[key]))
    grouped = others if len(others) > MOST_RULES else []
    for (name, split), rows in by_reason.items():
        if (name, split) in grouped:
            continue
        tests = counted(cleaned.counts["test_rows_in_train"], "test row")
        equal = f" ({tests})" if (name, split) == (IN_TEST, "train") else ""
        say(f"{counted(len(rows), f'{split} row')} left out, {why[name]}{equal}: {_first(rows)}")
    if grouped:
        left = {row for key in grouped for row in by_reason[key]}
        most = ", ".join(f"{name} {len(by_reason[name, split]):,}" for name, split in grouped[:MOST_RULES])
        say(f"{counted(len(left), 'row')} left out by {len(grouped)} other rules, the most by {most}")


def _first(rows: Iterable[str]) -> str:
    rows = list(rows)
    return ", ".join(rows[:NAMED]) + (", ..." if len(rows) > NAMED else "")
