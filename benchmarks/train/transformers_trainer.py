"""The same model and batches under the Transformers ``Trainer``, with its defaults and nothing slow switched on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from bare_loop import IGNORED, collate
from turns import Gate
from work import ENDLESS, Work


class Batches(IterableDataset[dict[str, torch.Tensor]]):
    """Batches that are collated already, over and over."""

    def __init__(self, work: Work) -> None:
        self.batches = [collate(rows) for rows in work.steps()]

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for ids, labels in itertools.cycle(self.batches):
            yield {"input_ids": ids, "labels": labels}

    def counts(self) -> list[tuple[int, int]]:
        """Slots and supervised tokens of each batch."""
        return [(ids.numel(), int((labels[:, 1:] != IGNORED).sum())) for ids, labels in self.batches]


class GateCallback(TrainerCallback):
    """Calls the gate after each optimizer step. The loader reads ahead, so counts are looked up by step."""

    def __init__(self, gate: Gate, counts: list[tuple[int, int]]) -> None:
        self.gate, self.counts = gate, counts

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """See the base class."""
        if self.gate.step(*self.counts[(state.global_step - 1) % len(self.counts)]):
            control.should_training_stop = True


class PlainTrainer(Trainer):
    """A Trainer that takes batches as they come."""

    def get_train_dataloader(self) -> DataLoader[Any]:
        """One batch per item, in order."""
        return DataLoader(self.train_dataset, batch_size=None)


def train(work: Work, gate: Gate, folder: Path) -> None:
    """Train until the gate says stop."""
    data, recipe = Batches(work), work.recipe
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=ENDLESS,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        adam_beta1=recipe.beta1,
        adam_beta2=recipe.beta2,
        max_grad_norm=recipe.clip_norm,
        lr_scheduler_type="constant",
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        seed=recipe.seed,
    )
    callbacks = [GateCallback(gate, data.counts())]
    PlainTrainer(model=work.model(), args=arguments, train_dataset=data, callbacks=callbacks).train()
