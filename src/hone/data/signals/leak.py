"""Rows whose prompt equals one of the test or dev split after folding.

The other splits are known by fingerprints alone: what is compared is 16 hex digits of the folded prompt, what is shown
is the id of the row that it equals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from hone.data.kernels.folding import fingerprints
from hone.data.table import texts
from hone.files import content_hash


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """Columns ``leak.key`` (fingerprint of ``input``), ``leak.test`` and ``leak.dev`` (id of the row that it equals).

    ``test`` and ``dev`` map fingerprints to ids. A dev row is not compared with dev.
    """

    test: Mapping[str, str] = field(default_factory=dict)
    dev: Mapping[str, str] = field(default_factory=dict)

    name: ClassVar[str] = "leak"
    version: ClassVar[str] = "1"

    @property
    def params(self) -> Mapping[str, Any]:
        """Digests of the fingerprints."""
        return {split: content_hash(sorted(rows.items())) for split, rows in (("test", self.test), ("dev", self.dev))}

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """See the class."""
        keys = fingerprints(texts(rows, "input"))
        splits = rows.column("split").to_pylist()
        columns = {
            "leak.key": keys,
            "leak.test": [self.test.get(key) for key in keys],
            "leak.dev": [
                None if split == "dev" else self.dev.get(key) for key, split in zip(keys, splits, strict=True)
            ],
        }
        return pa.RecordBatch.from_pydict(columns, schema=pa.schema([(name, pa.string()) for name in columns]))
