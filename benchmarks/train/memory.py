"""Peak memory of training: the largest size over the size after imports, each contender in a process of its own.

    python benchmarks/train/memory.py --data FOLDER [--works pretrain:1m,pretrain:5m,sft:voice] [--repeats 3]

Twenty steps of the same work as in ``pretraining.py`` and ``sft.py``; data, model, gradients and optimizer included.
The size after imports is taken when everything of a contender is imported and nothing is built (Linux).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from turns import TRAIN, arguments_of, cache_of, options_of, wanted, write_result
from work import prepare

CONTENDERS = {
    "pretrain": ("hone", "bare", "trainer", "litgpt"),
    "sft": ("hone", "hone-packed", "trl", "trl-padding-free", "trl-packed"),
}


def measured(name: str, work: str, what: str, options: argparse.Namespace, cache: Path) -> dict[str, Any]:
    """What one fresh process of a contender tells."""
    command = [sys.executable, str(TRAIN / "contenders.py"), name, *arguments_of(work, options, cache)]
    command += ["--measure", what]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith('{"')))


def main() -> None:
    """Measure each contender on each work."""
    parser = options_of(__doc__)
    parser.add_argument("--works", default="pretrain:1m,pretrain:5m,sft:voice")
    parser.add_argument("--repeats", type=int, default=3, help="fresh processes of each (default 3)")
    options = parser.parse_args()
    cache = cache_of(options)
    found: dict[str, Any] = {}
    for work in options.works.split(","):
        prepare(work, options.data, cache, options.threads)
        for name in wanted(options, CONTENDERS[work.partition(":")[0]]):
            peaks = [measured(name, work, "memory", options, cache)["peak_over_mb"] for _ in range(options.repeats)]
            found.setdefault(work, {})[name] = peaks
            print(f"{work} {name:18} {statistics.median(peaks):7.1f} MB over the imports")
    write_result("train-memory", {"peak_over_mb": found})


if __name__ == "__main__":
    main()
