"""Files of llama2.c as GGUF: the same ids for every text, the same story, and refusals where there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hone.data.tokenizer import TextTokenizer
from hone.deploy.certificate.corpus import AWKWARD_TEXTS
from hone.deploy.gguf.writing import export
from hone.deploy.runtime import runtime
from hone.errors import InputError

pytest.importorskip("xllamacpp")
# Of the readme beside the file: what its authors' run.c writes at temperature 0.
PUBLISHED = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a "
    "big, red ball. She wanted to play with it, but it was too high."
)


@pytest.fixture(scope="module")
def tokenizer(story_model) -> TextTokenizer:
    return TextTokenizer.open(story_model)


@pytest.fixture(scope="module")
def session(story_model, tmp_path_factory):
    opened = runtime("gguf").open(export(story_model, "f32", tmp_path_factory.mktemp("gguf") / "stories.gguf"), 1, 512)
    yield opened
    opened.close()


def test_the_artifact_writes_the_published_story(session, tokenizer):
    wanted = len(tokenizer.encode(PUBLISHED))
    (story,) = session.generate([[1]], max_new_tokens=wanted, end_id=1)
    assert session.detokenize(story.ids) == PUBLISHED


@pytest.mark.parametrize("text", [*AWKWARD_TEXTS, "\u2581", " ", "\u2581 a", "  "])
def test_ids_of_awkward_texts_are_those_of_training(session, tokenizer, text):
    ids = tokenizer.encode(text)
    assert session.tokenize(text) == ids
    assert session.detokenize(ids) == tokenizer.decode(ids)


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=30) | st.text(alphabet="aehnot \u2581\u00e9!", max_size=30))
@example(text="aaaaaaa eeee  nnnnn")
def test_ids_of_any_text_are_those_of_training(session, tokenizer, text):
    assert session.tokenize(text) == tokenizer.encode(text)


def test_blocks_of_32_do_not_divide_172(story_model, tmp_path):
    with pytest.raises(InputError) as caught:
        export(story_model, "q8_0", tmp_path / "no.gguf")
    assert len(caught.value.problems) == 1
    assert "nor do those of 4 more" in caught.value.problems[0]
    assert "rows of 172 weights do not divide by the 32 of q8_0" in caught.value.problems[0]


def changed(folder: Path, out: Path, change) -> Path:
    out.mkdir()
    for path in folder.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    data = json.loads((folder / "tokenizer.json").read_text())
    change(data)
    (out / "tokenizer.json").write_text(json.dumps(data))
    return out


def test_the_older_layout_of_the_same_tokenizer_gets_its_space_always(story_model, tmp_path):
    def older(data):
        data["pre_tokenizer"] = None
        replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
        data["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, replace]}

    made = changed(story_model, tmp_path / "older", older)
    opened = runtime("gguf").open(export(made, "f32", tmp_path / "older.gguf"), 1, 64)
    tokenizer = TextTokenizer.open(made)
    for text in AWKWARD_TEXTS:
        ids = tokenizer.encode(text)
        assert opened.tokenize(text) == ids
        assert opened.detokenize(ids) == tokenizer.decode(ids)
    opened.close()


def test_what_scores_cannot_say_is_refused_all_at_once(story_model, tmp_path):
    def odd(data):
        data["model"]["merges"] = [data["model"]["merges"][1], *data["model"]["merges"][2:]]
        del data["model"]["vocab"]["<0x41>"]
        data["normalizer"] = {"type": "NFC"}
        data["added_tokens"].append({**data["added_tokens"][0], "id": 600, "content": "Zeppelin", "special": False})

    with pytest.raises(InputError) as caught:
        export(changed(story_model, tmp_path / "odd", odd), "f32", tmp_path / "no.gguf")
    said = "\n".join(caught.value.problems)
    for part in (
        "lack a merge for a way to cut them in two",
        "1 of 256 bytes have no token, the first is <0x41>",
        "normalizer NFC with pre-tokenizer Metaspace",
        "added tokens such as 'Zeppelin' are text",
        "ids up to 600, the embedding only 512 rows",
    ):
        assert part in said
