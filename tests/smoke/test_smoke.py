"""The whole way, walked for real: what it claims is looked at from outside, and faults are put in its way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from safetensors.numpy import load_file, save_file

from hone import processes
from hone.cli.smoke import _table
from hone.errors import BusyError, FailedError
from hone.files import file_hash, locked, read_json
from hone.smoke import whole_way
from hone.smoke.crash import kill_in_save, same_end
from hone.smoke.shrink import SAVE_EVERY, STEPS, shrunken
from hone.smoke.whole_way import STAGES, Way, smoke
from hone.smoke.workers import ready
from hone.task.render import task_reference

pytest.importorskip("xllamacpp")
LAST = f"checkpoints/step-{STEPS:08d}/state.safetensors"


@pytest.fixture(scope="module")
def walked(task_of, tmp_path_factory):
    """A walk on the voice task with its files kept. The test split is gone before it begins: nobody may read it."""
    folder, task, data = task_of("voice")
    (folder / "test.jsonl").unlink()
    way = Way(folder, tmp_path_factory.mktemp("scratch"), task, data, lambda line: None)
    way.walk()
    return way


def corrupt(file):
    """Change one bit of one weight; the tensor's name."""
    tensors = load_file(file)
    name = next(name for name in sorted(tensors) if name.endswith("down_proj.weight"))
    tensors[name].view("uint32").flat[0] ^= 1
    save_file(tensors, file)
    return name


def test_the_killed_and_resumed_run_ends_in_the_bytes_of_the_uninterrupted_one(walked):
    assert file_hash(walked.reference / LAST) == file_hash(walked.killed / LAST)
    count = same_end(walked.reference, walked.killed, STEPS)
    state = load_file(walked.killed / LAST)
    assert count == len(state)
    assert {name.split("/")[0] for name in state} >= {"weights", "average", "random"}


def test_the_trained_weights_are_not_those_of_the_beginning(walked):
    early, late = (load_file(walked.reference / f"checkpoints/step-{step:08d}/state.safetensors") for step in (2, 4))
    weights = [name for name in late if name.startswith("weights/")]
    assert all((early[name] != late[name]).any() for name in weights)


def test_the_kill_left_tensors_without_a_header_and_the_resume_cleared_them_away(walked):
    half = walked.scratch / "half-written" / "checkpoints" / f"step-{STEPS:08d}"
    assert (half / "state.safetensors").stat().st_size > 100_000
    assert not (half / "state.json").exists()
    log = (walked.scratch / "smoke.log").read_text().splitlines()
    assert any(line.startswith("resume: removed 1 half-written checkpoint") for line in log)
    assert any(line.startswith(f"resume: going on from step {SAVE_EVERY} of {STEPS}") for line in log)
    assert not list(walked.killed.rglob(".part-*"))


def test_the_artifact_is_certified_without_torch_in_its_process(walked):
    certificate = read_json(walked.artifact / "certificate.json")
    assert certificate["status"] == "certified"
    assert certificate["training_modules"] == []
    assert certificate["artifact_hash"] == file_hash(walked.artifact / "model.gguf")


def test_every_stage_has_its_seconds(walked):
    assert set(walked.seconds) == set(STAGES)
    assert all(seconds > 0 for seconds in walked.seconds.values())


@pytest.mark.parametrize("name", ["weights", "state"])
def test_one_wrong_bit_is_found_and_named(walked, tmp_path, name):
    other = shutil.copytree(walked.killed, tmp_path / "killed")
    tensor = corrupt(other / {"weights": "model/model.safetensors", "state": LAST}[name])
    with pytest.raises(FailedError, match=f"the tensor {tensor} differs in 1 of"):
        same_end(walked.reference, other, STEPS)


def test_a_wrong_bit_after_the_resume_fails_the_stage_and_keeps_its_files(task_of, monkeypatch):
    folder, task, data = task_of("backwards")

    def disturbed(reference, resumed, step):
        corrupt(resumed / "model/model.safetensors")
        return same_end(reference, resumed, step)

    monkeypatch.setattr(whole_way, "same_end", disturbed)
    with pytest.raises(FailedError, match=r"the stage resume .* is not the same as uninterrupted") as caught:
        smoke(folder, task, data, lambda line: None)
    assert str(folder / ".hone" / "smoke") in str(caught.value)
    assert (folder / ".hone" / "smoke" / "runs").is_dir()


def test_a_trainer_that_ends_by_itself_is_no_crash(tmp_path):
    worker = processes.start("ends", ready)
    worker.process.join()
    with pytest.raises(FailedError, match="ended with status 0; SIGKILL gives -9"):
        kill_in_save(worker, tmp_path, STEPS, tmp_path / "half")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["banking", "shakespeare", "backwards", "cities", "topics"])
def test_the_other_kinds_of_task_go_the_whole_way(task_of, name):
    folder, task, data = task_of(name)
    lines = []
    outcome = smoke(folder, task, data, lines.append)
    assert outcome["ok"] is True
    assert list(outcome["stages"]) == list(STAGES)
    assert [line.split(":")[0] for line in lines if line.startswith("serve")] == ["serve"]
    assert not (folder / ".hone" / "smoke").exists()


def test_a_failing_worker_is_named_with_its_stage(task_of):
    folder, task, data = task_of("backwards")
    broken = task.model_copy(update={"metric": "nowhere.score"})
    with pytest.raises(FailedError, match=r"the stage (train|crash) .* the module nowhere cannot be imported"):
        smoke(folder, broken, data, lambda line: None)


def test_no_rows_to_score_fail_the_first_stage(task_of):
    folder, task, data = task_of("banking")
    with pytest.raises(FailedError, match=r"the stage data .* 48 rows to learn from and 0 to score"):
        smoke(folder, task, replace(data, dev=()), lambda line: None)


def test_two_smokes_at_once_are_refused(task_of):
    folder, task, data = task_of("backwards")
    with locked(folder / ".hone" / "smoke.lock", "it"), pytest.raises(BusyError, match="is in use by process"):
        smoke(folder, task, data, lambda line: None)


@pytest.mark.parametrize("name", ["voice", "banking", "shakespeare", "backwards"])
def test_a_shrunken_task_keeps_to_rows_of_train_and_dev_that_fit(task_of, name):
    _, task, data = task_of(name)
    small = shrunken(task, data)
    assert {row.id for row in small.data.train} <= {row.id for row in data.train}
    assert {row.id for row in small.data.dev} <= {row.id for row in data.dev}
    assert small.data.labels == data.labels
    assert (small.task.kind, small.task.metric, small.task.output) == (task.kind, task.metric, task.output)
    assert small.task.device.prompt_tokens < small.task.device.context == small.recipe.context
    if task.kind != "language-model":
        texts = [str(task_reference(task, row.fields)) for row in (*small.data.train, *small.data.dev)]
        assert max(len(text.encode()) for text in texts) < small.recipe.context
    assert shrunken(task, data).recipe.id == small.recipe.id


def test_what_stands_in_for_a_base_is_said(task_of, tmp_path):
    """What was walked with a small random model says nothing of a base's weights and tokenizer."""
    _, task, data = task_of("backwards")
    assert shrunken(task, data).stand_in == ""
    base = tmp_path / "smollm"
    base.mkdir()
    (base / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    (base / "model.safetensors").touch()  # it is not opened
    said = shrunken(task.model_copy(update={"base": str(base)}), data).stand_in
    assert said.startswith("scratch:tiny with random weights")
    assert str(base) in said
    assert "neither its weights nor its tokenizer are tried" in said
    stages = dict.fromkeys(["imports", "read", *STAGES], 0.1)
    outcome = {"stages": stages, "stages_seconds": 1.0, "seconds": 1.0, "stand_in": said}
    assert _table(outcome)[-1] == said
    assert "stands in" not in "".join(_table({**outcome, "stand_in": None}))


@pytest.mark.slow
def test_the_command_prints_a_table_and_ends_in_json(task_of):
    folder, *_ = task_of("voice")
    command = [sys.executable, "-m", "hone", "smoke", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    (last,) = done.stdout.splitlines()
    document = json.loads(last)
    assert document["ok"] is True
    assert (document["model"], document["stand_in"]) == ("scratch:tiny", None)
    assert list(document["stages"]) == ["imports", "read", *STAGES]
    assert document["seconds"] >= document["stages_seconds"]
    assert "parity" in done.stderr
    assert not (folder / ".hone" / "smoke").exists()
