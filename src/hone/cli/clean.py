"""``hone clean``: carry out the cleaning of a task or of bare files, as a data version that can be undone."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hone.cli import wishing
from hone.cli.places import check_there, is_task_folder, task_folder
from hone.cli.taking import folder_given
from hone.errors import InputError
from hone.wording import counted

MOST_RULES = 8
"""Rules that get a line of their own."""
WHEN_STOPPED = "stopped; nothing half made is left. Repeat the command to go on: what was measured is kept"
CACHE = Path(".hone") / "cache"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument(
        "sources",
        nargs="*",
        default=["."],
        metavar="FOLDER|FILE",
        help="the task folder (default: this one), or files, globs and addresses without a task",
    )
    parser.add_argument("--dry-run", action="store_true", help="decide and show, write no version")
    back = parser.add_mutually_exclusive_group()
    back.add_argument("--to", metavar="VERSION", help="go back to an earlier version: hone.yaml takes its cleaning")
    back.add_argument("--undo", action="store_true", help="go back to the parent of the newest version")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes (default: one for each core)")
    files = parser.add_argument_group("bare files")
    files.add_argument("--out", metavar="DIR", help="folder that gets the version (needed for files)")
    files.add_argument("--preset", choices=("task", "web", "none"), default="task", help="rules (default task)")
    files.add_argument("--test", default="", metavar="FILE", help="rows that must not be trained on")
    files.add_argument("--against", action="append", default=[], metavar="FILE", help="benchmark file; may be repeated")
    wishing.add_arguments(files)
    files.add_argument("--bad-rows", choices=("error", "drop"), default="error", help="rows that cannot be used")
    files.add_argument("--text", default="", metavar="COLUMN", help="column of the text, if not the one proposed")
    files.add_argument("--answer", default="", metavar="COLUMN", help="column of the answer")
    files.add_argument("--label", default="", metavar="COLUMN", help="column of the label")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status."""
    check_there(args.sources)
    folders = [word for word in args.sources if is_task_folder(Path(word).expanduser())]
    if folders or args.sources == ["."]:
        if len(args.sources) > 1:
            raise InputError(f"one task folder, please, or files alone; got {', '.join(args.sources)}")
        wishing.refuse_for_a_task(args, task_folder(args.sources[0]), "out")
        return _clean_task(args, task_folder(args.sources[0]))
    if args.to or args.undo:
        raise InputError("--to and --undo go back in a task folder; for files choose a version in the --out folder")
    return _clean_files(args)


def _clean_task(args: argparse.Namespace, folder: Path) -> int:
    out = sys.stderr if args.json else sys.stdout

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=out)

    from hone.cli.going_back import going_back
    from hone.cli.stages import Stages
    from hone.data.making import record
    from hone.data.prepare import prepare
    from hone.data.task_file import load_task
    from hone.data.versions import head

    back = going_back(folder, args.to) if args.to or args.undo else None
    task = load_task(folder) if back is None else back.task
    before = head(folder)
    with Stages(quiet=args.quiet) as stages:
        data = prepare(
            task,
            folder,
            folder / CACHE,
            say,
            workers=_workers(args),
            on_progress=stages.tell,
            recorded=not args.dry_run,
        )
    version_id = data.making.version_id(data.id, data.ledger)
    document: dict[str, Any] = {
        "folder": str(folder),
        "version": version_id,
        "data": data.id,
        "parent": before if before != version_id else "",
        "written": not args.dry_run,
        "counts": data.counts,
        "left_out": data.ledger.counts(),
        "rules": list(data.making.rules),
    }
    if not args.dry_run:
        document["parent"] = record(folder, data, say).parent
    if back is not None:
        # Only now: what cannot be prepared leaves hone.yaml as it was.
        if not args.dry_run:
            back.write()
        for line in back.said:
            say(f"--dry-run, so not written: {line}" if args.dry_run else line)
    _say_rules(document["rules"], say)
    what = "would be" if args.dry_run else "is"
    line = f"data version {version_id} {what} {len(data.train):,} train and {len(data.dev):,} dev rows"
    look = shlex.join(["hone", "look", str(folder), "--dropped", "RULE"])
    left = f"; {len(data.ledger.entries):,} left out ({look} shows them beside what proves it)"
    print(line + (left if data.ledger.entries else ""), file=out)
    if document["parent"] and not args.dry_run:
        say(
            f"what changed: hone data diff {document['parent']} {version_id} {folder}; undo: hone clean {folder} --undo"
        )
    if args.json:
        print(json.dumps(document, ensure_ascii=False, default=str))
    return 0


def _clean_files(args: argparse.Namespace) -> int:
    if not args.out and not args.dry_run:
        bare = [f"{word} holds no hone.yaml, so its files are taken; " for word in args.sources if Path(word).is_dir()]
        raise InputError(f"{''.join(bare)}files need --out DIR for the cleaned rows (or --dry-run, which writes none)")
    out = sys.stderr if args.json else sys.stdout

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=out)

    from hone.cli.stages import Stages
    from hone.data.cleaned_files import clean_files, counts_read, ledger_of
    from hone.data.survey import Wishes, survey_files

    place = folder_given("--out", args.out) if args.out else Path()
    section = wishing.section(args)
    wishes = Wishes(
        text=args.text,
        answer=args.answer,
        label=args.label,
        test=args.test,
        bad_rows=args.bad_rows,
        workers=_workers(args),
    )
    with Stages(quiet=args.quiet) as stages:
        survey = survey_files(
            args.sources, Path(), section, place / CACHE, say, wishes=wishes, looking=False, on_progress=stages.tell
        )
        ledger, kept = books = ledger_of(survey, section)
    for name, count in survey.changed.items():
        say(f"transform {name}: {counted(count, 'row')} changed")
    counts = survey.decisions.counts()
    rules = [{"name": rule.name, "keeps": rule.sentence(), **counts[rule.name]} for rule in survey.plan.rules]
    _say_rules(rules, say)
    if args.dry_run:
        print(f"{len(kept):,} of {counted(counts_read(ledger), 'row')} would be kept", file=out)
    else:
        version = clean_files(survey, section, place, lambda line: print(line, file=out), books)
    document = {
        "version": None if args.dry_run else version.id,
        "place": None if args.dry_run else str(place / "versions" / version.id),
        "kept": len(kept),
        "read": counts_read(ledger),
        "left_out": ledger.counts(),
        "changed": survey.changed,
        "rules": rules,
        "sources": [] if args.dry_run else [asdict(source) for source in version.sources],
    }
    if args.json:
        print(json.dumps(document, ensure_ascii=False, default=str))
    return 0


def _say_rules(rules: list[dict[str, Any]], say: Any) -> None:
    """The rules that remove the most, one line each; all of them are in ``--json`` and in the version's record."""
    failing = sorted((rule for rule in rules if rule["fails"]), key=lambda rule: -rule["fails"])
    shown = failing if len(failing) <= MOST_RULES + 1 else failing[:MOST_RULES]
    width = max((len(rule["name"]) for rule in shown), default=0)
    for rule in shown:
        name, fails = f"{rule['name']:<{width}}", counted(rule["fails"], "row")
        say(f"  {name}  {fails:>13}, {rule['alone']:>9,} by it alone; keeps {rule['keeps']}")
    if more := failing[len(shown) :]:
        say(f"  and {len(more)} more rules, which remove up to {counted(more[0]['fails'], 'row')} each")


def _workers(args: argparse.Namespace) -> int:
    from hone.hardware import usable_cores

    if args.workers < 0:
        raise InputError(f"--workers {args.workers}: expected 1 or more processes")
    return int(args.workers) or usable_cores()
