"""Contenders by turns: each a process of its own that trains in blocks, round after round, the order turned each round.

A slow minute of the machine falls on all. Only steps are measured (imports, data and warm-up are over), per CPU-second
of the process, and ratios come with a bootstrap interval over the rounds.
"""

from __future__ import annotations

import argparse
import atexit
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from measure import HONE, VOICE, ratio_with_interval, write_result  # noqa: E402  (the folder above is no package)

__all__ = [
    "HONE", "ROOT", "VOICE", "Gate", "arguments_of", "cache_of", "compare", "options_of", "present",
    "ratio_with_interval", "table", "wanted", "write_result",
]  # fmt: skip
NEEDS = {"trainer": "accelerate", "litgpt": "litgpt", "trl": "trl"}
"""The package of each contender that may be missing."""
WARM_UP_STEPS = 10
TRAIN = Path(__file__).resolve().parent


class Gate:
    """Lets a contender's loop run in blocks: its loop calls :meth:`step`, its parent says when a block begins.

    Between blocks the process waits for a line on standard input and uses no CPU. The first steps are not measured.
    """

    def __init__(self) -> None:
        self.warm_up = WARM_UP_STEPS
        self.seconds = 0.0
        self.wall = self.cpu = 0.0
        self.steps = self.tokens = self.supervised = 0

    def step(self, tokens: int, supervised: int) -> bool:
        """Count one finished optimizer step of so many slots and supervised tokens; whether the loop is to end."""
        if self.warm_up > 0:
            self.warm_up -= 1
            return self._wait() if self.warm_up == 0 else False
        self.steps += 1
        self.tokens += tokens
        self.supervised += supervised
        if time.perf_counter() - self.wall < self.seconds:
            return False
        report = {
            "steps": self.steps,
            "tokens": self.tokens,
            "supervised": self.supervised,
            "wall_s": time.perf_counter() - self.wall,
            "cpu_s": time.process_time() - self.cpu,
        }
        print(json.dumps(report), flush=True)
        return self._wait()

    def _wait(self) -> bool:
        if self.seconds == 0.0:
            print(json.dumps({"ready": True}), flush=True)
        command = sys.stdin.readline().split()
        if not command or command[0] == "stop":
            return True
        self.seconds = float(command[1])
        self.steps = self.tokens = self.supervised = 0
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return False


class Contender:
    """A child process that trains in blocks."""

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self.blocks: list[dict[str, float]] = []
        command = [sys.executable, str(TRAIN / "contenders.py"), name, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def run_block(self, seconds: float) -> None:
        """One measured block."""
        self._say(f"block {seconds}")
        self.blocks.append(self._answer())

    def stop(self) -> None:
        """End the process."""
        self._say("stop")
        self.process.wait(timeout=300)

    def per_cpu_second(self, what: str) -> list[float]:
        """One figure per block: ``tokens`` or ``supervised``."""
        return [block[what] / block["cpu_s"] for block in self.blocks]

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith('{"'):
                return json.loads(line)
        sys.exit(f"{self.name}: the contender ended with status {self.process.wait()} before its block did")


def compare(names: Sequence[str], arguments: Sequence[str], options: argparse.Namespace, what: str) -> dict[str, Any]:
    """Run contenders in turns; ``what`` per CPU-second of each, and hone's ratio to the others."""
    contenders = [Contender(name, arguments) for name in names]
    for index in range(options.blocks):
        turn = index % len(contenders)
        for contender in contenders[turn:] + contenders[:turn]:
            contender.run_block(options.seconds)
            print(f"round {index + 1} of {options.blocks}: {contender.name:18} {contender.blocks[-1]}", file=sys.stderr)
    for contender in contenders:
        contender.stop()
    speed = {contender.name: contender.per_cpu_second(what) for contender in contenders}
    first = names[0]
    return {
        "block_seconds": options.seconds,
        f"{what}_per_cpu_second": speed,
        "blocks": {contender.name: contender.blocks for contender in contenders},
        f"{first}_over": {name: ratio_with_interval(speed[first], speed[name]) for name in names[1:]},
    }


def table(found: Mapping[str, Any], what: str) -> str:
    """A comparison as text."""
    lines = []
    for key, ratios in found.items():
        if key.endswith("_over"):
            lines += [
                f"  {key} {name}: {r['ratio']:.3f} ({r['low']:.3f} to {r['high']:.3f})" for name, r in ratios.items()
            ]
    for name, values in found[f"{what}_per_cpu_second"].items():
        mean = sum(values) / len(values)
        lines.append(f"  {name}: {mean:,.{0 if mean >= 100 else 2}f} {what} a CPU-second")
    return "\n".join(lines)


def options_of(description: str | None, *, blocks: int = 10) -> argparse.ArgumentParser:
    """The options that all comparisons share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--blocks", type=int, default=blocks, help=f"rounds of one block each (default {blocks})")
    parser.add_argument("--seconds", type=float, default=30.0, help="least length of a block (default 30)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each contender (default 1)")
    parser.add_argument("--only", default="", help="comma-separated contenders (default all; the first is compared)")
    parser.add_argument("--cache", type=Path, help="where prepared data is kept (default: a folder that is removed)")
    return parser


def present(names: Sequence[str]) -> list[str]:
    """Those whose package is installed; the others are named."""
    found = []
    for name in names:
        package = NEEDS.get(name.split("-", maxsplit=1)[0])
        if package is None or importlib.util.find_spec(package) is not None:
            found.append(name)
        else:
            print(f"{name} is left out: it needs {package}, which is not installed here", file=sys.stderr)
    return found


def wanted(options: argparse.Namespace, names: Sequence[str]) -> list[str]:
    """The contenders that are asked for, or all, as far as they are installed."""
    return present(options.only.split(",") if options.only else names)


def arguments_of(work: str, options: argparse.Namespace, cache: Path) -> list[str]:
    """The command line of a contender behind its name."""
    told = {"work": work, "data": options.data, "cache": cache, "threads": options.threads}
    return [word for key, value in told.items() for word in (f"--{key}", str(value))]


def cache_of(options: argparse.Namespace) -> Path:
    """The folder of prepared data; one that was not asked for is removed at the end."""
    if options.cache is None:
        options.cache = Path(tempfile.mkdtemp(prefix="hone-bench-"))
        atexit.register(shutil.rmtree, options.cache, ignore_errors=True)
    place: Path = options.cache
    place.mkdir(parents=True, exist_ok=True)
    return place
