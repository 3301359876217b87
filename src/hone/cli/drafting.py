"""Drafting a ``hone.yaml``: what is given is checked, what is missing asked for or proposed, problems gathered."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from hone.cli import columns as looking
from hone.cli.columns import Looked
from hone.cli.desk import Ask, Desk, shown
from hone.cli.foreseeing import foresee, leaving, verb_for
from hone.cli.lengths import propose_context
from hone.cli.proposing import propose_dev, propose_target
from hone.cli.task_text import task_text
from hone.cli.templating import braced, choose_templates, problems_of_template
from hone.data.checking import BadRows, Checker
from hone.data.read import Found, find
from hone.data.readers.contents import plain_suffix
from hone.data.readers.finding import TABLES
from hone.errors import InputError, meant, nearest
from hone.task.load import parse_task
from hone.task.metrics import DEFAULT_METRIC, METRICS, metric_problems
from hone.task.proof import unproven
from hone.task.spec import KINDS, Task
from hone.task.templates import columns as columns_of
from hone.wording import counted

_SQLITE = re.compile(r"(?P<scheme>sqlite(?:\+\w+)?:///)(?P<file>[^/:?](?:(?!::)[^?])*)")
_DATA_SUFFIXES = (*TABLES, ".txt")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A task ready to be written."""

    task: Task
    text: str
    lines: list[str]
    """What was decided and why, for people."""
    why: dict[str, str]
    warnings: list[str]
    """What is not as it should be, though the task can be written: it is among the lines too."""
    copies: list[tuple[Path, Path]]


def draft(args: argparse.Namespace, folder: Path, ask: Ask | None) -> Draft:
    """Make a task of what the command line says and the data suggests.

    Args:
        args: of ``hone init``.
        folder: the task folder to be.
        ask: asks a question with a proposal; None where nobody can be asked.

    Raises:
        InputError: with everything that is missing or wrong.
    """
    desk = Desk(args, folder, ask)
    desk.read_target()
    looked, found = _data(desk)
    _kind(desk, looked)
    if looked is not None and "kind" in desk.values:
        choose_templates(desk, looked)
    elif looked is not None and args.input:
        desk.problems += problems_of_template("input", braced(args.input, looked), looked)
    _metric(desk)
    if desk.problems or looked is None or found is None:
        raise InputError([*desk.problems, *_unread(desk, looked)])
    desk.put("data", *_place(desk, found["train"], args.data or desk.values["source"]))
    desk.put("test", *(_place(desk, found["test"], args.test) if args.test else (None, _NO_TEST)))
    looked = _usable(desk, looked)
    dev = propose_dev(looked)
    desk.put("dev", dev.value, dev.why)
    _foresee(desk, looked, found)
    _target(desk, looked)
    context, overlong = propose_context(_task(desk, desk.values["target"], 256), looked)
    desk.put("context", context.value, context.why)
    if overlong is not None:
        desk.put("overlong", overlong.value, overlong.why)
    return _finished(desk, looked, found)


def _usable(desk: Desk, looked: Looked) -> Looked:
    """What was seen without the rows that the task cannot use; with any, they are named and the task drops them.

    Raises:
        InputError: when no row is left.
    """
    desk.values["dev"] = 0.1  # of no account yet
    checker = Checker(_task(desk, 1.0, 256), str(desk.values["data"]))
    rows = list(checker.good(chain(looked.rows, looked.bad)))
    wrong = checker.rows - len(rows)
    if not wrong:
        return looked
    if not rows:
        raise InputError(checker.problems())
    of = f"{'the first ' if looked.more else ''}{counted(checker.rows, 'row')}"
    desk.put("bad_rows", "drop", f"{wrong:,} of {of} cannot be used: left out, where error would refuse")
    desk.said += checker.problems()
    return replace(looked, rows=tuple(rows))


def _unread(desk: Desk, looked: Looked | None) -> list[str]:
    """Rows that could not be read: beside other problems they may be why the data looks as it does."""
    bad = BadRows()
    for row in looked.bad if looked is not None else ():
        bad.add(row)
    return bad.problems(f"--data {desk.values['source']}", len(looked.rows) + len(bad)) if looked is not None else []


def _foresee(desk: Desk, looked: Looked, found: dict[str, Found]) -> None:
    """Count the rows of each split and those that leave, where all rows were seen and lie on this machine."""
    task = _task(desk, 1.0, 256)
    desk.values["budget"] = verb_for(task) == "solve"  # else there is no artifact to hold to one
    if looked.more or any(source.is_elsewhere for source in found.values()):
        return
    named = {"train": desk.values["source"], "test": desk.args.test}
    sources = {split: Path(text).expanduser() for split, text in named.items() if text}
    version, problems = foresee(task, sources, desk.folder)
    desk.warnings += problems
    if version is None:
        return
    desk.rows = {"dev": len(version.dev), "test": version.test.n}
    if desk.values["dev"] != len(version.dev):
        desk.why["dev"] += f": {counted(len(version.dev), 'row')}"
    if desk.values["test"] is None:
        desk.why["test"] = f"{_NO_TEST}: {counted(version.test.n, 'row')}"
    desk.why["clean"] = leaving(version)


_NO_TEST = "none named: a tenth of the rows is hashed out of train and sealed"


def _data(desk: Desk) -> tuple[Looked | None, dict[str, Found] | None]:
    source = desk.args.data
    if not source:
        there = _data_files(desk.folder) or _data_files(Path())
        hint = f"; there is {', '.join(there[:3])}" if there else ""
        if desk.ask is None:
            desk.problems.append(f"--data is missing: the file (or folder, glob, hub id) of the training rows{hint}")
            return None, None
        source = desk.ask("file of the training rows", there[0] if there else "")
    desk.values["source"] = source
    found: dict[str, Found] = {}
    looked = None
    for split, text in (("train", source), ("test", desk.args.test)):
        if text:
            try:
                found[split] = find(text, Path())
            except InputError as error:
                flag = "--data" if split == "train" else "--test"
                desk.problems += [f"{flag}: {problem}" for problem in error.problems]
    if "train" in found:
        try:
            looked = looking.look(source, Path())
        except InputError as error:
            desk.problems += error.problems
    return looked, found


def _data_files(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(
        str(path) for path in folder.iterdir() if path.is_file() and plain_suffix(path.name) in _DATA_SUFFIXES
    )


def _kind(desk: Desk, looked: Looked | None) -> None:
    given, why = desk.args.kind, "as given"
    if not given:
        guess = looking.propose_kind(looked) if looked is not None else None
        if desk.ask is not None and looked is not None:
            given, why = desk.ask(f"kind of task ({', '.join(KINDS)})", guess.value if guess else ""), "as answered"
        elif guess is not None and desk.args.yes:
            given, why = guess.value, guess.why
        else:
            if looked is None and "source" in desk.values:
                return  # it follows from the data, which could not be read
            hint = f"; this data looks like {guess.value} ({guess.why})" if guess else ""
            desk.problems.append(f"--kind is missing: one of {', '.join(KINDS)}{hint}")
            return
    if given not in KINDS:
        desk.problems.append(f'--kind "{given}" is not known; {nearest(given, KINDS)}')
        return
    desk.put("kind", given, why)


def _metric(desk: Desk) -> None:
    # Where the kind is wrong, metric and target are held against the one that was meant.
    kind, given = desk.values.get("kind") or meant(desk.args.kind or "", KINDS), desk.args.metric
    name = given or (DEFAULT_METRIC[kind] if kind is not None else "")
    if not name:
        return
    desk.problems += [f"--{problem}" for problem in metric_problems(name, kind, desk.target)]
    desk.put("metric", name, METRICS[name].source if name in METRICS else "your own function, mean over rows")


def _target(desk: Desk, looked: Looked) -> None:
    metric = METRICS.get(desk.values["metric"])
    if desk.target is not None:
        desk.put("target", desk.target, "as given")
    elif metric is None:
        raise InputError("--target is missing: it cannot be proposed for a metric of your own")
    else:
        _propose_target(desk, looked)
    if metric is not None:
        warning = unproven(metric, desk.values["target"], desk.rows)
        desk.warnings += [warning] if warning else []


def _propose_target(desk: Desk, looked: Looked) -> None:
    try:
        found = propose_target(lambda target: _task(desk, target, 256), looked, desk.rows)
    except InputError as error:
        raise InputError([*error.problems, *desk.said]) from None  # rows that cannot be used may be why it lacks some
    desk.put("target", found.value, found.why)
    if desk.ask is not None:
        given = desk.ask(f"target ({found.why})", f"{found.value:g}")
        try:
            desk.values["target"] = float(given)
        except ValueError:
            raise InputError(f'the target must be a number; got "{given}"') from None


def _place(desk: Desk, found: Found, text: str) -> tuple[str, str]:
    """How the task names a source: as it is (hub id), copied, relative where it lies beside or inside the folder."""
    if found.is_elsewhere:
        return _with_whole_path(text), "from the hub" if found.hub else "from elsewhere"
    if desk.args.copy:
        if len(found.files) != 1 or found.files[0].path != Path(text).expanduser():
            raise InputError(f"--copy copies single files; {text} is not one: leave --copy out")
        return found.files[0].stored_name, f"copied from {text}"
    full, folder = Path.cwd() / Path(text).expanduser(), desk.folder.resolve()
    # Dots are taken out by name and not by following links, so that a linked data folder keeps its name.
    plain = os.path.normpath(full)
    if Path(plain).is_relative_to(folder.parent):
        return os.path.relpath(plain, folder), "relative to this folder"
    return plain, "absolute: it lies elsewhere"


def _with_whole_path(text: str) -> str:
    """The URL of an SQLite file with all of its path: SQLAlchemy takes another as from where a command is run."""
    match = _SQLITE.match(text)
    if match is None or not Path(match["file"]).is_file():
        return text
    return f"{match['scheme']}{Path(match['file']).resolve()}{text[match.end() :]}"


def _task(desk: Desk, target: float, context: int) -> Task:
    return parse_task(_text(desk, target, context, "0 rows"))


def _text(desk: Desk, target: float, context: int, rows: str) -> str:
    from hone.cli.init import task_name

    return task_text(task_name(desk.folder), {**desk.values, "target": target, "context": context}, desk.why, rows)


def _finished(desk: Desk, looked: Looked, found: dict[str, Found]) -> Draft:
    values = desk.values
    rows = f"{looked.count()}: {', '.join(looked.names)}"
    text = _text(desk, values["target"], values["context"], rows)
    copies = []
    if desk.args.copy:
        copies = [(path, desk.folder / path.name) for split in found.values() for path in split.paths]
        copies = [pair for pair in copies if pair[0].resolve() != pair[1].resolve()]
    keys = ("kind", "conversation", "input", "output", "metric", "target", "dev", "test", "bad_rows")
    lines = [f"data: {values['data']}, {rows}"]
    if looked.format is not None and not set(looked.format.columns.values()).isdisjoint(_named(values)):
        lines.append(f"data: {looked.format.line}")
    lines += [f"bad row: {problem}" for problem in desk.said]
    lines += [
        f"{key}: {shown(values[key])} ({desk.why[key]})"
        for key in (*keys, "context", "overlong")
        if values.get(key) is not None and key in desk.why
    ]
    if values["test"] is None:
        lines.append(f"test: {desk.why['test']}")
    if desk.why.get("clean"):
        lines.append(f"clean: {desk.why['clean']}")
    lines += [f"warning: {warning}" for warning in desk.warnings]
    return Draft(task=parse_task(text), text=text, lines=lines, why=desk.why, warnings=desk.warnings, copies=copies)


def _named(values: dict[str, Any]) -> list[str]:
    """Columns that the task names."""
    return columns_of([values["input"], values["output"], values.get("conversation")])
