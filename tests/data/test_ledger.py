"""Law 5: kept + dropped = read, or there is no ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone.data.ledger import DUPLICATE, IN_TEST, OVERLONG, Entry, Ledger, Reason
from hone.errors import FailedError

TWO = Entry(row="a:1", source="train", reasons=(Reason(IN_TEST, "t:4"), Reason(DUPLICATE, "duplicate of a:0")))
ONE = Entry(row="a:2", source="train", reasons=(Reason(DUPLICATE, "ü"),), text="Grüße 🎵")


def books() -> Ledger:
    return Ledger(read={"train": 10, "test": 3}, kept={"train": 6, "dev": 2, "test": 3}, entries=(TWO, ONE))


def test_books_that_do_not_add_up_cannot_be_made() -> None:
    with pytest.raises(FailedError, match="9 kept \\+ 1 left out is not 11 read"):
        Ledger(read={"train": 11}, kept={"train": 9}, entries=(ONE,))
    with pytest.raises(FailedError, match="without a reason, first a:9"):
        Ledger(read={"train": 1}, kept={}, entries=(Entry(row="a:9", source="train", reasons=()),))


def test_counts_and_all_reasons() -> None:
    assert books().counts() == {DUPLICATE: 2, IN_TEST: 1}
    assert books().reasons_of("a:1") == TWO.reasons
    assert books().reasons_of("a:5") == ()


def test_later_steps_go_on_from_the_books() -> None:
    entry = Entry(row="a:5", source="train", reasons=(Reason(OVERLONG, "300 tokens"),))
    later = books().without("train", [entry])
    assert later.kept["train"] == 5
    assert later.entries[-1] is entry


def test_loading_gives_back_what_was_saved_and_refuses_a_part(tmp_path: Path) -> None:
    path = books().save(tmp_path / "ledger.jsonl")
    assert Ledger.load(path) == books()
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(FailedError, match="does not add up"):
        Ledger.load(path)
    path.write_text(lines[0][:20], encoding="utf-8")
    with pytest.raises(FailedError, match="not a whole ledger"):
        Ledger.load(path)
