"""Times of the same folder in ONNX Runtime GenAI, the runtime's own loop over tokens; it reports none itself."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from hone.deploy.onnx.opening import runtime_library

REPEATS = 3


def own_timings(path: Path, *, threads: int, context: int, prompt: Sequence[int], new_tokens: int) -> dict[str, Any]:
    """``first_token_ms`` and ``ms_per_token`` of ONNX Runtime GenAI by our clock, or of ONNX Runtime without it.

    Medians, warm-up discarded; ``source`` says which it was.
    """
    if find_spec("onnxruntime_genai") is None:
        return _of_our_session(path, threads, context, prompt, new_tokens)
    runtime_library()  # first: what it sets holds for both
    import onnxruntime_genai as genai

    config = genai.Config(str(path.parent))
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
    model = genai.Model(config)
    ids = np.asarray(prompt, np.int32)
    runs = [_run(genai, model, ids, context, new_tokens) for _ in range(REPEATS + 1)][1:]
    return {**_medians(runs), "source": f"onnxruntime-genai {genai.__version__}, by our clock"}


def _run(genai: Any, model: Any, ids: Any, context: int, new_tokens: int) -> tuple[float, float]:
    """Milliseconds to the first token, and per token of those that follow; the end of an answer does not end it."""
    params = genai.GeneratorParams(model)
    # It ends at the longest length, and not before the shortest: each run writes the same number of tokens.
    length = min(context, len(ids) + new_tokens + 1)
    params.set_search_options(max_length=length, min_length=length, do_sample=False)
    generator = genai.Generator(model, params)
    started = time.perf_counter()
    generator.append_tokens(ids)
    generator.generate_next_token()
    generator.get_next_tokens()
    first = time.perf_counter()
    count = 0
    while not generator.is_done():
        generator.generate_next_token()
        generator.get_next_tokens()
        count += 1
    ended = time.perf_counter()
    return (first - started) * 1e3, (ended - first) * 1e3 / max(1, count)


def _medians(runs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    return {
        "first_token_ms": statistics.median(run[0] for run in runs),
        "ms_per_token": statistics.median(run[1] for run in runs),
    }


def _of_our_session(path: Path, threads: int, context: int, prompt: Sequence[int], new_tokens: int) -> dict[str, Any]:
    from hone.deploy.onnx.session import OnnxSession
    from hone.deploy.stopwatch import time_session

    session = OnnxSession(path, threads=threads, context=context)
    try:
        found = time_session(session, prompt, new_tokens=new_tokens, repeats=REPEATS)
    finally:
        session.close()
    times = {key: found[key] for key in ("first_token_ms", "ms_per_token")}
    return {**times, "source": "onnxruntime by our clock; onnxruntime-genai is not installed"}
