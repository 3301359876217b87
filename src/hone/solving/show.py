"""What solving tells whoever watches: lines, a table of attempts, the time left. Knows no terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hone.task.scores import Score


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """One line of the table of attempts: a baseline or an attempt."""

    name: str
    what: str
    """The named change or the kind of baseline."""
    score: Score | None = None
    dev_loss: float | None = None
    scored_at: int | None = None
    """The step that score and loss are of; None where they are those of the whole row."""
    step: int = 0
    steps: int = 0
    """0 for baselines, which have no steps."""
    tokens_per_second: float = 0.0
    seconds: float = 0.0
    status: str = "done"
    left_s: float | None = None
    """Expected seconds to the end of a running attempt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """Where the box stands."""

    used_s: float
    box_s: float
    stage: str
    stage_left_s: float | None = None
    """Expected seconds to the end of the stage."""


class Show(Protocol):
    """A watcher: the live table on a terminal, plain lines elsewhere, nothing in tests."""

    def say(self, line: str) -> None:
        """A line worth reading later."""
        ...

    def heading(self, line: str) -> None:
        """A stage begins."""
        ...

    def target(self, metric: str, target: float, higher_is_better: bool) -> None:
        """The line to reach."""
        ...

    def row(self, row: TableRow) -> None:
        """A row is new or changed."""
        ...

    def clock(self, clock: Clock) -> None:
        """Time has passed."""
        ...

    def close(self) -> None:
        """The end: leave the final table on the screen."""
        ...


class Silent:
    """A watcher that keeps the lines and shows nothing (the Python face, tests)."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.rows: dict[str, TableRow] = {}

    def say(self, line: str) -> None:
        """See :class:`Show`."""
        self.lines.append(line)

    def heading(self, line: str) -> None:
        """See :class:`Show`."""
        self.lines.append(line)

    def target(self, metric: str, target: float, higher_is_better: bool) -> None:
        """See :class:`Show`."""
        self.lines.append(f"target: {metric} {'>=' if higher_is_better else '<='} {target:g}")

    def row(self, row: TableRow) -> None:
        """See :class:`Show`."""
        self.rows[row.name] = row

    def clock(self, clock: Clock) -> None:
        """See :class:`Show`."""

    def close(self) -> None:
        """See :class:`Show`."""
