"""Bare files or a task's rows, measured and decided on: what ``hone look`` shows and ``hone clean`` carries out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from hone.data.bare import BareFiles, sampled, viewed
from hone.data.changing import Changing
from hone.data.cleaning import Given, Plan, plan_of, transforms_of
from hone.data.clusters import notes
from hone.data.ingest import Ingested, SplitRow, ingest, ingest_key
from hone.data.measure import Measured, OnProgress, measure
from hone.data.rows import Bad, fingerprint
from hone.data.rules import Decisions
from hone.data.settling import settle
from hone.data.transforms.base import Transform
from hone.data.view import View, view_of_rows
from hone.errors import InputError
from hone.task.spec import Clean

PEEK_ROWS = 2_000
"""Rows that decide which column is the text."""
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """How bare files are surveyed.

    ``text``, ``answer`` and ``label`` name columns instead of those that suggest themselves; ``test`` is a file whose
    rows must not be trained on; ``sample`` takes so many rows by the hash of their ids; ``bad_rows``: error or drop;
    ``sensitive``: values of bad rows are neither said nor kept.
    """

    text: str = ""
    answer: str = ""
    label: str = ""
    test: str = ""
    sample: int | None = None
    bad_rows: str = "error"
    sensitive: bool = False
    workers: int = 1
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What a survey found.

    ``columns`` and ``decisions`` go by the rows of ``measured.store``, in order. ``num_rows`` before sampling;
    ``bad``: rows that could not be used and were dropped; ``changed``: rows by transform; ``test_rows`` and
    ``test_labels`` of the test split; ``files``: SHA-256 of local files, by source.
    """

    name: str
    view: View
    plan: Plan
    measured: Measured
    columns: pa.Table
    decisions: Decisions
    num_rows: int
    sampled: bool = False
    bad: tuple[Bad, ...] = ()
    changed: dict[str, int] = field(default_factory=dict)
    test_rows: int = 0
    test_labels: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Test:
    """What is known of a test file: fingerprints with row ids, labels, rows, n-grams."""

    rows: dict[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    count: int = 0
    fingerprints: Any = None


def survey_files(
    files: Sequence[str],
    base: Path,
    section: Clean,
    cache: Path,
    say: Say,
    *,
    wishes: Wishes | None = None,
    looking: bool = True,
    on_progress: OnProgress | None = None,
) -> Survey:
    """Survey bare files, without a task.

    Args:
        files: sources, as in ``data.train``.
        base: folder that they are relative to.
        section: how they are cleaned.
        cache: folder for texts and measurements.
        say: takes each line on what was recognised.
        wishes: columns, test, sample, workers.
        looking: measure also what no rule decides by.
        on_progress: takes a stage, what is done and what is to do: bytes while ``reading`` (0 where not known),
            characters while ``measuring``, rows in the stage of each signal that compares rows, which has its name.

    Raises:
        InputError: with every problem.
    """
    wishes, tell, say = wishes or Wishes(), on_progress or _untold, _once(say)
    view = _view(files, base, wishes, say)
    say(view.sentence)
    transforms = transforms_of(section, view.kind)
    test = _test(wishes, section, base, view, transforms, say)
    with_answer = view.kind != "language-model"
    given = Given(folder=base, test=test.rows, fingerprints=test.fingerprints, with_answer=with_answer)
    plan = plan_of(section, view.kind, given, looking=looking)
    noted: list[str] = []
    reading = BareFiles(files, base, _also_into(noted, say), partial(tell, "reading"), hides_values=wishes.sensitive)
    ingested, num_rows = _ingested(reading, view, plan, cache, wishes, noted)
    for line in ingested.notes:
        say(line)
    measured = measure(ingested.store, plan.signals, cache, workers=wishes.workers, on_progress=tell)
    for note in (*plan.notes, *measured.notes, *notes(measured.columns)):
        say(note)
    columns, decisions = settle(measured.columns, plan.rules, plan.signals, measured.store, cache)
    return Survey(
        name=", ".join(files),
        view=view,
        plan=plan,
        measured=measured,
        columns=columns,
        decisions=decisions,
        num_rows=num_rows or ingested.store.num_rows,
        sampled=wishes.sample is not None and ingested.store.num_rows < num_rows,
        bad=tuple(reading.bad),
        changed=ingested.changed,
        test_rows=test.count,
        test_labels=test.labels,
        files=reading.hashes,
    )


def _ingested(
    reading: BareFiles, view: View, plan: Plan, cache: Path, wishes: Wishes, noted: Sequence[str]
) -> tuple[Ingested, int]:
    """The texts, and how many rows there were where only a sample of them was taken (else 0).

    ``noted`` grows with what is said while reading; a store that is found again says it again.
    """
    hashes = reading.hashes if reading.is_hashed else None
    rows: Iterable[SplitRow] = reading.seen(view, reading.rows())
    num_rows = 0
    if wishes.sample is not None:
        rows, num_rows = sampled(rows, wishes.sample, wishes.seed)
    more = [wishes.sample, wishes.seed, list(reading.files), reading.left_out]
    ingested = ingest(
        rows,
        view,
        plan.transforms,
        cache,
        key=None if hashes is None else ingest_key(hashes, view, plan.transforms, more),
        workers=wishes.workers,
        # A store with bad rows is not found again, so that they are named each time.
        is_whole=lambda: reading.is_whole(wishes.bad_rows),
        notes=noted,
    )
    if not ingested.store.num_rows:
        raise InputError(
            [*reading.problems(), f"{', '.join(reading.files)}: no row can be used; expected at least one"]
        )
    return ingested, num_rows


def _view(files: Sequence[str], base: Path, wishes: Wishes, say: Say) -> View:
    reading = BareFiles(files, base, say, hides_values=wishes.sensitive)
    first = [row for _, row in itertools.islice(reading.rows(), PEEK_ROWS)]
    if not first:
        reading.check()
        raise InputError(f"{', '.join(files)}: no rows; expected at least one")
    return view_of_rows(
        first, text=wishes.text, answer=wishes.answer, label=wishes.label, unsaid=frozenset(reading.doubtful)
    )


def _test(wishes: Wishes, section: Clean, base: Path, view: View, transforms: Sequence[Transform], say: Say) -> _Test:
    """Pass once over a test file and the benchmarks: fingerprints and labels stay, texts do not."""
    file = wishes.test
    if not file and not section.against:
        return _Test()
    from hone.data.benchmarks import Pair, benchmark_texts, fingerprints

    rows: dict[str, str] = {}
    labels: set[str] = set()

    def passing() -> Iterator[Pair]:
        reading = BareFiles([file], base, say, hides_values=True)
        seen_by, stream = viewed(file, reading, say, view)
        changing = Changing(transforms=transforms, columns=seen_by.text_columns)
        for split, row in stream:
            laid = seen_by.row(changing.of(row), file, split)
            rows.setdefault(fingerprint(laid.input), row.id)
            labels.update([laid.label] if laid.label is not None else [])
            yield laid.input, laid.text
        reading.settle(wishes.bad_rows)

    tests: dict[str, Iterable[Pair]] = {file: passing()} if file else {}
    against = {name: benchmark_texts(name, base, say, wishes.bad_rows) for name in section.against}
    made = fingerprints({**tests, **against}, say)
    return _Test(rows=rows, labels=tuple(sorted(labels)), count=made.rows_of(file) if file else 0, fingerprints=made)


def _once(say: Say) -> Say:
    """Says each line once: the first rows are read twice, and what is new in the second pass has to be heard too."""
    said: set[str] = set()

    def tell(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    return tell


def _also_into(said: list[str], say: Say) -> Say:
    """Says each line, and keeps it."""

    def tell(line: str) -> None:
        said.append(line)
        say(line)

    return tell


def _untold(stage: str, done: int, total: int) -> None:
    """Nobody watches."""
