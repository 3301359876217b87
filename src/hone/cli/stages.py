"""Progress of work in stages: what is done, the rate and the time left; silent for what takes less than two seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

PATIENCE_S = 2.0
EVERY_S = 0.25
PLAIN_EVERY_S = 5.0
_UNITS = {"reading": ("MB", 1e6), "measuring": ("M characters", 1e6), "report": ("parts", 1.0)}
_ROWS = ("rows", 1.0)
"""What the stage of a signal that compares rows counts."""


class Stages:
    """A line on standard error that is written over on a terminal, and added every few seconds elsewhere."""

    def __init__(self, *, quiet: bool = False, stream: Any = None) -> None:
        self._out = stream if stream is not None else sys.stderr
        self._live = bool(self._out.isatty())
        self._quiet = quiet
        self._stage = ""
        self._begin = self._start = time.monotonic()
        self._shown = 0.0
        self._wrote = False

    def tell(self, stage: str, done: int, total: int) -> None:
        """Take what is done of a stage; ``total`` 0 where it is not known."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._start = stage, now
        every = EVERY_S if self._live else PLAIN_EVERY_S
        if self._quiet or now - self._begin < PATIENCE_S or now - self._shown < every:
            return
        self._shown = now
        line = progress_line(stage, done, total, now - self._start)
        if self._live:
            print(f"\r\x1b[2K{line}", end="", file=self._out, flush=True)
        else:
            print(line, file=self._out, flush=True)
        self._wrote = True

    def __enter__(self) -> Stages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live and self._wrote:
            print("\r\x1b[2K", end="", file=self._out, flush=True)


def progress_line(stage: str, done: int, total: int, seconds: float) -> str:
    """What is done, of how much, how fast, and how long it will still take."""
    unit, scale = _UNITS.get(stage, _ROWS)
    rate = done / seconds if seconds > 0 else 0.0
    digits = 0 if scale == 1 else 1
    line = f"{stage}: {done / scale:,.{digits}f}"
    line += f" of {total / scale:,.{digits}f} {unit}" if total else f" {unit}"
    if rate > 0:
        line += f", {rate / scale:,.{digits}f} {unit} a second"
        if total > done:
            line += f", {(total - done) / rate:,.0f} s left"
    return line
