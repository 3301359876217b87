"""Which options an action of a verb takes, and where one may write. What would have no effect is refused."""

from __future__ import annotations

import argparse
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from hone.errors import InputError

ALWAYS = ("--json", "--quiet", "--help")
"""Options of every verb."""


def given(arguments: Iterable[str]) -> frozenset[str]:
    """The options that a command line names, those of their default value too."""
    found = []
    for word in arguments:
        if word == "--":
            break
        if word.startswith("--"):
            found.append(word.partition("=")[0])
    return frozenset(found)


def minutes(text: str) -> float:
    """Minutes of an option, for argparse, which says the sentence of the error."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'expected minutes above 0, such as 5 or 0.5; got "{text}"')
    return value


def read_minutes(args: argparse.Namespace, *options: str) -> list[str]:
    """Turn minutes as typed into numbers, in ``args``; a sentence for each that is none, which becomes None.

    For a verb that says all that is wrong at once: argparse would stop at the first.
    """
    problems = []
    for option in options:
        key = option.removeprefix("--").replace("-", "_")
        try:
            setattr(args, key, None if (text := getattr(args, key)) is None else minutes(text))
        except argparse.ArgumentTypeError as error:
            setattr(args, key, None)
            problems.append(f"{option}: {error}")
    return problems


def refuse_untaken(
    named: Iterable[str], action: str, takes: Mapping[str, Collection[str]], elsewhere: Collection[str] = ()
) -> None:
    """Refuse the options that an action would ignore.

    Args:
        named: options, as :func:`given` finds them.
        action: a key of ``takes``.
        takes: by action, as a sentence names it, the options that have an effect there.
        elsewhere: options that are refused later, with a sentence of their own.

    Raises:
        InputError: with every such option and the actions that it is for.
    """
    problems = []
    for option in sorted(named):
        if option in takes[action] or option in elsewhere or option in ALWAYS:
            continue
        others = [name for name, options in takes.items() if option in options]
        problems.append(f"{option} has no effect on {action}; it is for {', '.join(others)}")
    if problems:
        raise InputError(problems)


def folder_given(option: str, word: str) -> Path:
    """The folder that an option names, which need not be there yet.

    Raises:
        InputError: when a file is in its place or in the place of a folder above it.
    """
    path = Path(word).expanduser()
    there = next((place for place in (path, *path.parents) if place.exists()), None)
    if there is not None and not there.is_dir():
        raise InputError(
            f"{option} {word}: {there} is a file; expected a folder (it is made where there is none), so name another"
        )
    return path
