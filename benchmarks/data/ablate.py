"""Does `hone ablate` find what is there? Labels shuffled in 30 % of rows, and a rule that drops a random 10 %.

    .venv/bin/python benchmarks/data/ablate.py --data FOLDER --minutes 10

FOLDER holds ``banking77/train.csv`` and ``test.csv``. The task's training file has the labels of a seeded 30 % of its
rows exchanged among those rows; dev is hashed out of the same rows, wrong labels included, as a person would have it.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import tempfile
from pathlib import Path

from hone.cli.ablate import lines
from hone.data.split import position
from hone.solving.ablate import ablate

SHARE = 0.3
TASK = """\
task: shuffled
kind: classify
data: {train: train.csv, dev: 1000, test: test.csv}
input: "{text}"
output: "{category}"
metric: accuracy
target: 0.8
"""


def make_task(source: Path, folder: Path, seed: int) -> int:
    """Write the task with shuffled labels; how many rows have another label than before."""
    with (source / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = [at for at in range(len(rows)) if position(f"{at}", f"shuffle-{seed}") < SHARE]
    labels = [rows[at]["category"] for at in chosen]
    random.Random(seed).shuffle(labels)
    changed = sum(rows[at]["category"] != label for at, label in zip(chosen, labels, strict=True))
    for at, label in zip(chosen, labels, strict=True):
        rows[at]["category"] = label
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "category"])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "test.csv").write_bytes((source / "test.csv").read_bytes())
    (folder / "hone.yaml").write_text(TASK, encoding="utf-8")
    return changed


def main() -> int:
    """Run both rules in one box and print the result; exit 1 when either is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="of the shuffled labels")
    parser.add_argument("--rules", nargs="+", default=["label-suspect", "chance-10"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        changed = make_task(args.data / "banking77", Path(place), args.seed)
        print(f"{changed:,} rows have a wrong label now", file=sys.stderr)
        result = ablate(Path(place), args.rules, minutes=args.minutes, say=lambda line: print(line, file=sys.stderr))
    for line in lines(result):
        print(line)
    print(json.dumps(result))
    verdicts = {rule["rule"]: rule["difference"]["verdict"] for rule in result["rules"]}
    expected = {"label-suspect": "better", "chance-10": "no difference seen"}
    return int(any(verdicts[name] != expected.get(name, verdicts[name]) for name in verdicts))


if __name__ == "__main__":
    sys.exit(main())
