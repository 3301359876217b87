"""What is on the table while a task is drafted: what was given, asked, decided, and what is wrong."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Ask = Callable[[str, str], str]
"""Asks a question with a proposal."""


@dataclass
class Desk:
    """A task on its way. ``ask`` is None where nobody can be asked; ``target`` is the given one, if any."""

    args: argparse.Namespace
    folder: Path
    ask: Ask | None
    target: float | None = None
    problems: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    """What is wrong with rows that are left out."""
    warnings: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of dev and test as they will be, where that is known."""

    def put(self, key: str, value: Any, why: str) -> None:
        """Decide a value, with its reason."""
        self.values[key], self.why[key] = value, why

    def read_target(self) -> None:
        """Read the target as typed, or say that it is no number."""
        if self.args.target is not None:
            try:
                self.target = float(self.args.target)
            except ValueError:
                self.problems.append(f'--target: must be a number, such as 0.8; got "{self.args.target}"')


def shown(value: Any) -> str:
    """A value as lines for people have it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'{key}: "{part}"' for key, part in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value).replace("\n", "\\n")
