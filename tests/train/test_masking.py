"""Masks: BERT's shares, never a special token, and a function of seed, epoch and row alone."""

from __future__ import annotations

import numpy as np
import pytest
from small_encoders import VOCAB, encoder

from hone.task.masking import Masking
from hone.task.render import Example
from hone.train.batches import collate
from hone.train.objectives import AtPositions

MASK_ID, SPECIAL = 3, 4
MASKING = Masking(MASK_ID, range(SPECIAL, VOCAB), 0.15)


def documents(count: int, length: int = 40) -> list[Example]:
    """Random rows between two marks, as the renderer of encoders makes them."""
    generator = np.random.default_rng(5)
    rows = []
    for index in range(count):
        ids = generator.integers(SPECIAL, VOCAB, length).astype(np.int32)
        ids[[0, -1]] = (1, 2)
        inner = np.ones(length, dtype=np.bool_)
        inner[[0, -1]] = False
        rows.append(Example(ids=ids, supervised=inner, prompt_len=length, label=None, row=f"r:{index}", targets=ids))
    return rows


def test_the_shares_are_berts_15_and_of_these_80_10_10() -> None:
    rows = documents(2000)
    masked = MASKING.all(rows, 0, 0)
    chosen = sum(int(row.supervised.sum()) for row in masked)
    assert chosen == 2000 * round(0.15 * 38)
    became = [
        (int(new.ids[place]), int(old.ids[place]))
        for old, new in zip(rows, masked, strict=True)
        for place in np.flatnonzero(new.supervised)
    ]
    shares = [np.mean([new == MASK_ID for new, _ in became]), np.mean([new == old for new, old in became])]
    # One random token in 46 is the one that stood there.
    assert shares == pytest.approx([0.8, 0.1 + 0.1 / 46], abs=0.01)


def test_only_chosen_tokens_change_and_their_targets_are_what_stood_there() -> None:
    for old, new in zip(documents(50), MASKING.all(documents(50), 1, 2), strict=True):
        same = ~new.supervised
        assert np.array_equal(new.ids[same], old.ids[same])
        assert new.targets is not None
        assert np.array_equal(new.targets, old.ids)
        assert not new.supervised[[0, -1]].any()


def test_masks_depend_on_seed_epoch_and_row_alone() -> None:
    rows = documents(6)
    whole = {row.row: row.ids.tolist() for row in MASKING.all(rows, 3, 1)}
    cut = {row.row: row.ids.tolist() for part in (rows[4:], rows[:4]) for row in MASKING.all(part, 3, 1)}
    assert cut == whole
    assert whole != {row.row: row.ids.tolist() for row in MASKING.all(rows, 3, 2)}
    assert whole != {row.row: row.ids.tolist() for row in MASKING.all(rows, 4, 1)}


def test_a_short_row_has_one_masked_token() -> None:
    assert [int(row.supervised.sum()) for row in MASKING.all(documents(3, length=3), 0, 0)] == [1, 1, 1]


def test_an_untrained_encoder_guesses_masked_tokens_uniformly() -> None:
    rows = MASKING.all(documents(30), 0, 0)
    total, count = AtPositions().loss(encoder("bert", "MaskedLM"), collate([(row,) for row in rows]))
    assert float(total.detach()) / int(count) == pytest.approx(np.log(VOCAB), abs=0.1)
