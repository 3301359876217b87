"""Guards: law 6, the first non-finite value, the first loss, one batch by heart, the largest step first."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_encoders import classified, encoder
from small_runs import END, RECIPE, SHAPE, VOCAB, examples, model, small_fit
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

from hone.errors import FailedError, InputError
from hone.model.presets import from_scratch
from hone.task.render import Example
from hone.train.batches import Batch, collate
from hone.train.engine import fit
from hone.train.guards import (
    check_examples,
    choices,
    first_loss_line,
    overfit_one_batch,
    reproduce,
    stop_non_finite,
)
from hone.train.guards.__main__ import main as run_again
from hone.train.loss_units import loss_unit
from hone.train.objectives import AtPositions, NextToken, SeveralLabels, TokenLoss
from hone.train.records import StepRecord
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
    """Gives NaN for the batches that hold one row, behind a number of steps."""

    def __init__(self, row_ids: np.ndarray, steps: int) -> None:
        super().__init__()
        self.row_ids, self.steps = row_ids.tolist(), steps
        self.armed = False

    def arm(self, record: StepRecord) -> None:
        """Asked behind each step: whether the next one is poisoned."""
        self.armed = record.step >= self.steps

    def loss(self, model: torch.nn.Module, batch: Batch) -> TokenLoss:
        total, count = super().loss(model, batch)
        rows = [batch.ids[i, : len(self.row_ids)].tolist() for i in range(len(batch.ids))]
        poisoned = self.armed and self.row_ids in rows
        return TokenLoss(total * float("nan") if poisoned else total, count)


def test_the_first_non_finite_value_stops_the_run_and_can_be_reproduced(tmp_path: Path) -> None:
    recipe = RECIPE.child(batch_size=4, accumulate=1)
    rows, module = examples(4), model()
    objective = Poisoned(rows[2].ids, steps=2)
    source = BatchSource.of_recipe(rows, recipe)
    with pytest.raises(FailedError, match=r"step 2: .*gradient of model.*not finite: r:3\.") as failure:
        fit(module, source, recipe, tmp_path, objective=objective, on_step=objective.arm)
    folder = tmp_path / "non-finite-step-2"
    assert str(folder) in str(failure.value)
    assert json.loads((folder / "failure.json").read_text())["rows"] == ["r:3"]
    weights = load_file(folder / "weights.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in module.named_parameters())
    assert load_file(folder / "batches.safetensors")["0/ids"].shape[0] == 4


def overflowing(module: torch.nn.Module, rare: int) -> None:
    """The embedding of one id has overflowed: a row that holds it has no finite loss."""
    with torch.no_grad():
        module.get_input_embeddings().weight[rare] = float("inf")


@pytest.mark.parametrize("changes", [{}, {"packing": True}, {"precision": "bf16-mixed"}])
def test_the_folder_of_a_step_that_was_not_finite_gives_it_again(
    changes: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = RECIPE.child(batch_size=4, accumulate=2, optimizer="adamw", **changes)
    rows = examples(24, longest=12)
    rare = VOCAB - 1
    rows = [replace(row, ids=np.where(row.ids == rare, 4, row.ids).astype(np.int32)) for row in rows]
    rows[9].ids[1] = rare
    # The head is another matrix, so that rows without this id stay sound.
    module = from_scratch(replace(SHAPE, tied=False), 0)
    overflowing(module, rare)
    with pytest.raises(FailedError, match=r"python -m hone\.train\.guards .*non-finite-step-") as failure:
        fit(module, BatchSource.of_recipe(rows, recipe), recipe, tmp_path)
    (folder,) = tmp_path.glob("non-finite-step-*")
    assert str(folder) in str(failure.value)
    written = json.loads((folder / "failure.json").read_text())
    found = reproduce(folder)
    assert found.found
    assert list(found.rows) == written["rows"]
    assert set(written["tensors"]) == set(found.tensors)
    if not changes:
        assert found.rows == ("r:10",)
        # The other micro-batch is as sound as it was.
        assert sorted(math.isfinite(loss) for loss in found.losses) == [False, True]
    assert run_again([str(folder)]) == 0
    assert "rows whose loss is not finite" in capsys.readouterr().out


def test_an_encoder_that_blows_up_is_rebuilt_with_its_targets(tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_labels=3
    )
    module = BertForSequenceClassification(config)
    overflowing(module, 9)
    ids = np.array([[1, 5, 6, 2], [1, 9, 6, 2]], np.int32)
    at_first = np.array([True, False, False, False])
    rows = [
        Example(ids=one, supervised=at_first, prompt_len=4, label=2, row=f"e:{i}", targets=np.full(4, 2, np.int32))
        for i, one in enumerate(ids)
    ]
    batch = collate([(row,) for row in rows])
    objective = AtPositions(class_weights=[1.0, 0.5, 1.5])
    loss = objective.loss(module, batch).total
    loss.backward()
    assert not torch.isfinite(loss)
    with pytest.raises(FailedError, match="e:1"):
        stop_non_finite(module, objective, [batch], tmp_path / "bad", step=3, recipe=RECIPE)
    assert reproduce(tmp_path / "bad").rows == ("e:1",)


def test_a_folder_that_is_another_and_an_unknown_objective_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no failure\.json"):
        reproduce(tmp_path)
    recipe = RECIPE.child(batch_size=4, accumulate=1)
    rows = examples(4)
    objective = Poisoned(rows[2].ids, steps=1)
    source = BatchSource.of_recipe(rows, recipe)
    with pytest.raises(FailedError):
        fit(model(), source, recipe, tmp_path, objective=objective, on_step=objective.arm)
    with pytest.raises(InputError, match="the objective was Poisoned"):
        reproduce(tmp_path / "non-finite-step-1")
    assert reproduce(tmp_path / "non-finite-step-1", objective).rows == ("r:3",)


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
    assert first_loss_line(4.3, 77, loss_unit("classify-sequence")).startswith("first loss 4.30 nats per row; ")
    assert loss_unit("classify-sequence", several=True) == "nats per row and class"
    assert loss_unit("next-token") == "nats per token"
    assert "less than half" in first_loss_line(2.0, 1024)
    said: list[str] = []
    small_fit(tmp_path, say=said.append, until_step=1)
    assert sum("a uniform guess has ln 60 = 4.09" in line for line in said) == 1


def test_an_encoder_guesses_among_its_classes_and_a_label_is_there_or_not() -> None:
    config = BertConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_labels=7
    )
    assert choices(BertForSequenceClassification(config), AtPositions()) == 7
    assert choices(BertForMaskedLM(config), AtPositions()) == 40
    assert choices(BertForSequenceClassification(config), SeveralLabels()) == 2


def test_rows_with_several_labels_are_guessed_label_by_label_also_where_nobody_named_an_objective(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    recipe = RECIPE.child(steps=1, warmup_steps=0, objective="classify-sequence", optimizer="adamw", eval_every=1)
    source = BatchSource.of_recipe(classified(12, several=True), recipe)
    fit(encoder("bert", "SequenceClassification"), source, recipe, tmp_path, say=said.append)
    (line,) = [line for line in said if "a uniform guess has" in line]
    assert line.endswith("ln 2 = 0.69"), line


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
