"""Times of an artifact on this machine: by threads, by length of the prompt, by position, and past the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hone.deploy.measure import Measured, Pace, measured_with_pace, memory_of, pace_of
from hone.deploy.process import FreshEncoder, FreshProcess
from hone.deploy.stopwatch import STEPS_ON
from hone.hardware import usable_cores
from hone.task.spec import Device

NEAR, FAR, LEAST_FAR = 10, 200, 40
PROMPTS = (1, 17)
"""Lengths at which the first token is timed, beside one less than the context."""
AGAIN = 4
"""Times that the cost by position is measured again before it is believed to be high."""
HIGH = 1.4
FEW_RUNS = 5
"""With fewer timed runs each prompt is timed once."""
SLACK_MS = 0.2
"""Differences that a clock around single tokens does not tell from what else the machine does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptTime:
    """Median milliseconds from a prompt of ``tokens`` to the first token; of an encoder, for the sequence."""

    tokens: int
    first_token_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Positions:
    """Milliseconds of a token after ``near`` and ``far`` tokens: the median, and the quickest."""

    near: int
    far: int
    near_ms: float
    far_ms: float
    near_least_ms: float
    far_least_ms: float

    @property
    def ratio(self) -> float:
        """How many times as long the quickest far one takes, 0.2 ms of it aside."""
        return max(self.near_least_ms, self.far_least_ms - SLACK_MS) / self.near_least_ms

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return {**asdict(self), "ratio": self.ratio}


@dataclass(frozen=True, kw_only=True, slots=True)
class PastContext:
    """See :func:`hone.deploy.stopwatch.past_context`."""

    context: int
    refusal: str
    stops: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """All of them. ``positions`` is None where the context is too short to tell, and for encoders."""

    load_ms: float
    by_threads: tuple[Pace, ...]
    prompts: tuple[PromptTime, ...]
    positions: Positions | None
    past_context: PastContext

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "positions": None if self.positions is None else self.positions.to_json()}


def take_times(process: FreshProcess, device: Device, prompt: Sequence[int], repeats: int) -> tuple[Measured, Times]:
    """Measure an artifact that was just opened for one sequence; the process has it open with all threads afterwards.

    Args:
        process: as :func:`hone.deploy.measure.measure` wants it.
        device: the budget's threads, context and length of the prompt.
        prompt: any ids.
        repeats: timed runs.
    """
    measured, pace = measured_with_pace(process, device, prompt, repeats)
    process.reopen(context=device.context, parallel=1)
    lengths = _lengths(device.context)
    firsts = process.time("time_prompts", prompt, lengths=lengths, repeats=1 if repeats < FEW_RUNS else 3)
    positions = _positions(process, prompt, device.context)
    past = process.time("past_context", prompt, context=device.context)
    paces = {device.threads: pace}
    for threads in sorted({1, usable_cores()} - {device.threads}):
        process.reopen(context=device.context, parallel=1, threads=threads)
        paces[threads] = pace_of(process, device, prompt, repeats)
    times = Times(
        load_ms=measured.load_ms,
        by_threads=tuple(paces[threads] for threads in sorted(paces)),
        prompts=tuple(PromptTime(tokens=n, first_token_ms=ms) for n, ms in zip(lengths, firsts, strict=True)),
        positions=positions,
        past_context=PastContext(context=device.context, **past),
    )
    return measured, times


def take_encoder_times(
    process: FreshEncoder, device: Device, prompt: Sequence[int], repeats: int, does: str
) -> tuple[Measured, Times]:
    """The same of an encoder: times of whole sequences, by its method ``does``."""
    load_ms, context = process.load_ms, device.context
    lengths = sorted({*_lengths(context), device.prompt_tokens, context})
    paces: dict[int, Pace] = {}
    prompts: tuple[PromptTime, ...] = ()
    for threads in [device.threads, *sorted({1, usable_cores()} - {device.threads})]:
        if threads != process.threads:
            process.reopen(context=context, threads=threads)
        found = process.time("time_encoder", prompt, does=does, lengths=lengths, repeats=repeats)
        if threads == device.threads:
            facts = process.facts()
            prompts = tuple(PromptTime(tokens=one["tokens"], first_token_ms=one["p50_ms"]) for one in found)
        paces[threads] = _sequence_pace(found[lengths.index(device.prompt_tokens)], threads, repeats)
    past = process.time("encoder_past_context", prompt, does=does, context=context)
    measured = Measured(
        **memory_of(process, facts),
        load_ms=load_ms,
        first_token_ms=paces[device.threads].first_token_p50_ms,
        ms_per_token=None,
        runtime_first_token_ms=None,
        runtime_ms_per_token=None,
        runtime_source="",
        prompt_tokens=device.prompt_tokens,
        new_tokens=0,
        threads=device.threads,
        context=context,
        repeats=repeats,
    )
    times = Times(
        load_ms=load_ms,
        by_threads=tuple(paces[threads] for threads in sorted(paces)),
        prompts=prompts,
        positions=None,
        past_context=PastContext(context=context, **past),
    )
    return measured, times


def _sequence_pace(found: dict[str, float], threads: int, repeats: int) -> Pace:
    return Pace(
        threads=threads,
        repeats=repeats,
        prompt_tokens=int(found["tokens"]),
        new_tokens=0,
        cold_ms=found["cold_ms"],
        first_token_p50_ms=found["p50_ms"],
        first_token_p95_ms=found["p95_ms"],
        token_p50_ms=None,
        token_p95_ms=None,
        first_run=found["first_ms"],
        last_run=found["last_ms"],
        runs=(),
    )


def _lengths(context: int) -> list[int]:
    return sorted({*(length for length in PROMPTS if length < context), context - 1})


def _positions(process: FreshProcess, prompt: Sequence[int], context: int) -> Positions | None:
    """Near and far, where the context has room for both. Measured again before a high cost is believed."""
    far = min(FAR, context - STEPS_ON - 1)
    if far < LEAST_FAR:
        return None
    found: dict[str, float] = {}
    for _ in range(1 + AGAIN):
        again = process.time("time_positions", prompt, near=NEAR, far=far, repeats=1)
        found = {name: min(value, found.get(name, value)) for name, value in again.items()}
        positions = Positions(near=NEAR, far=far, **found)
        if positions.ratio <= HIGH:
            break
    return positions
