"""Does ``hone train --minutes`` end with its box? Real boxes on a quiet machine and on a busy one.

    python benchmarks/train/boxes.py [--minutes 2,5,10] [--loads quiet,busy] [--seed 0]

Each box is a command of its own on the voice task in a fresh folder: reading the data, planning, training, scoring and
writing are inside. ``busy`` has one process per core that computes without end beside it. Told is the wall time of the
command over the box; 0.95 to 1.05 is what is promised.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hone.hardware import usable_cores
from turns import HONE, write_result

WITHIN = 0.05
BUSY = "while True: sum(range(1000))"


@contextlib.contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """So many processes that compute, as long as the block lasts."""
    running = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def boxed(place: Path, minutes: float, seed: int) -> dict[str, Any]:
    """One box: its share that was used, the size and steps that came of it, and the score on dev."""
    folder = place / f"box-{minutes:g}"
    subprocess.run([*HONE, "init", str(folder), "--example", "voice"], check=True, stdout=sys.stderr)
    command = [*HONE, "train", str(folder), "--minutes", f"{minutes:g}", "--seed", str(seed), "--json"]
    begin = time.monotonic()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.monotonic() - begin
    report = json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{")))
    return {
        "seconds": seconds,
        "used_over_box": seconds / (60 * minutes),
        "base": report["recipe"]["base"],
        "steps": report["step"],
        "score": report["score"],
    }


def main() -> int:
    """Carry the boxes out and print the table; 1 when one ended outside of what is promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="not used; every script of this folder takes it")
    parser.add_argument("--minutes", default="2,5,10", help="boxes (default 2,5,10)")
    parser.add_argument("--loads", default="quiet,busy", help="quiet, busy or both (default both)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cores = usable_cores()
    found: dict[str, dict[str, Any]] = {}
    for load in options.loads.split(","):
        with busy_cores(cores if load == "busy" else 0), tempfile.TemporaryDirectory(prefix="hone-boxes-") as place:
            for minutes in map(float, options.minutes.split(",")):
                found.setdefault(load, {})[f"{minutes:g}"] = boxed(Path(place), minutes, options.seed)
    print("| load | box | used | used/box | size | steps |\n|---|---|---|---|---|---|")
    rows = [(load, minutes, one) for load, boxes in found.items() for minutes, one in boxes.items()]
    for load, minutes, one in rows:
        print(
            f"| {load} | {minutes} min | {one['seconds']:.0f} s | {one['used_over_box']:.3f} | {one['base']} | "
            f"{one['steps']:,} |"
        )
    write_result("boxes", {"cores": cores, "loads": found})
    return int(any(abs(one["used_over_box"] - 1) > WITHIN for _, _, one in rows))


if __name__ == "__main__":
    sys.exit(main())
