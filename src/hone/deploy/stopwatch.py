"""Times of an opened artifact: medians of repeated runs, warm-up discarded. Runs inside the fresh process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from hone.deploy.runtime import Session

NO_END = -1


def time_session(session: Session, prompt: Sequence[int], *, new_tokens: int, repeats: int) -> dict[str, Any]:
    """Time to the first token after ``prompt``, and per token over ``new_tokens`` that follow it.

    Each run starts with an empty cache and is long enough that its tokens are a sustained rate, not a peak. Returns
    medians ``first_token_ms`` and ``ms_per_token`` and every run's figures.
    """
    first_ms: list[float] = []
    token_ms: list[float] = []
    for run in range(repeats + 1):
        started = time.perf_counter()
        tokens = session.stream(prompt, max_new_tokens=new_tokens + 1, end_id=NO_END)
        next(tokens)
        first = time.perf_counter()
        count = sum(1 for _ in tokens)
        ended = time.perf_counter()
        if run > 0:
            first_ms.append((first - started) * 1e3)
            token_ms.append((ended - first) * 1e3 / max(1, count))
    return {
        "first_token_ms": statistics.median(first_ms),
        "ms_per_token": statistics.median(token_ms),
        "first_token_runs_ms": first_ms,
        "ms_per_token_runs": token_ms,
        "prompt_tokens": len(prompt),
        "new_tokens": new_tokens,
    }
