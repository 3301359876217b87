"""``hone init``: a task folder from a shipped example, or from data by asking, proposing and saying why."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.errors import InputError, nearest

if TYPE_CHECKING:
    from hone.cli.drafting import Draft

TASK_FILE = "hone.yaml"
_MOST_SHOWN = 14
_OF_DATA = ("data", "test", "kind", "input", "output", "metric", "target", "copy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="the folder to make (default: this one)")
    parser.add_argument("--example", metavar="NAME", help="copy a shipped example: voice")
    parser.add_argument("--data", metavar="FILE", help="training rows: file, folder, glob or hub id; it stays there")
    parser.add_argument("--test", metavar="FILE", help="sealed test rows (default: a tenth of the rows is hashed out)")
    parser.add_argument("--kind", help="classify, multi-label, tag, extract, generate or language-model")
    parser.add_argument("--input", metavar="TEMPLATE", help='the prompt, for example "{text}" (not for language-model)')
    parser.add_argument(
        "--output", metavar="TEMPLATE", help='the answer: "{label}", or for extract {intent: "{intent}", ...}'
    )
    parser.add_argument("--metric", help="what is measured (default: the kind's own)")
    parser.add_argument("--target", metavar="X", help="the value at which the task counts as solved")
    parser.add_argument("--copy", action="store_true", help="copy the data into FOLDER instead of naming it")
    parser.add_argument("--yes", action="store_true", help="take every proposal, the kind included, without asking")
    parser.add_argument("--force", action="store_true", help=f"overwrite an existing {TASK_FILE}")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status."""
    folder = Path(args.folder or args.example or ".").expanduser()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; FOLDER is the folder to make")
    say = _unsaid if args.quiet else _say
    if args.example is not None:
        given = [f"--{name}" for name in _OF_DATA if getattr(args, name)]
        if given:
            raise InputError(f"--example brings its own data and task; leave out {', '.join(given)}")
        document = _example(args.example, folder, args.force, say)
    else:
        from hone.cli.drafting import draft

        asks = sys.stdin.isatty() and not args.yes and not args.json
        made = draft(args, folder, _ask if asks else None)
        for line in made.lines:
            say(line)
        document = _write(made, folder, args.force, say)
    from hone.cli.foreseeing import verb_for
    from hone.task.load import load_task
    from hone.wording import counted

    verb = verb_for(load_task(folder))
    warnings = counted(len(document["warnings"]), "warning") if document.get("warnings") else ""
    state = f"written, with {warnings}" if warnings else "ready"
    print(f"{folder / TASK_FILE} is {state}; next: hone check {folder}, then hone {verb} {folder}")
    if args.json:
        print(json.dumps(document, ensure_ascii=False))
    return 0


def _write(made: Draft, folder: Path, force: bool, say: Any) -> dict[str, Any]:
    from hone.files import atomic_write

    path = folder / TASK_FILE
    changes = _changes(path, made.text)
    if changes and not force:
        raise InputError(f"{path} is already there; --force would change:\n" + "\n".join(changes))
    folder.mkdir(parents=True, exist_ok=True)
    for source, target in made.copies:
        say(f"copied {source} to {atomic_write(target, source.read_bytes())}")
    atomic_write(path, made.text)
    for line in changes:
        say(line)
    return {"folder": str(folder), "task": made.task.to_json(), "why": made.why, "warnings": made.warnings}


def _changes(path: Path, text: str) -> list[str]:
    """What writing ``text`` would change, as lines with - and +; empty when nothing, or there is no file."""
    if not path.exists():
        return []
    import difflib

    old = path.read_text(encoding="utf-8", errors="replace").splitlines()
    lines = [f"  {line}" for line in difflib.unified_diff(old, text.splitlines(), lineterm="", n=0)][2:]
    lines = [line for line in lines if not line.startswith("  @@")]
    more = len(lines) - _MOST_SHOWN
    return lines[:_MOST_SHOWN] + ([f"  and {more} more lines"] if more > 0 else [])


def _example(name: str, folder: Path, force: bool, say: Any) -> dict[str, Any]:
    from importlib.resources import files

    from hone.files import atomic_write

    shelf = files("hone") / "examples"
    known = sorted(entry.name for entry in shelf.iterdir() if (entry / TASK_FILE).is_file())
    if name not in known:
        raise InputError(f'there is no example "{name}"; {nearest(name, known)}')
    contents = {entry.name: entry.read_bytes() for entry in (shelf / name).iterdir() if entry.is_file()}
    others = [
        file
        for file, content in contents.items()
        if (folder / file).exists() and (folder / file).read_bytes() != content
    ]
    if others and not force:
        raise InputError(
            f"{folder} already has other files of these names: {', '.join(others)}; --force overwrites them"
        )
    for file in sorted(contents, key=lambda file: file == TASK_FILE):  # the task last: without it the folder is none
        atomic_write(folder / file, contents[file])
    size = sum(map(len, contents.values()))
    say(f"copied the example {name} to {folder}: {len(contents)} files, {size / 1e6:.1f} MB")
    return {"folder": str(folder), "example": name, "files": sorted(contents)}


def task_name(folder: Path) -> str:
    """A task's name from its folder's."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")
    return plain[:64] or "task"


def _ask(question: str, proposal: str) -> str:
    """Ask on the terminal; an empty answer takes the proposal.

    Raises:
        InputError: at the end of input without a proposal.
    """
    try:
        while True:
            given = input(f"{question}{f' [{proposal}]' if proposal else ''}: ").strip()
            if given or proposal:
                return given or proposal
    except EOFError:
        print(file=sys.stderr)
        if proposal:
            return proposal
        raise InputError(f"nothing was answered to: {question}") from None


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _unsaid(line: str) -> None:
    del line
