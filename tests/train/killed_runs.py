"""A run that is killed again and again: behind steps, and at every kind of act of a save."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from small_runs import RECIPE, Outcome, Rank, judge, outcome, small_fit

from hone.train import checkpoints, keeping, launch, state
from hone.train.records import StepRecord

LONG = RECIPE.child(steps=144, eval_every=12, warmup_steps=4, keep_states=1, accumulate=1)
SAVE_EVERY = 3


def long_fit(folder: str) -> tuple[str, list[tuple[int, float]]]:
    """The run without a disturbance, or what is left of it."""
    weights, result = small_fit(Path(folder), LONG, save_every=SAVE_EVERY, evaluate=judge)
    return weights, [(item.step, item.score.mean) for item in result.evaluations]


def killed_behind(folder: str, steps: int) -> None:
    """Killed behind the ``steps``-th step of this process."""
    left = [steps]

    def on_step(record: StepRecord) -> None:
        del record
        left[0] -= 1
        if left[0] == 0:
            die()

    small_fit(Path(folder), LONG, save_every=SAVE_EVERY, evaluate=judge, on_step=on_step)


def killed_in_act(folder: str, act: int) -> None:
    """Killed in the ``act``-th thing done to files: half a tensor file is there, a sync, a new name, a removal."""
    _die_among_files(act)
    small_fit(Path(folder), LONG, save_every=SAVE_EVERY, evaluate=judge)


def _counted(act: int) -> Callable[..., Callable[..., Any]]:
    """Wraps functions; the ``act``-th call of all of them together is the last thing that this process does."""
    left = [act]

    def counted(function: Callable[..., Any], before: Callable[..., None] | None = None) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                if before is not None:
                    before(*arguments)
                die()
            return function(*arguments, **named)

        return wrapped

    return counted


def _die_among_files(act: int) -> None:
    """From now on this process dies in the ``act``-th thing that it does to files."""

    def half_of_it(tensors: Any, path: Path) -> None:
        whole_file(tensors, path)
        os.truncate(path, path.stat().st_size // 2)

    counted, whole_file = _counted(act), checkpoints.save_file
    checkpoints.save_file = counted(whole_file, half_of_it)
    os.fsync = counted(os.fsync)
    Path.replace = counted(Path.replace)  # type: ignore[method-assign]
    shutil.rmtree = counted(shutil.rmtree, _half_of_the_folder)


def _half_of_the_folder(folder: Path, **named: Any) -> None:
    del named
    for file in sorted(Path(folder).glob("*"))[:1]:
        file.unlink()


def die() -> None:
    """Without a chance to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)


# On two processes, as whole copies and as shards.


def fit_long_rank(rank: int, folder: str, strategy: str, steps: int, killed: int | None, act: int) -> Outcome:
    """One of two processes; the one that is to be killed dies in the ``act``-th act of its part in saving."""
    if rank == killed == 0:
        _die_among_files(act)
    elif rank == killed:
        _die_beside_files(act)
    recipe = LONG.child(processes=2, strategy=strategy, steps=steps, eval_every=6, accumulate=2, packing=True)
    return outcome(small_fit(Path(folder), recipe, save_every=SAVE_EVERY, evaluate=judge))


def _die_beside_files(act: int) -> None:
    """The second process writes nothing: it hands over generators, of shards each tensor, and waits for the first."""
    counted = _counted(act)
    keeping.own_generators = counted(keeping.own_generators)
    keeping.broadcast = counted(keeping.broadcast)
    state.whole = counted(state.whole)


def long_two(folder: str, strategy: str, steps: int, killed: int | None = None, act: int = 0) -> list[Outcome]:
    """:func:`fit_long_rank` in both."""
    return launch.run(Rank(fit_long_rank, folder, strategy, steps, killed, act), 2, start="fork")
