"""What a solve has done so far, on disk, so that repeating the command goes on and recomputes nothing finished.

The file is ``.hone/solve.json``. It belongs to one task, one data version and one seed: with others it is
put aside (its name keeps the old key) and a new one begins.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hone.errors import FailedError
from hone.files import read_json, write_json

FORMAT = 1


class SolveState:
    """Finished stages, seconds used of the box, and the attempts with their reports."""

    def __init__(self, path: Path, key: str, content: dict[str, Any] | None = None) -> None:
        self.path = path
        self.key = key
        empty = {
            "format": FORMAT,
            "key": key,
            "used_s": 0.0,
            "stages": {},
            "values": {},
            "attempts": [],
            "result": None,
        }
        self.content: dict[str, Any] = content or empty
        self._since = time.monotonic()

    @classmethod
    def open(cls, path: Path, key: str) -> tuple[SolveState, str | None]:
        """The state under ``path`` for this key, with a line for people when an old one was put aside."""
        if not path.exists():
            return cls(path, key), None
        try:
            content = read_json(path)
        except FailedError as error:
            aside = path.with_suffix(".broken.json")
            path.replace(aside)
            return cls(path, key), f"{error}; kept as {aside.name}, beginning anew (finished runs stay in runs/)"
        if content.get("format") == FORMAT and content.get("key") == key:
            return cls(path, key, content), None
        aside = path.with_name(f"solve-{content.get('key', 'old')}.json")
        path.replace(aside)
        own = path.with_name(f"solve-{key}.json")
        if own.exists():
            own.replace(path)
            return cls(path, key, read_json(path)), "task, data and seed are those of an earlier solve: going on"
        line = f"the task, its data or the seed changed: beginning anew (the old state is kept as {aside.name})"
        return cls(path, key), line

    @property
    def used_s(self) -> float:
        """Seconds of the box used, over all calls, this one included."""
        return float(self.content["used_s"]) + time.monotonic() - self._since

    def start_clock(self, started: float) -> None:
        """Count this call's seconds from ``started`` (a ``time.monotonic`` reading)."""
        self._since = started

    def save(self) -> None:
        """Write the state, seconds included, atomically."""
        now = time.monotonic()
        self.content["used_s"] = round(float(self.content["used_s"]) + now - self._since, 3)
        self._since = now
        write_json(self.path, self.content)

    def value(self, name: str) -> Any:
        """What a finished stage left, or None."""
        return self.content["values"].get(name)

    def keep(self, name: str, value: Any) -> None:
        """Remember a finished stage's outcome and save."""
        self.content["values"][name] = value
        self.save()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the seconds of a stage, also when it fails."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.add_seconds(name, time.monotonic() - started)

    def add_seconds(self, name: str, seconds: float) -> None:
        """Add to a stage's seconds and save."""
        stages = self.content["stages"]
        stages[name] = round(stages.get(name, 0.0) + seconds, 2)
        self.save()

    @property
    def stages(self) -> dict[str, float]:
        """Seconds per stage over all calls."""
        return dict(self.content["stages"])

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """Attempts in order: name, run number, recipe, hypothesis, state and report."""
        return self.content["attempts"]  # type: ignore[no-any-return]

    def attempt(self, name: str) -> dict[str, Any] | None:
        """An attempt by its name."""
        return next((item for item in self.attempts if item["name"] == name), None)
