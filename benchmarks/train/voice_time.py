"""Seconds to the same score on the voice task: this tree beside an older one, seed by seed, in turns.

    git worktree add /tmp/older COMMIT
    python benchmarks/train/voice_time.py --before /tmp/older [--share 0.8] [--seeds 0,1,2,3,4] [--folder KEPT]

The older tree solves each seed in a box of ``--minutes``; this one gets ``--share`` of that box. Both train once, on
the schedule that their plan fits into the box, and are judged on all dev rows. If the scores are no lower, this tree
comes to the same score in at most that share of the time. Told are, with bootstrap intervals over seeds: the ratio of
the seconds that the solves really took (checks, smoke pass, calibration, training, artifact, verdict), that of their
training alone, and the difference of the scores. Both trees use this Python, each with its own sources.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from turns import ROOT, ratio_with_interval, write_result

KEPT = ("score", "seconds", "attempts", "stages")


def solve(tree: Path, folder: Path, seed: int, minutes: float) -> dict[str, Any]:
    """The result of ``hone solve`` by the sources of a tree; what is there already is not solved again."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    hone = [sys.executable, "-m", "hone"]
    if not (folder / "result.json").exists():
        if not (folder / "hone.yaml").exists():
            init = [*hone, "init", str(folder), "--example", "voice"]
            subprocess.run(init, check=True, env=environment, stdout=sys.stderr)
        command = [*hone, "solve", str(folder), "--minutes", str(minutes), "--seed", str(seed)]
        done = subprocess.run(command, check=False, env=environment, stdout=sys.stderr)
        if done.returncode not in (0, 1):
            sys.exit(f"{tree}, seed {seed}: hone solve ended with status {done.returncode}")
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def mean_with_interval(values: Sequence[float], resamples: int = 10_000) -> dict[str, float]:
    """A mean with its 95 % bootstrap interval."""
    draw = random.Random(0)
    means = sorted(statistics.mean(draw.choices(values, k=len(values))) for _ in range(resamples))
    low, high = means[int(0.025 * resamples)], means[int(0.975 * resamples) - 1]
    return {"mean": statistics.mean(values), "low": low, "high": high}


def main() -> None:
    """Solve with both trees and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="a worktree of the older commit")
    parser.add_argument("--share", type=float, default=0.8, help="of the older tree's box (default 0.8)")
    parser.add_argument("--seeds", default="0,1,2,3,4", help="comma-separated (default 0,1,2,3,4)")
    parser.add_argument("--minutes", type=float, default=8.0, help="the older tree's box (default 8)")
    parser.add_argument("--folder", type=Path, help="where task folders are kept; what is solved there is not repeated")
    options = parser.parse_args()
    place = options.folder or Path(tempfile.mkdtemp(prefix="hone-voice-"))
    sides = {"now": (ROOT, options.minutes * options.share), "before": (options.before.resolve(), options.minutes)}
    rows: dict[str, dict[str, Any]] = {}
    for index, seed in enumerate(options.seeds.split(",")):
        for name in list(sides)[:: 1 if index % 2 == 0 else -1]:
            tree, minutes = sides[name]
            result = solve(tree, place / f"{name}-{seed}", int(seed), minutes)
            rows.setdefault(seed, {})[name] = {
                key: result.get(key) for key in ("score", "seconds", "attempts", "stages")
            }
        print(f"seed {seed}: {rows[seed]}")
    both = [(row["now"], row["before"]) for row in rows.values()]
    found = {
        "seconds": ratio_with_interval([now["seconds"] for now, _ in both], [old["seconds"] for _, old in both]),
        "training_seconds": ratio_with_interval(
            [now["stages"]["attempts"] for now, _ in both], [old["stages"]["attempts"] for _, old in both]
        ),
        "score_difference": mean_with_interval([now["score"] - old["score"] for now, old in both]),
    }
    print(json.dumps(found, indent=2))
    write_result("voice-time", {"share": options.share, "seeds": rows, "now_beside_before": found})


if __name__ == "__main__":
    main()
