"""``hone look --tabular``: the profile that fg-data-profiling makes of the columns, for data that is mostly numbers."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np

from hone.cli.look_survey import Looked
from hone.data.looking.sampling import order_by_hash
from hone.errors import InputError
from hone.files import atomic_write

PACKAGE = "data_profiling"
MOST_ROWS = 100_000
"""Rows that are profiled; of more a seeded sample, because the package holds them all in memory."""
_FLAT = (str, int, float, bool)


def check_installed() -> None:
    """Refuse before anything is measured.

    Raises:
        InputError: when the package is not installed, with the command that adds it.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise InputError('--tabular needs the package fg-data-profiling: pip install "hone-lm[tabular]"')


def write_profile(looked: Looked) -> Path:
    """Write the profile of the columns beside the report; its path."""
    # Modules of an extra: neither is there for whoever checks types without it.
    pandas, profiling = (importlib.import_module(name) for name in ("pandas", PACKAGE))
    options = looked.options
    report = profiling.ProfileReport(
        pandas.DataFrame(_records(looked)),
        title=options.title,
        minimal=True,
        sensitive=options.sensitive,
        progress_bar=False,
        html={"inline": True, "use_local_assets": True},
    )
    return atomic_write(looked.out / f"{looked.stem}-columns.html", report.to_html())


def _records(looked: Looked) -> list[dict[str, Any]]:
    """Rows as flat columns; an object or a list is told as its JSON."""
    store = looked.survey.measured.store
    positions = np.arange(store.num_rows)
    if store.num_rows > MOST_ROWS:
        order = order_by_hash([str(at) for at in positions], looked.options.seed)[:MOST_ROWS]
        positions = np.sort(np.asarray(order, np.int64))
    return [
        {name: _flat(value) for name, value in json.loads(text or "{}").items()}
        for text in store.take(positions).column("fields").to_pylist()
    ]


def _flat(value: Any) -> Any:
    return value if value is None or isinstance(value, _FLAT) else json.dumps(value, ensure_ascii=False)
