"""Law 10 by force: twenty kills of one run, behind steps and in the middle of saves, and nothing is lost."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from killed_runs import LONG, SAVE_EVERY, killed_behind, killed_in_act, long_fit, long_two
from small_runs import DiedError, apart

from hone.errors import FailedError
from hone.train.checkpoints import Checkpoints

KILLS = 20
ACTS_OF_A_SAVE = 20
"""Files written, synced, renamed and removed in a save with an evaluation, at most."""


def newest_step(folder: Path) -> int:
    """The step of the newest state that is whole; without a word when there is none."""
    saved = Checkpoints(folder / "checkpoints", lambda line: None).newest()
    return 0 if saved is None else int(saved.header["progress"]["step"])


def test_twenty_kills_lose_nothing(tmp_path: Path) -> None:
    whole = apart(long_fit, str(tmp_path / "whole"))
    generator = np.random.default_rng(20)
    folder, reached = tmp_path / "killed", [0]
    for kill in range(KILLS):
        work, until = (killed_behind, SAVE_EVERY + 2) if kill % 2 else (killed_in_act, ACTS_OF_A_SAVE)
        with pytest.raises(DiedError, match=str(-signal.SIGKILL)):
            apart(work, str(folder), int(generator.integers(1, until + 1)))
        reached.append(newest_step(folder))
    assert reached == sorted(reached)
    assert 0 < reached[-1] < LONG.steps
    assert apart(long_fit, str(folder)) == whole
    assert not list((folder / "checkpoints").glob(".part-*"))


@pytest.mark.parametrize(("kills", "steps"), [(4, 15), pytest.param(10, 45, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("strategy", "acts_beside"), [("ddp", 4), ("fsdp", 120)])
def test_kills_in_saves_of_two_processes_lose_nothing(
    tmp_path: Path, strategy: str, acts_beside: int, kills: int, steps: int
) -> None:
    """In turn of the first one, while the second waits for it, and of the second, while the first gathers or writes.

    ``acts_beside``: what the second one does in a save with an evaluation, at most; it hands over each of its shards.
    """
    whole = apart(long_two, str(tmp_path / "whole"), strategy, steps)
    generator = np.random.default_rng(10)
    folder, reached = tmp_path / "killed", [0]
    for kill in range(kills):
        killed, most = (kill % 2, acts_beside if kill % 2 else ACTS_OF_A_SAVE)
        failure = apart(long_two, str(folder), strategy, steps, killed, int(generator.integers(1, most + 1)))
        assert isinstance(failure, FailedError)
        assert f"process {killed} of 2 died with exit status {-signal.SIGKILL}" in str(failure)
        reached.append(newest_step(folder))
    assert reached == sorted(reached)
    assert 0 < reached[-1] < steps
    assert apart(long_two, str(folder), strategy, steps) == whole
    assert not list((folder / "checkpoints").glob(".part-*"))
