"""Sentences of tokens with one tag each, as CoNLL-2003 (Tjong Kim Sang and De Meulder) and its followers have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from hone.data.formats.base import Fault, Fields, Made, Schema, is_mostly
from hone.data.rows import kind_of

_TOKENS = ("tokens", "words")
_TAGS = ("ner_tags", "tags", "labels", "ner", "bio_tags", "slots")
_OPENS, _GOES_ON = "BSU", "IEL"


def schema(sample: Sequence[Fields]) -> Schema | None:
    """The schema of token and tag lists whose tags mark entities (B-, I-, O), or None."""
    for tokens in _TOKENS:
        for tags in _TAGS:
            if is_mostly(sample, partial(_fits, tokens, tags)):
                return Schema(
                    name="token tags (CoNLL)",
                    how=f"the {tokens} are joined by spaces, the {tags} are read as entities",
                    fits=partial(_fits, tokens, tags),
                    read=partial(_read, tokens=tokens, tags=tags),
                    reads=(tokens,),
                    adds=("text", "entities"),
                    kind="extract",
                    input="{text}",
                    output={"entities": "{entities}"},
                )
    return None


def _fits(tokens: str, tags: str, fields: Fields) -> bool:
    marks = fields.get(tags)
    return _are_texts(fields.get(tokens)) and _are_texts(marks) and all(map(_is_tag, marks or ()))


def _read(fields: Fields, *, tokens: str, tags: str) -> Iterator[Made]:
    words, marks = fields.get(tokens), fields.get(tags)
    for name, value in ((tokens, words), (tags, marks)):
        if not _are_texts(value):
            raise Fault(name, "a list of texts", "nothing" if name not in fields else kind_of(value))
    assert isinstance(words, list)
    assert isinstance(marks, list)
    if len(words) != len(marks):
        raise Fault(tags, f"one tag for each of the {tokens}", f"{len(marks):,} tags for {len(words):,} {tokens}")
    wrong = next((mark for mark in marks if not _is_tag(mark)), None)
    if wrong is not None:
        raise Fault(tags, "tags O, B-TYPE, I-TYPE (also E-, L-, S-, U-)", kind_of(wrong))
    yield Made(canonical={"text": " ".join(words), "entities": _entities(words, marks)})


def _entities(words: Sequence[str], marks: Sequence[str]) -> list[dict[str, str]]:
    """The entities; an I- that follows no entity of its type opens one, as in the first CoNLL files."""
    found: list[tuple[str, list[str]]] = []
    inside = ""
    for word, mark in zip(words, marks, strict=True):
        kind = mark[2:]
        if mark[0] in _GOES_ON and kind == inside:
            found[-1][1].append(word)
        elif mark != "O":
            found.append((kind, [word]))
        inside = "" if mark == "O" or mark[0] in "ELSU" else kind
    return [{"type": kind, "text": " ".join(parts)} for kind, parts in found]


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_tag(mark: str) -> bool:
    return mark == "O" or (len(mark) > 2 and mark[0] in _OPENS + _GOES_ON and mark[1] == "-")
