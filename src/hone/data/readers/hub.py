"""Datasets of the Hugging Face hub, through the `datasets` package where it is installed."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator

from hone.data.readers.addresses import needs
from hone.data.readers.plain_values import PlainValues
from hone.data.readers.progress import Progress
from hone.data.rows import Bad, Row
from hone.errors import InputError

PREFIX = "hf://"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:[\w.-]+)?")


def is_hub_id(source: str) -> bool:
    """Whether a source reads as ``owner/name`` or ``owner/name:split``, with or without ``hf://``."""
    return _HUB_ID.fullmatch(source.removeprefix(PREFIX)) is not None


def read_hub(source: str, progress: Progress) -> Iterator[Row | Bad]:
    """Rows of a hub dataset, streamed; the split is ``train`` unless the id ends in ``:split``.

    Raises:
        InputError: without the package (with the command that adds it), or when the hub refuses.
    """
    name, _, split = source.removeprefix(PREFIX).partition(":")
    try:
        datasets = importlib.import_module("datasets")
    except ImportError:
        what = f'"{source}" is no file or folder here, so it is read as a dataset of the Hugging Face hub, which'
        raise needs(what, "datasets", "datasets") from None
    try:
        rows = datasets.load_dataset(name, split=split or "train", streaming=True)
        plain = PlainValues(progress)
        for number, fields in enumerate(rows, 1):
            yield plain.row(f"{name}:{number}", list(fields), list(fields.values()))
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f'the dataset "{source}" could not be read from the hub: {error}') from None
