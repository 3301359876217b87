"""Hash splits: together, exact, and independent of order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.data.split import choose
from hone.errors import InputError

KEYS = [f"text {n}" for n in range(1000)]


def test_a_number_of_rows_is_met_exactly_and_a_share_nearly() -> None:
    assert len(choose(KEYS, 137, "dev")) == 137
    assert 80 < len(choose(KEYS, 0.1, "dev")) < 120


def test_a_row_stays_in_its_split_when_rows_are_added() -> None:
    before = choose(KEYS[:500], 0.2, "dev")
    assert choose(KEYS, 0.2, "dev") & set(KEYS[:500]) == before


def test_splits_are_independent_of_each_other() -> None:
    both = choose(KEYS, 0.3, "dev") & choose(KEYS, 0.3, "test")
    assert 50 < len(both) < 130


@given(
    keys=st.lists(st.sampled_from(KEYS[:30]), min_size=12, max_size=60, unique=False),
    shuffled=st.randoms(use_true_random=False),
    size=st.integers(1, 5),
)
@settings(max_examples=80, deadline=None)
def test_order_does_not_matter_and_no_key_is_in_both(keys: list[str], shuffled: object, size: int) -> None:
    other = list(keys)
    shuffled.shuffle(other)  # type: ignore[attr-defined]
    try:
        chosen = choose(keys, size, "dev")
    except InputError:
        return
    assert chosen == choose(other, size, "dev")
    taken = sum(count for key, count in Counter(keys).items() if key in chosen)
    assert 1 <= taken <= size < len(keys)


def test_the_last_row_of_a_label_stays_for_training() -> None:
    labels = ["common"] * 900 + [f"rare {n}" for n in range(100)]
    chosen = choose(KEYS, 0.5, "dev", labels)
    assert {label for key, label in zip(KEYS, labels, strict=True) if key not in chosen} == set(labels)
    assert len(chosen) > 300


@pytest.mark.parametrize("size", [1000, 2000, 1e-12])
def test_a_split_that_leaves_nothing_is_refused(size: int | float) -> None:
    with pytest.raises(InputError, match=r"data\.dev: "):
        choose(KEYS, size, "dev")


@pytest.mark.parametrize(("size", "salt"), [(0.1, "test"), (5, "dev")])
def test_rows_of_one_text_are_refused_with_that_cause(size: int | float, salt: str) -> None:
    with pytest.raises(InputError) as caught:
        choose(["one"] * 60, size, salt)
    assert "all 60 rows have one and the same text" in str(caught.value)
    assert ("another size" in str(caught.value)) == (salt == "dev"), "the share of the test is not the user's"


def test_too_few_texts_are_counted_in_the_refusal() -> None:
    with pytest.raises(InputError, match="there are 2 texts"):
        choose(["one", "two"] * 30, 1e-12, "dev")
