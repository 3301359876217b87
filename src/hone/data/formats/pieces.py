"""Sentences cut into pieces, some of them marked as entities, as Snips publishes its requests (arXiv:1805.10190).

A row holds ``[{"text": "What about "}, {"text": "Brno", "entity": "city"}, {"text": "?"}]``. The text is the pieces
joined as they stand: their blanks are a part of them. ``slot_name``, where a piece has one, is more particular than
``entity`` and names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from hone.data.formats.base import Fault, Fields, Made, Schema, is_mostly
from hone.data.formats.spans import nearest_place
from hone.data.rows import kind_of

_NAMES = ("slot_name", "entity")
_KEYS = frozenset({"text", *_NAMES})
_PIECES = 'a list of pieces {"text": ...}, those that are entities with "entity"'
_PLAIN_SHARE = 0.5
"""Least share of rows with a piece that is no entity: a list of entities alone is no sentence in pieces."""


def schema(sample: Sequence[Fields]) -> Schema | None:
    """The schema of rows of which a column holds a sentence in pieces, or None."""
    for column in dict.fromkeys(name for fields in sample for name in fields):
        if is_mostly(sample, partial(_fits, column)) and _are_sentences([fields.get(column) for fields in sample]):
            return Schema(
                name="sentences in pieces (Snips)",
                how=f"the pieces of {column} are joined as they stand, those that name an entity are the entities",
                fits=partial(_fits, column),
                read=partial(_read, column=column),
                reads=(column,),
                adds=("text", "entities"),
                kind="extract",
                input="{text}",
                output={"entities": "{entities}"},
            )
    return None


def _fits(column: str, fields: Fields) -> bool:
    return are_pieces(fields.get(column))


def _are_sentences(values: Sequence[Any]) -> bool:
    """Whether pieces are marked in some rows, and half of the rows or more have others between them."""
    marked = [[_entity(piece) is not None for piece in value] for value in values if are_pieces(value)]
    return any(map(any, marked)) and sum(not all(row) for row in marked) >= _PLAIN_SHARE * len(marked)


def are_pieces(value: Any) -> bool:
    """Whether a value is a list of pieces, one or more, and nothing else."""
    return isinstance(value, list) and bool(value) and all(map(_is_piece, value))


def _is_piece(value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() <= _KEYS and isinstance(value.get("text"), str)


def _read(fields: Fields, *, column: str) -> Iterator[Made]:
    value = fields.get(column)
    if not isinstance(value, list):
        raise Fault(column, _PIECES, "nothing" if column not in fields else kind_of(value))
    for number, piece in enumerate(value, 1):
        if not _is_piece(piece):
            raise Fault(column, _PIECES, f"{kind_of(piece)} as piece {number}")
    yield Made(canonical={"text": joined(value), "entities": entities(value)})


def joined(pieces: Sequence[Mapping[str, Any]]) -> str:
    """The text of pieces."""
    return "".join(piece["text"] for piece in pieces)


def entities(pieces: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The marked pieces as ``type`` and ``text``, in their order; a type may come twice."""
    marked = ((_entity(piece), piece["text"]) for piece in pieces)
    return [{"type": kind, "text": text} for kind, text in marked if kind is not None]


def _entity(piece: Mapping[str, Any]) -> str | None:
    return next((piece[name] for name in _NAMES if isinstance(piece.get(name), str)), None)


def repieced(old: Fields, new: dict[str, Any], apply: Callable[[str], str]) -> dict[str, Any]:
    """Changed fields of a row whose pieces are again the text, and its entities again in them.

    Pieces changed one by one do not make the changed text: the blanks at their ends go, and what stands across two of
    them is not seen. So the text is cut again, around what the change makes of each entity. One that is no longer
    there, in order, is no entity any more. The very same object comes back where no column holds pieces of a text
    beside them.

    Args:
        old: the fields before.
        new: the fields with text changed.
        apply: what was done to the text.
    """
    for name, before in old.items():
        whole = joined(before) if name in new and are_pieces(before) else None
        beside = next((key for key, value in old.items() if value == whole and key in new), None)
        if whole is None or beside is None:
            continue
        made = before if new[beside] == whole else _cut(before, new[beside], apply)
        marked = entities(before)
        lists = [key for key, value in old.items() if key != name and key in new and value == marked]
        right: dict[str, Any] = {name: made, **dict.fromkeys(lists, entities(made))}
        new = {**new, **{key: old[key] if old[key] == value else value for key, value in right.items()}}
    return new


def _cut(pieces: Sequence[Mapping[str, Any]], text: str, apply: Callable[[str], str]) -> list[dict[str, Any]]:
    """The changed text in pieces, one for each entity that is still in it, and one for all that stands between two."""
    made: list[dict[str, Any]] = []
    done, before = 0, ""
    for piece in pieces:
        before += piece["text"]
        content = apply(piece["text"]) if _entity(piece) is not None else ""
        # With the entity at its end, so that the blanks before it are not those at the end of a text.
        start = nearest_place(text, content, len(apply(before)) - len(content), done)
        if start is not None:
            made += [{"text": text[done:start]}] if start > done else []
            made.append({**piece, "text": content})
            done = start + len(content)
    return [*made, {"text": text[done:]}] if done < len(text) or not made else made
