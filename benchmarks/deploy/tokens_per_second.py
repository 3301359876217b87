"""Tokens a second: artifacts against their runtime's own loop, and against eager Transformers with its cache.

    python benchmarks/deploy/tokens_per_second.py [--sizes 1m,15m] [--rounds 5] [--new-tokens 128] [--threads 1]

GGUF (Q8_0) beside llama.cpp's own `timings`, ONNX (int8) beside ONNX Runtime GenAI on the same file, both beside an
eager module of the same weights in float32 that is called token by token with its cache. By turns, each in a fresh
process; ratios over the rounds with their 95 % interval. Goals: 0.95 of the runtime's own; of eager 3 at 1m and 1.5 at
15m.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from models import model_folder, ratio_with_interval, table, write_figures

FORMATS = {"gguf": "q8_0", "onnx": "int8"}
OWN = {"gguf": "llama.cpp's own timings", "onnx": "ONNX Runtime GenAI"}
LEAST_OF_OWN = 0.95
LEAST_OF_EAGER = {"1m": 3.0, "15m": 1.5}
PROMPT_TOKENS = 64
WARM_UPS, REPEATS = 1, 3


def main() -> None:
    """Measure by turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1m,15m")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--eager", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.eager:
        print(json.dumps({"ms_per_token": eager(arguments.eager, arguments.new_tokens, arguments.threads)}))
        return
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes.split(","):
            found[size] = of_size(size, Path(folder), arguments)
    lines = [
        [
            size,
            label,
            f"{1e3 / one['ours_ms']:,.0f}",
            f"{1e3 / one['theirs_ms']:,.0f}",
            _interval(one["ratio"]),
            _goal(one),
        ]
        for size, listed in found.items()
        for label, one in listed.items()
    ]
    table(["size", "beside", "hone tokens/s", "theirs", "ratio (95 % interval)", ""], lines)
    write_figures("tokens-per-second", {"rounds": arguments.rounds, "threads": arguments.threads, "sizes": found})


def of_size(size: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Every comparison of one size."""
    from hone.deploy.runtime import runtime

    model = model_folder(size, folder)
    artifacts = {}
    for name, weights in FORMATS.items():
        out = folder / f"{size}-{name}"
        out.mkdir()
        artifacts[name] = runtime(name).export(model, weights, out / "model.gguf" if name == "gguf" else out)
    times: dict[str, list[float]] = {}
    for turn in range(arguments.rounds):
        for name in FORMATS if turn % 2 == 0 else reversed(FORMATS):
            ours, own = in_fresh_process(artifacts[name], model, arguments)
            times.setdefault(name, []).append(ours)
            times.setdefault(f"{name} own", []).append(own)
        times.setdefault("eager", []).append(eager_in_fresh_process(model, arguments))
        print(size, {name: listed[-1] for name, listed in times.items()}, file=sys.stderr)
    found = {}
    for name in FORMATS:
        found[f"{name}: {OWN[name]}"] = _compared(times[name], times[f"{name} own"], LEAST_OF_OWN)
        found[f"{name}: eager Transformers"] = _compared(times[name], times["eager"], LEAST_OF_EAGER.get(size))
    return found


def in_fresh_process(artifact: Path, model: Path, arguments: argparse.Namespace) -> tuple[float, float]:
    """Milliseconds per token of our session, then of the runtime's own loop in the same process."""
    from hone.deploy.process import FreshProcess

    context = json.loads((model / "config.json").read_text())["max_position_embeddings"]
    new = min(arguments.new_tokens, context - PROMPT_TOKENS - 2)
    prompt = _prompt(PROMPT_TOKENS)
    with FreshProcess(artifact, threads=arguments.threads, context=context) as process:
        ours = process.measure(prompt, new_tokens=new, repeats=REPEATS)["ms_per_token"]
        own = process.own_timings(prompt, context=context, new_tokens=new)
    return ours, own["ms_per_token"]


def eager_in_fresh_process(model: Path, arguments: argparse.Namespace) -> float:
    """Milliseconds per token of the eager module, in a process of its own."""
    command = [sys.executable, __file__, "--eager", str(model)]
    command += ["--new-tokens", str(arguments.new_tokens), "--threads", str(arguments.threads)]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return float(json.loads(done.stdout.splitlines()[-1])["ms_per_token"])


def eager(folder: Path, new_tokens: int, threads: int) -> float:
    """Greedy tokens, one call of the module each, with its cache and nothing of ``generate`` around it."""
    import torch
    from transformers.models.qwen3.modeling_qwen3 import Qwen3ForCausalLM

    torch.set_num_threads(threads)
    module = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    new = min(new_tokens, module.config.max_position_embeddings - PROMPT_TOKENS - 2)
    runs = []
    with torch.inference_mode():
        for _ in range(WARM_UPS + REPEATS):
            done = module(torch.tensor([_prompt(PROMPT_TOKENS)]), use_cache=True)
            token, cache = done.logits[:, -1:].argmax(-1), done.past_key_values
            started = time.perf_counter()
            for _ in range(new):
                done = module(token, past_key_values=cache, use_cache=True)
                token, cache = done.logits[:, -1:].argmax(-1), done.past_key_values
            runs.append((time.perf_counter() - started) * 1e3 / new)
    return statistics.median(runs[WARM_UPS:])


def _prompt(length: int) -> list[int]:
    from hone.deploy.probing import PROMPT

    return list(PROMPT[:length])


def _compared(ours: list[float], theirs: list[float], least: float | None) -> dict[str, Any]:
    """Tokens a second of ours over theirs: their milliseconds over ours."""
    ratio = ratio_with_interval(theirs, ours)
    medians = {"ours_ms": statistics.median(ours), "theirs_ms": statistics.median(theirs)}
    return {**medians, "ratio": ratio, "least": least, "rounds": {"ours_ms": ours, "theirs_ms": theirs}}


def _interval(ratio: dict[str, float]) -> str:
    return f"{ratio['ratio']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"


def _goal(one: dict[str, Any]) -> str:
    if one["least"] is None:
        return ""
    return f"at least {one['least']:g}: {'holds' if one['ratio']['ratio'] >= one['least'] else 'missed'}"


if __name__ == "__main__":
    main()
