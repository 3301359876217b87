"""Any text comes back as it was, no text becomes a special token, and Transformers gives the same ids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.data.tokenizer import TextTokenizer, train_tokenizer
from hone.errors import FailedError, InputError
from hone.task.render import SPECIALS

FIXTURES = Path(__file__).parent.parent / "data"
LABELS = ("card_arrival", "naïve label", "<|end|>")
NASTY = [
    "", " ", "  two  spaces  ", "a\r\nb\tc\x00d", "don't they're I'LL", "naïve Ångström", "日本語テキスト", "👩‍👩‍👧 🎵",
    "<|end|>", "<|pad|><|begin|>x<|answer|>", "<|label:card_arrival|>", "<|endoftext|> [UNK] <s>", "ﷺ\u202e\ufeff",
    "1234567 3.14",
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return trained()


def trained(vocab_size: int = 600) -> TextTokenizer:
    texts = (FIXTURES / "shakespeare" / "train.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    return train_tokenizer([*texts, "<|end|> <|pad|>"] * 2, vocab_size, LABELS)


def test_ids_of_special_tokens_are_where_the_renderer_expects_them(tokenizer: TextTokenizer) -> None:
    assert [tokenizer.special_id(name) for name in SPECIALS] == [0, 1, 2, 3]
    assert [tokenizer.special_id(f"<|label:{label}|>") for label in LABELS] == [4, 5, 6]
    assert tokenizer.vocab_size == 600
    with pytest.raises(InputError, match=r'no special token "<\|ende\|>"; did you mean "<\|end\|>"'):
        tokenizer.special_id("<|ende|>")


@pytest.mark.parametrize("text", NASTY)
def test_nasty_texts_come_back_and_hold_no_special_id(tokenizer: TextTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(tokenizer.specials.values())


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_any_text_comes_back(text: str) -> None:
    tokenizer = _shared()
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(len(SPECIALS) + len(LABELS) <= token_id < tokenizer.vocab_size for token_id in ids)


_CACHE: list[TextTokenizer] = []


def _shared() -> TextTokenizer:
    if not _CACHE:
        _CACHE.append(trained())
    return _CACHE[0]


def test_special_ids_are_left_out_of_decoded_text(tokenizer: TextTokenizer) -> None:
    assert tokenizer.decode([0, *tokenizer.encode("good morrow"), 3, 4]) == "good morrow"


def test_training_is_deterministic_and_learns_from_the_text(tokenizer: TextTokenizer) -> None:
    assert trained().hash == tokenizer.hash
    assert trained(599).hash != tokenizer.hash
    text = "First Citizen:\nBefore we proceed any further, hear me speak.\n"
    assert len(tokenizer.encode(text)) < 0.6 * len(text)


def test_half_a_surrogate_pair_is_an_error_with_its_place(tokenizer: TextTokenizer) -> None:
    with pytest.raises(InputError, match=r"character 2 of a text is U\+D83C"):
        tokenizer.encode("ab\ud83c")
    with pytest.raises(InputError, match="half of a surrogate pair"):
        train_tokenizer(["fine", "\udfb5"], 300)


def test_sizes_and_labels_that_cannot_be(tokenizer: TextTokenizer) -> None:
    with pytest.raises(
        InputError, match=r"256 bytes \+ 7 special tokens \(3 of them labels\) \+ 0 frames need at least 263"
    ):
        trained(262)
    with pytest.raises(InputError, match="hold one twice"):
        train_tokenizer(["x"], 300, ["a", "a"])


def test_a_saved_folder_opens_again_with_the_split_regex_of_gpt2(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = TextTokenizer.open(tmp_path)
    assert again.hash == tokenizer.hash
    assert [again.encode(text) for text in NASTY] == [tokenizer.encode(text) for text in NASTY]
    before = json.loads((tmp_path / "tokenizer.json").read_text())["pre_tokenizer"]
    assert (before["type"], before["add_prefix_space"], before["use_regex"]) == ("ByteLevel", False, True)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(FailedError, match="not a whole tokenizer"):
        TextTokenizer.open(tmp_path)
    with pytest.raises(InputError, match="there is no such file"):
        TextTokenizer.open(tmp_path / "nowhere")


@pytest.mark.slow
def test_transformers_opens_the_folder_and_gives_the_same_ids(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(tokenizer.save(tmp_path))
    for text in NASTY:
        ids = theirs(text, add_special_tokens=False)["input_ids"]
        assert ids == theirs(text)["input_ids"] == tokenizer.encode(text), text
        assert theirs.decode(ids, skip_special_tokens=True) == text
    assert (theirs.pad_token_id, theirs.bos_token_id, theirs.eos_token_id) == (0, 1, 3)
    assert len(theirs) == tokenizer.vocab_size
