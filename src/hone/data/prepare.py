"""From a task to a data version: read, check, clean, split, seal. Every row that leaves is in the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.data import clean, sources
from hone.data.judged import Judged, Opened, judge, open_task
from hone.data.ledger import Entry, Ledger
from hone.data.making import Making
from hone.data.measure import OnProgress
from hone.data.rows import Row, rows_digest
from hone.data.sealed import SealedTest
from hone.data.split import choose
from hone.data.split_by import group_of, grouped_keys, how, places
from hone.data.versions import ledger_path
from hone.errors import InputError
from hone.files import content_hash
from hone.task.render import labels_in, task_reference
from hone.task.scores import wilson
from hone.task.spec import Task
from hone.wording import counted

STEP = "prepare-3"
NAMED = 5
FEW_DEV_ROWS = 4
"""With fewer, all of them right is what tossing a coin may give: the 95 % interval begins below a half."""
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataVersion:
    """The data of one task as every later step sees it.

    ``id`` 12 hex digits over kept rows, split and step version; ``labels`` sorted, of train: classes, or types of
    entities; ``test_only_labels`` and ``dev_only_labels``: labels that no training row has; ``counts`` every number
    said; ``making`` how it was made.
    """

    id: str
    train: tuple[Row, ...]
    dev: tuple[Row, ...]
    test: SealedTest
    ood: tuple[Row, ...]
    labels: tuple[str, ...]
    test_only_labels: tuple[str, ...]
    dev_only_labels: tuple[str, ...]
    ledger: Ledger
    counts: dict[str, int]
    making: Making


def prepare(
    task: Task,
    folder: Path,
    cache: Path,
    say: Say,
    *,
    rows: Mapping[str, Iterable[Mapping[str, Any]]] | None = None,
    workers: int = 1,
    on_progress: OnProgress | None = None,
    recorded: bool = False,
) -> DataVersion:
    """Read the task's data and make the version of it that everything else uses.

    Args:
        task: the task; paths in it are relative to ``folder``.
        folder: the task folder; it is only read.
        cache: folder for the ledger (``ledger-<id>.jsonl``) and for rows handed in from Python.
        say: takes each line on what was read, left out or decided.
        rows: Python rows that take the place of ``train``, ``dev``, ``test`` or ``ood`` of the task.
        workers: processes that measure; they change nothing but the time.
        on_progress: takes a stage, what is done and what is to do: bytes while ``reading``, characters while
            ``measuring``, rows in the stage of each signal that compares rows, which has its name.
        recorded: whether the version will be written to ``versions/``: its ledger is then there and not in the cache.

    Raises:
        InputError: with every problem of every source at once.
    """
    task = sources.with_python_rows(task, cache, rows or {})
    if task.data.split is not None and isinstance(task.data.dev, str) and task.data.test is not None:
        raise InputError("data.split: dev and test are files, so there is nothing to split; remove this key")
    opened = open_task(task, folder, say, on_progress)
    fingerprints = sources.fingerprints(task, opened.section, opened.loaded, folder, cache, say)
    judged = judge(task, opened, folder, cache, fingerprints=fingerprints, workers=workers, on_progress=on_progress)
    cleaned = clean.clean(task, opened.loaded, opened.section, judged, say)
    train, dev = _dev(task, cleaned, say)
    version = _version(task, opened, judged, cleaned, (train, dev))
    _say_version(version, say)
    place = ledger_path(folder, version.making.version_id(version.id, version.ledger))
    if not recorded and not place.is_file():
        place = version.ledger.save(cache / f"ledger-{version.id}.jsonl")
    _say_books(version, place, say)
    return version


def _version(
    task: Task,
    opened: Opened,
    judged: Judged,
    cleaned: clean.Cleaned,
    splits: tuple[tuple[Row, ...], tuple[Row, ...]],
) -> DataVersion:
    loaded, sealed = opened.loaded, opened.test
    train, dev = splits
    labels = labels_of(task, train)
    return DataVersion(
        id=content_hash([STEP, rows_digest(train), rows_digest(dev), rows_digest(loaded.ood), sealed.digest]),
        train=train,
        dev=dev,
        test=sealed,
        ood=loaded.ood,
        labels=tuple(labels),
        test_only_labels=tuple(sorted(set(sealed.labels) - set(labels))),
        dev_only_labels=_labels_not_in(task, dev, labels),
        ledger=_ledger(task, loaded, (*loaded.bad, *cleaned.entries), train, dev, sealed),
        counts={**cleaned.counts, "train": len(train), "dev": len(dev), "test": sealed.n, "ood": len(loaded.ood)},
        making=Making.of(opened, judged),
    )


def _dev(task: Task, cleaned: clean.Cleaned, say: Say) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    pool = cleaned.train
    if isinstance(task.data.dev, str):
        return pool, cleaned.dev
    keys, labels = _keys_and_labels(task, pool, cleaned)
    by = task.data.split
    read = list(cleaned.keys.values())
    chosen = choose(keys, task.data.dev, "dev", labels, places(pool, keys, by), group_of(by), read)
    train = tuple(row for row, key in zip(pool, keys, strict=True) if key not in chosen)
    dev = tuple(row for row, key in zip(pool, keys, strict=True) if key in chosen)
    wish = counted(task.data.dev, "row") if isinstance(task.data.dev, int) else f"a share of {task.data.dev:g}"
    say(f"dev: {counted(len(dev), 'row')} {how(by, keys, chosen)} out of train ({wish} asked for), {len(train):,} stay")
    return train, dev


def _keys_and_labels(task: Task, rows: tuple[Row, ...], cleaned: clean.Cleaned) -> tuple[list[str], list[str]]:
    keys = grouped_keys(rows, [cleaned.keys[row.id] for row in rows], task.data.split)
    labels = [task_reference(task, row.fields) for row in rows] if task.kind == "classify" else []
    return keys, labels


def _labels_not_in(task: Task, rows: tuple[Row, ...], labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(labels_of(task, rows)) - set(labels)))


def labels_of(task: Task, rows: Iterable[Row]) -> list[str]:
    """The labels that rows have, sorted: classes, or the types of their entities; none for the other kinds."""
    if task.kind not in ("classify", "multi-label", "tag"):
        return []
    return sorted({label for row in rows for label in labels_in(task.kind, task_reference(task, row.fields))})


def check_answers(task: Task, version: DataVersion) -> None:
    """Refuse training rows from which nothing can be learned: all of one class or the same labels, or no entity.

    Raises:
        InputError: with the one answer and the number of rows that have it.
    """
    if task.kind not in ("classify", "multi-label", "tag") or not version.train:
        return
    answers = {frozenset(labels_in(task.kind, task_reference(task, row.fields))) for row in version.train}
    if len(answers) > 1 or (task.kind == "tag" and answers != {frozenset()}):
        return  # entities of one type lie in different places
    named = ", ".join(f'"{label}"' for label in sorted(answers.pop())) or "no label"
    rows = "the only training row" if len(version.train) == 1 else f"all {len(version.train):,} training rows"
    raise InputError(
        f"nothing can be learned from {task.data.train}: the answer of {rows} is {named}; "
        f"add rows with another answer, or look at output ({task.output})"
    )


def _ledger(
    task: Task,
    loaded: sources.Loaded,
    entries: tuple[Entry, ...],
    train: tuple[Row, ...],
    dev: tuple[Row, ...],
    sealed: SealedTest,
) -> Ledger:
    read = {"train": len(loaded.train), "dev": len(loaded.dev), "ood": len(loaded.ood), "test": 0}
    # A test that was hashed out of train was read from there.
    read["test" if sealed.only is None or sealed.source != task.data.train else "train"] += sealed.n
    for entry in loaded.bad:
        read[entry.source] += 1
    kept = {"train": len(train), "dev": len(dev), "test": sealed.n, "ood": len(loaded.ood)}
    return Ledger(read={source: n for source, n in read.items() if n}, kept=kept, entries=entries)


def _say_version(version: DataVersion, say: Say) -> None:
    for split, labels in (("test", version.test_only_labels), ("dev", version.dev_only_labels)):
        if labels:
            named = ", ".join(f'"{label}"' for label in labels[:NAMED]) + (", ..." if len(labels) > NAMED else "")
            say(f"labels that only {split} has, so no model can learn them: {len(labels)} ({named})")
    _say_like_labels(version, say)
    if version.labels and 0 < (n := len(version.dev)) < FEW_DEV_ROWS:
        say(
            f"dev has only {counted(n, 'row')}: {n} of {n} right is an accuracy of {wilson(n, n)[0]:.2f} or more, and "
            "no choice can rest on it; name a dev file, or a larger data.dev"
        )


def _say_books(version: DataVersion, place: Path, say: Say) -> None:
    kept = ", ".join(f"{split} {n:,}" for split, n in version.ledger.kept.items() if n)
    version_id = version.making.version_id(version.id, version.ledger)
    see = f", see {place}" if version.ledger.entries else ""
    say(f"data version {version_id}: {kept}; {counted(len(version.ledger.entries), 'row')} left out{see}")


def _say_like_labels(version: DataVersion, say: Say) -> None:
    """Labels that differ by case or spaces alone, within train or between the splits."""
    every = {*version.labels, *version.test_only_labels, *version.dev_only_labels}
    folded = Counter(" ".join(label.casefold().split()) for label in every)
    alike = sorted(label for label in every if folded[" ".join(label.casefold().split())] > 1)
    if alike:
        say(f"labels that differ by case or spaces alone are different labels: {', '.join(map(repr, alike[:NAMED]))}")
