"""Drafting a ``hone.yaml``: what is given is checked, what is missing asked for or proposed, problems gathered."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, get_args

from hone.cli import columns as looking
from hone.cli.columns import Looked, Proposal
from hone.cli.lengths import propose_context
from hone.cli.proposing import propose_dev, propose_target
from hone.cli.task_text import task_text
from hone.data.checking import Checker
from hone.data.read import Found, find
from hone.data.readers.contents import plain_suffix
from hone.data.readers.finding import TABLES
from hone.errors import InputError, nearest
from hone.task.load import parse_task
from hone.task.metrics import DEFAULT_METRIC, METRICS
from hone.task.spec import Kind, Task
from hone.task.templates import columns as columns_of
from hone.task.templates import template_problems
from hone.wording import counted

Ask = Callable[[str, str], str]
KINDS: tuple[str, ...] = get_args(Kind)
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
    copies: list[tuple[Path, Path]]


@dataclass
class _Desk:
    """What is on the table while a task is drafted."""

    args: argparse.Namespace
    folder: Path
    ask: Ask | None
    problems: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def put(self, key: str, value: Any, why: str) -> None:
        self.values[key], self.why[key] = value, why


def draft(args: argparse.Namespace, folder: Path, ask: Ask | None) -> Draft:
    """Make a task of what the command line says and the data suggests.

    Args:
        args: of ``hone init``.
        folder: the task folder to be.
        ask: asks a question with a proposal; None where nobody can be asked.

    Raises:
        InputError: with everything that is missing or wrong.
    """
    desk = _Desk(args, folder, ask)
    looked, found = _data(desk)
    _kind(desk, looked)
    if looked is not None and "kind" in desk.values:
        _templates(desk, looked)
    elif looked is not None and args.input:
        desk.problems += _template_problems("input", _braced(args.input, looked), looked)
    _metric(desk)
    if desk.problems or looked is None or found is None:
        raise InputError(desk.problems)
    desk.put("data", *_place(desk, found["train"], args.data or desk.values["source"]))
    desk.put("test", *(_place(desk, found["test"], args.test) if args.test else (None, _NO_TEST)))
    looked = _usable(desk, looked)
    dev = propose_dev(looked)
    desk.put("dev", dev.value, dev.why)
    _target(desk, looked)
    context, overlong = propose_context(_task(desk, desk.values["target"], 256), looked)
    desk.put("context", context.value, context.why)
    if overlong is not None:
        desk.put("overlong", overlong.value, overlong.why)
    return _finished(desk, looked, found)


def _usable(desk: _Desk, looked: Looked) -> Looked:
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


_NO_TEST = "none named: a tenth of the rows is hashed out of train and sealed"


def _data(desk: _Desk) -> tuple[Looked | None, dict[str, Found] | None]:
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


def _kind(desk: _Desk, looked: Looked | None) -> None:
    given, why = desk.args.kind, "as given"
    if not given:
        guess = looking.propose_kind(looked) if looked is not None else None
        if desk.ask is not None and looked is not None:
            given, why = desk.ask(f"kind of task ({', '.join(KINDS)})", guess.value if guess else ""), "as answered"
        elif guess is not None and desk.args.yes:
            given, why = guess.value, guess.why
        else:
            if looked is None and desk.args.data:
                return  # it follows from the data, which could not be read
            hint = f"; this data looks like {guess.value} ({guess.why})" if guess else ""
            desk.problems.append(f"--kind is missing: one of {', '.join(KINDS)}{hint}")
            return
    if given not in KINDS:
        desk.problems.append(f'--kind "{given}" is not known; {nearest(given, KINDS)}')
        return
    desk.put("kind", given, why)


def _templates(desk: _Desk, looked: Looked) -> None:
    """Input and output: given ones are checked against the columns, missing ones proposed."""
    kind, args = desk.values["kind"], desk.args
    given_in, given_out = args.input, args.output
    talk = looking.propose_conversation(looked, kind) if given_in is None and given_out is None else None
    if talk is not None:
        desk.put("conversation", _proposed(desk, "conversation", talk), desk.why.get("conversation", talk.why))
        tools = looked.format.columns.get("tools") if looked.format is not None else None
        desk.values |= {"input": None, "output": None, "tools": f"{{{tools}}}" if tools else None}
        return
    if kind == "language-model" and given_in:
        desk.problems.append("--input: a language-model task has no prompt; the text column goes in --output")
    output = None if given_out is None else _read_output(given_out, kind, looked)
    prompt = None if given_in is None else _braced(given_in, looked)
    of_format = looking.propose_of_format(looked, kind)
    if output is None:
        taken = columns_of(prompt) if prompt else []
        output = _proposed(desk, "output", of_format[1] if of_format else _propose_output(kind, looked, taken))
        if isinstance(output, str):
            output = _read_output(output, kind, looked)
    else:
        desk.why["output"] = "as given"
    if prompt is None and kind != "language-model":
        wish = of_format[0] if of_format else looking.propose_input(looked, columns_of(output))
        prompt = _proposed(desk, "input", wish)
        prompt = None if prompt is None else _braced(prompt, looked)
    else:
        desk.why["input"] = "as given"
    desk.values |= {"input": prompt, "output": output}
    for key, part in (("input", prompt), ("output", output)):
        desk.problems += _template_problems(key, part, looked)


def _propose_output(kind: str, looked: Looked, taken: list[str]) -> Proposal | None:
    if kind == "language-model":
        return looking.propose_document(looked)
    if kind == "classify":
        return looking.propose_label(looked)
    if kind in looking.LISTS:
        return looking.propose_list(kind, looked)
    if not taken:
        # The prompt is chosen first: what it takes is no part of the answer.
        label = looking.propose_input(looked)
        taken = columns_of(label.value) if label else []
    return looking.propose_object(looked, taken) if kind == "extract" else looking.propose_text(looked, taken)


def _proposed(desk: _Desk, key: str, proposal: Proposal | None) -> Any:
    shown = "" if proposal is None else _shown(proposal.value)
    if desk.ask is not None:
        given = desk.ask(f"{key} template" + (f" ({proposal.why})" if proposal else ""), shown)
        desk.why[key] = proposal.why if proposal and given == shown else "as answered"
        return proposal.value if proposal and given == shown else given
    if proposal is None:
        example = f'--{key} "{{column}}"'
        what, form = looking.LISTS.get(desk.values["kind"] if key == "output" else "", ("", ""))
        why = f"no column holds {what}, such as {form}" if what else "no column suggests itself"
        desk.problems.append(f"--{key} is missing, and {why}; give it, such as {example}")
        return None
    desk.why[key] = proposal.why
    return proposal.value


def _template_problems(key: str, part: Any, looked: Looked) -> list[str]:
    if problems := template_problems(part):
        return [f"--{key}: {problem}" for problem in problems]
    names = looked.names
    problems = [
        f'--{key} names the column "{name}", which the data has not; {nearest(name, names)} '
        f"(columns: {', '.join(names)})"
        for name in columns_of(part)
        if name not in names
    ]
    if part and not problems and not columns_of(part):
        problems.append(f"--{key} {_shown(part)} names no column; write {{column}} (columns: {', '.join(names)})")
    return problems


def _braced(text: str, looked: Looked) -> str:
    """A bare column's name stands for its template."""
    return "{" + text + "}" if text in looked.names else text


def _read_output(text: str, kind: str, looked: Looked) -> Any:
    """An answer's template as typed: text, or for extract an object in YAML, or columns with commas between."""
    if kind != "extract":
        return _braced(text, looked)
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--output {text}: not a YAML or JSON object ({' '.join(str(error).split())})") from None
    if isinstance(value, dict) and any(part is not None for part in value.values()):
        return value
    names = list(value) if isinstance(value, dict) else [name.strip(" {}") for name in text.split(",")]
    return {str(name): "{" + str(name) + "}" for name in names}


def _metric(desk: _Desk) -> None:
    kind, given = desk.values.get("kind"), desk.args.metric
    name = given or (DEFAULT_METRIC[kind] if kind is not None else "")
    if not name:
        return
    metric = METRICS.get(name)
    if metric is None and "." not in name:
        known = sorted(key for key, item in METRICS.items() if kind is None or kind in item.kinds)
        desk.problems.append(f'--metric "{name}" is not known; {nearest(name, known)}')
        meant = difflib.get_close_matches(name, known, n=1, cutoff=0.5)  # as the sentence has it
        metric = METRICS[meant[0]] if meant else None
        if metric is not None and desk.args.target is not None and (wrong := metric.check_target(desk.args.target)):
            desk.problems.append(f"--{wrong}")
        return
    if metric is not None:
        target = desk.args.target
        faults = [kind and metric.check_kind(kind), None if target is None else metric.check_target(target)]
        desk.problems += [f"--{problem}" for problem in faults if problem]
    desk.put("metric", name, metric.source if metric else "your own function, mean over rows")


def _target(desk: _Desk, looked: Looked) -> None:
    if desk.args.target is not None:
        desk.put("target", desk.args.target, "as given")
        return
    if desk.values["metric"] not in METRICS:
        raise InputError("--target is missing: it cannot be proposed for a metric of your own")
    try:
        found = propose_target(lambda target: _task(desk, target, 256), looked)
    except InputError as error:
        raise InputError([*error.problems, *desk.said]) from None  # rows that cannot be used may be why it lacks some
    desk.put("target", found.value, found.why)
    if desk.ask is not None:
        given = desk.ask(f"target ({found.why})", f"{found.value:g}")
        try:
            desk.values["target"] = float(given)
        except ValueError:
            raise InputError(f'the target must be a number; got "{given}"') from None


def _place(desk: _Desk, found: Found, text: str) -> tuple[str, str]:
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


def _task(desk: _Desk, target: float, context: int) -> Task:
    return parse_task(_text(desk, target, context, "0 rows"))


def _text(desk: _Desk, target: float, context: int, rows: str) -> str:
    from hone.cli.init import task_name

    return task_text(task_name(desk.folder), {**desk.values, "target": target, "context": context}, desk.why, rows)


def _finished(desk: _Desk, looked: Looked, found: dict[str, Found]) -> Draft:
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
        f"{key}: {_shown(values[key])} ({desk.why[key]})"
        for key in (*keys, "context", "overlong")
        if values.get(key) is not None and key in desk.why
    ]
    if values["test"] is None:
        lines.append(f"test: {_NO_TEST}")
    return Draft(task=parse_task(text), text=text, lines=lines, why=desk.why, copies=copies)


def _named(values: dict[str, Any]) -> list[str]:
    """Columns that the task names."""
    return columns_of([values["input"], values["output"], values.get("conversation")])


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'{key}: "{part}"' for key, part in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value).replace("\n", "\\n")
