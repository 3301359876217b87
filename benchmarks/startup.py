"""Wall seconds until the command line answers: the median of ten starts, after one that fills the file cache."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from measure import HONE, write_result

STARTS = 10
COMMANDS = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "import hone": (sys.executable, "-c", "import hone"),
    "hone --version": (*HONE, "--version"),
    "hone --help": (*HONE, "--help"),
    "hone solve --help": (*HONE, "solve", "--help"),
    "hone runs --help": (*HONE, "runs", "--help"),
}


def seconds_of(command: tuple[str, ...]) -> float:
    """Wall seconds of one start.

    Raises:
        subprocess.CalledProcessError: when the command fails.
    """
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    """Start every command eleven times and write the medians."""
    figures = {}
    for name, command in COMMANDS.items():
        seconds_of(command)
        times = [seconds_of(command) for _ in range(STARTS)]
        figures[name] = {"median_s": statistics.median(times), "worst_s": max(times)}
        print(f"{name:20} {figures[name]['median_s']:.3f} s (worst of {STARTS}: {figures[name]['worst_s']:.3f})")
    write_result("startup", {"starts": STARTS, "commands": figures})


if __name__ == "__main__":
    main()
