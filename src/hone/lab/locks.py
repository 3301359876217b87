"""Two questions about lock files: wait until I hold it, and does somebody hold it now."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from hone.errors import BusyError
from hone.files import locked

_PAUSE_S = 0.005


@contextlib.contextmanager
def waiting_for(path: Path, what: str, patience_s: float = 30.0) -> Iterator[None]:
    """Hold the lock file, waiting up to ``patience_s`` seconds for another holder.

    Raises:
        BusyError: when it is still held after that time, with the holder's process id.
    """
    until = time.monotonic() + patience_s
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(path, what))
                break
            except BusyError:
                if time.monotonic() >= until:
                    raise
                time.sleep(_PAUSE_S)
        yield


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock file. A process that died, however it died, holds nothing.

    Asks by a shared lock for a moment, which two askers may have together; a worker that takes the lock in that
    moment waits it out (:func:`waiting_for`).
    """
    if not path.exists():
        return False
    with path.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False
