"""A run that was stopped goes on with the same base, tokenizer and data only; what has changed is said."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import hone
from hone.errors import InputError
from hone.solving.single import Wish, carry
from hone.solving.watched import Watched
from hone.task.recipe import Recipe
from hone.train.source import identity, other_identity

BANKING = Path(__file__).parents[1] / "data" / "banking"


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    """Fine-tuning of a folder that another program wrote, as far as anybody can see: it carries no hashes."""
    folder = shutil.copytree(BANKING, tmp_path / "banking")
    tiny = {"warmup_steps": 0, "batch_size": 4, "optimizer": "adamw", "eval_rows": 4}
    made = hone.attempt(folder, Recipe(base="scratch:tiny", vocab_size=600, steps=2, eval_every=2, **tiny))
    base = shutil.copytree(made.model, tmp_path / "base")
    (base / "hone.json").unlink()
    return Wish(folder=folder, recipe=Recipe(base=str(base), steps=6, eval_every=3, **tiny))


def exchange_ids(path: Path) -> None:
    """Twenty letters of a tokenizer get each other's ids: it still reads and writes every text."""
    tokenizer = json.loads(path.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    letters = [text for text in vocabulary if len(text) == 1 and text.isalpha()][:20]
    for one, other in zip(letters[::2], letters[1::2], strict=True):
        vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    path.write_text(json.dumps(tokenizer))


def test_another_tokenizer_in_the_bases_folder_is_refused_with_what_changed(wish: Wish) -> None:
    asked = iter(range(100))
    paused = carry(wish, Watched(should_stop=lambda: next(asked) > 3), forked=False)
    assert (paused.status, paused.step) == ("stopped", 5)
    tokenizer = Path(wish.recipe.base) / "tokenizer.json"
    before = tokenizer.read_bytes()
    exchange_ids(tokenizer)
    with pytest.raises(InputError) as refusal:
        carry(wish, Watched(), forked=False)
    for name in ("base", "tokenizer", "token ids"):
        assert f"the {name} had the content" in str(refusal.value)
    assert "the data is" not in str(refusal.value)
    tokenizer.write_bytes(before)
    said: list[str] = []
    assert carry(wish, Watched(say=said.append), forked=False).status == "finished"
    assert any("going on from step 5 of 6" in line for line in said), "nothing was lost"


@pytest.mark.parametrize(("before", "now"), [(2, 1), (1, 2)])
def test_a_run_goes_on_in_another_number_of_processes_from_the_same_step(wish: Wish, before: int, now: int) -> None:
    """And is found again afterwards under both ways of computing it."""
    of = {count: replace(wish, recipe=wish.recipe.child(threads=1, processes=count)) for count in (before, now)}
    # Asked to stop from the start, it stops behind the first step.
    paused = carry(of[before], Watched(should_stop=lambda: True), forked=True)
    assert paused.status == "stopped"
    said: list[str] = []
    done = carry(of[now], Watched(say=said.append), forked=True)
    assert (done.status, done.run) == ("finished", paused.run)
    assert any(f"going on from step {paused.step} of 6" in line for line in said)
    assert any(f"processes {now} (it was {before})" in line for line in said)
    for wished in of.values():
        said.clear()
        assert carry(wished, Watched(say=said.append), forked=True).run == paused.run
        assert any("nothing is computed again" in line for line in said)


def test_another_rate_is_another_run(wish: Wish) -> None:
    asked = iter(range(100))
    paused = carry(wish, Watched(should_stop=lambda: next(asked) > 3), forked=False)
    other = carry(replace(wish, recipe=wish.recipe.child(learning_rate=1e-4)), Watched(), forked=False)
    assert other.run != paused.run


def test_differences_are_told_one_by_one_and_what_was_not_known_is_none() -> None:
    one = identity("d1", base=None, tokenizer="t1", token_ids="k1")
    assert one == "d1; tokenizer: t1; token ids: k1"
    assert other_identity(one, one) == []
    assert other_identity("d1", one) == [], "a state of an earlier version knows the data alone"
    assert other_identity(one, identity("d2", tokenizer="t1", token_ids="k2")) == [
        "the data is 'd1' in the checkpoint and 'd2' now",
        "the token ids had the content k1 at the checkpoint and k2 now",
    ]
