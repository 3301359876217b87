"""A Transformers ``Trainer`` on a task of hone's.

    hone init voice --example voice
    torchrun --nproc-per-node 2 examples/transformers_trainer.py voice steps=40 batch_size=16

(or with ``python`` instead, on one process.) What follows the folder are changes to the recipe that ``hone solve``
would try first.

Rows, masks, model, optimizers and schedule are hone's. Batches are drawn and the loss is divided by the Trainer: by the
supervised tokens of the whole step on all processes (``average_tokens_across_devices``), which is right. What the
Trainer does not do: augmentation of rows (``swap_values``), packing, label smoothing per token, length bucketing. The
trained model lies in ``FOLDER/by-transformers/model`` afterwards, where ``hone prompt`` opens it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from transformers import Trainer, TrainingArguments

import hone
from hone.own_loops import model_inputs


def main(folder: str, changes: Mapping[str, Any]) -> list[float]:
    """Train; the mean loss per supervised token of each step, as the Trainer logs it."""
    first = os.environ.get("RANK", "0") == "0"
    parts = hone.training_parts(folder, changes, say=print if first else lambda line: None)
    recipe, processes = parts.recipe, int(os.environ.get("WORLD_SIZE", "1"))
    optimizer = parts.optimizer()
    with tempfile.TemporaryDirectory() as place:
        arguments = TrainingArguments(
            output_dir=place,
            max_steps=recipe.steps,
            per_device_train_batch_size=recipe.batch_size // (processes * recipe.accumulate),
            gradient_accumulation_steps=recipe.accumulate,
            average_tokens_across_devices=True,
            max_grad_norm=recipe.clip_norm,
            seed=recipe.seed,
            remove_unused_columns=False,  # a row is an object here, and no table of columns
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = Trainer(
            parts.model,
            arguments,
            data_collator=model_inputs,
            train_dataset=parts.bench.train,
            optimizers=(optimizer, parts.schedule(optimizer)),
        )
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if trainer.is_world_process_zero():
        print(f"loss {losses[0]:.6f} -> {losses[-1]:.6f} in {len(losses)} steps on {processes} process(es)")
        print(f"the model lies in {parts.save(Path(folder) / 'by-transformers' / 'model')}")
    return losses


if __name__ == "__main__":
    main(sys.argv[1], yaml.safe_load("\n".join(one.replace("=", ": ", 1) for one in sys.argv[2:])) or {})
