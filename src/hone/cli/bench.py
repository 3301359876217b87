"""``hone bench``: artifacts measured again, side by side, and certified again for the runtimes installed now."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hone.cli.places import artifact_at, is_task_folder
from hone.errors import HoneError, InputError

if TYPE_CHECKING:
    from hone.deploy.artifact.side_by_side import Measured

PAGE = "bench.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument(
        "artifacts",
        nargs="*",
        default=["."],
        metavar="ARTIFACT|FOLDER",
        help="artifacts, or task folders for all that were recorded of them (default: this folder's)",
    )
    parser.add_argument("--page", metavar="FILE", help=f"the page with the frontier (default: {PAGE} beside the first)")
    parser.add_argument("--keep", action="store_true", help="leave the certificates as they are, and only show")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status: 3 when an artifact was not measured or does not hold any more."""
    paths = _artifacts(args.artifacts)
    from hone.deploy.artifact.side_by_side import measure_again
    from hone.deploy.probing import yardstick_ms
    from hone.solving.originals import Originals

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=sys.stderr, flush=True)

    measured, originals, sticks = [], Originals(), [yardstick_ms()]
    for place, path in enumerate(paths, 1):
        say(f"{place} of {len(paths)}: opening and measuring {path}")
        measured.append(measure_again(path, write=not args.keep, original=originals, say=say))
        sticks.append(yardstick_ms())
    lost = [f"{one.name}: its certificate was not written anew: {one.unwritten}" for one in measured if one.unwritten]
    lost += [] if args.keep else _record(args.artifacts, measured)
    some = any(one.found is not None for one in measured)
    written = not args.keep and not lost and some
    page = _page(Path(args.page).expanduser() if args.page else paths[0].parent / PAGE, measured, lost)
    _show(measured)
    for line in [*lost, *(disturbed(sticks) if some else [])]:
        print(line)
    if page is not None:
        print(f"page: {page}")
    if args.json:
        document = {"page": page and str(page), "written": written, "artifacts": [one.to_json() for one in measured]}
        print(json.dumps(document, ensure_ascii=False))
    return 0 if all(one.holds for one in measured) and not lost else 3


def disturbed(sticks: Sequence[float]) -> list[str]:
    """A line where a fixed piece of work took longer at times than it can: what else ran is in the times, then."""
    from hone.deploy.probing import DISTURBED

    most, least = max(sticks), min(sticks)
    if most <= DISTURBED * least:
        return []
    longer = f"a fixed piece of work took {most / least - 1:.0%} longer at one moment than at another"
    return [f"the machine was busy: {longer}, so times may be off by as much; measure again when it is quiet"]


def _page(place: Path, measured: Sequence[Measured], lost: list[str]) -> Path | None:
    """Where the page was written; None where nothing was measured, or it could not be, which ``lost`` takes."""
    from hone.deploy.artifact.side_by_side import page_of_all
    from hone.files import atomic_write

    if all(one.found is None for one in measured):
        return None
    try:
        return atomic_write(place, page_of_all(measured))
    except (HoneError, OSError) as error:
        lost.append(f"the page was not written: {error}; name another place with --page")
        return None


def _artifacts(words: Sequence[str]) -> list[Path]:
    """The artifacts that words name, each once.

    Raises:
        InputError: with every word that names none.
    """
    found: list[Path] = []
    problems: list[str] = []
    for word in words:
        path = Path(word).expanduser()
        try:
            found += _recorded(path) if is_task_folder(path) else [artifact_at(word)]
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return list(dict.fromkeys(found))


def _recorded(folder: Path) -> list[Path]:
    """All artifacts of a task folder that are still there."""
    from hone.lab.lab import Lab

    recorded = [folder / item.path for item in Lab(folder, say=lambda line: None).artifacts()]
    there = [path for path in recorded if path.exists()]
    return there or [artifact_at(str(folder))]


def _record(words: Sequence[str], measured: Sequence[Measured]) -> list[str]:
    """Write down what was measured in the lab that knows the artifact: of a folder that was named, or its own.

    Returns:
        a sentence for each that could not be.
    """
    from hone.deploy.artifact.folder import artifact_folder
    from hone.lab.lab import Lab

    lost = []
    for one in measured:
        if one.found is None or one.unwritten:
            continue
        path = artifact_folder(one.path) or one.path
        places = [*(Path(word).expanduser() for word in words), path.resolve().parent.parent]
        try:
            for folder in filter(is_task_folder, places):
                if Lab(folder, say=lambda line: None).record_again(path, one.found.certificate):
                    break
        except (HoneError, OSError) as error:
            lost.append(f"{one.name}: it was not written down in the lab: {error}")
    return lost


def _show(measured: Sequence[Measured]) -> None:
    """The table, then what has changed and what does not hold, artifact by artifact."""
    from hone.deploy.artifact.side_by_side import COLUMNS, names_of, rows_of

    if rows := rows_of(measured):
        lines = [COLUMNS, *rows]
        widths = [max(len(line[at]) for line in lines) for at in range(len(COLUMNS))]
        for line in lines:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for name, one in zip(names_of(measured), measured, strict=True):
        if one.found is None:
            print(f"{name} was not measured: {one.problem}")
            continue
        for change in one.found.changes:
            print(f"{name}: {change}")
        for failure in one.found.failures:
            print(f"{name} does not hold any more: {failure}")
