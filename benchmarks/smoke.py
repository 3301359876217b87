"""Seconds of each stage of ``hone smoke`` on the voice task: three runs in fresh folders, the median of each stage."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from measure import HONE, write_result

RUNS = 3


def one_run() -> dict[str, Any]:
    """Smoke in a fresh copy of the example: wall seconds and the document of the last line."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*HONE, "init", f"{folder}/voice", "--example", "voice"], check=True, stdout=subprocess.DEVNULL)
        begin = time.perf_counter()
        command = [*HONE, "smoke", f"{folder}/voice", "--json"]
        done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE)
        wall = time.perf_counter() - begin
        if done.returncode:
            sys.exit(f"hone smoke ended with status {done.returncode}")
        return {"wall_s": wall, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    """Run, print the stages, write the figures."""
    runs = [one_run() for _ in range(RUNS)]
    stages = {stage: statistics.median(run["stages"][stage] for run in runs) for stage in runs[0]["stages"]}
    for stage, seconds in stages.items():
        print(f"{stage:20} {seconds:6.2f} s")
    wall = statistics.median(run["wall_s"] for run in runs)
    print(f"{'in all, with imports':20} {wall:6.2f} s")
    write_result("smoke", {"runs": RUNS, "wall_s": wall, "stages_s": stages})


if __name__ == "__main__":
    main()
