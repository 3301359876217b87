"""Groups of people and the words that name them, and how often a figure strikes rows that name one.

The list is a file that a person can read and replace: ``wordlists/groups_en.txt``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hone.data.kernels.codepoints import pieces
from hone.data.kernels.distinct import distinct
from hone.data.kernels.phrases import PhraseTable, phrase_table
from hone.data.kernels.words import split_words
from hone.data.wordlists import FOLDER, lines
from hone.errors import InputError
from hone.task.scores import wilson

SHIPPED = FOLDER / "groups_en.txt"
_PERSONS = "persons"


@dataclass(frozen=True, slots=True)
class Group:
    """``name`` is unique; ``terms`` are phrases in lower case."""

    axis: str
    name: str
    terms: tuple[str, ...]


def read_groups(path: Path = SHIPPED) -> tuple[Group, ...]:
    """The groups of a file.

    Each line is ``axis / group: term, term``. A term that ends in ``~`` stands for that term before each noun of the
    line ``persons: noun, noun``.

    Raises:
        InputError: all lines that are not of this form, groups named twice and terms that two groups share.
    """
    problems: list[str] = []
    persons: tuple[str, ...] = ()
    groups: list[Group] = []
    for number, line in lines(path):
        head, colon, tail = line.partition(":")
        terms = tuple(term.strip().lower() for term in tail.split(",") if term.strip())
        axis, slash, name = (part.strip() for part in head.partition("/"))
        if not colon or not terms or (not slash and axis != _PERSONS) or (slash and not (axis and name)):
            problems.append(f'{path}:{number}: expected "axis / group: term, term", found "{line[:60]}"')
        elif not slash:
            persons = terms
        elif name in {group.name for group in groups}:
            problems.append(f'{path}:{number}: the group "{name}" is named twice; names are columns and must differ')
        else:
            groups.append(Group(axis, name, terms))
    groups = [Group(group.axis, group.name, _expanded(group.terms, persons)) for group in groups]
    owner: dict[str, str] = {}
    for group in groups:
        for term in group.terms:
            if owner.setdefault(term, group.name) != group.name:
                problems.append(f'{path}: "{term}" names both {owner[term]} and {group.name}; a term names one group')
    if not groups and not problems:
        problems.append(f"{path}: no group in it")
    if problems:
        raise InputError(problems)
    return tuple(groups)


def _expanded(terms: Sequence[str], persons: Sequence[str]) -> tuple[str, ...]:
    whole: dict[str, None] = {}
    for term in terms:
        if term.endswith("~"):
            whole.update({f"{term[:-1].strip()} {person}": None for person in persons})
        else:
            whole[term] = None
    return tuple(whole)


def probe_sentences(groups: Sequence[Group]) -> list[str]:
    """Harmless English sentences about every term, which real rows name too seldom for a rate (Dixon et al. 2018)."""
    frames = [line for _, line in lines(FOLDER / "harmless_sentences_en.txt")]
    return [frame.replace("{}", term) for group in groups for term in group.terms for frame in frames]


@dataclass(frozen=True, slots=True, eq=False)
class GroupTable:
    """Terms ready to be found; ``group`` (P,) is the index of the group that phrase ``p`` of the table names."""

    table: PhraseTable
    group: np.ndarray[Any, np.dtype[np.int64]]


@cache
def group_table(groups: tuple[Group, ...]) -> GroupTable:
    """Make the terms of groups ready to be found."""
    terms = [(term, index) for index, group in enumerate(groups) for term in group.terms]
    table = phrase_table([term for term, _ in terms])
    return GroupTable(table, np.array([index for _, index in terms], np.int64))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """A share of rows with its Wilson interval (95 %): ``count`` of the ``n`` rows that name a group or term."""

    axis: str
    group: str
    term: str
    n: int
    count: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """``count / n``."""
        return self.count / self.n

    def to_json(self) -> dict[str, Any]:
        """Plain values; ``term`` is empty where the group as a whole is meant."""
        return {
            "axis": self.axis, "group": self.group, "term": self.term, "n": self.n, "count": self.count,
            "share": round(self.share, 6), "low": round(self.low, 6), "high": round(self.high, 6),
        }  # fmt: skip


def rates_by_group(texts: Sequence[str], flags: Any, groups: tuple[Group, ...], *, terms: bool = False) -> list[Rate]:
    """How often rows are flagged among those that name each group (or each term), most rows first. ``flags``: one each.

    Over rows that should not be flagged this is the false-positive rate per identity term. Groups that no row names
    are left out: there is no rate to give.
    """
    ready = group_table(groups)
    width = len(ready.table.phrases) if terms else len(groups)
    named, struck = np.zeros(width, np.int64), np.zeros(width, np.int64)
    flagged = np.asarray(flags, bool)
    for piece in pieces(texts):
        hits = ready.table.find(split_words(piece))
        what = hits.phrase if terms else ready.group[hits.phrase]
        pairs = distinct(hits.text * width + what)  # a row counts once however often it names the group
        row, what = pairs // width + piece.first, pairs % width
        named += np.bincount(what, minlength=width)
        struck += np.bincount(what[flagged[row]], minlength=width)
    rates = []
    for index in np.flatnonzero(named):
        group = groups[int(ready.group[index]) if terms else int(index)]
        n, count = int(named[index]), int(struck[index])
        low, high = wilson(count, n)
        term = ready.table.phrases[int(index)] if terms else ""
        rates.append(Rate(axis=group.axis, group=group.name, term=term, n=n, count=count, low=low, high=high))
    return sorted(rates, key=lambda rate: (-rate.n, rate.group, rate.term))
