"""Several processes: whole copies and shards of the model, and going on with another number of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from combined_runs import STILL, fit_overflowing_two, fit_slowly_judged_two, still, still_several, still_two
from small_runs import RECIPE, apart, model

from hone.errors import InputError
from hone.train.checkpoints import Checkpoints, load_weights
from hone.train.engine import fit
from hone.train.generators import generator_states, generators_of_a_run, seed_generators
from hone.train.guards import reproduce

FSDP = {"strategy": "fsdp"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def pairs(folder: Path) -> list[dict[str, dict[str, Any]]]:
    """Runs on two processes by rank and name."""
    plan = {
        "copies": ({}, None),
        "shards": (FSDP, None),
        "half": ({}, 5),
        "half in shards": (FSDP, 5),
        "shards, muon": ({**FSDP, "optimizer": "muon"}, None),
        "muon": ({"optimizer": "muon"}, None),
        "shards in parts": ({**FSDP, "accumulate": 2, "gradient_checkpointing": True}, None),
    }
    ranks = apart(still_several, [(str(folder / name), changes, until) for name, (changes, until) in plan.items()])
    return [dict(zip(plan, rank, strict=True)) for rank in ranks]


def assert_close(one: dict[str, Any], other: dict[str, Any], steps: range = range(1, 11)) -> None:
    for step in steps:
        assert one["losses"][step] == pytest.approx(other["losses"][step], abs=1e-5)
    for name, value in one["weights"].items():
        # A tenth of one update: AdamW moves a weight by its whole rate where the gradient is nothing but rounding.
        assert np.abs(value - other["weights"][name]).max() < STILL.learning_rate / 10, name


def rows(*ranks: dict[str, Any]) -> dict[int, list[str]]:
    """All rows of each step, whoever computed on them."""
    return {step: sorted(row for rank in ranks for row in rank["rows"][step]) for step in ranks[0]["rows"]}


@pytest.mark.parametrize("half", ["half", "half in shards"])
def test_five_steps_on_two_processes_go_on_on_one(pairs: list[Any], folder: Path, tmp_path: Path, half: str) -> None:
    whole = still(0, str(tmp_path), {})
    first = [rank[half] for rank in pairs]
    assert list(first[0]["rows"]) == [1, 2, 3, 4, 5]
    second = still(0, str(folder / half), {})
    assert list(second["rows"]) == [6, 7, 8, 9, 10]
    assert {**rows(*first), **rows(second)} == rows(whole)
    assert_close({**second, "losses": {**first[0]["losses"], **second["losses"]}}, whole)
    said = "\n".join(second["said"])
    assert "processes 1 (it was 2)" in said
    assert "the same rows in the same order" in said


def test_five_steps_on_one_process_go_on_on_two(tmp_path: Path) -> None:
    whole = still(0, str(tmp_path / "whole"), {})
    first = still(0, str(tmp_path / "run"), {}, 5)
    second = apart(still_two, str(tmp_path / "run"), {})
    assert [list(rank["rows"]) for rank in second] == [[6, 7, 8, 9, 10]] * 2
    assert {**rows(first), **rows(*second)} == rows(whole)
    for rank in second:
        assert_close({**rank, "losses": {**first["losses"], **rank["losses"]}}, whole)
    assert "processes 2 (it was 1)" in "\n".join(second[0]["said"])


@pytest.mark.parametrize(
    ("one", "other"), [("shards", "copies"), ("shards, muon", "muon"), ("shards in parts", "copies")]
)
def test_shards_come_to_the_losses_and_weights_of_whole_copies(pairs: list[Any], one: str, other: str) -> None:
    for rank in pairs:
        assert_close(rank[one], rank[other])
        scores = [[item.score.mean for item in rank[name]["result"].evaluations] for name in (one, other)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_what_a_sharded_run_leaves_is_what_others_leave(pairs: list[Any], folder: Path) -> None:
    states = [Checkpoints(folder / name / "checkpoints", print).newest() for name in ("shards", "copies")]
    assert states[0] is not None
    assert states[1] is not None
    shapes = [{name: (value.shape, value.dtype) for name, value in state.tensors.items()} for state in states]
    assert shapes[0] == shapes[1]
    best = pairs[0]["shards"]["result"].best_weights
    load_weights(model(seed=5), best)
    assert pairs[0]["shards"]["result"].used["strategy"] == "fsdp"


def test_judging_and_saving_may_take_longer_than_a_process_waits_inside_a_step(tmp_path: Path) -> None:
    assert apart(fit_slowly_judged_two, str(tmp_path)) == [[0, 5, 10], [0, 5, 10]]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_step_that_is_not_finite_is_told_by_each_process_of_its_own_rows(tmp_path: Path, strategy: str) -> None:
    told = apart(fit_overflowing_two, str(tmp_path), strategy)
    for rank, line in enumerate(told):
        assert line.startswith("step 0: the first value that is not finite is in weight model.embed_tokens.weight")
        folder = tmp_path / f"non-finite-step-0-process-{rank}"
        assert str(folder) in line
        assert set(reproduce(folder).rows) == set(json.loads((folder / "failure.json").read_text())["rows"])
    assert sorted("loss is not finite: r:2. " in line for line in told) == [False, True]


def test_a_process_that_joins_a_run_draws_numbers_of_its_own() -> None:
    def drawn(*numbers: int) -> list[int]:
        seed_generators(*numbers)
        return generator_states()["torch"].tolist()

    with generators_of_a_run(0, 0):
        assert drawn(3, 1, 5) == drawn(3, 1, 5)
        assert drawn(3, 1, 5) != drawn(3, 0, 5) != drawn(3, 0, 6)


def test_what_shards_cannot_do_is_refused_before_anything_starts(tmp_path: Path) -> None:
    two = STILL.child(processes=2, strategy="fsdp")
    for changes in ({"compile": True}, {"optimizer": "adafactor"}):
        with pytest.raises(InputError, match="does not go with strategy fsdp"):
            fit(model(), None, two.child(**changes), tmp_path)  # type: ignore[arg-type]


def test_how_a_step_is_computed_may_change_and_what_may_not(tmp_path: Path) -> None:
    still(0, str(tmp_path), {}, 5)
    said = still(0, str(tmp_path), {"accumulate": 2, "keep_states": 1}, 6)["said"]
    assert any("accumulate 2 (it was 1)" in line for line in said)
    with pytest.raises(InputError, match="batch_size is 4 in the checkpoint and 8 in the recipe"):
        still(0, str(tmp_path), {"batch_size": 8}, 7)
    assert RECIPE.keep_states == 2
