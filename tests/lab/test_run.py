from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from hone.errors import BusyError, FailedError
from hone.lab.lab import Lab
from hone.task.recipe import Recipe
from hone.task.scores import Score

WORKER = """
import sys
from hone.lab.lab import Lab
run = Lab(sys.argv[1]).run(1)
for step in range(1, 6):
    run.log(step, loss=1.0 / step)
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def run(lab):
    return lab.new_run(Recipe(batch_size=64), "task0", "data0", name="Wider & deeper!")


@pytest.fixture
def worker(run, lab):
    """Another process that works on the run and waits."""
    child = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(lab.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "ready\n"
    yield child
    if child.poll() is None:
        child.kill()
    child.communicate()


def test_a_new_run_is_a_folder_that_a_person_can_read(run):
    assert run.folder.name == "0001-wider-deeper"
    assert sorted(file.name for file in run.folder.iterdir()) == ["recipe.yaml", "run.json"]
    assert Recipe.model_validate(run.recipe) == Recipe(batch_size=64)
    assert run.header.recipe_id == Recipe(batch_size=64).id
    assert (run.status, run.last_step(), run.result) == ("planned", 0, None)


def test_a_run_goes_from_planned_over_running_and_paused_to_finished(run, lab, f1):
    seen = []
    with run.working():
        run.log(1, loss=2.0)
        seen.append(lab.run(1).status)
    seen.append(lab.run(1).status)
    with run.working():
        run.finish({"scores": [f1(0.8)], "advice": "more data"})
    assert seen == ["running", "paused"]
    again = lab.run(1)
    assert (again.status, again.result["advice"]) == ("finished", "more data")
    assert again.scores() == {"field_f1": f1(0.8)}
    with pytest.raises(FailedError, match="0001-wider-deeper is finished and takes nothing more"):
        again.log(2, loss=1.0)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (ValueError("loss is nan"), "failed", "ValueError: loss is nan"),
    ],
)
def test_how_the_work_ended_is_written_down_and_the_exception_goes_on(run, lab, error, status, reason):
    with pytest.raises(type(error)), run.working():
        raise error
    assert (lab.run(1).status, lab.run(1).reason) == (status, reason)


def test_a_run_whose_process_was_killed_is_interrupted_and_keeps_every_logged_line(run, worker):
    assert run.status == "running"
    with pytest.raises(BusyError, match=f"in use by process {worker.pid}"):
        run.begin()
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert run.status == "interrupted"
    assert [row["loss"] for row in run.metrics()] == [1.0 / step for step in range(1, 6)]


def test_kill_and_resume_leave_the_same_metrics_as_one_go(lab):
    def work(run, steps):
        for step in steps:
            run.log(step, loss=1.0 / step)
            run.sample(step, prompt="play jazz", completion="{}")

    whole = lab.new_run(Recipe(), "task0", "data0", name="whole")
    work(whole, range(1, 11))
    killed = lab.new_run(Recipe(), "task0", "data0", name="killed")
    work(killed, range(1, 8))  # died after step 7; the last checkpoint is of step 5
    with (killed.folder / "metrics.jsonl").open("a") as handle:
        handle.write('{"step": 8, "lo')
    resumed = Lab(lab.folder, say=lambda sentence: None)
    killed.stop("interrupted")
    work(resumed.run("killed"), range(6, 11))
    assert resumed.run("killed").metrics() == whole.metrics()
    assert resumed.run("killed").samples() == whole.samples()


def test_a_torn_line_is_said(run, said):
    run.log(1, loss=2.0)
    with (run.folder / "metrics.jsonl").open("a") as handle:
        handle.write('{"step": 2, "loss"')
    assert run.metrics() == [{"step": 1, "loss": 2.0}]
    assert len(said) == 1
    assert "metrics.jsonl:2: left out a line of 18 bytes" in said[0]


def test_the_final_score_counts_before_those_on_the_way(run, f1):
    run.score(400, [f1(0.7)])
    run.score(800, [f1(0.9)])
    assert run.scores() == {"field_f1": f1(0.9)}
    run.score(800, [f1(0.3)], split="ood")
    run.finish({"scores": {"field_f1": f1(0.85).to_json()}})
    assert run.scores() == {"field_f1": f1(0.85)}
    assert run.scores("ood") == {"field_f1": f1(0.3)}


def test_a_run_that_is_not_finished_stands_at_its_best_score_and_a_step_scored_again_counts_once(run, f1):
    for step, mean in ((0, 0.2), (50, 0.8), (100, 0.6)):
        run.score(step, [f1(mean)])
    assert run.scores() == {"field_f1": f1(0.8)}
    run.score(50, [f1(0.5)])
    assert run.scores() == {"field_f1": f1(0.6)}
    lower = [Score(name="bits", mean=mean, low=0.0, high=9.0, n=4, higher_is_better=False) for mean in (5.0, 3.0, 4.3)]
    for step, score in enumerate(lower):
        run.score(step, [score])
    assert run.scores()["bits"] == lower[1]


def test_a_run_takes_no_score_on_the_test_split(run, f1):
    with pytest.raises(ValueError, match="no score on the test split"):
        run.score(1, [f1(0.7)], split="test")
    assert run.score_records() == []


def test_a_result_that_the_disk_refuses_leaves_no_part_of_it_and_the_run_failed(run, lab):
    script = (
        "import resource, sys\nfrom hone.errors import FailedError\nfrom hone.lab.lab import Lab\n"
        "run = Lab(sys.argv[1]).run(1)\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n    with run.working():\n        run.finish({'advice': 'x' * 200_000})\n"
        "except FailedError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", script, str(lab.folder)]
    child = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "could not write" in child.stdout
    assert sorted(file.name for file in run.folder.iterdir()) == [".lock", "recipe.yaml", "run.json", "state.json"]
    assert (run.status, run.result) == ("failed", None)
    assert "FailedError: could not write" in run.reason
