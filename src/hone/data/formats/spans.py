"""Answers with a start in their context, after text was changed: the start goes along, or it goes away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hone.data.formats.base import Fields

CONTEXT = "context"
START = "answer_start"
ANSWER = "answer"
MOVED, REMOVED = f"{START} moved", f"{START} removed"


def respanned(old: Fields, new: dict[str, Any], apply: Callable[[str], str]) -> dict[str, Any]:
    """Changed fields of a row with starts that are right again; the very same object where none is wrong.

    A start counts code points of ``context`` from 0. It belongs to the text beside it in a list of answers, and in
    columns of their own to ``answer``. One at which its text did not stand before is left as it is.

    Args:
        old: the fields before; starts are right there.
        new: the fields with text changed.
        apply: what was done to the text. What it makes of the text before an answer is about as long as what stands
            there now, and of equal texts the one nearest to that place is taken. Where none is left the start is null.
    """
    before, after = old.get(CONTEXT), new.get(CONTEXT)
    if not isinstance(before, str) or not isinstance(after, str):
        return new

    def start_of(text: Any, now: Any, start: Any) -> Any:
        if not stands(before, text, start) or (text == now and before == after):
            return start
        return nearest_place(after, now, len(apply(before[:start])) if before != after else start)

    made: dict[str, Any] = {}
    for name, value in new.items():
        was = old.get(name)
        if name.startswith(START) and type(value) is int and value == was:
            answers = (key for key in new if key.startswith(ANSWER) and stands(before, old.get(key), value))
            answer = next(answers, None)
            made[name] = value if answer is None else start_of(old[answer], new[answer], value)
        else:
            made[name] = _answers(was, value, start_of)
    return new if all(made[name] is new[name] for name in new) else made


def _answers(old: Any, new: Any, start_of: Callable[[Any, Any, Any], Any]) -> Any:
    """SQuAD's answers, a list of objects or an object of lists, with their starts as they are now."""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        made = [_one(was, now, start_of) for was, now in zip(old, new, strict=True)]
        return new if all(one is now for one, now in zip(made, new, strict=True)) else made
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    lists = [old.get("text"), new.get("text"), old.get(START)]
    are_lists = all(isinstance(part, list) for part in lists) and len({len(part or ()) for part in lists}) == 1
    if not are_lists or new.get(START) != old[START]:
        return _one(old, new, start_of)
    starts = [start_of(*one) for one in zip(*lists, strict=True)]
    return new if starts == new[START] else {**new, START: starts}


def _one(old: Any, new: Any, start_of: Callable[[Any, Any, Any], Any]) -> Any:
    are_objects = isinstance(old, Mapping) and isinstance(new, Mapping)
    if not are_objects or START not in new or new[START] != old.get(START):
        return new
    start = start_of(old.get("text"), new.get("text"), new[START])
    return new if start == new[START] else {**new, START: start}


def stands(context: str, text: Any, start: Any) -> bool:
    """Whether a text stands in a context at a start."""
    if not isinstance(text, str) or not text or type(start) is not int or start < 0:
        return False
    return context.startswith(text, start)


def nearest_place(context: str, text: Any, start: int, low: int = 0) -> int | None:
    """The place of a text, at ``low`` or behind it, that is nearest to where it should be."""
    places = []
    at = context.find(text, low) if isinstance(text, str) and text else -1
    while at >= 0:
        places.append(at)
        at = context.find(text, at + 1)
    return min(places, key=lambda place: abs(place - start), default=None)


def span_changes(old: Fields, new: Fields) -> Iterator[str]:
    """:data:`MOVED` and :data:`REMOVED`, each once where it happened to a start of a row."""
    if CONTEXT not in new:
        return
    pairs = list(zip(_starts(old), _starts(new), strict=False))
    if any(now is not None and now != was for was, now in pairs):
        yield MOVED
    if any(now is None and was is not None for was, now in pairs):
        yield REMOVED


def _starts(value: Any) -> Iterator[Any]:
    """Every start in a row, in order."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            if not name.startswith(START):
                yield from _starts(part)
            elif isinstance(part, list):
                yield from part
            else:
                yield part
    elif isinstance(value, list):
        for part in value:
            yield from _starts(part)
