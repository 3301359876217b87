"""An artifact against its device budget: bytes, memory of a fresh process, times on the device's threads."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hone.deploy.process import FreshEncoder, FreshProcess
from hone.errors import InputError
from hone.task.spec import THIS_MACHINE, Device

MEGABYTE = 1e6
BUDGETED = ("size_mb", "ram_mb", "first_token_ms", "ms_per_token")
EVERYWHERE = frozenset({"size_mb"})
"""Figures that are the same on every device: a file is as large anywhere."""
NEW_TOKENS = 64
OWN_TOKENS = 32
"""Tokens of the runtime's own figures, which are told beside ours and judge nothing."""
REPEATS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Figures of one artifact in a fresh process; megabytes are 10^6 bytes.

    Of an encoder ``first_token_ms`` is the time of a sequence of ``prompt_tokens``, and figures of single tokens are
    None: it writes none.
    """

    size_mb: float
    """Of the model file."""
    ram_mb: float
    """Peak resident memory of the whole process that runs the artifact, a prompt that fills its context included."""
    interpreter_mb: float
    """Of that, what Python, numpy and our own modules took before the runtime and the artifact were opened."""
    without_model_mb: float
    """Peak of the same process with the runtime's library loaded and no model opened."""
    load_ms: float
    """Time to open the artifact, its file being in memory already."""
    first_token_ms: float
    """Median time from a prompt of ``prompt_tokens`` to the first token."""
    ms_per_token: float | None
    """Median sustained time per further token."""
    runtime_first_token_ms: float | None
    """What the runtime itself reports for the prompt; None where it reports nothing."""
    runtime_ms_per_token: float | None
    """What the runtime itself reports per token."""
    runtime_source: str = ""
    """Who reports them: a loop of the runtime's makers; empty where nobody does."""
    prompt_tokens: int
    new_tokens: int
    threads: int
    context: int
    repeats: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast an artifact is with so many threads. Figures of tokens are None where none are written."""

    threads: int
    repeats: int
    prompt_tokens: int
    new_tokens: int
    cold_ms: float
    """The first token of the warm-up, right after opening."""
    first_token_p50_ms: float
    first_token_p95_ms: float
    token_p50_ms: float | None
    token_p95_ms: float | None
    first_run: float
    """Milliseconds per token (for an encoder, per sequence) of the first timed run, and of the last."""
    last_run: float
    runs: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One line of the budget."""

    name: str
    measured: float
    limit: float | None
    """None where the task sets no limit."""
    elsewhere: bool = False
    """The limit is for devices of another class than the machine that measured this."""

    @property
    def within(self) -> bool | None:
        """The limit is kept, or there is none; None where only a device of the limit's class could tell."""
        if self.limit is None:
            return True
        return None if self.elsewhere else self.measured <= self.limit

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"name": self.name, "measured": self.measured, "limit": self.limit, "within": self.within}


def measured_here(device_class: str) -> str:
    """What to say where the limits are for devices of another class than this machine; else empty."""
    if device_class == THIS_MACHINE:
        return ""
    return f"memory and times are this machine's, and the limits are for {device_class}, which was not measured"


def all_within(budget: Iterable[Figure]) -> bool | None:
    """Whether every limit is kept; None where there is none, or where that is not known of one and no other is broken.

    To have no limit is not the same as keeping one, and neither is a limit of which this machine can tell nothing.
    """
    limited = [figure.within for figure in budget if figure.limit is not None]
    if False in limited:
        return False
    return True if limited and None not in limited else None


def measure(process: FreshProcess, device: Device, prompt: Sequence[int], repeats: int = REPEATS) -> Measured:
    """Measure an artifact that was just opened for one sequence of ``device.context`` tokens.

    The process has nothing open afterwards.

    Args:
        process: fresh, nothing computed in it yet, opened with ``parallel=1`` and the device's threads.
        device: says the length of the prompt, the threads and the context.
        prompt: any ids; repeated or cut to ``device.prompt_tokens``.
        repeats: timed runs, after a warm-up.

    Raises:
        InputError: when the process was opened otherwise.
    """
    return measured_with_pace(process, device, prompt, repeats)[0]


def measured_with_pace(
    process: FreshProcess, device: Device, prompt: Sequence[int], repeats: int
) -> tuple[Measured, Pace]:
    """Like :func:`measure`, with every run's figures."""
    if (process.threads, process.parallel, process.context) != (device.threads, 1, device.context):
        raise InputError(
            f"the process was opened with {process.threads} threads and {process.parallel} sequences of "
            f"{process.context} tokens; the device says {device.threads}, 1 and {device.context}"
        )
    load_ms = process.load_ms
    pace = pace_of(process, device, prompt, repeats)
    # The whole context once: memory that only a long prompt takes counts too.
    process.time("time_prompts", prompt, lengths=[device.context - 1], repeats=1)
    # Before the runtime's own server is started in the same process, which takes memory of its own.
    facts = process.facts()
    ids = prompt_of(prompt, pace.prompt_tokens)
    own = process.own_timings(ids, context=device.context, new_tokens=min(OWN_TOKENS, pace.new_tokens))
    measured = Measured(
        **memory_of(process, facts),
        load_ms=load_ms,
        first_token_ms=pace.first_token_p50_ms,
        ms_per_token=statistics.median(pace.runs),
        runtime_first_token_ms=own.get("first_token_ms"),
        runtime_ms_per_token=own.get("ms_per_token"),
        runtime_source=str(own.get("source", "the runtime's own clock" if own else "")),
        prompt_tokens=pace.prompt_tokens,
        new_tokens=pace.new_tokens,
        threads=device.threads,
        context=device.context,
        repeats=repeats,
    )
    return measured, pace


def pace_of(process: FreshProcess, device: Device, prompt: Sequence[int], repeats: int) -> Pace:
    """Times of the opened artifact with the threads that it was opened with."""
    # Room for two tokens at least, or none would be timed after the first.
    length = min(device.prompt_tokens, device.context - 2)
    new_tokens = max(1, min(NEW_TOKENS, device.context - length - 1))
    times = process.measure(prompt_of(prompt, length), new_tokens=new_tokens, repeats=repeats)
    runs = tuple(times["ms_per_token_runs"])
    return Pace(
        threads=process.threads,
        repeats=repeats,
        prompt_tokens=length,
        new_tokens=new_tokens,
        cold_ms=times["cold_ms"],
        first_token_p50_ms=times["first_token_ms"],
        first_token_p95_ms=times["first_token_p95_ms"],
        token_p50_ms=times["token_p50_ms"],
        token_p95_ms=times["token_p95_ms"],
        first_run=runs[0],
        last_run=runs[-1],
        runs=runs,
    )


def memory_of(process: FreshProcess | FreshEncoder, facts: dict[str, Any]) -> dict[str, float]:
    """Size and memory in megabytes, as :class:`Measured` names them."""
    return {
        "size_mb": process.file.stat().st_size / MEGABYTE,
        "ram_mb": facts["peak_bytes"] / MEGABYTE,
        "interpreter_mb": facts["interpreter_bytes"] / MEGABYTE,
        "without_model_mb": facts["without_model_bytes"] / MEGABYTE,
    }


def prompt_of(ids: Sequence[int], length: int) -> list[int]:
    """``length`` ids, repeated from those given."""
    return [int(ids[at % len(ids)]) for at in range(length)]


def against(measured: Measured, device: Device) -> tuple[Figure, ...]:
    """Each budgeted figure that this artifact has beside its limit."""
    found = ((name, getattr(measured, name)) for name in BUDGETED)
    elsewhere = device.device_class != THIS_MACHINE
    return tuple(
        Figure(
            name=name,
            measured=float(value),
            limit=getattr(device, name),
            elsewhere=elsewhere and name not in EVERYWHERE,
        )
        for name, value in found
        if value is not None
    )
