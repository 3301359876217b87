"""``hone look``: a report on bare files or on a task's data, rows in tokens, dropped rows beside what proves it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.cli import wishing
from hone.cli.places import is_task_folder
from hone.cli.taking import folder_given, refuse_untaken
from hone.errors import InputError

if TYPE_CHECKING:
    from hone.cli.look_survey import Looked

WHEN_STOPPED = (
    "stopped; nothing is half written. Repeat the command to go on: what was measured is kept, "
    "except with --sensitive, which keeps nothing"
)
SHOWN = 5
_OF_FILES = frozenset(f"--{name}" for name in ("sample", "preset", "bad-rows", *wishing.OF_FILES, *wishing.OPTIONS))
_REPORT = frozenset({"--out", "--sensitive", "--seed", "--workers", "--tabular"})
_DROPPED = frozenset({"--dropped", "--sensitive", "--workers"})
TAKES = {
    "a report on files": _REPORT | _OF_FILES,
    "a report on a task": _REPORT,
    "--dropped of files": _DROPPED | _OF_FILES | {"--out"},
    "--dropped of a sample of files": _DROPPED | _OF_FILES | {"--out", "--seed"},
    "--dropped of a task": _DROPPED,
    # With --sensitive it refuses to show anything.
    "--tokens": frozenset({"--tokens", "--sensitive", "--rows", "--seed", "--workers"}),
}
"""Options by what is asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument(
        "sources",
        nargs="*",
        default=["."],
        metavar="FOLDER|FILE",
        help="the task folder (default: this one), or files, globs and addresses without a task",
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--tokens", action="store_true", help="show rows as tokens, prompt and supervised in two colours"
    )
    shown.add_argument("--dropped", metavar="RULE", help="page through the rows that a rule removes, beside the proof")
    shown.add_argument("--tabular", action="store_true", help="profile columns of numbers too (fg-data-profiling)")
    parser.add_argument("--out", metavar="DIR", help="folder of the report (default: look, in the task folder or here)")
    parser.add_argument("--sensitive", action="store_true", help="show no text, label or value of a field anywhere")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is chosen at random (default 0)")
    parser.add_argument("--rows", type=int, default=8, metavar="N", help="rows shown by --tokens (default 8)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default 1)")
    files = parser.add_argument_group("bare files")
    files.add_argument("--sample", type=int, metavar="N", help="look at N rows; every figure then has an interval")
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
    action = _action(args)
    # A task folder answers options of files with the section of hone.yaml that says the same.
    refuse_untaken(args.given, action, TAKES, _OF_FILES if action.endswith("a task") else ())
    if args.workers < 1:
        raise InputError(f"--workers {args.workers}: expected 1 or more processes")
    if args.out:
        folder_given("--out", args.out)
    if args.tokens:
        from hone.cli.look_tokens import show_tokens

        return show_tokens(args)
    if args.tabular:
        from hone.cli.look_tabular import check_installed

        check_installed()
    from hone.cli.look_sensitive import place_of_texts
    from hone.cli.look_survey import sayer, survey

    with place_of_texts(args, sayer(args)) as place:
        if args.dropped is not None:
            from hone.cli.look_dropped import show_dropped

            return show_dropped(args, survey(args, looking=False, place=place))
        return _report(args, survey(args, looking=True, place=place))


def _action(args: argparse.Namespace) -> str:
    """What a command line asks for, as a key of :data:`TAKES`."""
    if args.tokens:
        return "--tokens"
    of_task = args.sources == ["."] or any(is_task_folder(Path(word).expanduser()) for word in args.sources)
    if args.dropped is None:
        return "a report on a task" if of_task else "a report on files"
    if of_task:
        return "--dropped of a task"
    return "--dropped of files" if args.sample is None else "--dropped of a sample of files"


def _report(args: argparse.Namespace, looked: Looked) -> int:
    from hone.cli.stages import Stages
    from hone.data.looking.html import html
    from hone.data.looking.of_survey import document_of
    from hone.files import atomic_write

    with Stages(quiet=args.quiet) as stages:
        document = document_of(looked.survey, looked.options, stages.tell)
    page = atomic_write(looked.out / f"{looked.stem}.html", html(document))
    # Without indents: a reader of JSON is a program, and the document of a large corpus has thousands of lines.
    record = atomic_write(looked.out / f"{looked.stem}.json", _json(document) + "\n")
    out = sys.stderr if args.json else sys.stdout
    say_headline(document, lambda line: print(line, file=out))
    print(f"report: {page} (open it in a browser), {record}", file=out)
    tabular = None
    if args.tabular:
        from hone.cli.look_tabular import write_profile

        tabular = write_profile(looked)
        print(f"columns: {tabular}", file=out)
    if args.json:
        told = {key: document[key] for key in ("title", "rows", "of", "headline", "alerts")}
        told |= {"kept": document["waterfall"]["kept"], "report": str(page), "document": str(record)}
        print(_json(told | ({"tabular": str(tabular)} if tabular else {})))
    return 0


def say_headline(document: dict[str, Any], say: Callable[[str], None]) -> None:
    """Rows, what is wrong most, and what acts on it, for a terminal."""
    from hone.data.looking.markup import interval_told, percent, value_told

    figures = []
    for figure in document["headline"]:
        value = value_told(figure["value"], figure["unit"])
        if figure["high"] is None and figure["low"] is not None:
            value = f"at least {value}"
        elif told := interval_told(figure, figure["unit"]):
            value = f"{value} ({told})"
        name = figure["name"]
        counted = f"{value} {name.removesuffix('s') if figure['value'] == 1 else name}"
        figures.append(counted if figure["unit"] == "count" else f"{name} {value}")
    say(f"{document['title']}: {', '.join(figures)}")
    found = document["alerts"]
    say("what is wrong most:" if found else "nothing that hone looks for is wrong")
    for alert in found[:SHOWN]:
        say(f"  {percent(alert['share']):>8}  {alert['title']}")
        for line in _act(alert):
            say(line)
    if len(found) > SHOWN:
        say(f"  and {len(found) - SHOWN} more in the report")


def _act(alert: dict[str, Any]) -> list[str]:
    """What acts on an alert, in lines: a look at rows that a person has to judge; or a change with what it does."""
    from hone.data.looking.alerts import READ_FIRST

    indent = " " * 12
    if alert["name"] in READ_FIRST and alert["command"]:
        return [indent + alert["command"]]
    if alert["apply"]:
        return [f"{indent}{alert['effect']}:", indent + alert["apply"]]
    if not alert["yaml"]:
        return [indent + alert["command"]] if alert["command"] else []
    lines = alert["yaml"].splitlines()
    # Several lines stand at the margin, so that they can be copied as they are.
    shown = lines if len(lines) > 1 else [indent + lines[0]]
    return [f"{indent}{alert['effect']}; {alert['place']}:", *shown]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def out_folder(args: argparse.Namespace, base: Path) -> Path:
    """The folder of reports: as given, or ``look`` beside the data's task."""
    return folder_given("--out", args.out) if args.out else base / "look"
