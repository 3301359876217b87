"""Word lists that a person can read and replace by their own. ``README.md`` beside them names sources and licences."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from hone.errors import InputError

FOLDER = Path(__file__).parent
_LONGEST_WORDS = 8


def shipped(name: str) -> tuple[str, ...]:
    """The phrases of a list that comes with hone, by its file name without ``.txt``."""
    return read_list(FOLDER / f"{name}.txt")


def read_list(path: Path) -> tuple[str, ...]:
    """The phrases of a file: one a line; blank lines and lines that begin with ``#`` say nothing.

    Raises:
        InputError: no file, not UTF-8, no phrase in it, or a line of more than eight words (with its number).
    """
    found: dict[str, None] = {}
    problems = []
    for number, line in lines(path):
        if len(line.split()) > _LONGEST_WORDS:
            problems.append(
                f"{path}:{number}: {len(line.split())} words; a phrase has at most {_LONGEST_WORDS}, and one line "
                f"holds one phrase"
            )
        found[line] = None
    if problems:
        raise InputError(problems)
    if not found:
        raise InputError(f"{path}: no phrase in it; expected one a line")
    return tuple(found)


def lines(path: Path) -> list[tuple[int, str]]:
    """Number and content (composed, NFC) of each line of a list that says something.

    Raises:
        InputError: no file, or not UTF-8.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: the word list cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: the word list is not UTF-8 at byte {error.start:,}") from error
    composed = unicodedata.normalize("NFC", content)
    stripped = ((number, line.strip()) for number, line in enumerate(composed.splitlines(), start=1))
    return [(number, line) for number, line in stripped if line and not line.startswith("#")]
