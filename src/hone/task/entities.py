"""Entities in a text: where they stand, and how tags on tokens say so (BIO).

L. Ramshaw, M. Marcus, "Text chunking using transformation-based learning" (1995), as CoNLL-2003 and seqeval use it:
``B-`` opens an entity, ``I-`` of the same type goes on with it, ``O`` is outside. An ``I-`` that follows no entity of
its type opens one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OUTSIDE = "O"


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """A type on the characters ``start`` to ``end`` (exclusive) of a text, in code points."""

    start: int
    end: int
    kind: str

    def to_json(self, text: str) -> dict[str, Any]:
        """The answer's form: type, text, start, end."""
        return {"type": self.kind, "text": text[self.start : self.end], "start": self.start, "end": self.end}


@dataclass(frozen=True, slots=True)
class Located:
    """The entities of a row in their order, and the items that stand nowhere in its text."""

    entities: tuple[Entity, ...]
    lost: tuple[Mapping[str, Any], ...]

    def to_json(self, text: str) -> list[dict[str, Any]]:
        """The answer's form; an item that stands nowhere has start and end -1, so that no prediction equals it."""
        nowhere = [{"type": i["type"], "text": str(i.get("text", "")), "start": -1, "end": -1} for i in self.lost]
        return [entity.to_json(text) for entity in self.entities] + nowhere


def problem_of(value: Any) -> str | None:
    """What is wrong with the entities of a row as data, or None: a list of objects with type, and text or a span."""
    if not isinstance(value, list | tuple):
        return "no list"
    for number, item in enumerate(value, 1):
        if not isinstance(item, Mapping) or not isinstance(item.get("type"), str) or not item["type"]:
            return f'entity {number} is no object with a "type"'
        span = (item.get("start"), item.get("end"))
        if not isinstance(item.get("text"), str) and not all(type(edge) is int for edge in span):
            return f'entity {number} has neither "text" nor "start" and "end"'
    return None


def located(text: str, items: Sequence[Mapping[str, Any]]) -> Located:
    """Where entities stand in a text.

    One with ``start`` and ``end`` stands there, where that is in the text and reads its ``text`` (if it has one). Any
    other is looked for by its text, behind the entity before it first: entities come in the order of the text.
    """
    found: list[Entity] = []
    lost: list[Mapping[str, Any]] = []
    done = 0
    for item in items:
        entity = _by_span(text, item) or _by_text(text, item, done)
        if entity is None:
            lost.append(item)
            continue
        found.append(entity)
        done = entity.end
    return Located(tuple(sorted(found)), tuple(lost))


def _by_span(text: str, item: Mapping[str, Any]) -> Entity | None:
    start, end = item.get("start"), item.get("end")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
        return None
    wanted = item.get("text")
    return Entity(start, end, item["type"]) if wanted is None or text[start:end] == wanted else None


def _by_text(text: str, item: Mapping[str, Any], done: int) -> Entity | None:
    wanted = item.get("text")
    if not isinstance(wanted, str) or not wanted:
        return None
    start = text.find(wanted, done)
    if start < 0:
        start = text.find(wanted)
    return None if start < 0 else Entity(start, start + len(wanted), item["type"])


def tag_names(kinds: Sequence[str]) -> tuple[str, ...]:
    """``O``, then ``B-`` and ``I-`` of each type, in order."""
    return (OUTSIDE, *(f"{mark}-{kind}" for kind in kinds for mark in "BI"))


def tags_of(entities: Sequence[Entity], units: Sequence[tuple[int, int]]) -> list[str]:
    """The tag of each unit (word or token), given by its characters: that of the entity that it overlaps.

    An entity that reaches into a unit takes the whole of it; of several that do, the first has it.
    """
    tags = [OUTSIDE] * len(units)
    for entity in entities:
        mark = "B-"
        for index, (start, end) in enumerate(units):
            if start < entity.end and entity.start < end and tags[index] == OUTSIDE:
                tags[index] = mark + entity.kind
                mark = "I-"
    return tags


def entities_of(tags: Sequence[str], units: Sequence[tuple[int, int]]) -> tuple[Entity, ...]:
    """The entities that tags on units say, from the first character of the first unit to the last of the last."""
    return tuple(Entity(units[first][0], units[last][1], kind) for first, last, kind in _runs(tags))


def _runs(tags: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    first, kind = -1, ""
    for index, tag in enumerate((*tags, OUTSIDE)):
        mark, _, named = tag.partition("-")
        goes_on = mark == "I" and first >= 0 and named == kind
        if first >= 0 and not goes_on:
            yield first, index - 1, kind
            first = -1
        if tag != OUTSIDE and not goes_on:
            first, kind = index, named


def span_counts(prediction: Any, reference: Any) -> tuple[int, int, int]:
    """Entities with the same span and type in both answers, those predicted, those in the reference."""
    claimed, wanted = _counted(prediction), _counted(reference)
    return (claimed & wanted).total(), claimed.total(), wanted.total()


def _counted(answer: Any) -> Counter[tuple[int, int, str]]:
    return Counter((item["start"], item["end"], item["type"]) for item in answer or ())
