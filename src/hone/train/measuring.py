"""Where the time of a run goes, and how much memory it took at most: two numbers behind "why is it slow"."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Iterator, Mapping

import torch

from hone.hardware import mapped_file_bytes, peak_rss_bytes, reset_peak_rss, rss_bytes

PARTS = ("data", "compute", "evaluation", "saving", "start", "other")
"""Reading and collating rows; forward, backward and update; judging; writing states and best weights; restoring, the
rehearsal and compiling; everything else, such as the caller's recording."""


class Stopwatch:
    """Wall seconds by part. What falls to no part is ``other``."""

    def __init__(self) -> None:
        self._before = dict.fromkeys(PARTS, 0.0)
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._began = time.perf_counter()

    def go_on_from(self, seconds: Mapping[str, float]) -> None:
        """Count on from what earlier calls took."""
        self._before = {part: float(seconds.get(part, 0.0)) for part in PARTS}

    def add(self, part: str, seconds: float) -> None:
        """Book seconds to a part."""
        self._seconds[part] += seconds

    @contextlib.contextmanager
    def running(self, part: str) -> Iterator[None]:
        """Book the block to a part."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[part] += time.perf_counter() - begin

    def seconds(self) -> dict[str, float]:
        """All parts, earlier calls included; they add up to the time since this watch was made and before."""
        now = dict(self._seconds)
        now["other"] = max(0.0, time.perf_counter() - self._began - sum(self._seconds.values()))
        return {part: round(self._before[part] + now[part], 6) for part in PARTS}


class PeakMemory:
    """The most memory that training steps take: forward, backward, update, on top of what the run holds all the time.

    On CUDA it is what the allocator counts. On a CPU it is the resident set above its level at :meth:`begin`, where
    Python, torch and what the first pass has loaded are there already, plus the tensors that the run holds then.
    Judging and saving are left out, and so is what they leave behind; code of libraries that is read on the way
    (the first update, 4 MB) is no memory of the training either.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._level: int | None = None
        self._files = 0
        self._most = 0
        self._before = 0

    def go_on_from(self, peaks: Mapping[str, int]) -> None:
        """Count on from the peak of earlier calls, by type of device: another device's says nothing of this one."""
        self._before = int(peaks.get(self._device.type, 0))

    def peaks(self) -> dict[str, int]:
        """What :meth:`go_on_from` takes; empty where no peak is known."""
        found = self.bytes()
        return {} if found is None else {self._device.type: found}

    def begin(self, held_bytes: int) -> None:
        """Count from here: behind the first forward and backward pass, before the first update.

        Args:
            held_bytes: weights, averages and moments that are in memory now.
        """
        if self._device.type == "cpu":
            give_back_memory()
            self._level, self._files = rss_bytes() - held_bytes, mapped_file_bytes()
        self._reset()

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """What the block takes is not counted."""
        if self._device.type == "cpu" and self._level is not None:
            self._look()
            give_back_memory()
            before = rss_bytes() - mapped_file_bytes()
            try:
                yield
            finally:
                give_back_memory()
                self._level += max(0, rss_bytes() - mapped_file_bytes() - before)
                self._reset()
            return
        self._look()
        try:
            yield
        finally:
            self._reset()

    def bytes(self) -> int | None:
        """The peak so far, over all calls; None on a device that keeps none, and before any step on a CPU."""
        self._look()
        return max(self._most, self._before) or None

    def _look(self) -> None:
        if self._device.type == "cuda":
            self._most = max(self._most, int(torch.cuda.max_memory_allocated(self._device)))
        elif self._level is not None:
            code = max(0, mapped_file_bytes() - self._files)
            self._most = max(self._most, peak_rss_bytes(since_reset=True) - self._level - code)

    def _reset(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif self._device.type == "cpu":
            reset_peak_rss()


def give_back_memory() -> None:
    """Hand memory that was freed back to the system, where the C library can (glibc): else it looks as if in use."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
