"""``hone ablate``: does a cleaning rule help? The same small model with and without it, several seeds, an interval."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from hone.cli.interrupt import stoppable
from hone.cli.places import is_task_folder, task_folder
from hone.cli.taking import minutes
from hone.errors import InputError

WHEN_STOPPED = "stopped; every model that was done is kept: repeat the command to go on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument(
        "words",
        nargs="+",
        metavar="RULE ... [FOLDER]",
        help="names of rules, as hone look and hone data show them, or optional ones such as label-suspect; a word "
        "that is a task folder is FOLDER (default: this one)",
    )
    parser.add_argument("--minutes", type=minutes, default=10.0, help="the box, over all calls (default 10)")
    parser.add_argument("--seeds", type=int, default=3, help="3 to 10; more if there is time (default 3)")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status."""
    folders = [word for word in args.words if is_task_folder(Path(word).expanduser())]
    rules = [word for word in args.words if word not in folders]
    if not rules:
        raise InputError(
            f"no RULE is named; say which one to leave out and put back, such as: hone ablate duplicate {folders[0]} "
            "(hone look shows what each rule removes)"
        )
    if len(folders) > 1:
        raise InputError(f"one FOLDER, please; {len(folders)} of the words are task folders: {', '.join(folders)}")
    if len(rules) > 1 and not folders and not is_task_folder(Path()):
        # The last word was meant for the folder: this one is none.
        task_folder(rules[-1])
    folder = task_folder(folders[0] if folders else ".")
    from hone.solving.ablate import ablate

    out = sys.stderr if args.json else sys.stdout

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=out, flush=True)

    with stoppable() as pressed:
        result = ablate(folder, rules, minutes=args.minutes, seeds=args.seeds, say=say, should_stop=pressed.is_set)
    for line in lines(result):
        print(line, file=out)
    if args.json:
        print(json.dumps(result, ensure_ascii=False))
    return 0


def lines(result: dict[str, Any]) -> list[str]:
    """What people read: one line for each rule, and what it means."""
    words = {
        "better": "worth having",
        "worse": "does harm",
        "no difference seen": "no difference seen",
    }
    found = []
    for rule in result["rules"]:
        effect, metric = rule["difference"], result["metric"]
        interval = f"difference {effect['mean']:+.3f} [{effect['low']:+.3f}, {effect['high']:+.3f}], over 0 is better"
        found.append(
            f"{rule['rule']}: {words[effect['verdict']]}. {metric} {rule['with']:.3f} with it, {rule['without']:.3f} "
            f"without ({interval}), {effect['seeds']} seeds, {effect['rows']:,} dev rows; it removes "
            f"{rule['removed']:,} of {result['train']:,} training rows; a difference of {effect['detectable']:.3f} "
            "could have been seen"
        )
    return found
