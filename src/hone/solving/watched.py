"""Who follows one run: takes its lines and events, may stop it, and keeps the seconds that it has used of a box."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hone.attempts.boxed import Plan
from hone.lab.run import Run
from hone.processes import Channel

Say = Callable[[str], None]
KEEP_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Who is told what happens, and who may ask to stop."""

    say: Say = lambda line: None
    on_event: Callable[[dict[str, Any]], None] = lambda event: None
    should_stop: Callable[[], bool] = lambda: False


class Here(Channel):
    """A worker's channel in a process that does the work itself."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self.time_is_up = False

    def send(self, event: dict[str, Any]) -> None:
        """Lines are said, other events handed on."""
        if event.get("kind") == "line":
            self._watched.say(event["line"])
        else:
            self._watched.on_event(event)

    def should_stop(self) -> bool:
        """What the watcher says."""
        return self._watched.should_stop()


class TimeKeeper:
    """Keeps the seconds that a run in a box has used in its folder, so that a call that goes on knows them."""

    def __init__(self, run: Run, plan: Plan | None, started: float, watched: Watched) -> None:
        self._run, self._plan, self._started, self._watched = run, plan, started, watched
        self._before = 0.0 if plan is None else plan.used_s
        self._kept = time.monotonic()

    def watched(self, pause_at: float) -> Watched:
        """The watcher, with the time kept beside every event and a stop when the pause is due."""

        def on_event(event: dict[str, Any]) -> None:
            if time.monotonic() - self._kept > KEEP_EVERY_S:
                self.keep()
            self._watched.on_event(event)

        def should_stop() -> bool:
            return time.monotonic() > pause_at or self._watched.should_stop()

        return Watched(say=self._watched.say, on_event=on_event, should_stop=should_stop)

    def keep(self) -> None:
        """Write down the seconds used so far."""
        self._kept = time.monotonic()
        if self._plan is not None:
            self._plan.used_s = self._before + self._kept - self._started
            with contextlib.suppress(OSError):
                self._plan.save(self._run.folder)
