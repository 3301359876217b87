"""Frames in the tokenizer: one entry each, never made from text, printed as they are; byte table as published."""

from __future__ import annotations

from tokenizers import pre_tokenizers

from hone.data.tokenizer import byte_level, train_tokenizer

FRAMES = ['{"a":"', '","müde key":{"c":"', '"}}']
TEXTS = ['{"a":" x","müde key":{"c":" y"}}', ' play {"a":" and more'] * 20


def test_a_frame_has_an_entry_that_text_never_becomes() -> None:
    tokenizer = train_tokenizer(TEXTS, 300, frames=FRAMES)
    ids = [tokenizer.entry_id(frame) for frame in FRAMES]
    assert None not in ids
    assert [tokenizer.decode([one]) for one in ids if one is not None] == FRAMES
    for text in [*FRAMES, *TEXTS]:
        # The last frame is one that merges make by themselves: text and frame then share an ordinary token.
        assert not set(tokenizer.encode(text)) & set(ids[:2])
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.vocab_size <= 300


def test_the_byte_table_is_that_of_the_library() -> None:
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    text = "".join(map(chr, range(1, 0x250)))
    assert byte_level(text) == "".join(part for part, _ in split.pre_tokenize_str(text))
