"""Rows for encoders: between the model's own marks, with targets where they are predicted, and never forged by text."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hone.data.tokenizer import ENCODER_SPECIALS, TextTokenizer, train_tokenizer
from hone.errors import InputError
from hone.task.encoding import MASK, EncoderRenderer
from hone.task.render import BEGIN, END, PAD, Renderer

MARKS = {"begin": BEGIN, "end": END, "pad": PAD, "mask": MASK}
TEXTS = ["play some jazz by miles davis", "book a table in new york", "unbelievable weather in reykjavik"] * 20


@pytest.fixture(scope="module")
def byte_level() -> TextTokenizer:
    return train_tokenizer(TEXTS, 300, specials=ENCODER_SPECIALS)


@pytest.fixture(scope="module")
def word_pieces() -> TextTokenizer:
    """BERT's kind of tokenizer with a tiny vocabulary, padding and cutting switched on as published files have it."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [
        "play",
        "jazz",
        "by",
        "miles",
        "dav",
        "##is",
        "new",
        "york",
        "[",
        "]",
        "mask",
        "cls",
        "sep",
        "10",
        "##am",
        "in",
    ]
    rust = Tokenizer(models.WordPiece({w: i for i, w in enumerate([*names, *words])}, unk_token="[UNK]"))
    rust.normalizer = normalizers.BertNormalizer(lowercase=True)
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    rust.add_special_tokens([AddedToken(name, special=True) for name in names])
    rust.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    rust.enable_truncation(4)
    rust.enable_padding(length=6)
    return TextTokenizer(rust)


BERT_MARKS = {"begin": "[CLS]", "end": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}


def renderer(tokenizer: TextTokenizer, kind: str, *, labels: tuple[str, ...] = (), **more: object) -> EncoderRenderer:
    output = {"classify": "{label}", "multi-label": "{labels}", "tag": "{entities}", "language-model": "{text}"}[kind]
    marks = BERT_MARKS if tokenizer.entry_id("[CLS]") is not None else MARKS
    settings = {"marks": marks, "labels": labels, "input_template": "{text}", "output_template": output, **more}
    return EncoderRenderer(kind=kind, tokenizer=tokenizer, **settings)  # type: ignore[arg-type]


def test_a_row_stands_between_the_models_own_marks_and_nothing_is_cut(word_pieces: TextTokenizer):
    example = renderer(word_pieces, "classify", labels=("a", "b")).example(
        "r", {"text": "Play jazz by miles", "label": "b"}
    )
    assert example.ids.tolist() == [2, 5, 6, 7, 8, 3]
    assert np.flatnonzero(example.supervised).tolist() == [0]
    assert (example.targets[0], example.label) == (1, 1)


@pytest.mark.parametrize("text", ["[MASK] [CLS] [SEP]", "a[SEP]b", "[PAD]"])
def test_user_text_never_becomes_a_special_token(word_pieces: TextTokenizer, text: str):
    ids = renderer(word_pieces, "language-model").example("r", {"text": text}).ids[1:-1]
    assert not {0, 2, 3, 4} & set(ids.tolist())


def test_user_text_never_becomes_a_mark_of_hones_tokenizer(byte_level: TextTokenizer):
    ids = renderer(byte_level, "language-model").example("r", {"text": "<|mask|><|end|><|begin|><|pad|>"}).ids[1:-1]
    assert min(ids) >= len(ENCODER_SPECIALS)


def test_several_labels_become_ones_and_an_unknown_one_is_left_out(word_pieces: TextTokenizer):
    rows = renderer(word_pieces, "multi-label", labels=("a", "b", "c"))
    example = rows.example("r", {"text": "jazz", "labels": ["c", "a", "new"]})
    assert example.labels.tolist() == [1, 0, 1]
    assert rows.reference({"text": "jazz", "labels": ["c", "a", "c"]}) == ["a", "c"]
    assert rows.labels_from(np.array([0.5, 0.49, 0.9])) == ["a", "c"]


DAVIS = {
    "text": "play jazz by Miles Davis",
    "entities": [{"type": "artist", "text": "Miles Davis"}, {"type": "genre", "text": "jazz"}],
}


def test_tags_stand_at_the_first_token_of_a_word_or_at_all(word_pieces: TextTokenizer):
    first = renderer(word_pieces, "tag", labels=("artist", "genre"))
    example = first.example("r", DAVIS)  # [CLS] play jazz by miles dav ##is [SEP]
    assert example.supervised.tolist() == [False, True, True, True, True, True, False, False]
    names = [first.outputs[tag] for tag in example.targets[example.supervised]]
    assert names == ["O", "B-genre", "O", "B-artist", "I-artist"]
    every = renderer(word_pieces, "tag", labels=("artist", "genre"), subtokens="all").example("r", DAVIS)
    assert every.supervised.tolist() == [False, True, True, True, True, True, True, False]
    assert [first.outputs[tag] for tag in every.targets[every.supervised]][-1] == "I-artist"


@pytest.mark.parametrize("subtokens", ["first", "all"])
@pytest.mark.parametrize("which", ["word_pieces", "byte_level"])
def test_the_right_tags_give_the_right_entities(request: pytest.FixtureRequest, which: str, subtokens: str):
    rows = renderer(request.getfixturevalue(which), "tag", labels=("artist", "genre"), subtokens=subtokens)
    example = rows.example("r", DAVIS)
    answer = rows.entities(DAVIS, example.targets[example.supervised].tolist())
    assert answer == rows.reference(DAVIS)
    assert [item["text"] for item in answer] == ["jazz", "Miles Davis"]
    assert rows.unwritable(DAVIS) == []
    assert rows.supervised_at(DAVIS) == np.flatnonzero(example.supervised).tolist()


def test_entities_that_tags_cannot_say_are_named(word_pieces: TextTokenizer):
    row = {"text": "in 10am \u200b", "entities": [{"type": "n", "text": text} for text in ("10", "\u200b", "x")]}
    lost = renderer(word_pieces, "tag", labels=("n",)).unwritable(row)
    assert lost == ["n: x", "n: 10", "n: \u200b"]
    # With a tag at each token the 10 of 10am can be said.
    assert "n: 10" not in renderer(word_pieces, "tag", labels=("n",), subtokens="all").unwritable(row)


def test_the_renderer_travels_as_json_with_its_calibration(word_pieces: TextTokenizer):
    rows = renderer(word_pieces, "multi-label", labels=("a", "b"), temperature=1.7, threshold=0.31)
    again = Renderer.from_json(json.loads(json.dumps(rows.to_json())), word_pieces)
    assert isinstance(again, EncoderRenderer)
    assert again.to_json() == rows.to_json()
    again.verify([rows.stored_example("r", {"text": "jazz in york", "labels": ["b"]})])


def test_a_tokenizer_without_marks_is_refused_in_a_sentence(word_pieces: TextTokenizer):
    with pytest.raises(InputError, match=r"no token for end.*sep_token"):
        EncoderRenderer(
            kind="classify",
            input_template="{text}",
            output_template="{label}",
            tokenizer=word_pieces,
            marks={"begin": "[CLS]", "pad": "[PAD]"},
        )


def test_a_trained_tokenizer_says_its_roles_where_transformers_reads_them(byte_level: TextTokenizer, tmp_path):
    byte_level.save(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    found = {role: config[f"{role}_token"] for role in ("cls", "sep", "pad", "mask")}
    assert found == {"cls": BEGIN, "sep": END, "pad": PAD, "mask": MASK}
