"""Workers forked from the warm process: events, ends that come together, errors, a kill."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from hone import processes
from hone.errors import FailedError, InputError
from hone.processes import Worker
from hone.smoke.workers import ready, train


def wait_until_answered(workers: list[Worker]) -> None:
    while not all(worker.connection.poll(1.0) for worker in workers):
        time.sleep(0.01)


def test_a_worker_that_is_started_when_two_end_together_is_followed_to_its_end() -> None:
    workers = [processes.start("one", ready), processes.start("two", ready)]
    wait_until_answered(workers)
    for item in processes.events(workers):
        if item is None and workers[0].done and len(workers) == 2:
            workers.append(processes.start("three", ready))
    assert [worker.done for worker in workers] == [True, True, True]
    assert [worker.error for worker in workers] == [None, None, None]


def test_an_error_comes_back_as_a_failed_error_and_a_kill_as_its_signal() -> None:
    with pytest.raises(FailedError, match="KeyError"):
        processes.run("wrong order", train, {})
    worker = processes.start("killed", ready)
    worker.process.kill()
    worker.process.join()
    for _ in processes.events([worker]):
        pass
    assert worker.done
    # It may have answered before the kill came.
    assert worker.error is None or "signal 9" in worker.error


def test_all_problems_of_an_input_come_back() -> None:
    worker = Worker(name="one", process=None, connection=None, started=0.0)  # type: ignore[arg-type]
    worker.error, worker.error_exit, worker.problems = "2 problems", 2, ("one", "two")
    with pytest.raises(InputError) as caught:
        processes.result_of(worker)
    assert caught.value.problems == ("one", "two")


def test_a_file_of_the_current_folder_is_not_run_in_place_of_a_library(tmp_path: Path) -> None:
    # torch imports tarfile, which imports grp: the first place looked at must not be the folder that a person is in.
    (tmp_path / "grp.py").write_text("raise SystemExit('not the library')")
    script = tmp_path / "script" / "work.py"
    script.parent.mkdir()
    script.write_text(
        "import os\nfrom hone import processes\nfrom hone.smoke.workers import ready\n"
        "if __name__ == '__main__':\n"
        "    processes.warm_up()\n    processes.run('one', ready)\n    print('ran', 'PYTHONSAFEPATH' in os.environ)\n"
    )
    told = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert (told.returncode, told.stdout) == (0, "ran False\n"), told.stderr
