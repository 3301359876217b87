"""Seconds to the end of the first step: cold (a fresh process, imports included) and in a fork of a warm process.

    python benchmarks/train/first_step.py --data FOLDER [--repeats 5]

The warm process has imported and computed nothing. The voice task is prepared beforehand, and read from its cache.
"""

from __future__ import annotations

import statistics
from typing import Any

from memory import measured
from turns import cache_of, options_of, write_result
from work import prepare

WORK = "sft:voice"


def main() -> None:
    """Measure both."""
    parser = options_of(__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="processes of each (default 5)")
    options = parser.parse_args()
    cache = cache_of(options)
    prepare(WORK, options.data, cache, options.threads)
    found: dict[str, Any] = {}
    for what in ("first-step", "first-step-warm"):
        for name in options.only.split(",") if options.only else ["hone"]:
            told = [measured(name, WORK, what, options, cache) for _ in range(options.repeats)]
            found.setdefault(what, {})[name] = told
            seconds, cpu = ([one[key] for one in told] for key in ("seconds", "cpu_s"))
            spread = f"({min(seconds):.2f} to {max(seconds):.2f})"
            print(
                f"{what:16} {name:10} {statistics.median(seconds):.2f} s {spread}, CPU {statistics.median(cpu):.2f} s"
            )
    write_result("first-step", {"processes": found})


if __name__ == "__main__":
    main()
