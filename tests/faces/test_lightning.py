"""A Lightning ``Trainer`` on a task: callbacks, loggers, checkpoints, predictions; and the losses of the plain loop."""

from __future__ import annotations

import csv
import shutil
import warnings
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric import __version__ as fabric_version
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

import hone
from hone.errors import InputError
from hone.lightning import TaskData, TaskModule

CHANGES = {
    "base": "scratch:tiny", "vocab_size": 700, "context": 160, "swap_values": 0, "batch_size": 8, "accumulate": 2,
    "steps": 6, "warmup_steps": 1, "average": 0.5,
}  # fmt: skip
NAMES = {"loss", "learning_rate", "grad_norm", "tokens_per_second"}


def trainer(folder: Path, **more) -> pl.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    settings = {"max_steps": 6, "accumulate_grad_batches": 2, "limit_val_batches": 1, "num_sanity_val_steps": 0}
    kept = {"default_root_dir": folder, "enable_checkpointing": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pl.Trainer(**{**quiet, **settings, **kept, **more})


def parts_of(voice, **more):
    return hone.training_parts(voice, {**CHANGES, **more}, carried_out=("average", "clip_norm"))


def weights(module: TaskModule) -> torch.Tensor:
    return torch.cat([param.detach().flatten().clone() for param in module.parts.model.parameters()])


def test_trainer_and_fabric_are_of_one_version():
    assert pl.__version__ == fabric_version  # else one wheel has overwritten the other's module


def test_fast_dev_run_makes_one_step_and_one_evaluation(voice, tmp_path):
    module = TaskModule(parts_of(voice))
    one = trainer(tmp_path, fast_dev_run=True)
    one.fit(module, TaskData(module.parts))
    assert one.global_step == 1
    assert {"dev_loss", "dev_field_f1", "dev_exact_match"} <= set(one.callback_metrics)


def test_loggers_callbacks_and_losses_are_those_of_the_plain_loop(voice, tmp_path):
    plain = parts_of(voice, average=0.0)
    optimizer = plain.optimizer()
    schedule = plain.schedule(optimizer)
    expected, loss = [], 0.0
    for step in plain.step_batches():
        part = plain.step_loss(step)
        part.backward()
        loss += part.item()
        if step.is_last:
            torch.nn.utils.clip_grad_norm_(plain.model.parameters(), plain.recipe.clip_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            expected, loss = [*expected, loss], 0.0

    module = TaskModule(parts_of(voice, average=0.0))
    best = ModelCheckpoint(tmp_path / "best", monitor="dev_field_f1", mode="max")
    loggers = [CSVLogger(tmp_path, name="csv"), TensorBoardLogger(tmp_path, name="board")]
    one = trainer(
        tmp_path, callbacks=[best, EarlyStopping("dev_loss")], enable_checkpointing=True, logger=loggers,
        log_every_n_steps=1, val_check_interval=6, check_val_every_n_epoch=None,
    )  # fmt: skip
    one.fit(module, TaskData(module.parts))
    with (Path(loggers[0].log_dir) / "metrics.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [float(row["loss"]) for row in rows if row["loss"]] == pytest.approx(expected, abs=1e-5)
    assert set(rows[0]) >= NAMES | {"dev_loss", "dev_field_f1"}
    assert Path(best.best_model_path).is_file()
    assert list(Path(loggers[1].log_dir).glob("events.*"))

    again = TaskModule.load_from_checkpoint(best.best_model_path, weights_only=False)
    assert again.recipe == module.recipe


def test_a_fit_goes_on_from_lightnings_checkpoint_with_the_rows_that_follow(voice, tmp_path):
    whole = TaskModule(parts_of(voice))
    trainer(tmp_path, limit_val_batches=0).fit(whole, TaskData(whole.parts))
    half = TaskModule(parts_of(voice))
    kept = ModelCheckpoint(tmp_path, filename="half", every_n_train_steps=3, save_top_k=-1)
    first = trainer(tmp_path, limit_val_batches=0, max_steps=3, callbacks=[kept], enable_checkpointing=True)
    first.fit(half, TaskData(half.parts))
    rest = TaskModule(parts_of(voice))
    path = tmp_path / "half.ckpt"
    trainer(tmp_path, limit_val_batches=0).fit(rest, TaskData(rest.parts), ckpt_path=path, weights_only=False)
    assert torch.allclose(weights(rest), weights(whole), atol=1e-6)
    assert not torch.allclose(weights(half), weights(whole), atol=1e-4)
    averages = [module._average.tensors() for module in (rest, whole)]
    assert all(torch.allclose(averages[0][name], averages[1][name], atol=1e-6) for name in averages[1])


def test_it_predicts_saves_and_keeps_its_hands_off_the_test(voice, tmp_path):
    module = TaskModule(parts_of(voice))
    one = trainer(tmp_path, max_steps=1, limit_val_batches=0)
    one.fit(module, TaskData(module.parts))
    answers = one.predict(module, TaskData(module.parts))
    assert sum(map(len, answers)) == len(module.parts.bench.data.dev)
    path = module.save(tmp_path / "model")
    text = module.parts.bench.data.dev[0].fields["text"]
    with hone.load(path) as model, module._average.applied():
        assert module.predict_step([{"text": text}]) == [model.ask(text)]
    with pytest.raises(InputError, match="the sealed test is read once"):
        one.test(module, TaskData(module.parts))


def test_what_trainer_and_recipe_do_not_agree_on_is_said(voice, tmp_path):
    module = TaskModule(parts_of(voice))
    with pytest.raises(InputError, match="give it accumulate_grad_batches=2"):
        trainer(tmp_path, accumulate_grad_batches=1).fit(module, TaskData(module.parts))
    with pytest.raises(InputError, match="the parts have a recipe"):
        TaskData(module.parts, {"steps": 3})


def test_a_callback_is_not_left_to_wait_for_what_nobody_measures(voice, tmp_path, caplog):
    module = TaskModule(parts_of(voice))
    best = ModelCheckpoint(tmp_path / "best", monitor="dev_field_f1", mode="max")
    with pytest.raises(InputError, match=r"ModelCheckpoint watches dev_field_f1.* ends after 12 batches"):
        trainer(tmp_path, callbacks=[best], enable_checkpointing=True).fit(module, TaskData(module.parts))
    module = TaskModule(parts_of(voice))
    kept = {"callbacks": [best, EarlyStopping("dev_loss")], "enable_checkpointing": True}
    one = trainer(tmp_path, **module.trainer_settings(), **kept, precision="bf16-mixed")
    one.fit(module, TaskData(module.parts))
    assert Path(best.best_model_path).is_file()
    assert one.global_step == module.recipe.steps


class Seen(pl.Callback):
    """The rows that a module was trained on."""

    def __init__(self) -> None:
        self.rows: list[str] = []

    def on_train_batch_start(self, trainer, module, batch, index) -> None:
        self.rows += batch.batch.rows


def test_every_epoch_of_a_trainer_has_all_rows(voice, tmp_path):
    module, seen = TaskModule(parts_of(voice, steps=9, accumulate=1, batch_size=128)), Seen()
    epochs = {"accumulate_grad_batches": 1, "max_steps": -1, "max_epochs": 3, "limit_val_batches": 0}
    one = trainer(tmp_path, **epochs, callbacks=[seen])
    one.fit(module, TaskData(module.parts))
    assert one.global_step == 3 * module.parts.steps_per_epoch
    assert sorted(seen.rows) == sorted(3 * [example.row for example in module.parts.bench.train])


def test_clipping_by_the_trainer_is_said_beside_the_recipes_own(voice, tmp_path, caplog):
    module = TaskModule(voice, {**CHANGES, "clip_norm": 0.5})
    one = trainer(tmp_path, fast_dev_run=True, gradient_clip_val=2.0)
    with caplog.at_level("INFO"):
        one.fit(module, TaskData(module.parts))
    (line,) = [line for line in caplog.messages if "gradient_clip_val" in line]
    assert "gradient_clip_val 2, and not at the recipe's clip_norm 0.5" in line


@pytest.mark.parametrize(
    ("name", "changes", "metric"),
    [
        ("shakespeare", {"base": "scratch:tiny", "vocab_size": 400, "batch_size": 4}, "dev_bits_per_byte"),
        (
            "banking",
            {"base": "scratch:bert-1m", "objective": "classify-sequence", "optimizer": "adamw"},
            "dev_accuracy",
        ),
    ],
)
def test_any_kind_of_task_fits(name, changes, metric, tmp_path):
    source = Path(__file__).resolve().parents[1] / "data" / name
    module = TaskModule(shutil.copytree(source, tmp_path / name), {**changes, "vocab_size": 600})
    one = trainer(tmp_path, fast_dev_run=True, accumulate_grad_batches=1)
    one.fit(module, TaskData(module.parts))
    assert {"loss", "dev_loss", metric} <= set(one.callback_metrics)
    if name == "banking":
        answers = one.predict(module, TaskData(module.parts))
        assert {answer for part in answers for answer in part} <= set(module.parts.bench.data.labels)
