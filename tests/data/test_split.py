"""Hash splits: together, exact, and independent of order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.data.split import EXACT_UNDER, choose, position
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
    num_texts=st.integers(5, 99),
    copies=st.integers(1, 3),
    share=st.floats(0.05, 0.9),
    salt=st.sampled_from(["dev", "test"]),
)
@settings(max_examples=80, deadline=None)
def test_a_share_of_few_texts_is_met_to_a_text(num_texts: int, copies: int, share: float, salt: str) -> None:
    keys = KEYS[:num_texts] * copies
    wanted = int(share * num_texts + 0.5)
    if not 0 < wanted < num_texts:
        return
    chosen = choose(keys, share, salt)
    assert len(chosen) == wanted
    assert max(position(key, salt) for key in chosen) < min(position(key, salt) for key in set(keys) - chosen)


def test_a_share_of_many_texts_is_what_their_hashes_say() -> None:
    """As it has always been: no data version of a larger task may change."""
    for share in (EXACT_UNDER / len(KEYS), 0.3):
        assert choose(KEYS, share, "dev") == {key for key in KEYS if position(key, "dev") < share}


def test_rows_that_leave_by_a_rule_move_none_between_the_splits() -> None:
    keys = KEYS[:90]
    before = choose(keys, 0.2, "dev")
    stay = [key for number, key in enumerate(keys) if key in before or number % 2]
    assert choose(stay, 0.2, "dev", of=keys) == before
    gone = sorted(before)[:5]
    assert choose([key for key in stay if key not in gone], 0.2, "dev", of=keys) == before - set(gone)


def test_the_last_of_a_label_gives_its_place_to_the_next() -> None:
    keys = KEYS[:60]
    labels = [f"rare {n}" if n % 2 else "common" for n in range(60)]
    chosen = choose(keys, 0.1, "dev", labels)
    assert len(chosen) == 6
    assert {label for key, label in zip(keys, labels, strict=True) if key in chosen} == {"common"}
    taken = choose(keys, 0.1, "dev")
    rest = [key for key in keys if key not in taken]
    assert len(choose(rest, 0.1, "dev", of=keys)) == 1, "a split is not empty because what was to be in it has left"


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
