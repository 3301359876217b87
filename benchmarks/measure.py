"""What every benchmark shares: where figures are written, on what machine they were taken, intervals of ratios."""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from hone.hardware import machine

ROOT = Path(__file__).resolve().parents[1]
VOICE = ROOT / "src" / "hone" / "examples" / "voice"
RESULTS = Path(os.environ.get("BENCH_RESULTS") or Path(__file__).resolve().parent / "results")
HONE = (sys.executable, "-m", "hone")
VERSIONS_OF = ("torch", "transformers", "accelerate", "tokenizers", "lightning-fabric", "xllamacpp", "trl", "litgpt")


def write_result(name: str, figures: dict[str, Any]) -> Path:
    """Write ``results/NAME.json``: the figures, the machine and the versions that they belong to.

    The environment variable BENCH_RESULTS names another folder, for a trial whose figures are worth nothing.
    """
    document = {"benchmark": name, "machine": machine().to_json(), "versions": versions(), **figures}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"written: {path}")
    print(json.dumps(document))
    return path


def versions() -> dict[str, str]:
    """Versions of the packages that decide speed, those that are installed."""
    found = {"python": sys.version.split()[0]}
    for name in VERSIONS_OF:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def ratio_with_interval(
    left: Sequence[float], right: Sequence[float], *, resamples: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """Ratio of two means over the same blocks, with its 95 % bootstrap interval.

    Blocks are drawn in pairs: block i of both sides was measured at nearly the same time, so what slowed the machine
    down slowed both.
    """
    if len(left) != len(right) or not left:
        raise ValueError(f"needs the same number of blocks on both sides, at least 1; got {len(left)} and {len(right)}")
    draw = random.Random(seed)
    drawn = []
    for _ in range(resamples):
        picks = draw.choices(range(len(left)), k=len(left))
        drawn.append(sum(left[i] for i in picks) / sum(right[i] for i in picks))
    drawn.sort()
    low, high = drawn[int(0.025 * resamples)], drawn[int(0.975 * resamples) - 1]
    return {"ratio": statistics.mean(left) / statistics.mean(right), "low": low, "high": high, "blocks": len(left)}
