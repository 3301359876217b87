"""Times of an opened artifact: percentiles of repeated runs, warm-up discarded. Runs inside the fresh process.

Every function takes the opened session first and gives plain values, in milliseconds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from hone.deploy.runtime import EncoderSession, Session
from hone.errors import InputError

NO_END = -1
STEPS = 8
"""Tokens asked for past the context."""
STEPS_ON = 16
"""Tokens timed from a position on."""


def time_session(session: Session, prompt: Sequence[int], *, new_tokens: int, repeats: int) -> dict[str, Any]:
    """Time to the first token after ``prompt``, and per token over ``new_tokens`` that follow it.

    Each run starts with an empty cache and is long enough that its tokens are a sustained rate, not a peak. Returns
    medians ``first_token_ms`` and ``ms_per_token`` over the runs (of each run's mean), every run's figures, the 50th
    and 95th percentile of single tokens, and ``cold_ms``, the first token of the warm-up.
    """
    first_ms: list[float] = []
    token_ms: list[float] = []
    single: list[float] = []
    cold_ms = 0.0
    for run in range(repeats + 1):
        gaps = _gaps(session, prompt, new_tokens + 1)
        if run == 0:
            cold_ms = gaps[0]
            continue
        first_ms.append(gaps[0])
        token_ms.append(sum(gaps[1:]) / max(1, len(gaps) - 1))
        single += gaps[1:]
    return {
        "first_token_ms": statistics.median(first_ms),
        "ms_per_token": statistics.median(token_ms),
        "first_token_runs_ms": first_ms,
        "ms_per_token_runs": token_ms,
        "first_token_p95_ms": _percentile(first_ms, 95),
        "token_p50_ms": _percentile(single, 50),
        "token_p95_ms": _percentile(single, 95),
        "cold_ms": cold_ms,
        "prompt_tokens": len(prompt),
        "new_tokens": new_tokens,
    }


def time_prompts(session: Session, prompt: Sequence[int], *, lengths: Sequence[int], repeats: int) -> list[float]:
    """Median time to the first token after prompts of these lengths, made by repeating ``prompt``."""
    return [
        statistics.median(_gaps(session, _as_long(prompt, length), 1)[0] for _ in range(repeats)) for length in lengths
    ]


def time_positions(session: Session, prompt: Sequence[int], *, near: int, far: int, repeats: int) -> dict[str, float]:
    """The median and the quickest token after ``near`` and after ``far`` tokens, by turns.

    A runtime with a cache takes about as long at both; one that reads the prompt again each time takes longer with
    every token. The quickest are to be compared, because what else runs on a machine only ever adds.
    """
    found: dict[int, list[float]] = {near: [], far: []}
    for _ in range(repeats):
        for at in (near, far):
            found[at] += _gaps(session, _as_long(prompt, at), STEPS_ON + 1)[1:]
    return {
        "near_ms": statistics.median(found[near]),
        "far_ms": statistics.median(found[far]),
        "near_least_ms": min(found[near]),
        "far_least_ms": min(found[far]),
    }


def past_context(session: Session, prompt: Sequence[int], *, context: int) -> dict[str, Any]:
    """What happens one token past the context, and whether an answer stops at it.

    Returns:
        ``refusal``: the sentence with which a prompt of ``context + 1`` tokens is refused, empty when it is answered;
        ``stops``: a prompt of ``context - 2`` tokens that asks for 8 more gets two.
    """
    room = _as_long(prompt, context - 2)
    written = session.generate([room], max_new_tokens=STEPS, end_id=NO_END)[0]
    long = _as_long(prompt, context + 1)
    refusal = _refusal(lambda: session.generate([long], max_new_tokens=1, end_id=NO_END))
    return {"refusal": refusal, "stops": len(written.ids) == 2}


def time_encoder(
    session: EncoderSession, prompt: Sequence[int], *, does: str, lengths: Sequence[int], repeats: int
) -> list[dict[str, float]]:
    """Times of one sequence of each length, by ``does`` (``classify``, ``tag``, ``embed``); a warm-up first."""
    read: Callable[[list[list[int]]], Any] = getattr(session, does)
    found = []
    for length in lengths:
        ids = _as_long(prompt, length)
        runs: list[float] = []
        for _ in range(repeats + 1):
            started = time.perf_counter()
            read([ids])
            runs.append((time.perf_counter() - started) * 1e3)
        found.append(
            {
                "tokens": length,
                "cold_ms": runs[0],
                "p50_ms": _percentile(runs[1:], 50),
                "p95_ms": _percentile(runs[1:], 95),
                "first_ms": runs[1],
                "last_ms": runs[-1],
            }
        )
    return found


def encoder_past_context(session: EncoderSession, prompt: Sequence[int], *, does: str, context: int) -> dict[str, Any]:
    """Like :func:`past_context`, for a sequence that is read as a whole."""
    long = _as_long(prompt, context + 1)
    return {"refusal": _refusal(lambda: getattr(session, does)([long])), "stops": True}


def _refusal(act: Callable[[], Any]) -> str:
    try:
        act()
    except InputError as error:
        return str(error)
    return ""


def _gaps(session: Session, prompt: Sequence[int], most: int) -> list[float]:
    """Milliseconds to each token: the first from the start of the prompt."""
    stamps = [time.perf_counter()]
    for _ in session.stream(prompt, max_new_tokens=most, end_id=NO_END):
        stamps.append(time.perf_counter())
    return [(after - before) * 1e3 for before, after in pairwise(stamps)]


def _as_long(prompt: Sequence[int], length: int) -> list[int]:
    return [int(prompt[at % len(prompt)]) for at in range(length)]


def _percentile(values: Sequence[float], at: float) -> float:
    return float(np.percentile(values, at)) if len(values) else 0.0
