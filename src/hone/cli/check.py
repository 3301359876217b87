"""``hone check``: is the task folder right, and what will solving cost? Nothing is trained."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from hone.cli.places import HELP_FOLDER, task_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help=HELP_FOLDER)
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of hone.yaml and end")
    parser.add_argument("--seed", type=int, default=0, help="of the recipe that is estimated (default 0)")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status."""
    if args.schema:
        from hone.task.spec import json_schema

        print(json.dumps(json_schema(), ensure_ascii=False, indent=None if args.json else 2))
        return 0
    folder = task_folder(args.folder)
    from hone.cli.foreseeing import verb_for
    from hone.solving.check import check

    # With --json standard output is the document alone; a person reads the lines beside it.
    out = sys.stderr if args.json else sys.stdout

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=out)

    checked = check(folder, args.seed, say, say)
    data = checked.data
    left_out = len(data.ledger.entries)
    verb = verb_for(checked.task)
    right = "right, but for the target" if checked.warning else "right"
    print(
        f"{checked.task.name}: {right}. train {len(data.train):,}, dev {len(data.dev):,}, test {data.test.n:,} rows, "
        f"{left_out:,} left out; next: hone {verb} {args.folder}",
        file=out,
    )
    if args.json:
        document: dict[str, Any] = {
            "folder": str(folder),
            "task": checked.task.to_json(),
            "data": data.id,
            "counts": data.counts,
            "left_out": left_out,
            "warning": checked.warning,
            "labels": list(data.labels),
            "test_only_labels": list(data.test_only_labels),
            "recipe": checked.recipe.model_dump(mode="json"),
            "memory_bytes": round(checked.memory_bytes),
            "epoch_s": round(checked.epoch_s, 1),
            "ledger": [asdict(entry) for entry in data.ledger.entries[:20]],
        }
        print(json.dumps(document, ensure_ascii=False, default=str))
    return 0
