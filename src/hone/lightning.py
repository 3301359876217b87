"""Tasks for a Lightning ``Trainer``: a module and a data module for any task folder and recipe (extra: lightning).

::

    import pytorch_lightning as pl
    from hone.lightning import TaskData, TaskModule

    module = TaskModule("voice", {"steps": 400})
    trainer = pl.Trainer(max_steps=module.recipe.steps, callbacks=[pl.callbacks.ModelCheckpoint(monitor="dev_loss")])
    trainer.fit(module, TaskData(module.parts))
    module.save("voice/by-lightning")

The loss, its normalisation over the tokens of the whole step, optimizers, schedule, clipping and the order of the data
are the recipe's, on any number of processes and micro-batches. The Trainer decides the rest: precision, devices, when
to validate, what to keep. Its checkpoints are pickles of Lightning's own, and law 1 (exact resume) is the engine's.

The names of what is logged are those of the trackers: ``loss``, ``learning_rate``, ``grad_norm``,
``tokens_per_second``, ``dev_loss`` and ``dev_METRIC``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hone.errors import InputError
from hone.own_loops import StepBatch, TrainingParts, training_parts
from hone.task.recipe import Recipe
from hone.train.averaging import Average
from hone.train.batches import Batch, collate
from hone.train.source import Cursor

try:
    from pytorch_lightning import LightningDataModule, LightningModule
    from pytorch_lightning.utilities import rank_zero_info
except ImportError as error:
    raise ImportError('hone.lightning needs pytorch-lightning: pip install "hone-lm[lightning]"') from error

DEV_ROWS = 64
"""Rows of a batch that the loss on dev is measured on."""
PREDICTED_ROWS = 32
DEV_RUN_ROWS = 4
"""Rows that are scored in a ``fast_dev_run``."""
AVERAGE = "hone_average"
NO_TEST = (
    "the sealed test is read once, on the certified artifact, and not by a Trainer: validate on dev with "
    "trainer.validate, export the saved model, and let hone solve score the test"
)

Source = str | Path | TrainingParts
Wish = Recipe | Mapping[str, Any] | None


class TaskModule(LightningModule):
    """One recipe on one task as a LightningModule.

    Args:
        task: the task folder, or the parts that :func:`hone.training_parts` made of it.
        recipe: a recipe, or changes to the one that ``hone solve`` would try first; not beside parts, which have one.

    Attributes:
        parts: see :class:`hone.own_loops.TrainingParts`.
        recipe: the recipe, complete.

    Raises:
        InputError: a wrong task, data or recipe, all problems at once.
    """

    def __init__(self, task: Source, recipe: Wish = None) -> None:
        super().__init__()
        self.parts = parts_of(task, recipe)
        self.recipe = self.parts.recipe
        self.step_loss = self.parts.step_loss
        # What load_from_checkpoint needs to make the same module again.
        self.save_hyperparameters({"task": str(self.parts.folder), "recipe": self.recipe.model_dump(mode="json")})
        self._average: Average | None = None
        self._average_to_load: dict[str, Any] | None = None
        self._averaged = contextlib.ExitStack()
        self._step = _StepBooks()
        self._dev = _Sums()

    # Training.

    def on_fit_start(self) -> None:
        """Check that Trainer and recipe agree, and say where they need not.

        Raises:
            InputError: when the Trainer accumulates other numbers of batches than the recipe cuts a step into.
        """
        trainer, recipe = self.trainer, self.recipe
        if trainer.accumulate_grad_batches != recipe.accumulate:
            raise InputError(
                f"the recipe cuts a step into {recipe.accumulate} micro-batches and the Trainer accumulates "
                f"{trainer.accumulate_grad_batches}; give it accumulate_grad_batches={recipe.accumulate}"
            )
        planned = trainer.estimated_stepping_batches
        if planned != recipe.steps and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            rank_zero_info(
                f"the schedule is planned for {recipe.steps:,} steps and the Trainer will make {planned:,}; "
                f"max_steps={recipe.steps} makes them equal"
            )
        if trainer.gradient_clip_val is not None:
            rank_zero_info(
                f"gradients are clipped at the Trainer's gradient_clip_val {trainer.gradient_clip_val:g}, "
                f"and not at the recipe's clip_norm {recipe.clip_norm:g}"
            )
        if recipe.average:
            self._average = Average(self.parts.model, recipe.average)
            if self._average_to_load is not None:
                self._average.load(self._average_to_load["tensors"], self._average_to_load["updates"])

    def training_step(self, step: StepBatch, index: int) -> Tensor:
        """The micro-batch's share of the step's mean loss per supervised token.

        Lightning divides what this returns by the number of accumulated batches, and the data-parallel wrapper takes
        the mean over processes; both are multiplied back, so that the gradient is that of law 2.
        """
        del index
        loss: Tensor = self.step_loss(step)
        self._step.add(loss.detach() / step.processes, step.batch.num_tokens)
        if step.is_last:
            mean, tokens_per_second = self._step.close()
            self._log_of_all("loss", mean, prog_bar=True)
            self._log_of_all("tokens_per_second", torch.tensor(tokens_per_second, device=mean.device))
        return loss * self.trainer.accumulate_grad_batches

    def _log_of_all(self, name: str, value: Tensor, *, prog_bar: bool = False) -> None:
        """Log the sum over processes."""
        self.log(name, value, prog_bar=prog_bar, sync_dist=True, reduce_fx="sum", batch_size=1)

    def configure_optimizers(self) -> Any:
        """The recipe's optimizers as one, and its schedule by the step."""
        optimizer = self.parts.optimizer()
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.parts.schedule(optimizer), "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the recipe's ``clip_norm``, or by the Trainer's value where it has one."""
        if gradient_clip_val is not None:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        else:
            params = [param for param in self.parts.model.parameters() if param.requires_grad]
            norm = torch.nn.utils.clip_grad_norm_(params, self.recipe.clip_norm)
            self.log("grad_norm", norm, batch_size=1)
        self.log("learning_rate", optimizer.param_groups[0]["lr"], batch_size=1)

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """Update, and take the new weights into the average where the recipe has one."""
        super().optimizer_step(*arguments, **named)
        # Here and not in a hook of the batch: callbacks that save checkpoints come before the module's hooks.
        if self._average is not None:
            self._average.update()

    # Judging on dev: with the averaged weights where there are some.

    def on_validation_start(self) -> None:
        """Put the averaged weights in."""
        self._averaged.close()
        if self._average is not None and self._average.updates:
            self._averaged.enter_context(self._average.applied())

    def on_validation_end(self) -> None:
        """Put the weights back."""
        self._averaged.close()

    def validation_step(self, batch: Batch, index: int) -> None:
        """Add a batch of dev rows to the books of the loss."""
        del index
        self._dev.add(*self.parts.dev_objective.loss(self.parts.model, batch))

    def on_validation_epoch_end(self) -> None:
        """Log ``dev_loss`` and the task's metric with those beside it; generation is done by the first process."""
        loss = self._dev.mean(self.trainer.strategy, self.device)
        self.log("dev_loss", loss, prog_bar=True, rank_zero_only=False)
        if self.trainer.sanity_checking:
            return
        scores: dict[str, float] = {}
        if self.trainer.is_global_zero:
            rows = self.parts.bench.data.dev[:DEV_RUN_ROWS] if self.trainer.fast_dev_run else None  # type: ignore[attr-defined]
            found = self.parts.score(rows=rows)
            scores = {f"dev_{name}": score.mean for name, score in found.scores.items()}
        for name, value in self.trainer.strategy.broadcast(scores).items():
            self.log(name, float(value), prog_bar=name == f"dev_{self.parts.task.metric}")

    def test_step(self, *arguments: Any, **named: Any) -> None:
        """Refuse, see :meth:`TaskData.test_dataloader`."""
        del arguments, named
        raise InputError(NO_TEST)

    # Answering.

    def predict_step(self, batch: Sequence[Mapping[str, Any]], index: int = 0) -> list[Any]:
        """Answers to rows as dicts of their input columns, in the task's terms; None where it is none."""
        del index
        return self.parts.answers(batch)

    def save(self, path: str | Path) -> Path:
        """Write a model folder that :func:`hone.load`, ``hone prompt`` and the exporters open.

        Its weights are the averaged ones, where the recipe has them.
        """
        with contextlib.ExitStack() as stack:
            if self._average is not None and self._average.updates:
                stack.enter_context(self._average.applied())
            return self.parts.save(path)

    # What Lightning's checkpoints carry beside weights, optimizers and loops.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the averaged weights."""
        if self._average is not None:
            checkpoint[AVERAGE] = {"tensors": self._average.tensors(), "updates": self._average.updates}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the averaged weights until the fit starts."""
        self._average_to_load = checkpoint.get(AVERAGE)


class TaskData(LightningDataModule):
    """The rows of a task in the order of a recipe, dealt to processes, as a LightningDataModule.

    Args: as of :class:`TaskModule`; best the same parts, so that the data is prepared once.
    """

    def __init__(self, task: Source, recipe: Wish = None) -> None:
        super().__init__()
        self.parts = parts_of(task, recipe)

    def train_dataloader(self) -> _Steps:
        """Micro-batches of this process. A Lightning epoch has as many steps as the first pass over the rows."""
        return _Steps(self.parts, *self._place())

    def val_dataloader(self) -> _Loader:
        """All dev rows, those of similar length together, each batch dealt to the processes."""
        examples = sorted(self.parts.bench.dev, key=lambda example: len(example.ids))
        return self._dealt([(example,) for example in examples], DEV_ROWS, collate)

    def predict_dataloader(self) -> _Loader:
        """The dev rows as dicts, each batch dealt to the processes."""
        return self._dealt([row.fields for row in self.parts.bench.data.dev], PREDICTED_ROWS, list)

    def _dealt(self, rows: Sequence[Any], size: int, make: Any) -> _Loader:
        """Batches of rows, as many on every process: the Trainer refuses a process without any."""
        rank, processes = self._place()
        return _Loader([rows[start : start + size][rank::processes] for start in range(0, len(rows), size)], make)

    def test_dataloader(self) -> Any:
        """Refuse: the test is scored once, on the certified artifact (law 9).

        Raises:
            InputError: always.
        """
        raise InputError(NO_TEST)

    def _place(self) -> tuple[int, int]:
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)


class _Steps:
    """Micro-batches of one process, a Lightning epoch at a time; where it stands goes into Lightning's checkpoints."""

    def __init__(self, parts: TrainingParts, rank: int, processes: int) -> None:
        self._parts, self._rank, self._processes = parts, rank, processes
        self._cursor, self._done = Cursor(), 0

    def __len__(self) -> int:
        return self._parts.steps_per_epoch * self._parts.recipe.accumulate

    def __iter__(self) -> Iterator[StepBatch]:
        while self._done < self._parts.steps_per_epoch:
            rows, following = self._parts.source.read(self._cursor)
            for step in self._parts.share_of_step(rows, rank=self._rank, processes=self._processes):
                if step.is_last:  # told before it is handed out: a checkpoint is written while it is held
                    self._cursor, self._done = following, self._done + 1
                yield step
        self._done = 0

    def state_dict(self) -> dict[str, int]:
        """Where it stands."""
        return {"epoch": self._cursor.epoch, "index": self._cursor.index, "done": self._done}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from there."""
        self._cursor, self._done = Cursor(state["epoch"], state["index"]), state["done"]


class _Loader:
    """Parts of some rows, each made into a batch when its turn comes."""

    def __init__(self, parts: Sequence[Any], make: Any) -> None:
        self._parts, self._make = parts, make

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Any]:
        return map(self._make, self._parts)


class _StepBooks:
    """Loss, tokens and time of the optimizer step that is under way."""

    def __init__(self) -> None:
        self._loss: Tensor | None = None
        self._tokens = 0
        self._since = time.perf_counter()

    def add(self, loss: Tensor, tokens: int) -> None:
        """A micro-batch's share of the loss, and the tokens that were computed on."""
        self._loss = loss if self._loss is None else self._loss + loss
        self._tokens += tokens

    def close(self) -> tuple[Tensor, float]:
        """The step's loss, and tokens a second since the last one was closed."""
        assert self._loss is not None
        now = time.perf_counter()
        found = self._loss, self._tokens / max(now - self._since, 1e-9)
        self._loss, self._tokens, self._since = None, 0, now
        return found


class _Sums:
    """A sum of losses and what it was summed over."""

    def __init__(self) -> None:
        self._total, self._terms = 0.0, 0

    def add(self, total: Tensor, terms: Tensor) -> None:
        """One batch."""
        self._total += float(total)
        self._terms += int(terms)

    def mean(self, strategy: Any, device: Any) -> Any:
        """The mean over all processes; empties the books."""
        kind = torch.float32 if device.type == "mps" else torch.float64
        sums = strategy.reduce(torch.tensor([self._total, self._terms], dtype=kind, device=device), reduce_op="sum")
        self._total, self._terms = 0.0, 0
        return (sums[0] / sums[1].clamp(min=1)).float()


def parts_of(task: Source, recipe: Wish) -> TrainingParts:
    """The parts of a task folder, or those given.

    Raises:
        InputError: when there are both parts and a recipe.
    """
    if not isinstance(task, TrainingParts):
        return training_parts(task, recipe, say=rank_zero_info, carried_out=("average", "clip_norm"))
    if recipe is not None:
        raise InputError("the parts have a recipe; give the task folder with another recipe, or the parts alone")
    return task
