"""Replayed documents: as many as the share says, the same again for a seed and an epoch, all before one comes twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hone.attempts.replay import replay_documents, replay_line, replayed
from hone.data.tokenizer import TextTokenizer, train_tokenizer
from hone.errors import InputError
from hone.task.recipe import Recipe
from hone.task.render import Example

TEXT = "".join(
    f"It was day {n} and the rain fell on the old town by the sea as it had fallen before.\n\n" for n in range(99)
)
RECIPE = Recipe(replay="old.txt", replay_share=0.25, context=32, seed=5)


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return train_tokenizer([TEXT], 300, ())


def documents(count: int) -> list[Example]:
    ids, supervised = np.array([1, 2], np.int32), np.array([False, True])
    return [Example(ids=ids, supervised=supervised, prompt_len=1, label=None, row=str(n)) for n in range(count)]


def test_the_share_is_that_of_all_rows_and_an_epoch_repeats() -> None:
    made = replayed(300, documents(500), RECIPE, epoch=2)
    assert len(made) == 100, "100 of 400 rows are a quarter"
    names = [item.row for item in made]
    assert len(set(names)) == 100
    assert names == [item.row for item in replayed(300, documents(500), RECIPE, epoch=2)]
    assert names != [item.row for item in replayed(300, documents(500), RECIPE, epoch=3)]
    assert names != [item.row for item in replayed(300, documents(500), RECIPE.child(seed=6), epoch=2)]


def test_few_documents_come_again_equally_often() -> None:
    counts = Counter(item.row for item in replayed(300, documents(40), RECIPE, epoch=0))
    assert sum(counts.values()) == 100
    assert set(counts.values()) == {2, 3}
    assert "each 2.5 times" in replay_line(300, documents(40), RECIPE)


def test_documents_are_cut_at_the_context_and_wholly_supervised(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    (tmp_path / "old.txt").write_text(TEXT)
    lines: list[str] = []
    made = replay_documents(RECIPE, tokenizer, tmp_path, tmp_path / "cache", lines.append)
    assert made is not None
    assert all(2 <= len(item.ids) <= 32 and item.supervised[1:].all() and not item.supervised[0] for item in made)
    words = "".join(tokenizer.decode([int(i) for i in item.ids[1:]]) for item in made)
    assert words.count("the old town by the sea") == 99, "nothing of the text is lost at the cuts"
    assert (
        replay_documents(RECIPE.child(replay="", replay_share=0.0), tokenizer, tmp_path, tmp_path, lines.append) is None
    )


def test_another_text_has_another_key(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    keys = []
    for text in (TEXT, TEXT + "One more line."):
        (tmp_path / "old.txt").write_text(text)
        made = replay_documents(RECIPE, tokenizer, tmp_path, tmp_path / "cache", lambda line: None)
        assert made is not None
        keys.append(made.key)
    assert keys[0] != keys[1]


def test_rows_without_a_text_are_refused(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    (tmp_path / "old.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="expected plain text, or rows with a column text"):
        replay_documents(RECIPE.child(replay="old.csv"), tokenizer, tmp_path, tmp_path, lambda line: None)
    with pytest.raises(InputError, match=r"old\.txt"):
        replay_documents(RECIPE, tokenizer, tmp_path, tmp_path, lambda line: None)
