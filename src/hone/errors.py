"""Errors that are sentences with numbers: what was given, what was expected, where, what to do.

Exit statuses of the command line: 0 done (for ``solve``: solved), 1 not solved within the box,
2 wrong input (:class:`InputError`), 3 failed (:class:`FailedError` and anything unforeseen).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class HoneError(Exception):
    """Base of every error that hone raises on purpose; ``exit_code`` is the process's exit status."""

    exit_code = 3


class InputError(HoneError):
    """The user's input is wrong. Holds *all* problems found, one sentence each."""

    exit_code = 2

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        count = len(self.problems)
        head = "" if count == 1 else f"{count} problems:\n"
        super().__init__(head + "\n".join(self.problems if count == 1 else (f"  - {p}" for p in self.problems)))


class FailedError(HoneError):
    """Something that should have worked did not: a full disk, a corrupt file, a process that died."""


class BusyError(HoneError):
    """Another process holds what this one needs (for example the task folder)."""


def meant(name: str, known: Sequence[str]) -> str | None:
    """The known word that is nearest to a name; None where none is near."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return close[0] if close else None


def nearest(name: str, known: Sequence[str]) -> str:
    """A clause that names the nearest known word, for example ``did you mean "target"?``.

    Falls back to the list of what is known when nothing is near.
    """
    close = meant(name, known)
    return f'did you mean "{close}"?' if close else "known: " + ", ".join(sorted(known))
