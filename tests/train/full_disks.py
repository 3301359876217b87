"""A run on a disk that is really full, at every kind of file that it writes.

The disk is a small file system in memory, mounted where this process alone sees it; it is gone with the process. That
takes the rights of the superuser: without them there is nothing to try, and the caller is told.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from small_runs import RECIPE, TWO, Outcome, Rank, fresh_each_epoch, judge, model, weights_hash

from hone.errors import FailedError
from hone.lab import jsonl
from hone.task.recipe import Recipe
from hone.train import checkpoints, launch
from hone.train.engine import fit
from hone.train.records import StepRecord
from hone.train.source import BatchSource

SIZE = 8 << 20
PAGE = 4096
_NEW_NAMES, _PRIVATE = 0x00020000, 0x40000 | 0x4000  # CLONE_NEWNS; MS_PRIVATE and MS_REC

PLACES = (
    "the start",
    "the tensors of a state",
    "the head of a state",
    "the best",
    "the record",
    "the log",
    "the seconds at the end",
)


def mounted(folder: Path) -> str:
    """Mount a disk of :data:`SIZE` bytes for this process alone; why that is not possible, empty where it was."""
    libc = ctypes.CDLL(None, use_errno=True)
    where = os.fsencode(folder)
    for call in (
        lambda: libc.unshare(_NEW_NAMES),
        lambda: libc.mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE), None),
        lambda: libc.mount(b"tmpfs", where, b"tmpfs", ctypes.c_ulong(0), f"size={SIZE}".encode()),
    ):
        if call():
            return f"no file system of its own for a process: {os.strerror(ctypes.get_errno())}"
    return ""


def fill(folder: Path, left: int = 0) -> None:
    """Fill the disk up to ``left`` bytes."""
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(64 * PAGE))
        except OSError:
            ballast.truncate(max(0, ballast.tell() - left))


def run(folder: Path, recipe: Recipe) -> Outcome:
    """Ten steps with a log of them."""

    def on_step(record: StepRecord) -> None:
        jsonl.append(folder / "metrics.jsonl", record.to_json())

    module = model(dropout=0.2)
    source = BatchSource.of_recipe(fresh_each_epoch, recipe)
    result = fit(module, source, recipe, folder, on_step=on_step, evaluate=judge)
    return weights_hash(module), [(item.step, item.score.mean) for item in result.evaluations]


def full_at(place: str, disk: Path) -> None:
    """From now on the disk is full when this place is written for the second time; at the end, for the first time."""
    if place == "the start":
        fill(disk)
    left = [1 if place == "the seconds at the end" else 2]

    def wrap(function: Callable[..., Any], is_it: Callable[..., bool], room: int = 0) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            left[0] -= is_it(*arguments)
            if left[0] == 0:
                left[0] = -1
                fill(disk, room)
            return function(*arguments, **named)

        return wrapped

    if place == "the log":
        # A line does not fit into what is left of its page only where the page is full: lines of a page's length.
        append = jsonl.append
        jsonl.append = wrap(
            lambda path, row: append(path, {**row, "long": "x" * PAGE}), lambda path, row: row["step"] == 7
        )
        left[0] = 1
    elif place in ("the tensors of a state", "the best"):
        name = "state.safetensors" if place == "the tensors of a state" else "weights.safetensors"
        checkpoints.save_file = wrap(checkpoints.save_file, lambda tensors, path: path.name == name, 3 * PAGE)
    else:
        name = {"the head of a state": "state.json", "the record": "evaluations.json"}.get(place, "seconds.json")
        checkpoints.write_json = wrap(checkpoints.write_json, lambda path, value: path.name == name)


def filled(rank: int, disk: str, place: str, processes: int) -> Outcome:
    """A run, the first process of which finds the disk full at a place."""
    if rank == 0 and place:
        full_at(place, Path(disk))
    return run(Path(disk) / "run", RECIPE if processes == 1 else TWO)


def each_place(disk: str, processes: int, places: tuple[str, ...]) -> Mapping[str, Any] | str:
    """What a run says at each place, what it left, and to what it came when there was room again; or why not."""
    if why := mounted(Path(disk)):
        return why
    told: dict[str, Any] = {"whole": _carried_out(disk, "", processes)}
    for place in places:
        folder = _emptied(Path(disk))
        said = _carried_out(disk, place, processes)
        (Path(disk) / "ballast").unlink()
        states = sorted(path.name for path in (folder / "checkpoints").glob("step-*"))
        lines = jsonl.read(folder / "metrics.jsonl")
        told[place] = {
            "said": said,
            "states": states,
            "torn": lines.torn,
            "record": sorted(path.name for path in (folder / "checkpoints").glob("evaluations.json")),
            "again": _carried_out(disk, "", processes),
        }
    return told


def _carried_out(disk: str, place: str, processes: int) -> Any:
    """In processes of their own, so that what :func:`full_at` does is gone with them: outcomes, or the sentence."""
    try:
        return launch.run(Rank(filled, disk, place, processes), processes, start="fork")
    except FailedError as error:
        return str(error).splitlines()[-1]
    finally:
        if not place:
            _emptied(Path(disk))


def _emptied(disk: Path) -> Path:
    import shutil

    shutil.rmtree(disk / "run", ignore_errors=True)
    return disk / "run"
