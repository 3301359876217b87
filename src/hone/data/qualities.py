"""Words whose company with groups of people is counted: opinions and occupations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hone.data.wordlists import FOLDER, lines
from hone.errors import InputError

SHIPPED = FOLDER / "qualities_en.txt"


@dataclass(frozen=True, slots=True)
class Qualities:
    """Words in classes. ``words`` (P,) and for each the index of its class in ``classes``."""

    classes: tuple[str, ...]
    words: tuple[str, ...]
    of: tuple[int, ...]


def read_qualities(path: Path = SHIPPED) -> Qualities:
    """The words of a file: each line is ``class: word, word``; a class may have several lines.

    Raises:
        InputError: lines of another form, and words listed twice.
    """
    problems: list[str] = []
    classes: dict[str, int] = {}
    words: dict[str, int] = {}
    for number, line in lines(path):
        name, colon, tail = (part.strip() for part in line.partition(":"))
        listed = [word.strip().lower() for word in tail.split(",") if word.strip()]
        if not colon or not name or not listed:
            problems.append(f'{path}:{number}: expected "class: word, word", found "{line[:60]}"')
            continue
        index = classes.setdefault(name, len(classes))
        problems += [f'{path}:{number}: "{word}" is listed twice' for word in listed if word in words]
        words.update(dict.fromkeys(listed, index))
    if not words and not problems:
        problems.append(f"{path}: no word in it")
    if problems:
        raise InputError(problems)
    return Qualities(tuple(classes), tuple(words), tuple(words.values()))
