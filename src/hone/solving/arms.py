"""Training sets that differ by one rule alone: without it, and without the rows that it removes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hone.data.ledger import Ledger
from hone.data.making import chosen_section
from hone.data.patches import Patches
from hone.data.prepare import DataVersion, prepare
from hone.data.presets import OPTIONAL
from hone.errors import InputError, nearest
from hone.files import content_hash
from hone.task.spec import Clean, Task

BASE = "without"
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A training set: the name of the rule that made it (or ``without``), its data, its steps for equal tokens."""

    name: str
    data: DataVersion
    removed: int
    steps: int = 0


def arms_of(task: Task, folder: Path, rules: Sequence[str], say: Say) -> list[Arm]:
    """The data without any of the rules, and without the training rows that each rule removes.

    The section is the one that the task is cleaned with, an earlier version's after an undo. Its other rules act in
    every arm.

    Args:
        task: the task.
        folder: its folder.
        rules: names of optional rules, of the preset's, or of the section's own.
        say: takes each line.

    Raises:
        InputError: unknown rules, rules that remove nothing or everything.
    """
    section = _section(task, folder, rules, say)
    off = {name: wish for name, wish in section.rules.items() if name not in rules}
    # A rule of the user's own is off when nobody names it; one that hone knows, when it is said to be.
    off |= {name: False for name in rules if name in OPTIONAL}
    base = _prepared(task, folder, section, off)
    arms = [Arm(name=BASE, data=base, removed=0)]
    problems = []
    for name in rules:
        ledger = _prepared(task, folder, section, {**off, name: section.rules.get(name) or True}).ledger
        failing = {entry.row for entry in ledger.entries if any(reason.name == name for reason in entry.reasons)}
        kept = tuple(row for row in base.train if row.id not in failing)
        removed = len(base.train) - len(kept)
        say(f"{name}: removes {removed:,} of {len(base.train):,} training rows; the {len(base.dev):,} dev rows stay")
        if not removed or not kept:
            problems.append(
                f"{name} removes {removed:,} of {len(base.train):,} training rows: there is nothing to compare; leave "
                "it out"
            )
            continue
        books = Ledger(read={"train": len(kept)}, kept={"train": len(kept)})
        version = replace(base, id=content_hash([base.id, name, sorted(failing)]), train=kept, ledger=books)
        arms.append(Arm(name=name, data=version, removed=removed))
    if problems:
        raise InputError(problems)
    # Every arm has its own books: rows that are too long for the context are counted in each.
    books = Ledger(read={"train": len(base.train)}, kept={"train": len(base.train)})
    return [replace(arms[0], data=replace(base, ledger=books)), *arms[1:]]


def _section(task: Task, folder: Path, rules: Sequence[str], say: Say) -> Clean:
    section, patches = chosen_section(task, folder)
    own = {name for name, wish in section.rules.items() if not isinstance(wish, bool)}
    known = sorted(own | set(OPTIONAL))
    if problems := [f"{name}: no rule has this name; {nearest(name, known)}" for name in rules if name not in known]:
        raise InputError(problems)
    if task.clean.version is not None:
        say(f"rules are those of data version {task.clean.version} (clean.version in hone.yaml)")
        now = Patches.load(folder)
        if now.digest != patches.digest:
            # What is compared is the rule; edits are the same in every arm.
            say(f"every arm has the {len(now.all):,} edits of patches.jsonl; that version had {len(patches.all):,}")
    return section


def _prepared(task: Task, folder: Path, section: Clean, rules: Mapping[str, Any]) -> DataVersion:
    changed = task.model_copy(update={"clean": section.model_copy(update={"rules": dict(rules), "version": None})})
    return prepare(changed, folder, folder / ".hone" / "cache", lambda line: None)
