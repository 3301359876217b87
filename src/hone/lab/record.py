"""What is written down about a run before it starts, and never changed: ``run.json``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hone.errors import FailedError
from hone.files import read_json

HEADER = "run.json"
FOLDER_NAME = re.compile(r"^(\d{4,})-([a-z0-9][a-z0-9._-]*)$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """Identity of a run and its line in the ledger of hypotheses."""

    number: int
    name: str
    created: str
    """UTC, ISO 8601, to the second."""
    task_id: str
    data_id: str
    recipe_id: str
    metric: str = ""
    """The task's metric, by which the run is compared and chosen."""
    parent: int | None = None
    """Number of the run that it differs from by one named change."""
    hypothesis: str = ""
    change: str = ""
    """The named change, for example ``batch_size 32 -> 64``."""
    predicted: str = ""
    """The effect that was predicted before the run, in words."""

    @property
    def folder_name(self) -> str:
        """``0007-wider``."""
        return f"{self.number:04d}-{self.name}"

    def to_json(self) -> dict[str, Any]:
        """Plain values; :meth:`read` gives the same header back."""
        return asdict(self)

    @classmethod
    def read(cls, folder: Path) -> Header:
        """The header of a run folder.

        Raises:
            FailedError: when ``run.json`` is missing, not JSON, or lacks or exceeds the known keys.
        """
        path = folder / HEADER
        if not path.exists():
            raise FailedError(f"{path} is missing; {folder.name} is not a run, or not whole")
        values = read_json(path)
        known = {field.name for field in fields(cls)}
        given = set(values) if isinstance(values, dict) else set()
        try:
            return cls(**values)
        except TypeError:
            raise FailedError(
                f"{path} is not the header of a run: "
                f"unknown keys {sorted(given - known)}, missing {sorted(known - given)}"
            ) from None


def slug(text: str) -> str:
    """A folder name out of any text: lower case, digits and dashes, at most 40 characters; ``run`` for nothing."""
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-._")[:40].strip("-._") or "run"


def named_change(parent: Mapping[str, Any], child: Mapping[str, Any]) -> str:
    """The differences of two recipes in words, for example ``batch_size 32 -> 64, seed 0 -> 1``; empty when equal."""
    keys = [key for key in {**parent, **child} if parent.get(key) != child.get(key)]
    return ", ".join(f"{key} {parent.get(key)} -> {child.get(key)}" for key in keys)


def now() -> str:
    """This moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
