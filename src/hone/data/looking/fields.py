"""The rows' own columns: what is missing, constant, of mixed types, or different in every row."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.samples import searched_and_masked
from hone.data.looking.sampling import share

MOST_ROWS = 10_000
MOST_CHARS = 6_000_000
"""Characters of rows that are parsed for this."""
MOST_FIELDS = 60
MOST_DISTINCT = 20_000
EXAMPLE_CHARS = 60
EXAMPLES = 3
_KINDS: dict[type, str] = {str: "text", list: "list", dict: "object"}
LICENCES = ("licence", "license")


@dataclass(slots=True)
class _Seen:
    """What was seen of one field."""

    filled: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    values: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and text: the number 1 and the text "1" are two values."""
    chars: int = 0


def fields(store: Any, figures: Figures, options: LookOptions) -> dict[str, Any]:
    """Each column of the source rows: missing share, distinct values, types, the most frequent values.

    A value is missing when it is absent, null or the empty text.

    Returns:
        ``rows`` looked at (a seeded sample of many), ``columns``, and ``licences``: the values of a licence column.
    """
    positions = _positions(figures, options)
    seen: dict[str, _Seen] = {}
    rows = 0
    for text in store.take(positions).column("fields").to_pylist():
        rows += 1
        for name, value in (json.loads(text) if text else {}).items():
            if name in seen or len(seen) < MOST_FIELDS:
                _note(seen.setdefault(name, _Seen()), value)
    of = options.of or (figures.n if figures.n > rows else None)
    names = [f"column {n}" if name in options.unsaid else name for n, name in enumerate(seen, 1)]
    return {
        "rows": rows,
        "columns": [_column(name, found, rows, of, options) for name, found in zip(names, seen.values(), strict=True)],
        "licences": _licences(seen, rows, of, options),
    }


def _positions(figures: Figures, options: LookOptions) -> np.ndarray[Any, Any]:
    """Rows in a seeded order, not the first ones: a file may be sorted."""
    order = figures.order(options.seed)[:MOST_ROWS]
    if figures.has("length.chars") and len(order):
        chars = np.cumsum(np.nan_to_num(figures.numbers("length.chars")[order]))
        order = order[: max(1, int(np.searchsorted(chars, MOST_CHARS, side="right")))]
    return np.sort(order)


def _note(seen: _Seen, value: Any) -> None:
    if value is None or value == "":
        return
    seen.filled += 1
    kind = _kind(value)
    seen.kinds[kind] += 1
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    seen.chars += len(shown)
    # A long text is known by its beginning, length and end; two that share them all count as one value.
    known = shown if len(shown) <= 200 else f"{shown[:120]} … ({len(shown):,} characters) … {shown[-60:]}"
    key = (kind, known)
    if key in seen.values or len(seen.values) < MOST_DISTINCT:
        seen.values[key] += 1


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "number"
    return _KINDS.get(type(value), "other")


def _column(name: str, seen: _Seen, rows: int, of: int | None, options: LookOptions) -> dict[str, Any]:
    distinct = len(seen.values)
    common = seen.values.most_common(EXAMPLES)
    return {
        "name": name,
        "missing": rows - seen.filled,
        "missing_share": share(rows - seen.filled, rows, of).to_json(),
        "distinct": distinct,
        "distinct_capped": distinct >= MOST_DISTINCT,
        "constant": distinct == 1 and seen.filled > 1,
        "unique": distinct == seen.filled and seen.filled > 1,
        "kinds": dict(seen.kinds.most_common()),
        "mean_chars": seen.chars / seen.filled if seen.filled else 0.0,
        "common": [] if options.sensitive else [{"value": _shown(value), "rows": n} for (_, value), n in common],
    }


def _shown(value: str) -> str:
    shown = searched_and_masked(value)
    return shown[:EXAMPLE_CHARS] + ("…" if len(shown) > EXAMPLE_CHARS else "")


def _licences(seen: dict[str, _Seen], rows: int, of: int | None, options: LookOptions) -> dict[str, Any] | None:
    name = next((name for name in seen if name.lower() in LICENCES), None)
    if name is None:
        return None
    values = seen[name].values.most_common(options.listed)
    return {
        "column": name,
        "distinct": len(seen[name].values),
        "missing": rows - seen[name].filled,
        "values": []
        if options.sensitive
        else [{"value": _shown(value), "rows": n, "share": share(n, rows, of).to_json()} for (_, value), n in values],
    }
