"""The same model and batches under the Transformers ``Trainer``, with its defaults and nothing slow switched on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from bare_loop import collate
from hone.task.recipe import Recipe
from hone.train.batches import PackedRow
from workload import ENDLESS, Gate


class Steps(IterableDataset[dict[str, torch.Tensor]]):
    """Collated batches in the engine's order; remembers how many tokens each had."""

    def __init__(self, steps: Iterable[list[PackedRow]]) -> None:
        self.steps = steps
        self.tokens: list[int] = []

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for rows in self.steps:
            ids, labels = collate(rows)
            self.tokens.append(ids.numel())
            yield {"input_ids": ids, "labels": labels}


class GateCallback(TrainerCallback):
    """Calls the gate after each optimizer step. The loader reads ahead, so tokens are looked up by step."""

    def __init__(self, gate: Gate, steps: Steps) -> None:
        self.gate, self.steps = gate, steps

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """See the base class."""
        if self.gate.step(self.steps.tokens[state.global_step - 1]):
            control.should_training_stop = True


class PlainTrainer(Trainer):
    """A Trainer that takes batches as they come, already collated."""

    def get_train_dataloader(self) -> DataLoader[Any]:
        """One batch per item, in order."""
        return DataLoader(self.train_dataset, batch_size=None)


def train(model: Any, steps: Iterator[list[PackedRow]], recipe: Recipe, gate: Gate, folder: Path) -> None:
    """Train until the gate says stop."""
    torch.set_num_threads(recipe.threads)
    data = Steps(steps)
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
    PlainTrainer(model=model, args=arguments, train_dataset=data, callbacks=[GateCallback(gate, data)]).train()
