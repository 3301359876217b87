"""Mirrors. W&B and TensorBoard are the real packages; MLflow's client is a stand-in that keeps what it is told."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from hone.errors import InputError
from hone.lab.lab import MIRRORS_PATH, Lab
from hone.lab.trackers import Mirrors, check_trackers
from hone.task.recipe import Recipe

RUN = """
import socket, sys
asked = []
real = socket.getaddrinfo
def noted(host, *more, **named):
    asked.append(host)
    return real(host, *more, **named)
socket.getaddrinfo = noted
from hone.lab.lab import Lab
from hone.task.recipe import Recipe
from hone.task.scores import Score
lab = Lab(sys.argv[1], trackers=[sys.argv[2]])
run = lab.new_run(Recipe(), "task0", "data0", name="mirrored")
for step in (1, 2):
    run.log(step, loss=2.0 / step, note="text")
run.stop("paused")
run = lab.run(1)
run.log(3, loss=float("nan"))
run.finish({"scores": [Score(name="field_f1", mean=0.875, low=0.85, high=0.9, n=700)]})
outside = [host for host in asked if host not in ("localhost", "127.0.0.1", "::1", None)]
print(f"asked for {outside}")
"""


class Broken:
    """A tracker whose service is down."""

    name = "broken"

    def __init__(self, at="log"):
        self.at = at
        self.calls = []

    def start(self, run, config):
        self._call("start")

    def log(self, step, values):
        self._call("log")

    def finish(self, result):
        self._call("finish")

    def _call(self, what):
        self.calls.append(what)
        if what == self.at:
            raise ConnectionError("no route to host")


class Healthy(Broken):
    name = "healthy"

    def __init__(self):
        super().__init__(at="")


def mirrored(folder: Path, tracker: str) -> str:
    """Carry out a small run with a real mirror in a process of its own; what it printed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    child = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), tracker],
        capture_output=True, text=True, check=True, timeout=120, env=environment | {"WANDB_MODE": "online"},
    )  # fmt: skip
    return child.stdout


def test_wandb_runs_offline_whatever_the_environment_says(tmp_path):
    printed = mirrored(tmp_path, "wandb")
    files = list((tmp_path / MIRRORS_PATH / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 2  # one for each stretch of work, under one id
    assert len({file.name for file in files}) == 1
    content = b"".join(file.read_bytes() for file in files)
    for word in (b"0001-mirrored", b"learning_rate", b"loss", b"dev/field_f1", b"0.875"):
        assert word in content
    assert printed == "asked for []\n"


def test_tensorboard_reads_the_scalars_back(tmp_path):
    printed = mirrored(tmp_path, "tensorboard")
    assert printed.endswith("asked for []\n")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / MIRRORS_PATH / "tensorboard" / "0001-mirrored"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")][:2] == [(1, 2.0), (2, 1.0)]
    assert [event.value for event in events.Scalars("final/dev/field_f1")] == [0.875]


def test_mlflow_gets_parameters_numbers_and_the_status(tmp_path, monkeypatch, f1):
    told = fake_mlflow(monkeypatch)
    lab = Lab(tmp_path, trackers=["mlflow"])
    run = lab.new_run(Recipe(batch_size=64), "task0", "data0")
    run.log(1, loss=2.0, note="text")
    run.finish({"scores": [f1(0.8)]})
    assert told["uri"] == (tmp_path / MIRRORS_PATH / "mlruns").as_uri()
    assert told["params"]["batch_size"] == 64
    assert told["metrics"] == [("loss", 2.0, 1)]
    assert told["final"]["final/dev/field_f1"] == 0.8
    names = [*told["final"], *(name for name, _, _ in told["metrics"])]
    assert not [name for name in names if any(other.startswith(name + "/") for other in names)]  # names are files there
    assert told["status"] == "FINISHED"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


STEP = {"loss": 1.5, "learning_rate": 0.01, "grad_norm": 2.0, "tokens_per_second": 900.0, "supervised_tokens": 40}
JUDGED = {"dev_loss": 1.25, "dev_field_f1": 0.5}


def test_all_mirrors_have_one_name_one_step_and_one_run_for_a_value(tmp_path, monkeypatch, f1):
    told = fake_mlflow(monkeypatch)
    board, bias = fake_tensorboard(monkeypatch), fake_wandb(monkeypatch)
    lab = Lab(tmp_path, trackers=["mlflow", "tensorboard", "wandb"])
    run = lab.new_run(Recipe(batch_size=64), "task0", "data0", name="named")
    run.log(10, **STEP)
    run.log(20, **JUDGED)
    run.finish({"scores": [f1(0.8)]})
    expected = {
        *((name, value, 10) for name, value in STEP.items()),
        *((name, value, 20) for name, value in JUDGED.items()),
    }
    assert set(told["metrics"]) == expected
    assert {item for item in board["scalars"] if not item[0].startswith("final/")} == expected
    assert set(bias["logged"]) == expected
    final = {"final/dev/field_f1", "final/dev/field_f1_low", "final/dev/field_f1_high"}
    assert (
        told["final"].keys() == {name for name, _, _ in board["scalars"]} - {name for name, _, _ in expected} == final
    )
    assert bias["summary"].keys() == final
    assert told["name"] == bias["name"] == board["folder"].name == "0001-named"
    assert told["params"]["batch_size"] == bias["config"]["batch_size"] == 64
    assert "    batch_size: 64" in board["texts"]["recipe"]


def fake_tensorboard(monkeypatch):
    told = {"scalars": [], "texts": {}}

    class Writer:
        def add_text(self, name, text, step=None):
            told["texts"][name] = text

        def add_scalar(self, name, value, step):
            told["scalars"].append((name, value, step))

        def close(self):
            pass

    def writer(folder):
        told["folder"] = folder
        return Writer()

    monkeypatch.setattr("hone.lab.to_tensorboard._summary_writer", writer)
    return told


def fake_wandb(monkeypatch):
    told = {"logged": [], "summary": {}}

    class Run:
        summary = told["summary"]

        def define_metric(self, name, step_metric):
            told["axis"] = step_metric

        def log(self, values):
            step = values[told["axis"]]
            told["logged"] += [(name, value, step) for name, value in values.items() if name != told["axis"]]

        def finish(self):
            pass

    def init(**settings):
        told.update(name=settings["name"], config=settings["config"])
        return Run()

    module = types.ModuleType("wandb")
    module.__dict__.update(init=init, Settings=dict)
    module.__spec__ = importlib.util.spec_from_loader("wandb", loader=None)
    monkeypatch.setitem(sys.modules, "wandb", module)
    return told


def fake_mlflow(monkeypatch):
    told = {"params": {}, "metrics": [], "final": {}}

    class Client:
        def __init__(self, tracking_uri):
            told["uri"] = tracking_uri

        def get_experiment_by_name(self, name):
            return None

        def create_experiment(self, name):
            return "1"

        def search_runs(self, experiments, filter_string, max_results):
            return []

        def create_run(self, experiment, run_name, tags):
            told["name"] = run_name
            return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r"))

        def log_param(self, run, name, value):
            told["params"][name] = value

        def log_batch(self, run, metrics):
            told["metrics"] += [(metric.key, metric.value, metric.step) for metric in metrics]

        def log_metric(self, run, name, value, step):
            told["final"][name] = value

        def set_terminated(self, run, status):
            told["status"] = status

    def metric(key, value, timestamp, step):
        return types.SimpleNamespace(key=key, value=value, timestamp=timestamp, step=step)

    for name, parts in {
        "mlflow": {},
        "mlflow.tracking": {"MlflowClient": Client},
        "mlflow.entities": {"Metric": metric},
    }.items():
        module = types.ModuleType(name)
        module.__dict__.update(parts)
        module.__spec__ = importlib.util.spec_from_loader(name, loader=None)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "false")
    monkeypatch.setenv("DO_NOT_TRACK", "")
    return told


@pytest.mark.parametrize("at", ["start", "log", "finish"])
def test_a_mirror_that_fails_stops_nothing_is_said_once_and_counted(lab, said, at):
    lab.new_run(Recipe(), "task0", "data0")
    broken, healthy = Broken(at), Healthy()
    mirrors = Mirrors([broken, healthy], say=said.append)
    run = type(lab.run(1))(lab.run(1).folder, mirrors=mirrors, say=said.append)
    for step in range(5):
        run.log(step, loss=1.0)
    run.finish({})
    assert run.status == "finished"
    assert len(run.metrics()) == 5
    assert healthy.calls == ["start", *["log"] * 5, "finish"]
    assert broken.calls[-1] == at  # nothing more after the failure
    missed = {"start": 7, "log": 6, "finish": 1}[at]
    assert mirrors.missed == {"broken": missed}
    assert len([sentence for sentence in said if f"mirror broken failed at {at} (ConnectionError" in sentence]) == 1
    assert said[-1] == f"mirror broken: {missed:,} records are not in it; the run's own files have them all"


def test_ctrl_c_inside_a_mirror_is_not_swallowed(said):
    class Interrupted(Healthy):
        def log(self, step, values):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Mirrors([Interrupted()], say=said.append).log(1, {})
    assert said == []


def test_a_missing_package_names_the_extra_and_all_problems_come_at_once(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("wandb", "mlflow") else real(name))
    with pytest.raises(InputError) as caught:
        Lab(tmp_path, trackers=["wandb", "mlflow", "tensorbord"])
    assert caught.value.problems == (
        'tracker "wandb" needs the package wandb: pip install "hone-lm[wandb]"',
        'tracker "mlflow" needs the package mlflow: pip install "hone-lm[mlflow]"',
        'no tracker "tensorbord"; did you mean "tensorboard"?',
    )


def test_checking_trackers_imports_none_of_them():
    script = (
        "import sys\nfrom hone.lab.trackers import check_trackers\ncheck_trackers(['wandb', 'tensorboard'])\n"
        "print(sorted({'wandb', 'tensorboard', 'torch', 'mlflow'} & set(sys.modules)))\n"
    )
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert child.stdout == "[]\n"
    assert check_trackers([]) is None
