"""What is shown of texts: cut around evidence, masked, compared word by word."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hone.data.looking.duplicates import compared
from hone.data.looking.samples import excerpt, masked

SIGNS = ["the", "cat", "sat", "on", "a", "mat", "while", "dogs", "ran"]
WORDS = st.lists(st.sampled_from(SIGNS), max_size=40).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(WORDS, WORDS)
def test_a_difference_tells_both_texts(left: str, right: str) -> None:
    found = compared(left, right)
    if any(kind == "gap" for kind, _ in found["pieces"]):
        return
    both = {"survivor": ("same", "removed"), "row": ("same", "added")}
    told = {
        who: " ".join(words for kind, words in found["pieces"] if kind in kinds).split() for who, kinds in both.items()
    }
    assert told == {"survivor": left.split(), "row": right.split()}


def test_long_equal_stretches_are_counted_and_left_out() -> None:
    words = [f"w{at}" for at in range(300)]
    changed = [*words[:100], "new", *words[101:]]
    found = compared(" ".join(words), " ".join(changed))
    gaps = [text for kind, text in found["pieces"] if kind == "gap"]
    assert gaps == ["88 equal words", "187 equal words"]
    assert (found["only_survivor"], found["only_row"], found["whole"]) == (1, 1, True)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=400), st.integers(0, 399), st.integers(1, 50), st.integers(20, 200))
def test_an_excerpt_keeps_its_first_mark(text: str, start: int, size: int, chars: int) -> None:
    start = start % len(text)
    end = min(len(text), start + min(size, chars // 4))
    found = excerpt(text, [(start, end, "kind")], chars)
    assert found["before"] + len(found["text"]) + found["after"] == len(text)
    low, high, _ = found["marks"][0]
    assert text[start:end].startswith(found["text"][low:high])
    assert high > low


def test_masking_leaves_first_sign_punctuation_and_length() -> None:
    text = "write to jane.doe@mail.org now"
    assert masked(text, [("email", 9, 26)]) == "write to j•••.•••@••••.••• now"
    assert masked(text, []) == text
