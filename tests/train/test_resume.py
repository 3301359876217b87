"""Laws 1 and 10: what was killed goes on to the same weights, and nothing half written is taken for whole."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from compiled_runs import fit_compiled
from small_runs import (
    RECIPE,
    DiedError,
    Outcome,
    apart,
    fit_and_hash,
    fit_on_a_full_disk,
    fit_two,
    fit_two_disturbed,
    fit_until_killed,
    fit_until_killed_in_save,
    fresh_each_epoch,
    model,
    small_fit,
)

from hone.errors import FailedError, InputError
from hone.files import locked
from hone.train.checkpoints import Checkpoints
from hone.train.engine import fit
from hone.train.source import BatchSource


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Ten steps in one go."""
    result: Outcome = apart(fit_and_hash, str(tmp_path_factory.mktemp("whole")))
    assert [step for step, _ in result[1]] == [0, 5, 10]
    return result


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run paused at step 5 and killed behind step 7, so its newest state is that of step 5."""
    folder = tmp_path_factory.mktemp("half")
    with pytest.raises(DiedError, match=str(-signal.SIGKILL)):
        apart(fit_until_killed, str(folder), 7)
    return folder


@pytest.fixture
def killed(half: Path, tmp_path: Path) -> Path:
    """A copy of the killed run."""
    return Path(shutil.copytree(half, tmp_path / "run"))


def states(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").glob("step-*"))


def test_ten_steps_are_five_a_kill_and_five(whole: Outcome, killed: Path) -> None:
    assert states(killed) == ["step-00000005"]
    assert apart(fit_and_hash, str(killed)) == whole


def test_ten_steps_are_three_a_pause_and_seven(whole: Outcome, tmp_path: Path) -> None:
    assert apart(fit_and_hash, str(tmp_path), 3) != whole
    assert states(tmp_path) == ["step-00000003"]
    assert apart(fit_and_hash, str(tmp_path)) == whole


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_five_compiled_steps_are_three_a_kill_and_two(tmp_path: Path, backend: str) -> None:
    """With what was traced run by torch (9 s of CPU a process), and with the programs that a run really has (54 s)."""
    if backend == "inductor" and shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("no C++ compiler is here (g++, or what CXX names), and a CPU's programs are made by one")
    weights, programs = apart(fit_compiled, str(tmp_path / "whole"), backend)
    assert programs > 0
    with pytest.raises(DiedError, match=str(-signal.SIGKILL)):
        apart(fit_compiled, str(tmp_path / "killed"), backend, 4)
    assert states(tmp_path / "killed") == ["step-00000003"]
    assert apart(fit_compiled, str(tmp_path / "killed"), backend)[0] == weights


def test_ten_steps_on_two_processes_are_five_a_kill_and_five(tmp_path: Path) -> None:
    whole = apart(fit_two, str(tmp_path / "whole"))
    assert whole[0] == whole[1]
    failure = apart(fit_two, str(tmp_path / "killed"), 7)
    assert isinstance(failure, FailedError)
    assert states(tmp_path / "killed") == ["step-00000005"]
    assert apart(fit_two, str(tmp_path / "killed")) == whole


@pytest.mark.parametrize(
    ("how", "sentence"),
    [("killed in a save", "process 0 of 2 died with exit status -9"), ("full disk", "could not write step-00000010")],
)
def test_two_processes_lose_nothing_when_the_first_one_cannot_save(tmp_path: Path, how: str, sentence: str) -> None:
    """The second one waits for it, and is ended with it at once and not after the time that collectives wait."""
    whole = apart(fit_two_disturbed, str(tmp_path / "whole"), "not at all")
    failure = apart(fit_two_disturbed, str(tmp_path / "run"), how)
    assert isinstance(failure, FailedError)
    assert sentence in str(failure)
    assert states(tmp_path / "run") == ["step-00000005"]
    assert apart(fit_two_disturbed, str(tmp_path / "run"), "not at all") == whole


@pytest.mark.parametrize("step", [0, 4, 9])
def test_the_second_process_may_be_killed_anywhere(tmp_path: Path, step: int) -> None:
    """Before anything is saved, in the step before the first state, in the last step."""
    assert isinstance(apart(fit_two, str(tmp_path), step), FailedError)
    assert states(tmp_path) == ([] if step < 5 else ["step-00000005"])
    assert len(apart(fit_two, str(tmp_path))) == 2


def test_a_kill_in_the_middle_of_a_save_leaves_the_state_before(whole: Outcome, tmp_path: Path) -> None:
    with pytest.raises(DiedError, match=str(-signal.SIGKILL)):
        apart(fit_until_killed_in_save, str(tmp_path))
    assert states(tmp_path) == ["step-00000005"]
    assert list((tmp_path / "checkpoints").glob(".part-step-00000010*"))
    said: list[str] = []
    assert small_fit(tmp_path, say=said.append)[0] == whole[0]
    assert any("removed 1 half-written checkpoint" in line for line in said)
    assert not list((tmp_path / "checkpoints").glob(".part-*"))


def test_a_file_that_may_not_grow_is_a_sentence_and_leaves_the_state_before(whole: Outcome, tmp_path: Path) -> None:
    said = apart(fit_on_a_full_disk, str(tmp_path))
    assert said.startswith("FailedError: could not write step-00000010"), said
    assert states(tmp_path) == ["step-00000005"]
    assert small_fit(tmp_path)[0] == whole[0]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("state.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
        ("state.safetensors", lambda data: data[: len(data) // 2]),
        ("state.json", lambda data: data.replace(b'"step": 10', b'"step": 11')),
        ("state.json", lambda data: data[:-30]),
        ("state.json", None),
    ],
)
def test_a_damaged_state_is_named_and_the_one_before_is_used(killed: Path, name: str, damage: object) -> None:
    result = small_fit(killed)
    path = killed / "checkpoints" / "step-00000010" / name
    if callable(damage):
        changed = damage(path.read_bytes())
        assert changed != path.read_bytes()
        path.write_bytes(changed)
    else:
        path.unlink()
    said: list[str] = []
    assert small_fit(killed, say=said.append)[0] == result[0]
    assert any("step-00000010 is damaged" in line and name in line for line in said)
    assert any("going on from step 5 of 10" in line for line in said)


@pytest.mark.parametrize("keep", [1, 2])
def test_saving_on_behind_a_damaged_state_keeps_what_is_whole(whole: Outcome, tmp_path: Path, keep: int) -> None:
    """A damaged state that counted as the newest would push the whole ones out."""
    recipe = RECIPE.child(keep_states=keep)
    small_fit(tmp_path, RECIPE, until_step=9, save_every=3)
    (tmp_path / "checkpoints" / "step-00000009" / "state.safetensors").write_bytes(b"cut off")
    small_fit(tmp_path, recipe, until_step=7, save_every=7)
    assert states(tmp_path) == ["step-00000006", "step-00000007"][-keep:]
    said: list[str] = []
    assert small_fit(tmp_path, recipe, say=said.append)[0] == whole[0]
    assert any("going on from step 7 of 10" in line for line in said)


def test_another_recipe_or_other_data_is_refused_with_each_difference(killed: Path) -> None:
    with pytest.raises(InputError) as refusal:
        small_fit(killed, RECIPE.child(learning_rate=0.5, steps=12, data="d2"))
    text = str(refusal.value)
    assert "learning_rate is 0.005 in the checkpoint and 0.5 in the recipe" in text
    assert "steps is 10 in the checkpoint and 12 in the recipe" in text
    assert "the data is 'd1' in the checkpoint and 'd2' now" in text
    with pytest.raises(InputError, match="'d1' in the checkpoint and 'd3' now"):
        fit(model(), BatchSource.of_recipe(fresh_each_epoch, RECIPE, data_id="d3"), RECIPE, killed)


def test_two_runs_in_one_folder_do_not_mix(tmp_path: Path) -> None:
    with locked(tmp_path / ".training", "this run"), pytest.raises(Exception, match="in use by process"):
        small_fit(tmp_path)


def test_only_the_last_two_states_and_one_best_are_kept(tmp_path: Path) -> None:
    small_fit(tmp_path, save_every=2)
    assert states(tmp_path) == ["step-00000008", "step-00000010"]
    assert len(list((tmp_path / "checkpoints").glob("best-*"))) == 1


def test_nothing_on_disk_is_a_pickle(tmp_path: Path) -> None:
    small_fit(tmp_path)
    files = {path.suffix for path in tmp_path.rglob("*") if path.is_file() and path.name != ".training"}
    assert files == {".json", ".safetensors"}
    assert Checkpoints(tmp_path / "checkpoints", print).newest() is not None
