"""A trainer that is really killed in the middle of a save, and the proof that nothing came of it.

Where the kill falls must not depend on luck. The interpreter reports every file that is opened to audit hooks, so
the doomed process holds itself at the first file that a save opens after its tensors: the state lies half written in
its unnamed folder then, without its header. The training code knows nothing of this.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from hone.errors import FailedError
from hone.files import PART_PREFIX, file_hash
from hone.processes import Channel, Worker

STATE_FILE = "state.safetensors"


def hold_in_save(step: int, channel: Channel) -> None:
    """Make this process stop for good while it saves the state after ``step`` steps, and tell the parent so.

    The parent's part is :func:`kill_in_save`. Where it is gone the process ends by itself.
    """
    mark = f"{PART_PREFIX}{state_name(step)}-"

    def hold(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or mark not in str(Path(str(arguments[0])).parent):  # a file in it: not the folder itself
            return
        channel.send({"kind": "saving"})
        while not channel.should_stop():
            time.sleep(0.02)
        os._exit(1)

    sys.addaudithook(hold)


def kill_in_save(worker: Worker, run: Path, step: int, keep: Path) -> int:
    """SIGKILL a worker that holds in a save, and look at what it left.

    Args:
        worker: called :func:`hold_in_save`, and said that it is saving.
        run: the run's folder.
        step: of the state that it was writing.
        keep: gets a copy of what was half written under the name of a whole state, which must fool nobody.

    Returns:
        Bytes of the half-written state.

    Raises:
        FailedError: when it did not die by the signal, or the save left nothing, or a whole state.
    """
    worker.kill()
    code = worker.process.exitcode
    if code != -signal.SIGKILL:
        raise FailedError(f"the trainer ended with status {code}; SIGKILL gives {-signal.SIGKILL}")
    checkpoints, name = run / "checkpoints", state_name(step)
    if (checkpoints / name).exists():
        raise FailedError(f"{checkpoints / name} exists though its writer was killed before the end")
    left = sorted(checkpoints.glob(f"{PART_PREFIX}{name}-*"))
    size = sum(file.stat().st_size for part in left for file in part.rglob("*") if file.is_file())
    if len(left) != 1 or not size:
        raise FailedError(f"{checkpoints} has {len(left)} half-written states ({size:,} bytes); one was expected")
    shutil.copytree(left[0], keep / "checkpoints" / name)
    return size


def same_end(reference: Path, resumed: Path, step: int) -> int:
    """Compare two runs at their end, bit for bit: the whole state, and the weights of the model folder.

    Returns:
        Number of tensors in the state: weights, optimizer, average, generators.

    Raises:
        FailedError: naming the first tensor that differs.
    """
    for name in (f"checkpoints/{state_name(step)}/{STATE_FILE}", "model/model.safetensors"):
        files = reference / name, resumed / name
        if missing := [str(file) for file in files if not file.is_file()]:
            raise FailedError(f"{' and '.join(missing)} is missing, so the ends cannot be compared")
        if file_hash(files[0]) != file_hash(files[1]):
            raise FailedError(
                f"killed and resumed is not the same as uninterrupted: {first_difference(*files)} "
                f"({files[0]} against {files[1]})"
            )
    from safetensors import safe_open

    with safe_open(reference / "checkpoints" / state_name(step) / STATE_FILE, "np") as state:
        return len(state.keys())


def first_difference(left: Path, right: Path) -> str:
    """What differs first between two files of tensors, in words."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        ours, theirs = load_file(left), load_file(right)
    except SafetensorError as error:
        return f"a file is not whole ({error})"
    if names := sorted(ours.keys() ^ theirs.keys()):
        return f"only one of them has the tensor {names[0]}"
    for name in sorted(ours):
        if ours[name].shape != theirs[name].shape or ours[name].dtype != theirs[name].dtype:
            return f"the tensor {name} is {ours[name].shape} in one and {theirs[name].shape} in the other"
        if ours[name].tobytes() != theirs[name].tobytes():
            return f"the tensor {name} differs in {int((ours[name] != theirs[name]).sum()):,} of {ours[name].size:,}"
    return "the order of the tensors"


def state_name(step: int) -> str:
    """Name of the folder of the state after ``step`` steps."""
    return f"step-{step:08d}"
