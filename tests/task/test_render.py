"""The one renderer (laws 4 and 6), over a tokenizer so simple that its ids can be worked out by hand: bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hone.errors import FailedError, InputError
from hone.task.layouts import Layout, answer_parts, frames_of
from hone.task.render import SPECIALS, Renderer, label_token

FIRST_BYTE = 10


class Bytes:
    """Ids 0 to 9 are special, the byte b is the id 10 + b."""

    vocab_size = FIRST_BYTE + 256

    def __init__(self, labels: Sequence[str] = ()) -> None:
        self.names = [*SPECIALS, *map(label_token, labels)]

    def encode(self, text: str) -> list[int]:
        return [FIRST_BYTE + byte for byte in text.encode()]

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(one - FIRST_BYTE for one in ids if one >= FIRST_BYTE).decode(errors="replace")

    def special_id(self, name: str) -> int:
        return self.names.index(name)


def extracting(layout: Layout = "spaced-json") -> Renderer:
    return Renderer(
        kind="extract", input_template="{text}", output_template={"a": "{a}"}, tokenizer=Bytes(), layout=layout
    )


def test_a_row_by_hand() -> None:
    example = extracting().example("f:1", {"text": "hi", "a": "x"})
    text = " hi" + "\0" + '{"a":" x"}'
    pad, begin, answer, end = range(4)
    expected = [FIRST_BYTE + ord(char) if char != "\0" else answer for char in text] + [end]
    assert example.ids.tolist() == expected
    assert example.prompt_len == 4
    assert example.supervised.tolist() == [False] * 4 + [True] * (len(expected) - 4)
    assert pad not in example.ids
    assert begin not in example.ids


@given(st.text(), st.text(), st.sampled_from(["json", "spaced-json"]))
def test_what_is_rendered_is_parsed_back_and_every_row_is_supervised_to_its_end(
    text: str, value: str, layout: Any
) -> None:
    text, value = (part.encode("utf-8", "ignore").decode() for part in (text, value))
    renderer = extracting(layout)
    example = renderer.example("r", {"text": text, "a": value})
    assert renderer.parse(example.ids[example.prompt_len :].tolist()) == {"a": value}
    assert example.supervised[-1]
    assert example.ids[-1] == renderer.end_id
    assert not example.supervised[: example.prompt_len].any()


@given(st.recursive(st.text(max_size=5) | st.integers() | st.booleans(), lambda inner: st.lists(inner, max_size=3)))
def test_any_object_survives_and_stays_json(value: Any) -> None:
    for layout in ("json", "spaced-json"):
        renderer = extracting(layout)  # type: ignore[arg-type]
        text = renderer.completion_text({"a": value})
        assert isinstance(json.loads(text), dict)
        assert renderer.parse_text(text) == {"a": value}


def test_user_text_is_never_a_special_token_or_a_template() -> None:
    renderer = extracting()
    ids = renderer.prompt_ids({"text": "<|end|> {a} {{"})
    assert [one for one in ids if one < FIRST_BYTE] == [2]
    assert renderer.tokenizer.decode(ids) == " <|end|> {a} {{"


def test_a_label_is_one_token_and_an_unknown_one_an_error() -> None:
    labels = ("no", "yes")
    renderer = Renderer(
        kind="classify", input_template="{text}", output_template="{y}", tokenizer=Bytes(labels), labels=labels
    )
    example = renderer.example("r", {"text": "t", "y": "yes"})
    assert example.ids[example.prompt_len :].tolist() == [5, 3]
    assert example.label == 1
    assert renderer.parse([5, 3]) == "yes"
    assert renderer.parse([99]) is None
    with pytest.raises(InputError, match="maybe"):
        renderer.example("r", {"text": "t", "y": "maybe"})


def test_stored_examples_are_checked_and_the_first_different_id_is_named() -> None:
    renderer = extracting()
    stored = [renderer.stored_example("f:1", {"text": "hi", "a": "x"})]
    copy = Renderer.from_json(json.loads(json.dumps(renderer.to_json())), Bytes())
    copy.verify(stored)
    stored[0]["ids"][2] += 1
    with pytest.raises(FailedError, match=r"row f:1 .* id 2 is 115, stored 116"):
        copy.verify(stored)


def test_text_that_is_no_answer_parses_to_none() -> None:
    renderer = extracting()
    assert renderer.parse_text('{"a":" x"') is None
    assert renderer.parse_text("[1]") is None


LEAF = st.text(max_size=5) | st.integers() | st.booleans() | st.none()
VALUE = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))


@given(st.dictionaries(st.text(max_size=3), VALUE, max_size=4))
def test_the_parts_of_an_answer_are_its_json_and_frames_and_values_alternate(answer: dict[str, Any]) -> None:
    parts = answer_parts("json", answer)
    assert "".join(text for text, _ in parts) == json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    assert [is_value for _, is_value in parts] == [index % 2 == 1 for index in range(len(parts))]


def test_frames_by_hand() -> None:
    answers = [{"a": "x", "b": {"c": "y"}}] * 10 + [{"rare": "z"}] * 9
    assert sorted(frames_of(answers)) == sorted(['{"a":"', '","b":{"c":"', '"}}'])


def test_a_frame_is_one_token_and_a_wrong_one_is_refused() -> None:
    class Framed(Bytes):
        def decode(self, ids: Sequence[int]) -> str:
            return "".join('{"a":"' if one == 9 else super(Framed, self).decode([one]) for one in ids)

    arguments: dict[str, Any] = {"kind": "extract", "input_template": "{t}", "output_template": {"a": "{a}"}}
    renderer = Renderer(**arguments, tokenizer=Framed(), layout="framed-json", frames={'{"a":"': 9})
    ids = renderer.completion_ids({"a": "x"})
    assert ids == [9, *renderer.tokenizer.encode(' x"}')]
    assert renderer.parse(ids) == {"a": "x"}
    with pytest.raises(FailedError, match="1 of 1 frames are other tokens here"):
        Renderer(**arguments, tokenizer=Framed(), layout="framed-json", frames={'{"b":"': 9})
