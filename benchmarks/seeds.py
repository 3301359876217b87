"""Does the shipped default solve the voice task on every seed? Fresh folders, one seed each, seconds per stage.

    python benchmarks/seeds.py [--seeds 0,1,2,3,4] [--minutes 8] [--folder FOLDER]

Folders are kept under ``--folder`` when it is given, so that a stopped series goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import HONE, write_result

SHOWN = ("solved", "score", "low", "test_score", "test_low", "exact_match", "attempts", "seconds", "size_mb")


def solve(folder: Path, seed: int, minutes: float) -> dict[str, Any]:
    """The result document of one seed (exit status 1, not solved, is a result too)."""
    if not (folder / "hone.yaml").exists():
        subprocess.run([*HONE, "init", str(folder), "--example", "voice"], check=True, stdout=subprocess.DEVNULL)
    command = [*HONE, "solve", str(folder), "--minutes", str(minutes), "--seed", str(seed), "--json"]
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE)
    if done.returncode not in (0, 1):
        sys.exit(f"seed {seed}: hone solve ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Solve seed after seed and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2,3,4", help="comma-separated (default 0,1,2,3,4)")
    parser.add_argument("--minutes", type=float, default=8.0, help="box of each solve (default 8)")
    parser.add_argument("--folder", type=Path, help="where the task folders are made and kept")
    arguments = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as scratch:
        parent = arguments.folder or Path(scratch)
        for seed in map(int, arguments.seeds.split(",")):
            rows[seed] = solve(parent / f"seed-{seed}", seed, arguments.minutes)
            print(f"seed {seed}: " + ", ".join(f"{key} {rows[seed].get(key)}" for key in SHOWN))
            print(f"        stages: {rows[seed].get('stages')}")
    solved = sum(bool(row["solved"]) for row in rows.values())
    print(f"solved: {solved} of {len(rows)}")
    write_result("seeds", {"minutes": arguments.minutes, "solved": solved, "seeds": rows})


if __name__ == "__main__":
    main()
