"""Guards: law 6, the first non-finite value, the first loss, one batch by heart, the largest step first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_runs import END, RECIPE, examples, model, small_fit

from hone.errors import FailedError, InputError
from hone.train.batches import Batch, collate
from hone.train.engine import fit
from hone.train.guards import check_examples, first_loss_line, overfit_one_batch
from hone.train.objectives import NextToken, TokenLoss
from hone.train.source import BatchSource


def test_every_fault_of_the_rows_is_counted_and_named() -> None:
    good = examples(4)
    nothing = replace(good[0], row="a:1", supervised=np.zeros(len(good[0].ids), bool))
    no_end = replace(good[1], row="a:2", ids=np.append(good[1].ids[:-1], 9).astype(np.int32))
    open_end = replace(good[2], row="a:3", supervised=np.append(good[2].supervised[:-1], False))
    start = replace(good[3], row="a:4", supervised=np.ones(len(good[3].ids), bool))
    check_examples(good, end_id=END)
    with pytest.raises(InputError) as refusal:
        check_examples([*good, nothing, no_end, open_end, start], end_id=END)
    assert [problem.split(":")[0] for problem in refusal.value.problems] == [
        "1 of 8 rows have no supervised token, so nothing could be learned from them",
        "2 of 8 rows do not end in a supervised end of turn, so the model would not learn to stop",
        "1 of 8 rows start with a supervised token, which nothing comes before to predict it from",
    ]
    assert "a:2, a:3" in str(refusal.value)


def test_the_engine_refuses_rows_that_break_law_6(tmp_path: Path) -> None:
    rows = examples(4)
    rows[2] = replace(rows[2], supervised=np.zeros(len(rows[2].ids), bool))
    with pytest.raises(InputError, match=r"1 of 4 rows have no supervised token.*r:3"):
        fit(model(), BatchSource.of_recipe(rows, RECIPE), RECIPE, tmp_path)


class Poisoned(NextToken):
    """Gives NaN for the batches that hold one row, from a call on."""

    def __init__(self, row_ids: np.ndarray, calls: int) -> None:
        super().__init__()
        self.row_ids, self.calls = row_ids.tolist(), calls

    def loss(self, model: torch.nn.Module, batch: Batch) -> TokenLoss:
        self.calls -= 1
        total, count = super().loss(model, batch)
        rows = [batch.ids[i, : len(self.row_ids)].tolist() for i in range(len(batch.ids))]
        poisoned = self.calls < 0 and self.row_ids in rows
        return TokenLoss(total * float("nan") if poisoned else total, count)


def test_the_first_non_finite_value_stops_the_run_and_can_be_reproduced(tmp_path: Path) -> None:
    recipe = RECIPE.child(batch_size=4, accumulate=1)
    rows, module = examples(4), model()
    objective = Poisoned(rows[2].ids, calls=3)  # the rehearsal and two good steps
    with pytest.raises(FailedError, match=r"step 2: .*gradient of model.*not finite: r:3\.") as failure:
        fit(module, BatchSource.of_recipe(rows, recipe), recipe, tmp_path, objective=objective)
    folder = tmp_path / "non-finite-step-2"
    assert str(folder) in str(failure.value)
    assert json.loads((folder / "failure.json").read_text())["rows"] == ["r:3"]
    weights = load_file(folder / "weights.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in module.named_parameters())
    assert load_file(folder / "batches.safetensors")["0/ids"].shape[0] == 4


def test_a_run_that_blows_up_names_its_weights_or_gradients(tmp_path: Path) -> None:
    module = model()
    with torch.no_grad():
        module.model.layers[1].mlp.up_proj.weight[0, 0] = float("inf")
    with pytest.raises(FailedError, match=r"weight model\.layers\.1\.mlp\.up_proj\.weight"):
        fit(module, BatchSource.of_recipe(examples(8), RECIPE), RECIPE, tmp_path)


def test_a_batch_is_learned_by_heart_and_the_model_stays_as_it_was() -> None:
    module, batch = model(), collate([(row,) for row in examples(4, longest=12)])
    before = {name: value.clone() for name, value in module.state_dict().items()}
    result = overfit_one_batch(module, batch, steps=80, learning_rate=1e-2)
    assert result.learned, result
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    shuffled = batch._replace(predict_from=batch.predict_from.roll(1) * 0)
    assert not overfit_one_batch(module, shuffled, steps=80, learning_rate=1e-2).learned


def test_the_first_loss_is_said_beside_a_uniform_guess(tmp_path: Path) -> None:
    assert first_loss_line(6.9, 1024).endswith("ln 1,024 = 6.93")
    assert "more than twice" in first_loss_line(15.0, 1024)
    assert "less than half" in first_loss_line(2.0, 1024)
    said: list[str] = []
    small_fit(tmp_path, say=said.append, until_step=1)
    assert sum("a uniform guess has ln 60 = 4.09" in line for line in said) == 1


class TooLarge(NextToken):
    """Has no memory for more than a number of tokens."""

    def loss(self, model: torch.nn.Module, batch: Batch) -> TokenLoss:
        if batch.num_tokens > 90:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return super().loss(model, batch)


def test_what_does_not_fit_fails_before_step_1_with_the_setting_to_change(tmp_path: Path) -> None:
    recipe = RECIPE.child(batch_size=8, accumulate=1)
    rows = [*examples(32, longest=10), *examples(8, shortest=30, longest=30)]
    steps: list[object] = []
    with pytest.raises(FailedError, match=r"8 rows of 30 tokens.*set accumulate to 2 \(now 1\)"):
        fit(model(), BatchSource.of_recipe(rows, recipe), recipe, tmp_path, objective=TooLarge(), on_step=steps.append)
    assert steps == []
