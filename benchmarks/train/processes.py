"""Two processes of one thread, or one process of two threads? Training on the voice task, by size, by turns.

    python benchmarks/train/processes.py [--sizes 500k,1m,5m,15m] [--rounds 5] [--seconds 5]

Tokens a second of the whole group, measured as ``hone train --minutes`` measures before it chooses: warm steps of the
default recipe in fresh forks, gradients exchanged. Told is the median of the rounds, and the ratio with its range.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import hone.warm  # noqa: F401  (what the forks find loaded)
from hone.attempts import launch
from hone.attempts.box_plan import group_speed
from hone.data.prepare import prepare
from hone.data.task_file import load_task
from hone.hardware import usable_cores
from hone.solving.defaults import default_recipe
from turns import write_result

VOICE = Path(__file__).resolve().parents[2] / "src" / "hone" / "examples" / "voice"


def main() -> int:
    """Measure by turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="not used; every script of this folder takes it")
    parser.add_argument("--sizes", default="500k,1m,5m,15m")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="training that is timed, each time (default 5)")
    options = parser.parse_args()
    cores = usable_cores()
    if cores == 1:
        print("one core: there is nothing to choose", file=sys.stderr)
        return 2
    print(f"| size | one process of {cores} threads | {cores} processes of 1 thread | ratio |\n|---|---|---|---|")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="hone-processes-") as place:
        for size in options.sizes.split(","):
            found[size] = of_size(Path(place), size, cores, options)
            alone, group = (statistics.median(found[size][name]) for name in ("threads", "processes"))
            ratios = [two / one for one, two in zip(found[size]["threads"], found[size]["processes"], strict=True)]
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(f"| {size} | {alone:,.0f} | {group:,.0f} | {spread} |", flush=True)
    write_result("processes", {"cores": cores, "tokens_per_second": found})
    return 0


def of_size(place: Path, size: str, cores: int, options: argparse.Namespace) -> dict[str, list[float]]:
    """Tokens a second of both, round by round."""
    task = load_task(VOICE)
    data = prepare(task, VOICE, place / "cache", lambda line: None)
    recipe = default_recipe(task, data, seed=0, threads=cores, base=f"scratch:{size}").child(steps=1000, eval_every=500)
    ways = {"threads": recipe, "processes": recipe.child(processes=cores, threads=1)}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.rounds):
        for name in sorted(ways, reverse=turn % 2 == 0):
            order = {"folder": str(place), "task": task, "data": data, "recipe": ways[name]}
            order |= {"seconds": options.seconds, "most_s": 1.0}
            made = launch("measure", group_speed, order, ways[name].processes)
            found[name].append(made["speed"]["tokens_per_second"])
    return found


if __name__ == "__main__":
    sys.exit(main())
