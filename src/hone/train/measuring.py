"""Where the time of a run goes, and how much memory it took at most: two numbers behind "why is it slow"."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from hone.hardware import peak_rss_bytes, reset_peak_rss, rss_bytes
from hone.train.tensors import model_tensors

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
    """The most memory from now on, counted from before the model was made."""

    def __init__(self, device: torch.device, model: nn.Module) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        elif device.type == "cpu":
            reset_peak_rss()
            # The weights are in memory already, and whoever estimates a run counts them.
            weights = sum(value.numel() * value.element_size() for value in model_tensors(model).values())
            self._without = rss_bytes() - weights

    def bytes(self) -> int | None:
        """The peak so far; None on a device that does not keep one."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        return max(0, peak_rss_bytes(since_reset=True) - self._without) if self._device.type == "cpu" else None
