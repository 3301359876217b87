"""Which groups of people a row names, and where: the ground on which rates and associations are counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hone.data.groups import SHIPPED, Group, group_table, read_groups
from hone.data.kernels.phrases import SPLITTER
from hone.data.kernels.scan import Scan
from hone.data.signals.scanned import Figures, ScannedSignal
from hone.data.signals.spans import span_lists
from hone.files import content_hash


@dataclass(frozen=True, kw_only=True)
class Bias(ScannedSignal):
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

    def figures(self, scan: Scan) -> Figures:
        """How often each group is named, and where."""
        ready = group_table(self.read)
        width = len(self.read)
        hits = ready.table.find(scan.words(SPLITTER))
        group, begin = ready.group[hits.phrase], scan.piece.start[hits.text]
        counts = np.bincount(hits.text * width + group, minlength=scan.num_texts * width).reshape(-1, width)
        names = np.array([group.name for group in self.read])
        spans = span_lists(hits.text, hits.start - begin, hits.end - begin, names[group], scan.num_texts)
        columns = {f"bias.{name}": counts[:, index] for index, name in enumerate(names.tolist())}
        return {**columns, "bias.spans": spans}
