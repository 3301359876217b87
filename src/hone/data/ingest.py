"""From rows to the text store: patches and transforms applied, then texts laid out for signals.

The source is never changed. What comes out has a content hash of its own, and what was changed is counted.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hone.data.changing import through
from hone.data.rows import Row
from hone.data.store import Part, TextStore, write_part
from hone.data.table import BATCH_CHARS, BATCH_ROWS, batches
from hone.data.transforms.base import Transform
from hone.data.view import View
from hone.data.workers import ordered_map
from hone.errors import FailedError
from hone.files import content_hash, read_json, write_json

STEP = "ingest-5"
"""Raised when readers, formats or the layout make something else of the same bytes."""
SplitRow = tuple[str, Row]
"""The split that a row was read for, and the row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ingested:
    """Texts on disk.

    ``changed``: transform to rows it changed. ``notes``: what was said when they were read. ``known``: the store was
    there; nothing was read.
    """

    store: TextStore
    changed: dict[str, int]
    notes: tuple[str, ...] = ()
    known: bool = False


def ingest(
    rows: Iterable[SplitRow],
    view: View,
    transforms: Sequence[Transform],
    cache: Path,
    *,
    key: str | None = None,
    workers: int = 1,
    is_whole: Callable[[], bool] = lambda: True,
    notes: Sequence[str] = (),
) -> Ingested:
    """Lay rows out as texts.

    Args:
        rows: in their order; not touched when the store of ``key`` is there.
        view: how a row becomes text, input, answer and label.
        transforms: applied to every text of a row, see :func:`~hone.data.changing.through`.
        cache: folder of stores.
        key: stands for everything that decides what comes out (:func:`ingest_key`); None never looks one up.
        workers: processes that transform.
        is_whole: asked when all rows were read, whether the store may be found again under its key; may raise.
        notes: what was said while reading, looked at when all rows were read; kept with the store, so that it can be
            said again.
    """
    index = cache / "ingested" / f"{key}.json"
    if key is not None and (known := _known(index, cache)) is not None:
        return known
    work = partial(_ingest_batch, view=view, transforms=tuple(transforms), cache=cache)
    parts: list[Part] = []
    changed: Counter[str] = Counter({transform.name: 0 for transform in transforms})
    for made, counts in ordered_map(work, _raw_batches(rows), workers, stage="laying out texts"):
        parts += made
        changed.update(counts)
    if is_whole() and key is not None:
        whole = [asdict(replace(part, mended=False)) for part in parts]
        write_json(index, {"parts": whole, "changed": dict(changed), "notes": list(notes)})
    return Ingested(store=TextStore(cache, parts), changed=dict(changed), notes=tuple(notes))


def ingest_key(sources: Mapping[str, str], view: View, transforms: Sequence[Transform], more: Any = None) -> str:
    """What stands for a store: the bytes of the sources, the view, the transforms with their versions, and more.

    The version of hone is a part of it: its readers may make something else of the same bytes.
    """
    # Not imported: the package itself knows the rooms above this one.
    version = sys.modules[__name__.partition(".")[0]].__dict__["__version__"]
    steps = [(transform.name, transform.version, dict(transform.params)) for transform in transforms]
    return content_hash([STEP, version, dict(sources), view.describe(), steps, more], 24)


def _known(index: Path, cache: Path) -> Ingested | None:
    if not index.is_file():
        return None
    try:
        record = read_json(index)
    except FailedError:
        return None
    store = TextStore(cache, [Part(**part) for part in record["parts"]])
    if not store.has_all():
        return None
    return Ingested(store=store, changed=record["changed"], notes=tuple(record["notes"]), known=True)


def _raw_batches(rows: Iterable[SplitRow]) -> Iterator[list[SplitRow]]:
    """Rows in groups that depend on the rows alone, about as large as a batch of the text table."""
    held: list[SplitRow] = []
    chars = 0
    for split, row in rows:
        size = _chars(row.fields)
        if held and (len(held) >= BATCH_ROWS or chars + size > BATCH_CHARS):
            yield held
            held, chars = [], 0
        held.append((split, row))
        chars += size
    if held:
        yield held


def _chars(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_chars, value.values()))
    if isinstance(value, list):
        return sum(map(_chars, value))
    return 8


def _ingest_batch(
    rows: list[SplitRow], *, view: View, transforms: Sequence[Transform], cache: Path
) -> tuple[list[Part], Counter[str]]:
    changed: Counter[str] = Counter()

    def text_rows() -> Iterator[Any]:
        for split, row in rows:
            fields = through(row.fields, transforms, view.text_columns, changed)
            new = row if fields is row.fields else Row(row.id, fields)
            yield view.row(new, row.id.rpartition(":")[0], split)

    return [write_part(batch, cache) for batch in batches(text_rows())], changed
