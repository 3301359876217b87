"""``--rule``, ``--transform`` and ``--signal``: what bare files say in place of the ``clean`` section of ``hone.yaml``.

They are read into that section, so they mean what its lines mean and are recorded with a version as those are.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hone.errors import InputError, nearest

if TYPE_CHECKING:
    from hone.data.rules import Rule
    from hone.task.spec import Clean, RuleWish

SOURCE = "command line"
"""Where a threshold is from that was given so."""
OPTIONS = ("rule", "transform", "signal")
"""Options for what the ``clean`` section says."""
OF_FILES = ("test", "against", "text", "answer", "label")
"""Options for what the ``data`` section says."""
_SWITCH = {"": True, "on": True, "true": True, "off": False, "false": False}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_ENDS = re.compile(rf"({_NUMBER})?\.\.({_NUMBER})?")
_HOW_CHANGED = "expected on, off, a number, or ends such as 20.. or ..100 or 20..100"
_HOW_OWN = "a rule over a column says what it keeps: 20.. or ..100 or 20..100, or words such as en,de"


def add_arguments(files: argparse._ArgumentGroup) -> None:
    """Declare the three options in the group of those for bare files."""
    files.add_argument(
        "--rule",
        action="append",
        default=[],
        metavar="NAME[=WISH]",
        help="add a rule; =off leaves one of the preset out, =20 moves its threshold (of two the lower one), 20.. "
        "and ..100 say the end; COLUMN=..0.5 is one of your own, COLUMN=en,de keeps these words; may be repeated",
    )
    files.add_argument(
        "--transform",
        action="append",
        default=[],
        metavar="NAME[:PARAM=VALUE]",
        help="add a transform to the preset's, such as redact:kinds=email,phone; =off leaves one out; may be repeated",
    )
    files.add_argument(
        "--signal",
        action="append",
        default=[],
        metavar="NAME:PARAM=VALUE",
        help="parameters of a signal, such as near:threshold=0.8; may be repeated",
    )


def section(args: argparse.Namespace) -> Clean:
    """The ``clean`` section that the options of a command line stand for.

    Raises:
        InputError: every name, parameter and threshold that is wrong, all at once.
    """
    from hone.task.spec import Clean

    return _wished(args, Clean(preset=args.preset, against=args.against), None, Path())


def words(args: argparse.Namespace) -> list[str]:
    """The three options as they were given, for a command that means the same."""
    return [word for name in OPTIONS for value in getattr(args, name) for word in (f"--{name}", value)]


def refuse_for_a_task(args: argparse.Namespace, folder: Path, *also: str) -> None:
    """A task folder says in ``hone.yaml`` what is read and how it is cleaned; options beside it would have no effect.

    Args:
        args: the command line.
        folder: the task folder.
        also: further options of the verb that are for bare files alone.

    Raises:
        InputError: when one is given; for rules, transforms and signals with the section to write there.
    """
    of_files = [f"--{name}" for name in (*also, *OF_FILES, "preset", "bad-rows")]
    named = [option for option in of_files if option in args.given]
    if named:
        raise InputError(f"{', '.join(named)}: for bare files; a task folder says this in hone.yaml (data, clean)")
    given = [f"--{name}" for name in OPTIONS if getattr(args, name)]
    if not given:
        return
    import yaml

    from hone.task.load import load_task
    from hone.task.spec import Clean

    task = load_task(folder)
    made = _wished(args, task.clean if task.clean.version is None else Clean(), task.kind, folder)
    document = made.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    for wish in document.get("rules", {}).values():
        if isinstance(wish, dict) and wish.get("source") == SOURCE:
            del wish["source"]
    lines = yaml.safe_dump({"clean": document}, default_flow_style=None, sort_keys=False, allow_unicode=True, width=110)
    raise InputError(
        f"{', '.join(given)}: for bare files; a task folder says this in hone.yaml. In {folder / 'hone.yaml'} the "
        f"section would be:\n{lines.rstrip()}"
    )


def _wished(args: argparse.Namespace, base: Clean, kind: str | None, folder: Path) -> Clean:
    """A section with the wishes of a command line added, checked as far as it can be without rows.

    ``kind`` is the task's; None for bare files, whose rows have not been seen yet. Paths begin at ``folder``.
    """
    from hone.data.cleaning import Given, plan_of

    problems: list[str] = []
    rules = _each(args.rule, "rule", lambda word: _rule(word, base.preset, kind), problems)
    signals = _each(args.signal, "signal", _signal, problems)
    transforms = _each(args.transform, "transform", _step, problems)
    try:
        made = base.model_copy(
            update={
                "rules": {**base.rules, **rules},
                "signals": {
                    **base.signals,
                    **{name: {**base.signals.get(name, {}), **p} for name, p in signals.items()},
                },
                "transforms": _transforms(base, kind, transforms, problems) if transforms else base.transforms,
            }
        )
        plan_of(made, kind or "table", Given(folder=folder))
    except InputError as error:
        problems += [_as_options(problem) for problem in error.problems]
    if problems:
        raise InputError(problems)
    return made


def _each(
    given: Sequence[str], option: str, read: Callable[[str], tuple[str, Any]], problems: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in given:
        try:
            name, wish = read(word)
        except InputError as error:
            problems += [f"--{option} {word}: {problem}" for problem in error.problems]
            continue
        if name in found:
            problems.append(f"--{option} {word}: {name} is named twice; say all in one --{option}")
        found[name] = wish
    return found


def _rule(word: str, preset_name: str, kind: str | None) -> tuple[str, bool | RuleWish]:
    """A rule's name and what is wished of it, as in ``clean.rules``."""
    from pydantic import ValidationError

    from hone.data.presets import OPTIONAL, preset
    from hone.data.signals.registry import OWN
    from hone.task.spec import RuleWish

    name, _, wish = word.partition("=")
    rule = OPTIONAL.get(name)
    if rule is None and "." not in name and not name.startswith(OWN):
        raise InputError(f"no rule has this name; {_near(name, list(OPTIONAL))}")
    if rule is not None and wish.lower() in _SWITCH:
        on = _SWITCH[wish.lower()]
        kinds = ["table", "generate"] if kind is None else [kind]
        if not on and name not in [one.name for each in kinds for one in preset(preset_name, each).rules]:
            raise InputError(f"preset {preset_name} has no such rule, so leaving it out changes nothing")
        return name, on
    low, high = _ends(name, wish, rule)
    if low is None and high is None:
        if rule is not None or wish.lower() in _SWITCH or ".." in wish:
            raise InputError(_HOW_CHANGED if rule is not None else _HOW_OWN)
        return name, RuleWish(column=name, one_of=wish.split(","), source=SOURCE)
    if rule is not None and rule.low is None and rule.high is None:
        raise InputError(
            f"keeps rows where {rule.sentence()}, so it has no threshold of its own; its signal takes parameters, such "
            "as --signal near:threshold=0.8"
        )
    try:
        return name, RuleWish(column=None if rule is not None else name, min=low, max=high, source=SOURCE)
    except ValidationError as error:
        raise InputError([one["msg"].removeprefix("Value error, ") for one in error.errors()]) from None


def _ends(name: str, wish: str, rule: Rule | None) -> tuple[float | None, float | None]:
    """Both ends of a threshold as typed; None for what is not said, and for words."""
    if ends := _ENDS.fullmatch(wish):
        low, high = (None if end is None else float(end) for end in ends.groups())
        return low, high
    if re.fullmatch(_NUMBER, wish):
        return _end(name, None if rule is None else (rule.low, rule.high), wish)
    return None, None


def _end(name: str, ends: tuple[float | None, float | None] | None, number: str) -> tuple[float | None, float | None]:
    """The end that a number alone moves: the one that a rule has; of two the lower, where that leaves room."""
    value = float(number)
    if ends is not None and ends[0] is None:
        return None, value
    if ends is None or (ends[1] is not None and value > ends[1]):
        raise InputError(f"say which end: {name}={number}.. keeps {number} and more, {name}=..{number} it and less")
    return value, None


def _step(word: str) -> tuple[str, dict[str, Any] | bool]:
    """A transform's name and its parameters, or False to leave it out."""
    from hone.data.transforms.registry import TRANSFORMS

    name, params = _named(word)
    name, _, switch = name.partition("=")
    if name not in TRANSFORMS:
        raise InputError(f"no transform has this name; {_near(name, list(TRANSFORMS))}")
    if switch.lower() not in _SWITCH:
        raise InputError(f"expected on, off, or parameters such as {name}:PARAM=VALUE")
    if not _SWITCH[switch.lower()]:
        return name, False
    defaults = {field.name: field.default for field in fields(cast(Any, TRANSFORMS[name]))}
    lists = [
        key for key, value in params.items() if isinstance(defaults.get(key), tuple) and not isinstance(value, list)
    ]
    return name, {**params, **{key: [params[key]] for key in lists}}


def _transforms(
    base: Clean, kind: str | None, wishes: Mapping[str, dict[str, Any] | bool], problems: list[str]
) -> list[str | dict[str, dict[str, Any]]]:
    """The section's own transforms or the preset's, with wishes carried out."""
    from hone.data.presets import preset

    own = base.transforms
    steps: dict[str, dict[str, Any]] = dict(preset(base.preset, kind).transforms)
    if own is not None:
        steps = {name: params for one in own for name, params in ({one: {}} if isinstance(one, str) else one).items()}
    for name, wish in wishes.items():
        if isinstance(wish, dict):
            steps[name] = {**steps.get(name, {}), **wish}
        elif steps.pop(name, None) is None:
            why = f"preset {base.preset} has no such transform, so leaving it out changes nothing"
            problems.append(f"--transform {name}=off: {why}")
    return [{name: params} if params else name for name, params in steps.items()]


def _signal(word: str) -> tuple[str, dict[str, Any]]:
    """A signal's name and parameters, as in ``clean.signals``."""
    name, params = _named(word)
    if not params:
        raise InputError("expected NAME:PARAM=VALUE, such as near:threshold=0.8")
    return name, params


def _named(word: str) -> tuple[str, dict[str, Any]]:
    """``name:a=1:b=x,y`` as a name and parameters in their YAML types; commas make a list."""
    import yaml

    name, *pairs = re.split(r":(?=\w+=)", word)
    params: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            parts = yaml.safe_load(f"[{value}]")
        except yaml.YAMLError:
            raise InputError(f"{key}: {value!r} is no value; expected a number, a word, or words with commas") from None
        params[key] = parts[0] if len(parts) == 1 else parts
    return name, params


def _near(name: str, known: Sequence[str]) -> str:
    """The nearest name, and all that there are."""
    hint, everything = nearest(name, known), f"known: {', '.join(sorted(known))}"
    return everything if hint == everything else f"{hint} {everything}"


def _as_options(problem: str) -> str:
    """A problem of a section in the words of the command line."""
    return re.sub(r"^clean\.(rule|signal|transform)s(?:\.|: )", r"--\1 ", problem)
