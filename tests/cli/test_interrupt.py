"""Signals that ask a command to end: the run is saved and paused, the status is the shell's, a second one insists."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hone.cli.interrupt import ONE_WISH_S, Stopped, endable, stoppable
from hone.lab.lab import Lab

WORDS = ["--set", "base=scratch:tiny", "--set", "vocab_size=400", "--set", "batch_size=8", "--set", "eval_rows=8"]
"""What trains in moments, but for its number of steps."""
TRAINS = re.compile("first loss|going on from")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_one_wish_that_is_sent_twice_asks_and_the_next_insists(number: signal.Signals) -> None:
    now = [10.0]

    def sent_three_times() -> None:
        with stoppable(lambda: now[0]) as pressed:
            os.kill(os.getpid(), number)
            now[0] += ONE_WISH_S / 2
            os.kill(os.getpid(), number)
            assert pressed.is_set()
            now[0] += 2 * ONE_WISH_S
            os.kill(os.getpid(), number)

    with pytest.raises(Stopped) as caught:
        sent_three_times()
    assert caught.value.exit_code == 128 + number


def test_what_the_block_raises_when_it_was_asked_keeps_its_words_and_gets_the_signals_status() -> None:
    def asked() -> None:
        with stoppable():
            os.kill(os.getpid(), signal.SIGTERM)
            raise KeyboardInterrupt("paused at step 3")

    with pytest.raises(Stopped, match="paused at step 3") as caught:
        asked()
    assert caught.value.exit_code == 143


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with endable(), stoppable() as pressed:
            os.kill(os.getpid(), signal.SIGHUP)
        assert not pressed.is_set(), "nohup"
    finally:
        signal.signal(signal.SIGHUP, before)


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A run of more steps than will be waited for, in a group of its own; returned once it takes steps."""
    command = [sys.executable, "-m", "hone", "train", folder.name, *WORDS, "--steps", "100000", *words]
    process = subprocess.Popen(command, cwd=folder.parent, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    heard = []
    for line in process.stderr:
        heard.append(line)
        if TRAINS.search(line):
            return process
    raise AssertionError("".join(heard))


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said = process.communicate()[1]
    return process.returncode, said


@pytest.mark.parametrize("processes", [1, 2])
def test_a_whole_group_that_is_asked_to_end_leaves_a_paused_run(fixtures: Path, tmp_path: Path, processes: int) -> None:
    folder = shutil.copytree(fixtures / "banking", tmp_path / "banking")
    group = started(folder, "--set", f"processes={processes}")
    os.killpg(group.pid, signal.SIGTERM)
    status, said = ended(group)
    run = Lab(folder).run(1)
    assert status == 128 + signal.SIGTERM, said
    assert f"run 1 is paused at step {run.last_step():,}, saved: repeat the command to go on" in said
    assert run.status == "paused"
    assert run.last_step() > 0
    assert "Traceback" not in said


def workers_of(command: int) -> list[int]:
    """The processes that train: forks of the warm process, which is the command's own child."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended since
            parent, group = (int(word) for word in stat.read_text().rpartition(")")[2].split()[1:3])
            if group == command and parent != command and int(stat.parent.name) != command:
                found.append(int(stat.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes of a group are looked up in /proc")
def test_a_second_signal_ends_at_once_and_loses_nothing(fixtures: Path, tmp_path: Path) -> None:
    """The worker is held still, so that it cannot have saved before the second signal comes."""
    folder = shutil.copytree(fixtures / "banking", tmp_path / "banking")
    again = started(folder)
    assert again.stderr is not None
    (worker,) = workers_of(again.pid)
    os.kill(worker, signal.SIGSTOP)
    os.killpg(again.pid, signal.SIGHUP)
    assert any("saving" in line for line in again.stderr)
    os.killpg(again.pid, signal.SIGINT)
    status, said = ended(again)
    run = Lab(folder).run(1)
    assert status == 128 + signal.SIGHUP, said
    assert run.status == "interrupted"
    assert worker not in workers_of(again.pid), "it does not train on"
    assert "Traceback" not in said
