"""``hone smoke``: the whole way on a shrunken model of a task, with a table of seconds per stage."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

HELP = "the whole way on a shrunken model in seconds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="FOLDER", help="the task folder (here)")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; 0 when every stage held. What fails is raised, with its stage."""

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=sys.stderr, flush=True)

    begin = time.monotonic()
    outcome = _timed(args.folder, say)
    outcome["seconds"] = round(time.monotonic() - begin, 2)
    if not (args.quiet or args.json):
        _print_table(outcome)
    if args.json:
        print(json.dumps(outcome, ensure_ascii=False))
    return 0


def _timed(folder: Path, say: Any) -> dict[str, Any]:
    """Smoke with the seconds of imports and of reading the data, which run beside each other."""
    from hone import processes
    from hone.task.load import load_task
    from hone.task.own_metric import load_metric

    task = load_task(folder)
    load_metric(task.metric, folder)
    begin = time.monotonic()
    processes.warm_up()
    from hone.data.prepare import prepare
    from hone.smoke.whole_way import smoke
    from hone.smoke.workers import ready

    data = prepare(task, folder, folder / ".hone" / "cache", say)
    read_s = time.monotonic() - begin
    processes.run("imports", ready)
    imports_s = time.monotonic() - begin
    outcome = smoke(folder, task, data, say)
    stages = {"imports": round(imports_s, 2), "read": round(read_s, 2), **outcome["stages"]}
    return {**outcome, "stages_seconds": outcome["seconds"], "stages": stages}


def _print_table(outcome: dict[str, Any]) -> None:
    from hone.smoke.whole_way import STAGES

    what = {"imports": "torch and Transformers, once, in the warm process", "read": "the task's data, beside the imports"}
    for stage, seconds in outcome["stages"].items():
        print(f"{stage:<8} {seconds:6.2f} s  {(what | STAGES)[stage]}")
    print(f"{'stages':<8} {outcome['stages_seconds']:6.2f} s  data to serve; they run side by side")
    print(f"{'in all':<8} {outcome['seconds']:6.2f} s")
