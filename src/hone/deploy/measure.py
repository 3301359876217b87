"""An artifact against its device budget: bytes, memory of a fresh process, times on the device's threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hone.deploy.process import FreshProcess
from hone.errors import InputError
from hone.task.spec import Device

MEGABYTE = 1e6
BUDGETED = ("size_mb", "ram_mb", "first_token_ms", "ms_per_token")
NEW_TOKENS = 64
REPEATS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Figures of one artifact in a fresh process; megabytes are 10^6 bytes."""

    size_mb: float
    ram_mb: float
    """Peak resident memory of the whole process that runs the artifact."""
    interpreter_mb: float
    """Of that, what Python, numpy and our own modules took before the runtime and the artifact were opened."""
    first_token_ms: float
    """Median time from a prompt of ``prompt_tokens`` to the first token."""
    ms_per_token: float
    """Median sustained time per further token."""
    runtime_first_token_ms: float
    """What the runtime itself reports for the prompt."""
    runtime_ms_per_token: float
    """What the runtime itself reports per token."""
    prompt_tokens: int
    new_tokens: int
    threads: int
    context: int
    repeats: int

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One line of the budget."""

    name: str
    measured: float
    limit: float | None
    """None where the task sets no limit."""

    @property
    def within(self) -> bool:
        """The limit is kept, or there is none."""
        return self.limit is None or self.measured <= self.limit

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"name": self.name, "measured": self.measured, "limit": self.limit, "within": self.within}


def measure(process: FreshProcess, device: Device, prompt: Sequence[int]) -> Measured:
    """Measure an artifact that was just opened for one sequence of ``device.context`` tokens.

    Args:
        process: fresh, nothing computed in it yet, opened with ``parallel=1`` and the device's threads.
        device: says the length of the prompt, the threads and the context.
        prompt: any ids; repeated or cut to ``device.prompt_tokens``.

    Raises:
        InputError: when the process was opened otherwise.
    """
    if (process.threads, process.parallel, process.context) != (device.threads, 1, device.context):
        raise InputError(
            f"the process was opened with {process.threads} threads and {process.parallel} sequences of "
            f"{process.context} tokens; the device says {device.threads}, 1 and {device.context}"
        )
    ids = [prompt[at % len(prompt)] for at in range(device.prompt_tokens)]
    new_tokens = max(1, min(NEW_TOKENS, device.context - device.prompt_tokens - 1))
    times = process.measure(ids, new_tokens=new_tokens, repeats=REPEATS)
    # Before the runtime's own server is started in the same process, which takes memory of its own.
    facts = process.facts()
    own = process.own_timings(ids, context=device.context, new_tokens=new_tokens)
    return Measured(
        size_mb=process.path.stat().st_size / MEGABYTE,
        ram_mb=facts["peak_bytes"] / MEGABYTE,
        interpreter_mb=facts["interpreter_bytes"] / MEGABYTE,
        first_token_ms=times["first_token_ms"],
        ms_per_token=times["ms_per_token"],
        runtime_first_token_ms=own["first_token_ms"],
        runtime_ms_per_token=own["ms_per_token"],
        prompt_tokens=device.prompt_tokens,
        new_tokens=new_tokens,
        threads=device.threads,
        context=device.context,
        repeats=REPEATS,
    )


def measure_artifact(path: Path, device: Device, prompt: Sequence[int] = (0,)) -> Measured:
    """Open an artifact in a fresh process and :func:`measure` it."""
    with FreshProcess(path, threads=device.threads, context=device.context) as process:
        return measure(process, device, prompt)


def against(measured: Measured, device: Device) -> tuple[Figure, ...]:
    """Each budgeted figure beside its limit."""
    return tuple(
        Figure(name=name, measured=float(getattr(measured, name)), limit=getattr(device, name)) for name in BUDGETED
    )
