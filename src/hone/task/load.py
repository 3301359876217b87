"""Reading ``hone.yaml``: every problem at once, each with its line, the value given and the nearest name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from hone.errors import InputError, meant, nearest
from hone.task.expected import expected, shown
from hone.task.metrics import metric_problems
from hone.task.not_yaml import why_not_yaml
from hone.task.spec import KINDS, Clean, Data, Device, Message, RuleWish, Task

FILE_NAME = "hone.yaml"
Place = tuple[str | int, ...]
"""The keys that lead to a value, from the top."""
Lines = dict[Place, int]
Also = Callable[[Clean, str, bool], Sequence[tuple[Place, str]]]
"""Takes the ``clean`` section as far as its form is right, the kind, and whether its preset is; gives more problems."""
Sources = Callable[[dict[str, str]], Iterable[tuple[Place, str]]]
"""Takes the sources of the ``data`` section by their keys; gives those that are not there."""

_READ_AS = {"bool": "a boolean", "int": "a number", "float": "a number", "null": "nothing", "timestamp": "a date"}

_SECTIONS: dict[tuple[str, ...], type[Any]] = {(): Task, ("data",): Data, ("device",): Device, ("clean",): Clean}


def load_task(folder: str | Path, also: Also | None = None, sources: Sources | None = None) -> Task:
    """Read and check the task of a folder.

    Names of transforms, rules and signals are known to the rooms above: ``also`` checks them, see
    :func:`hone.data.task_file.load_task`. So does ``sources`` with data; it is asked where something else is wrong,
    since whoever reads the data says it otherwise.

    Raises:
        InputError: the folder or file is missing, is not YAML, or has wrong keys or values; all problems at once.
    """
    path = Path(folder)
    path = path / FILE_NAME if path.is_dir() or path.suffix not in (".yaml", ".yml") else path
    if not path.exists():
        raise InputError(
            f"{path}: there is no such file; a task folder holds a {FILE_NAME} "
            "(`hone init FOLDER --data FILE --kind KIND` makes one)"
        )
    task = parse_task(path.read_text(encoding="utf-8"), str(path), also, sources)
    base = path.parent / task.base
    # A base beside hone.yaml is found wherever the command is typed.
    own = not task.base.startswith("scratch") and base.exists()
    return task.model_copy(update={"base": str(base.resolve())}) if own else task


def folder_around(path: Path) -> Path | None:
    """The task folder that a path lies in; None where it lies in none."""
    return next((one for one in path.resolve().parents if (one / FILE_NAME).is_file()), None)


def parse_task(text: str, name: str = FILE_NAME, also: Also | None = None, sources: Sources | None = None) -> Task:
    """Like :func:`load_task`, from the text itself; ``name`` stands before each line number."""
    data, lines, problems = _read_yaml(text, name)
    task, errors = _validate(data)
    wrong = {_plain_loc(item["loc"], data) for item in errors}
    if errors:
        between = _between(data, wrong)
        errors += between
        wrong |= {_plain_loc(item["loc"], data) for item in between}
    problems += [sentence for item in errors for sentence in _sentences(item, data, lines, name)]
    if also is not None:
        for place, sentence in also(*_right_part(data, wrong)):
            problems.append(f"{name}:{_line(place, lines)}: {sentence}")
    if task is None and not problems:
        problems += [_sentence(item, _plain_loc(item["loc"], data), item["msg"], lines, name) for item in errors]
    if problems and sources is not None:
        found = sources(_right_sources(data, wrong))
        problems += [f"{name}:{_line(place, lines)}: {sentence}" for place, sentence in found]
    if task is None or problems:
        raise InputError(sorted(dict.fromkeys(problems), key=_line_of))
    return task


def _validate(data: Any) -> tuple[Task | None, list[Any]]:
    try:
        return Task.model_validate(data), []
    except ValidationError as error:
        return None, list(error.errors())


def _between(data: dict[str, Any], wrong: set[Place]) -> list[Any]:
    """What is wrong between keys, where some are wrong by themselves.

    These rules run only once each key is right: the wrong ones are taken out, and those that a task cannot lack have a
    stand-in, the kind the one that was meant. Where that cannot be told, the metric and its target are looked at.
    """
    rest = _without(data, wrong)
    kind = data.get("kind") if ("kind",) not in wrong else meant(str(data.get("kind", "")), KINDS)
    if kind is None:
        metric, target = rest.get("metric"), rest.get("target")
        found = metric_problems(metric, None, target) if isinstance(metric, str) else []
        return [{"type": "value_error", "loc": (), "msg": "\n".join(found), "input": data}] if found else []
    section = rest.get("data")
    tried = {"task": "task", "target": 0.0, **rest, "kind": kind}
    tried["data"] = {"train": "rows", **(section if isinstance(section, dict) else {})}
    more = []
    for item in _validate(tried)[1]:
        if item["loc"]:
            more += [item] if _plain_loc(item["loc"], data) not in wrong else []
            continue
        # What a rule says of a key that is wrong by itself, or of its stand-in, is said already.
        told = item["msg"].removeprefix("Value error, ").split("\n")
        told = [line for line in told if (line.split(":", 1)[0],) not in wrong]
        more += [{**item, "msg": "\n".join(told)}] if told else []
    return more


def _right_sources(data: dict[str, Any], wrong: set[Place]) -> dict[str, str]:
    """Sources of the ``data`` section that are right by their form."""
    section = data.get("data")
    named = section if isinstance(section, dict) and ("data",) not in wrong else {}
    known = ("train", "dev", "test", "ood")
    return {
        key: source
        for key in known
        if isinstance(source := named.get(key), str) and source and ("data", key) not in wrong
    }


def _right_part(data: dict[str, Any], wrong: set[Place]) -> tuple[Clean, str, bool]:
    """The ``clean`` section without what is wrong by its form, the kind, and whether the preset is right."""
    # Of a rule, a signal or the transforms nothing is left where a part of it is wrong.
    whole = {place[:2] if place[:2] == ("clean", "transforms") else place[:3] for place in wrong if len(place) > 1}
    rest = _without(data, whole).get("clean")
    section = {key: value for key, value in rest.items() if _is_right(key, value)} if isinstance(rest, dict) else {}
    return Clean.model_validate(section), str(data.get("kind", "")), ("clean", "preset") not in wrong


def _is_right(key: str, value: Any) -> bool:
    """Whether a key of the ``clean`` section is right by itself."""
    try:
        Clean.model_validate({key: value})
    except ValidationError:
        return False
    return True


def _without(data: Any, wrong: set[tuple[str | int, ...]], here: tuple[str | int, ...] = ()) -> Any:
    if isinstance(data, dict):
        return {key: _without(value, wrong, (*here, key)) for key, value in data.items() if (*here, key) not in wrong}
    return data


def _read_yaml(text: str, name: str) -> tuple[Any, Lines, list[str]]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(why_not_yaml(error, text, name)) from None
    if not isinstance(data, dict):
        given = "nothing" if data is None else type(data).__name__
        raise InputError(f"{name}: expected keys such as task, kind, data; found {given}")
    lines: Lines = {}
    problems: list[str] = []
    _collect(root, (), lines, problems, name)
    return _with_text_keys(data), lines, problems


def _collect(node: Any, path: Place, lines: Lines, problems: list[str], name: str) -> None:
    """The line of each key, and what is wrong with keys: one stands twice, or is none to YAML."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, key.value)
            line = key.start_mark.line + 1
            dotted = ".".join(map(str, here))
            if here in lines:
                problems.append(f"{name}:{line}: {dotted} stands twice, first on line {lines[here]}; keep one")
            kind = key.tag.rpartition(":")[2]
            if kind not in ("str", "merge"):
                read_as = _READ_AS.get(kind, f"a value of the kind {kind}")
                problems.append(
                    f'{name}:{line}: {dotted}: YAML reads {key.value} as {read_as}; quote it: "{key.value}"'
                )
            lines.setdefault(here, line)
            _collect(value, here, lines, problems, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*path, index)] = value.start_mark.line + 1
            _collect(value, (*path, index), lines, problems, name)


def _with_text_keys(data: Any) -> Any:
    """Without keys that are no text, which are said already, and what stands below them."""
    if isinstance(data, dict):
        return {key: _with_text_keys(value) for key, value in data.items() if isinstance(key, str)}
    return [_with_text_keys(value) for value in data] if isinstance(data, list) else data


def _sentences(item: Any, data: Any, lines: Lines, name: str) -> list[str]:
    if _is_of_another_form(item, data):
        return []
    loc = _plain_loc(item["loc"], data)
    message = item["msg"].removeprefix("Value error, ")
    message = re.sub("valid dictionary( or instance of \\w+)?", "table, such as key: value", message)
    if item["type"] == "value_error" and not loc:
        return _own_problems(message, lines, name)
    return [_sentence(item, loc, message, lines, name)]


def _sentence(item: Any, loc: tuple[str | int, ...], message: str, lines: Lines, name: str) -> str:
    dotted = ".".join(map(str, loc))
    line = _line(loc, lines)
    where = f"{name}:{line}" if line else name
    if item["type"] == "extra_forbidden":
        known = _keys_of(_model_of(loc[:-1]))
        return f'{where}: unknown key "{dotted}"; {nearest(str(loc[-1]), known)}'
    if item["type"] == "missing":
        return f"{where}: {dotted} is missing; {_hint(dotted)}"
    given = item.get("input")
    if wanted := _wanted(item, loc):
        return f"{where}: {dotted}: {wanted}; got {shown(given)}"
    got = f"; got {shown(given)}" if not isinstance(given, dict | list) and "got" not in message else ""
    return f"{where}: {dotted}: {message.replace('Input should be', 'must be')}{got}"


def _wanted(item: Any, loc: Place) -> str:
    """What a key takes, where what is wrong with its value is its type or size; empty for every other error."""
    model = _model_of(loc[:-1])
    if item["type"] in ("value_error", "assertion_error") or not loc or loc[-1] not in _keys_of(model):
        return ""
    words = expected(model, str(loc[-1]))
    return f"must be {words}" if words else ""


def _own_problems(message: str, lines: Lines, name: str) -> list[str]:
    sentences = []
    for problem in message.split("\n"):
        key = problem.split(":", 1)[0]
        line = lines.get((key,))
        sentences.append(f"{name}:{line}: {problem}" if line else f"{name}: {problem}")
    return sentences


def _is_of_another_form(item: Any, data: Any) -> bool:
    """Whether an error is of the form that a value was not written in, where it may be a word or a table."""
    place = tuple(item["loc"])
    if place[:2] not in (("clean", "rules"), ("clean", "transforms")) or len(place) < 4:
        return False
    return isinstance(data["clean"][place[1]][place[2]], dict) == (place[3] in ("bool", "str"))


def _plain_loc(loc: tuple[Any, ...], data: Any) -> tuple[str | int, ...]:
    # Pydantic adds the tried member of a union ("int", "list[Message]") to the path: keep what the file has.
    kept: list[str | int] = []
    here = data
    for part in loc:
        if isinstance(here, dict) and (part in here or not kept or part == loc[-1]) and _is_key(part):
            kept.append(part)
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            kept.append(part)
            here = here[part]
    return tuple(kept)


def _is_key(part: Any) -> bool:
    return isinstance(part, str) and not part.endswith("]") and part not in ("int", "float", "str", "bool")


def _line(loc: tuple[str | int, ...], lines: Lines) -> int | None:
    while loc:
        if loc in lines:
            return lines[loc]
        loc = loc[:-1]
    return None


def _model_of(section: Place) -> type[Any]:
    """The class that reads a section."""
    if section[:2] == ("clean", "rules"):
        return RuleWish
    return _SECTIONS.get(tuple(str(part) for part in section if not isinstance(part, int)), Message)


def _keys_of(model: type[Any]) -> list[str]:
    return [field.alias or key for key, field in model.model_fields.items()]


_HINTS = {
    "task": "give the task a short name",
    "kind": "one of classify, multi-label, tag, extract, generate, language-model",
    "target": "the value of the metric at which the task counts as solved, such as 0.8",
    "data": "at least data: {train: FILE}",
    "data.train": "the file or folder of training rows",
}


def _hint(key: str) -> str:
    return _HINTS.get(key, "see the README for an example")


def _line_of(problem: str) -> tuple[int, str]:
    parts = problem.split(":")
    return (int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0, problem)
