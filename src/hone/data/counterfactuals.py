"""Counterfactual pairs: the same text about another group.

English, by a word list that a person can read and replace (``wordlists/swaps_en.txt``). A swap exchanges words and
understands nothing: grammar is mended for a/an and for her, him, his and hers only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import combinations, islice
from pathlib import Path

from hone.data.kernels.codepoints import pieces
from hone.data.kernels.phrases import PhraseTable, phrase_table
from hone.data.kernels.words import split_words
from hone.data.wordlists import FOLDER, lines, shipped
from hone.errors import InputError

SHIPPED = FOLDER / "swaps_en.txt"
GENDER, NAME, FEMALE, MALE = "gender", "name", "female", "male"
_ABSENT = "-"
_PRONOUNS = {"her": FEMALE, "hers": FEMALE, "him": MALE, "his": MALE}
_NEXT_WORD = re.compile(r"\s+([^\W\d_]+)")
_ARTICLE = re.compile(r"(?<!\w)([Aa])(n?)(\s+)\Z")
_SENTENCE_START = re.compile(r"(?:\A|[.!?]['\")\]]*\s)\s*\Z")


@dataclass(frozen=True, slots=True)
class Swaps:
    """``axes``: axis to group to its forms; forms at one place are exchanged, None where a group has no such form."""

    axes: tuple[tuple[str, tuple[tuple[str, tuple[str | None, ...]], ...]], ...]

    def forms(self, axis: str) -> dict[str, tuple[str | None, ...]]:
        """Group to forms, for one axis."""
        return dict(dict(self.axes)[axis])


def read_swaps(path: Path = SHIPPED) -> Swaps:
    """The exchanges of a file: each line is ``axis / group: form | form``.

    Raises:
        InputError: lines of another form, axes whose groups have different numbers of forms, axes with one group.
    """
    problems: list[str] = []
    axes: dict[str, dict[str, tuple[str | None, ...]]] = {}
    for number, line in lines(path):
        head, colon, tail = line.partition(":")
        axis, slash, group = (part.strip() for part in head.partition("/"))
        forms = tuple(None if form.strip() == _ABSENT else form.strip() for form in tail.split("|"))
        if not (colon and slash and axis and group and all(form is None or form for form in forms)):
            problems.append(f'{path}:{number}: expected "axis / group: form | form", found "{line[:60]}"')
            continue
        groups = axes.setdefault(axis, {})
        for other, others in islice(groups.items(), 1):
            if len(others) != len(forms):
                problems.append(
                    f"{path}:{number}: {group} has {len(forms)} forms, {other} has {len(others)}; forms at the same "
                    f"place are exchanged, so groups of an axis have as many (a missing one is {_ABSENT})"
                )
        groups[group] = forms
    problems += [
        f"{path}: the axis {axis} has one group; two are needed to swap" for axis in axes if len(axes[axis]) < 2
    ]
    if not axes:
        problems.append(f"{path}: no swap in it")
    if problems:
        raise InputError(problems)
    return Swaps(tuple((axis, tuple(groups.items())) for axis, groups in axes.items()))


@dataclass(frozen=True, slots=True)
class _Place:
    """A form in a text: where, of which groups of an axis, and the form's place in their lists (-1: a pronoun)."""

    start: int
    end: int
    axis: str
    groups: tuple[str, ...]
    place: int


@cache
def _table(swaps: Swaps) -> tuple[PhraseTable, tuple[tuple[tuple[str, tuple[str, ...], int], ...], ...]]:
    owners: dict[str, dict[tuple[str, int], list[str]]] = {}
    for axis, groups in swaps.axes:
        for group, forms in groups:
            for place, form in enumerate(forms):
                if form is not None:
                    owners.setdefault(form.lower(), {}).setdefault((axis, place), []).append(group)
        if axis == GENDER:
            for pronoun, group in _PRONOUNS.items():
                owners.setdefault(pronoun, {})[axis, -1] = [group]
    owned = tuple(
        tuple((axis, tuple(groups), place) for (axis, place), groups in places.items()) for places in owners.values()
    )
    return phrase_table(tuple(owners)), owned


def counterfactuals(text: str, swaps: Swaps | None = None) -> list[tuple[str, str]]:
    """Texts that differ in the group that is spoken of, each with its kind.

    Two groups of an axis are exchanged throughout the text. The kind names the direction, ``gender: male -> female``,
    or ``gender: male <-> female`` where the text names both. Names are exchanged alone (``name: ...``) and, where there
    are also words of gender, together with these (``gender, name: ...``). A text that names nobody gives none; neither
    do groups between which one of the text's forms has no counterpart.
    """
    swaps = _shipped() if swaps is None else swaps
    places = _places(text, swaps)
    found: list[tuple[str, str]] = []
    for axis, groups in swaps.axes:
        named = {group for place in places if place.axis == axis for group in place.groups}
        for pair in combinations([group for group, _ in groups], 2):
            if named & set(pair):
                found += _exchanged(text, places, swaps, (axis,), pair)
    if {GENDER, NAME} <= {place.axis for place in places}:
        found += _exchanged(text, places, swaps, (GENDER, NAME), (MALE, FEMALE))
    return found


@cache
def _shipped() -> Swaps:
    return read_swaps()


@cache
def _no_noun() -> frozenset[str]:
    return frozenset(shipped("no_noun_en"))


def _places(text: str, swaps: Swaps) -> list[_Place]:
    table, owned = _table(swaps)
    (piece,) = pieces([text])
    hits = table.find(split_words(piece))
    places = []
    for phrase, start, end in zip(hits.phrase.tolist(), hits.start.tolist(), hits.end.tolist(), strict=True):
        for axis, groups, place in owned[phrase]:
            if axis != NAME or text[start].isupper():
                places.append(_Place(start, end, axis, groups, place))
    return places


def _exchanged(
    text: str, places: list[_Place], swaps: Swaps, axes: tuple[str, ...], pair: tuple[str, str]
) -> list[tuple[str, str]]:
    """The text with two groups exchanged on some axes, with its kind; none when a form lacks its counterpart."""
    parts: list[str] = []
    reached = 0
    named: set[str] = set()
    for place in places:
        mine = [group for group in place.groups if group in pair]
        if place.axis not in axes or len(mine) != 1:  # a form that both groups share says nothing of either
            continue
        source = text[place.start : place.end]
        other = pair[1 - pair.index(mine[0])]
        target = _counterpart(text, place, swaps, mine[0], other)
        if target is None:
            return []
        named.add(mine[0])
        parts.append(_with_article(text[reached : place.start], source, target))
        parts.append(target)
        reached = place.end
    if not named:
        return []
    source, target = pair if pair[0] in named else (pair[1], pair[0])
    arrow = "<->" if len(named) == 2 else "->"
    return [(f"{', '.join(axes)}: {source} {arrow} {target}", "".join(parts) + text[reached:])]


def _counterpart(text: str, place: _Place, swaps: Swaps, mine: str, other: str) -> str | None:
    source = text[place.start : place.end]
    if place.place < 0:
        return _cased(source, source.lower(), _pronoun(source.lower(), text[place.end :]), text[: place.start])
    forms = swaps.forms(place.axis)
    listed, target = forms[mine][place.place], forms[other][place.place]
    return None if listed is None or target is None else _cased(source, listed, target, text[: place.start])


def _pronoun(pronoun: str, after: str) -> str:
    """The other gender's pronoun: before a noun "her" is "his" and "his" is "her"; else they are "him" and "hers"."""
    if pronoun in ("him", "hers"):
        return "her" if pronoun == "him" else "his"
    following = _NEXT_WORD.match(after)
    before_noun = following is not None and following[1].lower() not in _no_noun()
    if pronoun == "her":
        return "his" if before_noun else "him"
    return "her" if before_noun else "hers"


def _cased(source: str, listed: str, target: str, before: str) -> str:
    """``target`` written as ``source`` is, where that says more than the list's own capitals."""
    if source.isupper() and len(source) > 1:
        return target.upper()
    if listed[0].isupper() and not source[0].isupper():
        return target.lower()  # a writer without capitals
    starts = source[0].isupper() and (not listed[0].isupper() or _SENTENCE_START.search(before[-8:]) is not None)
    return target[0].upper() + target[1:] if starts else target


def _with_article(before: str, source: str, target: str) -> str:
    """What stands before a word, with "a" or "an" as the new word asks for."""
    article = _ARTICLE.search(before)
    vowel = target[0].lower() in "aeiou"
    if article is None or vowel == (source[0].lower() in "aeiou"):
        return before
    return before[: article.start()] + article[1] + ("n" if vowel else "") + article[3]
