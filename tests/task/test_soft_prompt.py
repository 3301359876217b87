"""A soft prompt stands in front of every prompt, whatever the kind of task; it is no text, and costs no supervision."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hone.data.tokenizer import TextTokenizer, train_tokenizer
from hone.data.tokens import windows
from hone.deploy.artifact.ollama import modelfile
from hone.deploy.certificate.cases import cases_of
from hone.task.continuing import ContinuingRenderer
from hone.task.conversation import MARKS
from hone.task.render import SPECIALS, Renderer
from hone.task.soft_prompt import soft_prompt_json, soft_prompt_of, soft_token

SOFT = (7, 8, 9)
FIELDS = {
    "text": "play the song",
    "intent": "play",
    "turns": [{"role": "user", "content": "a song"}, {"role": "assistant", "content": "gladly"}],
}


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    names = (*SPECIALS, *MARKS.values(), *map(soft_token, range(3)))
    return train_tokenizer([" play the song"] * 9, 320, ("play",), specials=names)


def renderers(tokenizer: TextTokenizer) -> dict[str, Any]:
    conversation = {"conversation": "{turns}", "supervise": ["assistant"]}
    shared: dict[str, Any] = {"output_template": "{intent}", "tokenizer": tokenizer}
    plain = {kind: {"kind": kind, "input_template": "{text}", **shared} for kind in ("generate", "classify")}
    plain["classify"]["labels"] = ("play",)
    turns = {"kind": "generate", **shared, "input_template": conversation, "output_template": conversation}
    document = {"kind": "language-model", "input_template": None, **shared, "output_template": "{text}"}
    found = {name: Renderer(**values) for name, values in {**plain, "turns": turns, "document": document}.items()}
    for begin in ("<|begin|>", None):
        found[f"continues {begin}"] = ContinuingRenderer(tokenizer=tokenizer, begin=begin, end="<|end|>")
    return found


NAMES = ["generate", "classify", "turns", "document", "continues <|begin|>", "continues None"]


@pytest.mark.parametrize("name", NAMES)
def test_the_ids_are_those_without_it_behind_it(tokenizer: TextTokenizer, name: str) -> None:
    before, after = renderers(tokenizer)[name], renderers(tokenizer)[name]
    after.soft_prompt = SOFT
    assert after.prompt_ids(FIELDS) == [*SOFT, *before.prompt_ids(FIELDS)]
    ours, theirs = after.example("1", FIELDS), before.example("1", FIELDS)
    assert ours.ids.tolist() == [*SOFT, *theirs.ids.tolist()]
    assert not ours.supervised[:3].any()
    # Without a begin the first id of a text had nothing to be predicted from; now it has.
    first = 0 if name == "continues None" else theirs.prompt_len
    assert ours.supervised[3:].tolist() == [at >= first for at in range(len(theirs.ids))]
    assert ours.prompt_len == 3 + first


@pytest.mark.parametrize("name", NAMES)
def test_it_travels_with_the_renderer(tokenizer: TextTokenizer, name: str) -> None:
    renderer = renderers(tokenizer)[name]
    assert "soft_prompt" not in renderer.to_json()
    renderer.soft_prompt = SOFT
    told = json.loads(json.dumps(renderer.to_json()))
    assert told["soft_prompt"] == list(SOFT)
    assert Renderer.from_json(told, tokenizer).soft_prompt == SOFT
    renderer.verify([renderer.stored_example("1", FIELDS)])


def test_the_ids_survive_the_way_through_json() -> None:
    assert soft_prompt_of({"kind": "generate", **soft_prompt_json(SOFT)}) == SOFT
    assert soft_prompt_of(soft_prompt_json(())) == soft_prompt_of(None) == ()


@pytest.mark.parametrize("name", ["document", "continues None"])
def test_each_piece_of_a_document_has_it_in_front(tokenizer: TextTokenizer, name: str) -> None:
    renderer = renderers(tokenizer)[name]
    renderer.soft_prompt = SOFT
    example = renderer.example("1", {"text": " ".join(["play the song"] * 20)})
    before, pieces = example.prompt_len, windows(example, 12)
    assert len(pieces) > 2
    assert all(len(one.ids) <= 12 and one.ids[:before].tolist() == example.ids[:before].tolist() for one in pieces)
    assert all(not one.supervised[:before].any() and one.supervised[before:].all() for one in pieces)
    assert np.concatenate([one.ids[before:] for one in pieces]).tolist() == example.ids[before:].tolist()


def test_a_document_is_continued_from_its_own_beginning(tokenizer: TextTokenizer) -> None:
    renderer, soft = renderers(tokenizer)["document"], renderers(tokenizer)["document"]
    soft.soft_prompt = SOFT
    fields = {"text": "play the song, play it again, play"}
    (plain,), (case,) = cases_of([renderer.example("1", fields)]), cases_of([soft.example("1", fields)], len(SOFT))
    assert case.prompt == (*SOFT, *plain.prompt)
    assert case.predicted == tuple(at + 3 for at in plain.predicted)


def test_ollamas_template_begins_with_it(tokenizer: TextTokenizer) -> None:
    renderer = renderers(tokenizer)["generate"]
    renderer.soft_prompt = SOFT
    hone = {"kind": "generate", "context": 64, "renderer": renderer.to_json()}
    text = modelfile(hone, "model.gguf")
    assert 'TEMPLATE """<|prompt_0|><|prompt_1|><|prompt_2|> {{ .Prompt }}<|answer|>"""' in text
    assert "# The 3 tokens that the template begins with are a soft prompt." in text
