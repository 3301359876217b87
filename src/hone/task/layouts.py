"""How an answer is written as text, and where in that text the values are.

``json`` is compact JSON. ``spaced-json`` has one space in front of every string value
(``{"artist":" the new york pops"}``): still valid JSON, but a value then has exactly the tokens that it has inside
the request, which is what a small model needs to copy it. ``framed-json`` is the same text with fewer tokens: the
text between two values, such as ``","slots":{"artist":"``, is a *frame*, and a frame that the training answers use
often is one token. A frame's token is an ordinary entry of the vocabulary that no merge leads to, so text never
becomes one, and every runtime that turns ids into text still prints the whole JSON.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from json.encoder import encode_basestring
from typing import Any, Literal

from hone.task.spec import Kind

Layout = Literal["json", "spaced-json", "framed-json"]
LEAST_USES = 10
MOST_FRAMES = 256

Parts = list[tuple[str, bool]]
"""Pieces of an answer's text in order; True for a value, False for the frame between values."""


def answer_text(kind: Kind, layout: Layout, answer: Any) -> str:
    """An answer as text: JSON for objects, one space and the text otherwise, a document as it is."""
    if kind == "extract":
        return "".join(text for text, _ in answer_parts(layout, answer))
    return str(answer) if kind == "language-model" else " " + str(answer)


def answer_parts(layout: Layout, answer: Any) -> Parts:
    """An object's text cut into frames and values, alternating and beginning with a frame.

    Example:
        >>> answer_parts("spaced-json", {"a": "x", "b": [1]})
        [('{"a":"', False), (' x', True), ('","b":[', False), ('1', True), (']}', False)]
    """
    parts: Parts = []
    frame = _write(answer, "", parts, "" if layout == "json" else " ")
    return [*parts, (frame, False)]


def parse_answer(layout: Layout, text: str) -> Any:
    """The object that a text stands for; None when it is no JSON object."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    return answer if layout == "json" else _without_spaces(answer)


def frames_of(answers: Iterable[Any]) -> list[str]:
    """Frames worth a token: used 10 times or more by the given answers, the 256 commonest, in a fixed order."""
    counts = Counter(
        text for answer in answers for text, is_value in answer_parts("framed-json", answer) if not is_value
    )
    common = sorted((item for item in counts.items() if item[1] >= LEAST_USES), key=lambda item: (-item[1], item[0]))
    return [text for text, _ in common[:MOST_FRAMES]]


def _write(value: Any, frame: str, parts: Parts, space: str) -> str:
    """Append a value's parts; takes the frame that is open before it and gives the one open behind it."""
    if isinstance(value, dict):
        frame += "{"
        for index, (key, inner) in enumerate(value.items()):
            frame += ("," if index else "") + encode_basestring(str(key)) + ":"
            frame = _write(inner, frame, parts, space)
        return frame + "}"
    if isinstance(value, list | tuple):
        frame += "["
        for index, inner in enumerate(value):
            frame = _write(inner, frame + ("," if index else ""), parts, space)
        return frame + "]"
    if isinstance(value, str):
        # What json.dumps calls for a text, without making an encoder for each.
        parts += [(frame + '"', False), (space + encode_basestring(value)[1:-1], True)]
        return '"'
    parts += [(frame, False), (json.dumps(value, ensure_ascii=False), True)]
    return ""


def _without_spaces(value: Any) -> Any:
    if isinstance(value, str):
        return value.removeprefix(" ")
    if isinstance(value, dict):
        return {key: _without_spaces(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_spaces(part) for part in value]
    return value
