"""Seconds to move a threshold over a million rows: rules over generated columns, no text anywhere.

.venv/bin/python benchmarks/data/rules.py
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np
import pyarrow as pa

from hone.data.presets import PRESETS
from hone.data.rules import changed, decide


def generated(rows: int) -> pa.Table:
    """A column for each rule of the web preset, filled at random; a tenth of the rows repeat another one."""
    random = np.random.default_rng(0)
    columns: dict[str, object] = {"split": pa.array(["train"]).take(pa.array(np.zeros(rows, np.int32)))}
    for rule in PRESETS["web"].rules:
        if rule.absent:
            ids = np.where(random.random(rows) < 0.1, "rows.jsonl:1", None)
            columns[rule.column] = pa.array(ids, pa.string())
        else:
            columns[rule.column] = random.random(rows, np.float32) * 2 * (rule.high or rule.low or 1)
    return pa.table(columns)


def main() -> int:
    """Print the median and spread of five decisions, each after another threshold was moved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    args = parser.parse_args()
    table = generated(args.rows)
    rules = PRESETS["web"].rules
    decide(table, rules)
    seconds = []
    for low in (20, 30, 40, 50, 60):
        begin = time.perf_counter()
        moved = changed(rules, {"gopher-words": {"min": low}})
        decisions = decide(table, moved)
        decisions.counts()
        seconds.append(time.perf_counter() - begin)
    middle = statistics.median(seconds)
    print(f"{len(rules)} rules over {args.rows:,} rows: {middle:.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    return int(middle > 1.0)


if __name__ == "__main__":
    sys.exit(main())
