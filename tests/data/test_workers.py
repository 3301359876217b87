"""Workers give results in order, end with whoever started them, and say in a sentence that one died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hone.data.workers import ordered_map
from hone.errors import FailedError

PROGRAM = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from hone.data.workers import ordered_map
from sleeper import sleep
def folders():
    yield from [sys.argv[1]] * 3
    (Path(sys.argv[1]) / "handed out").touch()
if __name__ == "__main__":
    list(ordered_map(sleep, folders(), 2))
"""
SLEEPER = """
import os, time
from pathlib import Path
def sleep(folder):
    (Path(folder) / f"{os.getpid()}.pid").touch()
    (Path(folder) / f"{os.getppid()}.pid").touch()
    time.sleep(3600)
"""
PATIENCE_S = 240.0
"""For what takes a second on an idle machine; without an end of theirs, workers would sleep for an hour."""


def die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_results_are_in_the_order_of_the_items() -> None:
    assert list(ordered_map(abs, range(-20, 0), 2)) == list(range(20, 0, -1))


def test_a_worker_that_dies_is_said_in_a_sentence_with_what_to_do() -> None:
    with pytest.raises(FailedError, match=r"^reading: one of 2 worker processes ended .*--workers 1") as caught:
        list(ordered_map(die, range(8), 2, stage="reading"))
    assert caught.value.__suppress_context__


def alive(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        found += [pid] if state != "Z" else []
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="looks at processes under /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_and_their_server_end_with_their_parent(how: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path)]
    with (tmp_path / "said").open("w") as said:
        parent = subprocess.Popen(command, stderr=said, start_new_session=True)
    pids: list[int] = []
    limit = time.monotonic() + PATIENCE_S
    while (len(pids) < 3 or not (tmp_path / "handed out").exists()) and time.monotonic() < limit:
        time.sleep(0.02)
        pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert len(pids) == 3  # two workers and the server that they are forks of
    if how is signal.SIGINT:
        os.killpg(parent.pid, how)  # as a terminal does: to all of them
    else:
        parent.kill()
    parent.wait(PATIENCE_S)
    limit = time.monotonic() + PATIENCE_S
    while alive(pids) and time.monotonic() < limit:
        time.sleep(0.02)
    left = alive(pids)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left
    assert (tmp_path / "said").read_text().count("Traceback") == (1 if how is signal.SIGINT else 0)
