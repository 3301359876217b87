"""llama.cpp's own figures: the server that the wheel carries reports the time of each request itself."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPEATS = 3


def own_timings(path: Path, *, threads: int, context: int, prompt: Sequence[int], new_tokens: int) -> dict[str, Any]:
    """``first_token_ms`` and ``ms_per_token`` as llama.cpp's server reports them; medians, warm-up discarded."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel = context, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity, params.fit_params, params.cache_prompt, params.ui = -1, False, False, False
    server = xllamacpp.Server(params)
    request = {
        "prompt": [int(one) for one in prompt],
        "n_predict": new_tokens,
        "temperature": 0.0,
        "cache_prompt": False,
        "ignore_eos": True,
    }
    runs = [server.handle_completions(request)["timings"] for _ in range(REPEATS + 1)][1:]
    return {
        "first_token_ms": statistics.median(run["prompt_ms"] for run in runs),
        "ms_per_token": statistics.median(run["predicted_per_token_ms"] for run in runs),
    }
