"""A task whose ``clean`` section names only what hone has: every problem of ``hone.yaml`` at once, with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hone.data.cleaning import Given, handed, rules_of, signal_of, steps_of
from hone.data.presets import PRESETS
from hone.data.read import find
from hone.data.readers.addresses import is_address
from hone.data.settling import DUPLICATES
from hone.data.signals import registry
from hone.data.transforms.registry import open_transforms
from hone.errors import InputError
from hone.task import load
from hone.task.load import Place
from hone.task.spec import Clean, Task

Problem = tuple[Place, str]
"""Where in ``hone.yaml``, and the sentence."""


def load_task(folder: str | Path) -> Task:
    """The task of a folder, as :func:`hone.task.load.load_task`, with the names in its ``clean`` section checked.

    Raises:
        InputError: wrong keys and values, and transforms, rules, signals and files that are not there: all at once.
    """
    place = Path(folder)
    return load.load_task(folder, partial(section_problems, folder=place), partial(_missing_sources, folder=place))


def check_section(section: Clean, kind: str, folder: Path) -> None:
    """Refuse a section that names what is not there, before anything is read.

    Raises:
        InputError: with every problem.
    """
    if problems := [sentence for _, sentence in section_problems(section, kind, folder=folder)]:
        raise InputError(list(dict.fromkeys(problems)))


def section_problems(section: Clean, kind: str, has_preset: bool = True, *, folder: Path) -> list[Problem]:
    """What a section names and hone does not have.

    Args:
        section: of ``hone.yaml``; what is wrong by its form is not in it.
        kind: of the task.
        has_preset: whether the preset is the one that was meant; if not, a name of any preset is right.
        folder: the task folder.
    """
    names = (section.preset,) if has_preset else tuple(PRESETS)
    return [
        *_transforms(section.transforms or ()),
        *_rules(section, kind, names),
        *_signals(section, folder),
        *_against(section.against, folder),
    ]


def _transforms(wishes: Sequence[str | Mapping[str, Mapping[str, Any]]]) -> Iterator[Problem]:
    said: set[str] = set()
    for at, wish in enumerate(wishes):
        for sentence in _problems(partial(open_transforms, steps_of(wish))):
            said.add(sentence)
            yield ("clean", "transforms", at), f"clean.transforms: {sentence}"
    # One that is given twice shows only together.
    for sentence in _problems(partial(open_transforms, [step for wish in wishes for step in steps_of(wish)])):
        if sentence not in said:
            yield ("clean", "transforms"), f"clean.transforms: {sentence}"


def _rules(section: Clean, kind: str, presets: Sequence[str]) -> Iterator[Problem]:
    for name, wish in section.rules.items():
        place: Place = ("clean", "rules", name)
        found = []
        for preset in presets:
            alone = section.model_copy(update={"preset": preset, "rules": {name: wish}})
            found.append(_problems(partial(rules_of, alone, kind)))
        if all(found):
            yield from ((place, sentence) for sentence in found[0])
        column = None if isinstance(wish, bool) else wish.column
        yield from ((place, f"clean.rules.{name}: {sentence}") for sentence in _unmeasured(column))


def _unmeasured(column: str | None) -> list[str]:
    if column is None or signal_of(column) in registry.SIGNALS or column.startswith(registry.OWN):
        return []
    return [f'no signal measures the column "{column}"; signals: {", ".join(registry.SIGNALS)}']


def _signals(section: Clean, folder: Path) -> Iterator[Problem]:
    """Signals with the parameters that are set, and the user's own ones that rules decide by."""
    given = Given(folder=folder)
    for name, params in section.signals.items():
        for sentence in _problems(partial(registry.signal, name, params, handed(name, given))):
            yield ("clean", "signals", name), sentence
        column = params.get("column")
        for sentence in _unmeasured(column) if name in DUPLICATES and isinstance(column, str) else ():
            yield ("clean", "signals", name), f"clean.signals.{name}: {sentence}"
    for rule, wish in section.rules.items():
        column = None if isinstance(wish, bool) else wish.column
        if column is not None and column.startswith(registry.OWN) and column not in section.signals:
            for sentence in _problems(partial(registry.signal, column, {}, handed(column, given))):
                yield ("clean", "rules", rule), sentence


def _against(files: Sequence[str], folder: Path) -> Iterator[Problem]:
    for at, file in enumerate(files):
        for sentence in _problems(partial(find, file, folder)):
            yield ("clean", "against", at), f"clean.against: {sentence}"


def _missing_sources(named: Mapping[str, str], folder: Path) -> Iterator[Problem]:
    """Files of the ``data`` section that are not there; what lies elsewhere is not asked for."""
    for key, source in named.items():
        if not is_address(source):
            for sentence in _problems(partial(find, source, folder)):
                yield ("data", key), f"data.{key}: {sentence}"


def _problems(make: Any) -> list[str]:
    try:
        make()
    except InputError as error:
        return list(error.problems)
    return []
