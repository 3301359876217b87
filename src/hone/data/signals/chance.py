"""A number drawn for each row, which says nothing about it: what a useful rule has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from hone.data.kernels.folding import fingerprints
from hone.data.split import position
from hone.data.table import texts


@dataclass(frozen=True, kw_only=True, slots=True)
class Chance:
    """Column ``chance.value``, uniform in [0, 1), by the hash of the folded prompt: equal prompts draw alike."""

    name: ClassVar[str] = "chance"
    version: ClassVar[str] = "1"

    seed: int = 0

    @property
    def params(self) -> Mapping[str, Any]:
        """The seed."""
        return {"seed": self.seed}

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """See the class."""
        drawn = [position(key, f"chance-{self.seed}") for key in fingerprints(texts(rows, "input"))]
        return pa.RecordBatch.from_arrays([pa.array(drawn, pa.float64())], names=["chance.value"])
