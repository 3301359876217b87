"""Which groups of people a row names, and where: the ground on which rates and associations are counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hone.data.groups import SHIPPED, Group, group_table, read_groups
from hone.data.kernels.codepoints import pieces
from hone.data.kernels.phrases import SPLITTER
from hone.data.kernels.words import split_words
from hone.data.signals.spans import span_lists
from hone.data.table import texts
from hone.files import content_hash


@dataclass(frozen=True, kw_only=True)
class Bias:
    """Columns ``bias.<group>`` (int32, how often each group is named) and ``bias.spans`` (kind: the group).

    ``groups`` is a list of one's own (a path, see :func:`hone.data.groups.read_groups`) in place of the shipped one; a
    relative path begins at ``folder``. Naming a group is no fault: no rule of a preset decides by these columns.

    Raises:
        InputError: a list that cannot be read.
    """

    groups: str | Path | None = None
    folder: Path | None = None
    read: tuple[Group, ...] = field(init=False, repr=False)

    name: ClassVar[str] = "bias"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        path = SHIPPED if self.groups is None else (self.folder or Path()) / self.groups
        object.__setattr__(self, "read", read_groups(path))

    @property
    def params(self) -> Mapping[str, Any]:
        """Hash of the list, and the word splitter."""
        listed = [[group.axis, group.name, list(group.terms)] for group in self.read]
        return {"groups": content_hash(listed), "splitter": SPLITTER}

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """One row each: how often each group is named, and where."""
        content = texts(rows)
        ready = group_table(self.read)
        width = len(self.read)
        found = [np.zeros((4, 0), np.int64)]
        for piece in pieces(content):
            hits = ready.table.find(split_words(piece, SPLITTER))
            begin = piece.start[hits.text]
            found.append(
                np.stack([hits.text + piece.first, hits.start - begin, hits.end - begin, ready.group[hits.phrase]])
            )
        row, start, end, group = np.concatenate(found, axis=1)
        counts = np.bincount(row * width + group, minlength=len(content) * width).reshape(len(content), width)
        names = np.array([group.name for group in self.read])
        columns = {f"bias.{name}": pa.array(counts[:, at].astype(np.int32)) for at, name in enumerate(names.tolist())}
        columns["bias.spans"] = span_lists(row, start, end, names[group], len(content))
        return pa.RecordBatch.from_pydict(columns)
