"""What leaves the training rows before the split: rules over measured columns, edits by hand, limits per source.

Every row that leaves carries all its reasons. Dev rows leave only when they have no content or equal a test row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from hone.data.cleaning import Given, Plan, plan_of
from hone.data.ledger import DUPLICATE, EMPTY, IN_DEV, IN_TEST, Entry, Reason
from hone.data.limits import LIMIT, over_limit
from hone.data.measure import Measured, measure
from hone.data.patches import Patches
from hone.data.rows import Row, canonical, fingerprint
from hone.data.rules import Decisions, Rule, decide, evidence
from hone.data.sources import Loaded
from hone.data.store import TextStore
from hone.data.table import TextRow, batches
from hone.data.view import View, view_of_task
from hone.errors import InputError
from hone.task.render import task_prompt, task_reference
from hone.task.spec import Clean, Task

NAMED = 3
PREVIEW_CHARS = 80
BY_HAND = Rule(
    name="by-hand", column="hand.dropped", absent=True, splits=("train", "dev"), source="an edit in patches.jsonl"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleaned:
    """Rows left for train and dev, an entry for each row that went, the fingerprint of each row by id.

    ``plan`` and ``decisions`` say what was decided by; ``measured`` is what it was decided on (train rows first).
    """

    train: tuple[Row, ...]
    dev: tuple[Row, ...]
    entries: tuple[Entry, ...]
    keys: Mapping[str, str]
    counts: dict[str, int]
    plan: Plan
    decisions: Decisions
    measured: Measured


def clean(
    task: Task,
    loaded: Loaded,
    section: Clean,
    *,
    patches: Patches,
    fingerprints: Any,
    folder: Path,
    cache: Path,
    workers: int,
    say: Callable[[str], None],
) -> Cleaned:
    """Measure train and dev, decide by the rules of the section, and account for what leaves.

    Args:
        task: the task.
        loaded: its rows, edited and transformed.
        section: how they are cleaned.
        patches: the edits that were applied, and the rows that they leave out.
        fingerprints: n-grams of test and benchmark texts, or None where no rule asks for them.
        folder: where a user's own signals are looked for.
        cache: what is measured is kept under ``data`` in it.
        workers: processes that measure.
        say: takes each line.

    Raises:
        InputError: a section that names what is not there, or when nothing is left.
    """
    rows = (*loaded.train, *loaded.dev)
    view = view_of_task(task)
    store = TextStore.of(batches(text_rows(view, (("train", loaded.train), ("dev", loaded.dev)))), cache / "data")
    dev_rows = {fingerprint(task_prompt(task, row.fields)): row.id for row in reversed(loaded.dev)}
    given = Given(
        folder=folder,
        test=loaded.test_rows,
        dev=dev_rows,
        fingerprints=fingerprints,
        with_answer=task.kind != "language-model",
    )
    plan = plan_of(section, task.kind, given)
    measured = measure(store, plan.signals, cache / "data", workers=workers)
    columns = with_hand(measured.columns, patches)
    rules = (*plan.rules, BY_HAND) if patches.dropped else plan.rules
    decisions = decide(columns, rules)
    reasons = reasons_by_position(columns, rules, decisions)
    for position, reason in over_limit(columns, decisions.keep, section.limits).items():
        reasons.setdefault(position, []).append(reason)
    splits = ["train"] * len(loaded.train) + ["dev"] * len(loaded.dev)
    entries = tuple(
        Entry(row=rows[at].id, source=splits[at], reasons=tuple(reasons[at]), text=_preview(task, rows[at]))
        for at in sorted(reasons)
    )
    keys = dict(zip([row.id for row in rows], columns.column("leak.key").to_pylist(), strict=True))
    groups = _groups(loaded.train, keys)
    conflicts = _conflicts(task, groups)
    last_train = len(loaded.train)
    cleaned = Cleaned(
        train=tuple(row for at, row in enumerate(loaded.train) if at not in reasons),
        dev=tuple(row for at, row in enumerate(loaded.dev, last_train) if at not in reasons),
        entries=entries,
        keys=keys,
        counts={
            "train_read": len(loaded.train),
            "folded_duplicates": len(loaded.train) - len(groups),
            "conflicting_texts": len(conflicts),
            "test_rows_in_train": _overlap(loaded, groups),
        },
        plan=plan,
        decisions=decisions,
        measured=measured,
    )
    _say(section, loaded, cleaned, conflicts, say)
    return cleaned


def text_rows(view: View, splits: Iterable[tuple[str, Iterable[Row]]]) -> Iterable[TextRow]:
    """Rows of some splits as rows of the text table; a row's source is its id without the line number."""
    for split, rows in splits:
        for row in rows:
            yield view.row(row, row.id.rpartition(":")[0], split)


def with_hand(columns: pa.Table, patches: Patches) -> pa.Table:
    """The columns and ``hand.dropped``: why a person left a row out; null where nobody did."""
    if not patches.dropped:
        return columns
    ids = columns.column("row").to_pylist()
    why = [patches.dropped[row].sentence() if row in patches.dropped else None for row in ids]
    return columns.append_column(BY_HAND.column, pa.array(why, pa.string()))


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


_SENTENCES = {
    IN_TEST: "equal a test row after folding and leave {split}",
    IN_DEV: "equal a dev row after folding and leave train",
    EMPTY: "have no text or no answer and leave {split}",
    DUPLICATE: "repeat an earlier row and its answer and leave train",
    BY_HAND.name: "were left out by hand",
    LIMIT: "are over the limit of their source and leave train",
}


def _say(
    section: Clean, loaded: Loaded, cleaned: Cleaned, conflicts: list[list[Row]], say: Callable[[str], None]
) -> None:
    for note in cleaned.plan.notes:
        say(note)
    by_reason: dict[tuple[str, str], list[Entry]] = {}
    for entry in cleaned.entries:
        for reason in entry.reasons:
            by_reason.setdefault((reason.name, entry.source), []).append(entry)
    sentences = {rule.name: f"fail {rule.name} ({rule.sentence()}) and leave train" for rule in cleaned.plan.rules}
    sentences.update(_SENTENCES)
    for (name, split), entries in by_reason.items():
        equal = f" ({cleaned.counts['test_rows_in_train']:,} test rows)" if (name, split) == (IN_TEST, "train") else ""
        what = sentences[name].format(split=split)
        say(f"{len(entries):,} {split} rows {what}{equal}: {_first(entry.row for entry in entries)}")
    counts = cleaned.counts
    if counts["folded_duplicates"]:
        kept = "" if DUPLICATE in cleaned.decisions.failed else f"; no rule {DUPLICATE}, so they stay"
        say(f"train: {counts['folded_duplicates']:,} folded duplicates among {counts['train_read']:,} rows{kept}")
    if conflicts:
        shown = "; ".join(" / ".join(row.id for row in rows) for rows in conflicts[:NAMED])
        more = "; ..." if len(conflicts) > NAMED else ""
        say(f"train: texts with conflicting answers: {len(conflicts):,}, all kept: {shown}{more}")
    if not cleaned.train or (loaded.dev and not cleaned.dev):
        raise InputError(
            f"nothing is left: {len(cleaned.train):,} of {len(loaded.train):,} train rows and "
            f"{len(cleaned.dev):,} of {len(loaded.dev):,} dev rows; train, dev and test must hold different texts, "
            f"and the rules of preset {section.preset} must fit the data (hone look shows what each removes)"
        )


def _first(rows: Iterable[str]) -> str:
    rows = list(rows)
    return ", ".join(rows[:NAMED]) + (", ..." if len(rows) > NAMED else "")
