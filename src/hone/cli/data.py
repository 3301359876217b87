"""``hone data``: versions, what changed between two, the story of a row, edits of single rows."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.cli import editing
from hone.cli.editing import exactly
from hone.cli.places import is_task_folder, no_folder
from hone.cli.taking import refuse_untaken
from hone.errors import InputError, nearest
from hone.wording import counted

if TYPE_CHECKING:
    from hone.data.diffing import Diff
    from hone.task.spec import Task

Document = dict[str, Any]
Say = Callable[[str], None]
TAKES: Mapping[str, frozenset[str]] = {
    "list": frozenset(),
    "show": frozenset(),
    "diff": frozenset(),
    "lineage": frozenset(),
    "edit": frozenset({"--why"}),
    "drop": frozenset({"--why"}),
    "fit-toxicity": frozenset({"--text", "--label", "--toxic", "--out", "--seed"}),
}
"""Options by action."""
SHOWN_FIGURES = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked of an action: the folder, the other words, the reason of an edit."""

    folder: Path
    words: Sequence[str]
    why: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="ACTION",
        help="list | show VERSION | diff VERSION VERSION | lineage ROW | edit ROW COLUMN=VALUE ... | drop ROW | "
        "fit-toxicity FILE; a word that is a folder with versions or a hone.yaml is the FOLDER (default: this one). "
        "VERSION is an id, its first digits, or head; ROW an id as reports show it, such as train.jsonl:17",
    )
    parser.add_argument("--why", default="", metavar="TEXT", help="the reason of an edit, recorded with it")
    fit = parser.add_argument_group("fit-toxicity: a linear classifier from labelled rows")
    fit.add_argument("--text", default="", metavar="COLUMN", help="column of the text")
    fit.add_argument("--label", default="", metavar="COLUMN", help="column of the label")
    fit.add_argument("--toxic", action="append", default=[], metavar="VALUE", help="a toxic label; may be repeated")
    fit.add_argument("--out", default="", metavar="DIR", help="folder of the classifier (safetensors and JSON)")
    fit.add_argument("--seed", type=int, default=0, help="of folds and held-out rows (default 0)")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status."""
    out = sys.stderr if args.json else sys.stdout

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=out)

    action, *rest = args.words or ["list"]
    actions = _actions()
    if action not in actions:
        if _is_place(Path(action)) and not rest:
            action, rest = "list", [action]
        else:
            raise InputError(f'"{action}" is no action of hone data; {nearest(action, list(actions))}')
    refuse_untaken(args.given, action, TAKES)
    if action == "fit-toxicity":
        from hone.cli.fitting import fit_toxicity

        document = fit_toxicity(args, rest, say)
    else:
        folders = [word for word in rest if _is_place(Path(word).expanduser())]
        words = [word for word in rest if word not in folders]
        if len(folders) > 1:
            raise InputError(f"one FOLDER, please; {len(folders)} of the words are folders: {', '.join(folders)}")
        document = actions[action](Asked(Path(folders[0]).expanduser() if folders else Path(), words, args.why), say)
    if args.json:
        print(json.dumps(document, ensure_ascii=False, default=str))
    return 0


def _actions() -> dict[str, Callable[[Asked, Say], Document]]:
    return {
        "list": _list,
        "show": _show,
        "diff": _diff,
        "lineage": _lineage,
        "edit": lambda asked, say: editing.edit(asked.folder, asked.words, asked.why, say),
        "drop": lambda asked, say: editing.drop(asked.folder, asked.words, asked.why, say),
        "fit-toxicity": _list,
    }


def _is_place(path: Path) -> bool:
    return is_task_folder(path) or (path / "versions").is_dir()


def _list(asked: Asked, say: Say) -> Document:
    folder, words = asked.folder, asked.words
    from hone.data.versions import head, survey_versions

    for word in words:
        there = Path(word).expanduser().is_dir()
        problem = f"{word} holds no data version and no hone.yaml" if there else no_folder(Path(word).expanduser())
        raise InputError(problem)
    (found, problems), newest = survey_versions(folder), head(folder)
    if not found and not problems:
        say(f"{folder}: no data version yet; hone clean {folder} makes one")
    for version in found:
        mark = "*" if version.id == newest else " "
        rows = ", ".join(
            f"{name} {version.counts[name]:,}" for name in ("train", "dev", "kept") if name in version.counts
        )
        parent = f"from {version.parent}" if version.parent else "the first"
        count = version.patches["count"]
        edits = f", {counted(count, 'edit')}" if count else ""
        say(f"{mark} {version.id}  {version.made}  {rows}  {parent}{edits}  clean {json.dumps(dict(version.clean))}")
    if problems:
        say(f"{len(problems):,} that cannot be read:")
    for problem in problems:
        say(f"  {problem}")
    document = {"folder": str(folder), "head": newest, "versions": [asdict(version) for version in found]}
    return {**document, "unreadable": problems}


def _show(asked: Asked, say: Say) -> Document:
    folder, words = asked.folder, asked.words
    from hone.data.versions import find_version, version_ledger

    exactly(words, 1, "show takes one VERSION")
    version = find_version(folder, words[0])
    parent = f"parent {version.parent}" if version.parent else "no parent"
    say(f"data version {version.id}, made {version.made}, {parent}")
    for source in version.sources:
        licences = ", ".join(f"{name} {count:,}" for name, count in source.licences.items()) or "no licence column"
        what = "sealed" if source.split == "test" else f"{counted(source.rows, 'row')}, {licences}"
        say(f"  source {source.name} ({source.split}): sha256 {source.sha256[:12] or 'of no file'}, {what}")
    if version.patches["count"]:
        say(f"  edits by hand: {version.patches['count']:,}")
    for step in version.transforms:
        params = _params(step, ("name", "version", "changed"))
        say(f"  transform {step['name']} {step['version']}{params}: {counted(step['changed'], 'row')} changed")
    if not version.transforms:
        say("  no transforms")
    for name, signal in version.signals.items():
        say(f"  signal {name} {signal['version']}{_params(signal, ('version',))}")
    for rule in version.rules:
        fails = counted(rule["fails"], "row")
        say(f"  rule {rule['name']}: {fails}, {rule['alone']:,} alone; keeps {rule['keeps']}")
        say(f"       {rule['source']}")
    left_out = version_ledger(folder, version.id).counts()
    say(f"  counts: {', '.join(f'{name} {count:,}' for name, count in version.counts.items())}")
    return {**asdict(version), "left_out": left_out}


def _params(step: Mapping[str, Any], beside: Sequence[str]) -> str:
    """Parameters of a step, as the section of ``hone.yaml`` writes them; empty when there are none."""
    params = {name: value for name, value in step.items() if name not in beside}
    return f" {json.dumps(params, ensure_ascii=False, default=str)}" if params else ""


def _diff(asked: Asked, say: Say) -> Document:
    folder, words = asked.folder, asked.words
    from hone.cli.profiling import profile_of
    from hone.data.diffing import diff
    from hone.data.hidden import hidden

    exactly(words, 2, "diff takes two VERSIONs")
    task = _task(folder)
    try:
        test = None if task is None else hidden(task, folder)
    except InputError as error:
        test = None
        say(f"which rows are of the test now cannot be told: {'; '.join(error.problems)}")
    found = diff(folder, words[0], words[1], profile_of(folder, task), test)
    _say_diff(found, say)
    document = asdict(found)
    document["a"], document["b"] = found.a.id, found.b.id
    return document


def _say_diff(found: Diff, say: Say) -> None:
    say(
        f"{found.a.id} -> {found.b.id}: {counted(found.rows_in, 'row')} in, {found.rows_out:,} out, "
        f"{found.rows_changed:,} changed, {found.rows_moved:,} moved between splits, {found.same:,} the same"
    )
    if found.dev:
        say(found.dev)
    if found.renumbered:
        rows = counted(found.renumbered, "row has", "rows have")
        say(f"{rows} another line number, found by content")
    for kind, groups in found.groups.items():
        for group in groups:
            say(f"{kind}: {group.count:,} {group.reason}")
            for sample in group.samples:
                evidence = f" [{sample['evidence']}]" if sample["evidence"] else ""
                say(f"    {sample['row']}: {sample['text']}{evidence}")
    if found.figures:
        say("figures that moved, the most first:")
    for figure in found.figures[:SHOWN_FIGURES]:
        one, other = told_apart(figure["a"], figure["b"])
        say(f"    {figure['name']}: {one} -> {other}")
    if len(found.figures) > SHOWN_FIGURES:
        say(f"    and {len(found.figures) - SHOWN_FIGURES:,} more; --json gives all")


def told_apart(one: float | None, other: float | None) -> tuple[str, str]:
    """Two different values in as many digits as tell them apart, four at least; ``none`` for none."""
    largest = max(abs(value or 0) for value in (one, other))
    whole = all(value is None or float(value).is_integer() for value in (one, other))
    digits = 0 if whole or not largest else max(0, 3 - math.floor(math.log10(largest)))
    while True:
        shown = ["none" if value is None else f"{value:,.{digits}f}" for value in (one, other)]
        if shown[0] != shown[1] or one == other:
            return shown[0], shown[1]
        digits += 1


def _lineage(asked: Asked, say: Say) -> Document:
    folder, words = asked.folder, asked.words
    from hone.data.lineage import lineage
    from hone.lab.lab import Lab

    exactly(words, 1, "lineage takes one ROW")
    events = lineage(folder, words[0], _task(folder))
    said = {str(event.values["data"]) for event in events if event.values.get("kept")}
    for event in events:
        say(f"{event.step:<9} {event.sentence}")
    runs = []
    if is_task_folder(folder) and (folder / "runs").is_dir():
        # Runs know their data by its content, which versions made in several ways can share.
        runs = [run.folder.name for run in Lab(folder, say=lambda line: None).runs() if run.header.data_id in said]
        if runs:
            say(f"{'run':<9} in the data of {counted(len(runs), 'run')}: {', '.join(runs[:10])}")
    return {"row": words[0], "events": [asdict(event) for event in events], "runs": runs}


def _task(folder: Path) -> Task | None:
    from hone.task.load import load_task

    return load_task(folder) if is_task_folder(folder) else None
