"""What leaves the training rows before the split: rows of the test and dev splits, duplicates, empty rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hone.data.ledger import DUPLICATE, EMPTY, IN_DEV, IN_TEST, Entry, Reason
from hone.data.rows import Row, canonical, fingerprint
from hone.data.sources import Loaded
from hone.errors import InputError
from hone.task.render import task_prompt, task_reference
from hone.task.spec import Task

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


def clean(task: Task, loaded: Loaded, say: Callable[[str], None]) -> Cleaned:
    """Take rows of later splits out of earlier ones, and with the ``task`` preset duplicates out of train.

    Raises:
        InputError: when nothing is left.
    """
    prompts = {row.id: task_prompt(task, row.fields) for row in (*loaded.train, *loaded.dev)}
    keys = {row_id: fingerprint(prompt) for row_id, prompt in prompts.items()}
    groups = _groups(loaded.train, keys)
    duplicates, conflicts = _duplicates(task, groups)
    dev_rows = {keys[row.id]: row.id for row in reversed(loaded.dev)}
    reasons: dict[str, list[Reason]] = {}
    _note(reasons, IN_TEST, ((row, loaded.test_rows) for row in (*loaded.train, *loaded.dev)), keys)
    _note(reasons, IN_DEV, ((row, dev_rows) for row in loaded.train), keys)
    for row in (*loaded.train, *loaded.dev):
        if not _has_content(task, row, prompts[row.id]):
            reasons.setdefault(row.id, []).append(Reason(EMPTY, "the text or answer is white space"))
    if task.clean.preset == "task":
        for row_id, survivor in duplicates.items():
            reasons.setdefault(row_id, []).append(Reason(DUPLICATE, f"duplicate of {survivor}"))
    splits = (("train", loaded.train), ("dev", loaded.dev))
    cleaned = Cleaned(
        train=tuple(row for row in loaded.train if row.id not in reasons),
        dev=tuple(row for row in loaded.dev if row.id not in reasons),
        entries=tuple(
            Entry(row=row.id, source=split, reasons=tuple(reasons[row.id]), text=prompts[row.id][:PREVIEW_CHARS])
            for split, rows in splits
            for row in rows
            if row.id in reasons
        ),
        keys=keys,
        counts={
            "train_read": len(loaded.train),
            "folded_duplicates": len(loaded.train) - len(groups),
            "conflicting_texts": len(conflicts),
            "test_rows_in_train": _overlap(loaded, groups),
        },
    )
    _say(task, loaded, cleaned, conflicts, say)
    return cleaned


def _groups(rows: Iterable[Row], keys: Mapping[str, str]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(keys[row.id], []).append(row)
    return groups


def _duplicates(task: Task, groups: Mapping[str, list[Row]]) -> tuple[dict[str, str], list[list[Row]]]:
    """Rows that repeat an earlier prompt with its answer (id to the earlier id), and groups that disagree."""
    duplicates: dict[str, str] = {}
    conflicts = []
    for rows in groups.values():
        if len(rows) == 1:
            continue
        first_with: dict[str, Row] = {}
        for row in rows:
            # For a document the text is its own answer: spelled differently it is still the same document.
            answer = "" if task.kind == "language-model" else canonical(task_reference(task, row.fields))
            earlier = first_with.setdefault(answer, row)
            if earlier is not row:
                duplicates[row.id] = earlier.id
        if len(first_with) > 1:
            conflicts.append(list(first_with.values()))
    return duplicates, conflicts


def _note(
    reasons: dict[str, list[Reason]],
    name: str,
    rows: Iterable[tuple[Row, Mapping[str, str]]],
    keys: Mapping[str, str],
) -> None:
    for row, others in rows:
        other = others.get(keys[row.id])
        if other is not None:
            reasons.setdefault(row.id, []).append(Reason(name, other))


def _has_content(task: Task, row: Row, prompt: str) -> bool:
    if not prompt.strip():
        return False
    return task.kind == "extract" or bool(str(task_reference(task, row.fields)).strip())


def _overlap(loaded: Loaded, groups: Mapping[str, list[Row]]) -> int:
    """Test rows that equal a training row; folded alike test rows count each."""
    return sum(count for key, count in loaded.test_counts.items() if key in groups)


def _say(task: Task, loaded: Loaded, cleaned: Cleaned, conflicts: list[list[Row]], say: Callable[[str], None]) -> None:
    by_reason: dict[tuple[str, str], list[Entry]] = {}
    for entry in cleaned.entries:
        for reason in entry.reasons:
            by_reason.setdefault((reason.name, entry.source), []).append(entry)
    for (name, split), entries in by_reason.items():
        sentence = {
            IN_TEST: f"{len(entries):,} {split} rows equal a test row after folding and leave {split}",
            IN_DEV: f"{len(entries):,} train rows equal a dev row after folding and leave train",
            EMPTY: f"{len(entries):,} {split} rows have no text or no answer and leave {split}",
            DUPLICATE: f"{len(entries):,} train rows repeat an earlier row and its answer and leave train",
        }[name]
        equal = f" ({cleaned.counts['test_rows_in_train']:,} test rows)" if (name, split) == (IN_TEST, "train") else ""
        say(f"{sentence}{equal}: {_first(entry.row for entry in entries)}")
    counts = cleaned.counts
    if counts["folded_duplicates"]:
        kept = "" if task.clean.preset == "task" else "; clean.preset none keeps them"
        say(f"train: {counts['folded_duplicates']:,} folded duplicates among {counts['train_read']:,} rows{kept}")
    if conflicts:
        shown = "; ".join(" / ".join(row.id for row in rows) for rows in conflicts[:NAMED])
        more = "; ..." if len(conflicts) > NAMED else ""
        say(f"train: texts with conflicting answers: {len(conflicts):,}, all kept: {shown}{more}")
    if not cleaned.train or (loaded.dev and not cleaned.dev):
        raise InputError(
            f"nothing is left: {len(cleaned.train):,} of {len(loaded.train):,} train rows and "
            f"{len(cleaned.dev):,} of {len(loaded.dev):,} dev rows; train, dev and test must hold different texts"
        )


def _first(rows: Iterable[str]) -> str:
    rows = list(rows)
    return ", ".join(rows[:NAMED]) + (", ..." if len(rows) > NAMED else "")
