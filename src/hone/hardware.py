"""What this machine is: cores, memory, accelerator. Imports torch only when asked for the device."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """One machine as hone sees it. ``cores`` are those this process may use, not those installed."""

    cores: int
    memory_bytes: int
    free_memory_bytes: int
    cpu: str
    system: str
    python: str

    def line(self) -> str:
        """One line for people."""
        memory = f"{self.memory_bytes / 2**30:.0f} GiB"
        return f"{self.cpu}, {self.cores} cores, {memory}, {self.system}, Python {self.python}"

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return asdict(self)


def machine() -> Machine:
    """Describe this machine, with the limits of a container where there are any."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _cgroup_limit_bytes()
    if limit is not None:
        memory = min(memory, limit)
    return Machine(
        cores=usable_cores(),
        memory_bytes=memory,
        free_memory_bytes=min(memory, _available_bytes(memory)),
        cpu=_cpu_name(),
        system=platform.platform(terse=True),
        python=platform.python_version(),
    )


def cache_folder() -> Path:
    """The user's folder for what hone measured of this machine: ``hone`` in ``XDG_CACHE_HOME``, or the system's own."""
    given = os.environ.get("XDG_CACHE_HOME")
    if given:
        return Path(given) / "hone"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "hone"


def usable_cores() -> int:
    """Cores that this process may run on (affinity and container quota), at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.exists():
        share, period = quota.read_text().split()
        if share != "max":
            cores = min(cores, max(1, int(share) // int(period)))
    return max(1, cores)


_before_reset: list[int] = []
"""Peaks of this process that :func:`reset_peak_rss` has put back."""


def peak_rss_bytes(*, since_reset: bool = False) -> int:
    """Largest resident set of this process so far, or since :func:`reset_peak_rss`."""
    scale = 1 if sys.platform == "darwin" else 1024
    now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    return now if since_reset else max([now, *_before_reset])


def reset_peak_rss() -> None:
    """Measure the peak anew from here; where the system cannot (macOS), it stays that of the whole process."""
    before = peak_rss_bytes()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        _before_reset[:] = [before]


def rss_bytes() -> int:
    """Resident set of this process now; its peak where the system does not say."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return peak_rss_bytes()


def mapped_file_bytes() -> int:
    """Part of the resident set that maps files, such as the libraries' code; 0 where the system does not say."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[2]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def threads_to_use() -> int:
    """CPU threads of a process where nobody sets them: the usable cores, or fewer as ``OMP_NUM_THREADS`` asks."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(usable_cores(), int(asked)) if asked.isdecimal() and int(asked) > 0 else usable_cores()


def accelerator() -> str:
    """``cuda``, ``mps`` or ``cpu``: the fastest device that torch can use here (imports torch)."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _available_bytes(fallback: int) -> int:
    info = Path("/proc/meminfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return fallback


def _cgroup_limit_bytes() -> int | None:
    path = Path("/sys/fs/cgroup/memory.max")
    if not path.exists():
        return None
    text = path.read_text().strip()
    return None if text == "max" else int(text)
