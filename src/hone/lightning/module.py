"""One recipe on one task as a LightningModule: its loss, optimizers, schedule, clipping, judging and answers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from hone.errors import InputError
from hone.lightning.agreement import check_agreement, check_judging, settings_of
from hone.lightning.data import NO_TEST, Source, Wish, parts_of
from hone.own_loops import StepBatch
from hone.train.averaging import Average
from hone.train.batches import Batch

DEV_RUN_ROWS = 4
"""Rows that are scored in a ``fast_dev_run``."""
AVERAGE = "hone_average"


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

    def trainer_settings(self) -> dict[str, Any]:
        """What a Trainer has to be given to carry the recipe out: ``pl.Trainer(**module.trainer_settings(), ...)``.

        Steps, micro-batches of a step, and dev judged at each ``eval_every``: callbacks that watch ``dev_loss`` or the
        task's metric act then.
        """
        return settings_of(self.recipe)

    def on_fit_start(self) -> None:
        """Check that Trainer and recipe agree, and say where they need not; see :func:`check_agreement`.

        Raises:
            InputError: when the Trainer accumulates other numbers of batches than the recipe cuts a step into.
        """
        recipe = self.recipe
        check_agreement(self.trainer, recipe)
        if recipe.average:
            self._average = Average(self.parts.model, recipe.average)
            if self._average_to_load is not None:
                self._average.load(self._average_to_load["tensors"], self._average_to_load["updates"])

    def on_train_start(self) -> None:
        """Check that dev is judged before the end, where a callback waits for it; see :func:`check_judging`.

        Raises:
            InputError: when a callback watches what would never be measured.
        """
        check_judging(self.trainer, self.recipe)

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
        # Equal on all processes already; a Trainer wants to be told to bring them together all the same.
        self.log("dev_loss", loss, prog_bar=True, sync_dist=True)
        if self.trainer.sanity_checking:
            return
        scores: dict[str, float] = {}
        if self.trainer.is_global_zero:
            rows = self.parts.bench.data.dev[:DEV_RUN_ROWS] if self.trainer.fast_dev_run else None  # type: ignore[attr-defined]
            found = self.parts.score(rows=rows)
            scores = {f"dev_{name}": score.mean for name, score in found.scores.items()}
        for name, value in self.trainer.strategy.broadcast(scores).items():
            self.log(name, float(value), prog_bar=name == f"dev_{self.parts.task.metric}", sync_dist=True)

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
