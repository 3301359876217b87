"""``hone smoke``: the whole way on a shrunken model of a task, with a table of seconds per stage."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hone.cli.places import HELP_FOLDER, task_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help=HELP_FOLDER)


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; 0 when every stage held. What fails is raised, with its stage."""
    begin = time.monotonic()
    folder = task_folder(args.folder)
    # With --json standard output is the document alone; a person reads the lines beside it.
    out = sys.stderr if args.json else sys.stdout

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=out, flush=True)

    outcome = _timed(folder, say)
    outcome["seconds"] = round(time.monotonic() - begin, 2)
    for line in _table(outcome):
        print(line, file=out)
    if args.json:
        print(json.dumps(outcome, ensure_ascii=False))
    return 0


def _timed(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
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
    return {**outcome, "seconds": 0.0, "stages_seconds": outcome["seconds"], "stages": stages}


def _table(outcome: dict[str, Any]) -> list[str]:
    from hone.smoke.whole_way import STAGES

    what = {"imports": "torch and Transformers, in the warm process", "read": "the task's data, beside the imports"}
    rows = [(stage, seconds, (what | STAGES)[stage]) for stage, seconds in outcome["stages"].items()]
    rows.append(("stages", outcome["stages_seconds"], "from data to serve; they run side by side"))
    rows.append(("in all", outcome["seconds"], "everything held"))
    lines = [f"{stage:<8} {seconds:6.2f} s  {text}" for stage, seconds, text in rows]
    return [*lines, *filter(None, [outcome["stand_in"]])]
