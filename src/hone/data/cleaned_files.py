"""Cleaning bare files: a survey carried out, its rows and ledger written as a data version in a folder of its own."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hone.data.clean import PREVIEW_CHARS, reasons_by_position
from hone.data.ledger import BAD, Entry, Ledger, Reason
from hone.data.limits import over_limit
from hone.data.making import Making, SourceTally, keep, rules_of, steps_of
from hone.data.patches import Patches
from hone.data.rows import Row
from hone.data.survey import Survey
from hone.data.version_record import SourceRecord, Version
from hone.data.versions import FOLDER, row_digest
from hone.errors import InputError
from hone.task.spec import Clean

Positions = np.ndarray[Any, np.dtype[np.int64]]
Books = tuple[Ledger, Positions]
"""The ledger of a survey, and the positions of the rows that are kept."""
KEPT = "kept.jsonl.gz"
"""The kept rows as a source for ``data.train``, their columns as they were read and transformed."""
_LEVEL = 6
"""Of gzip: level 9 takes a quarter more time on English rows, for 0.3 % fewer bytes."""


def ledger_of(survey: Survey, section: Clean) -> Books:
    """The books of a survey, and the positions of the rows that are kept."""
    columns = survey.columns
    reasons = reasons_by_position(columns, survey.plan.rules, survey.decisions)
    for at, reason in over_limit(columns, survey.decisions.keep, section.limits).items():
        reasons.setdefault(at, []).append(reason)
    out = sorted(reasons)
    taken = survey.measured.store.take(out)
    names, sources = taken.column("row").to_pylist(), taken.column("source").to_pylist()
    previews = (text[:PREVIEW_CHARS] for text in taken.column("input").to_pylist())
    digests = (row_digest(Row("", json.loads(fields.as_py()))) for fields in taken.column("fields"))
    entries = [
        Entry(row=row, source=source, reasons=tuple(reasons[at]), text=text, digest=digest)
        for at, row, source, text, digest in zip(out, names, sources, previews, digests, strict=True)
    ]
    entries += [
        Entry(
            row=bad.id,
            source=bad.id.rpartition(":")[0],
            reasons=(Reason(BAD, f"{bad.field or 'row'}: expected {bad.expected}, found {bad.found}"),),
        )
        for bad in survey.bad
    ]
    kept = np.setdiff1d(np.arange(columns.num_rows), np.asarray(out, np.int64))
    all_sources = columns.column("source").to_pylist()
    kept_counts = Counter(all_sources[at] for at in kept)
    read_counts = Counter(all_sources) + Counter(entry.source for entry in entries[len(out) :])
    counts = {source: kept_counts.get(source, 0) for source in read_counts}
    return Ledger(read=dict(read_counts), kept=counts, entries=tuple(entries)), kept


def clean_files(
    survey: Survey, section: Clean, out: Path, say: Callable[[str], None], books: Books | None = None
) -> Version:
    """Write the rows that a survey keeps as a data version under ``out``, and as ``kept.jsonl.gz``.

    Args:
        survey: what was measured and decided.
        section: how it was decided.
        out: the folder; versions that are there stay, the newest of them is the parent.
        say: takes each line.
        books: of :func:`ledger_of` for this survey and section, where they are known.

    Raises:
        InputError: when no row is kept, or when the survey was of a sample.
    """
    if survey.sampled:
        raise InputError("a sample was surveyed; cleaning takes every row: leave --sample out")
    ledger, kept = books or ledger_of(survey, section)
    if not len(kept):
        raise InputError(
            f"no row of {survey.columns.num_rows:,} is kept by preset {section.preset}; rows that each rule alone "
            f"removes: {_alone(survey)}; choose another preset, or move a threshold"
        )
    making = Making(
        clean=section.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
        transforms=steps_of(survey.plan.transforms, survey.changed),
        signals=survey.measured.signals,
        rules=rules_of(survey.plan.rules, survey.decisions.counts()),
        patches=Patches().record(),
        sources=_sources(survey),
    )
    numbers = {"read": counts_read(ledger), "kept": len(kept), "left_out": len(ledger.entries)}
    rows = (("train", row) for row in kept_rows(survey, kept))
    version = keep(out, _digest(survey, kept), making, numbers, rows, ledger, partial(_write_kept, survey, kept))
    place = out / FOLDER / version.id / KEPT
    say(f"{len(kept):,} of {counts_read(ledger):,} rows kept: {place}; the others are in ledger.jsonl beside it")
    return version


def counts_read(ledger: Ledger) -> int:
    """Rows read from all sources."""
    return sum(ledger.read.values())


def kept_rows(survey: Survey, kept: Positions) -> Iterator[Row]:
    """Kept rows in order, part by part."""
    for row, fields in _kept_fields(survey, kept):
        yield Row(row, json.loads(fields))


def _kept_fields(survey: Survey, kept: Positions) -> Iterator[tuple[str, str]]:
    store = survey.measured.store
    for index in range(len(store.parts)):
        low, high = store.starts[index], store.starts[index + 1]
        mine = kept[(kept >= low) & (kept < high)]
        if len(mine):
            batch = store.take(mine)
            yield from zip(batch.column("row").to_pylist(), batch.column("fields").to_pylist(), strict=True)


def _digest(survey: Survey, kept: Positions) -> str:
    digest = hashlib.sha256()
    for row, fields in _kept_fields(survey, kept):
        digest.update(f"{row}\t{fields}\n".encode())
    return digest.hexdigest()[:12]


def _alone(survey: Survey) -> str:
    counts = sorted(survey.decisions.counts().items(), key=lambda pair: -pair[1]["fails"])
    return ", ".join(f"{name} {count['fails']:,}" for name, count in counts[:3] if count["fails"])


def _sources(survey: Survey) -> tuple[SourceRecord, ...]:
    tally = SourceTally()
    for batch in survey.measured.store.batches():
        for source, fields in zip(batch.column("source").to_pylist(), batch.column("fields").to_pylist(), strict=True):
            tally.add(source, json.loads(fields) if '"licen' in fields else {})
    return tuple(tally.record(source, "train", survey.files.get(source, "")) for source in tally.rows)


def _write_kept(survey: Survey, kept: Positions, folder: Path) -> None:
    """Gzip without a time, so that equal rows give equal bytes."""
    with (folder / KEPT).open("wb") as file, gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
        for _, fields in _kept_fields(survey, kept):
            packed.write(fields.encode("utf-8") + b"\n")
