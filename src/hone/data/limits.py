"""Limits per source: no file outweighs the others. Which rows stay depends on their ids alone, not on their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from hone.data.ledger import Reason
from hone.data.split import position
from hone.errors import InputError, nearest

LIMIT = "source-limit"
EVERY = "*"


def over_limit(
    columns: pa.Table, keep: np.ndarray[Any, np.dtype[np.bool_]], limits: Mapping[str, int]
) -> dict[int, Reason]:
    """Training rows that the rules keep and a limit does not, by position.

    Args:
        columns: ``row``, ``source`` and ``split`` of all rows.
        keep: (N,) what the rules keep.
        limits: rows at most by source; ``"*"`` for every source that is not named.

    Raises:
        InputError: a limit for a source that is not there.
    """
    if not limits:
        return {}
    sources, splits = columns.column("source").to_pylist(), columns.column("split").to_pylist()
    known = sorted(set(sources))
    unknown = [name for name in limits if name != EVERY and name not in known]
    if unknown:
        raise InputError([f'clean.limits: no rows are from "{name}"; {nearest(name, known)}' for name in unknown])
    by_source: dict[str, list[int]] = {}
    for at in np.flatnonzero(keep):
        if splits[at] == "train":
            by_source.setdefault(sources[at], []).append(int(at))
    ids = columns.column("row")
    over: dict[int, Reason] = {}
    for source, positions in by_source.items():
        limit = limits.get(source, limits.get(EVERY, len(positions)))
        order = sorted(positions, key=lambda at: (position(ids[at].as_py(), "limit"), at))
        text = f"{source} has {len(positions):,} rows left and at most {limit:,} are taken"
        over.update((at, Reason(LIMIT, text)) for at in order[limit:])
    return over
