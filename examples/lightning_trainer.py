"""A Lightning ``Trainer`` on a task of hone's, with its callbacks and a logger (extra: lightning).

    hone init voice --example voice
    torchrun --nproc-per-node 2 examples/lightning_trainer.py voice steps=40 batch_size=16

(or with ``python`` instead, on one process.) What follows the folder are changes to the recipe that ``hone solve``
would try first. Rows, their order, the loss of the whole step, optimizers, schedule and clipping are the recipe's; the
trained model lies in ``FOLDER/by-lightning/model`` afterwards, where ``hone prompt`` opens it.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from hone.lightning import TaskData, TaskModule


def main(folder: str, changes: Mapping[str, Any], **more: Any) -> list[float]:
    """Train; the mean loss per supervised token of each step. ``more`` goes to the Trainer."""
    module = TaskModule(folder, changes)
    data = TaskData(module.parts)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    kept = Path(folder) / "by-lightning"
    trainer = pl.Trainer(
        **module.trainer_settings(),  # steps, micro-batches of a step, and dev judged every recipe.eval_every steps
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        # A row or metric by name, as the trackers have them: loss, dev_loss, dev_field_f1, ...
        callbacks=[ModelCheckpoint(kept / "checkpoints", monitor="dev_loss"), EarlyStopping("dev_loss")],
        logger=CSVLogger(kept, name="log"),
        enable_progress_bar=False,
        enable_model_summary=False,
        **more,
    )
    trainer.fit(module, data)
    if not trainer.is_global_zero:
        return []
    print(f"the model lies in {module.save(kept / 'model')}")
    with (Path(trainer.logger.log_dir) / "metrics.csv").open() as table:
        losses = [float(row["loss"]) for row in csv.DictReader(table) if row["loss"]]
    print(f"loss {losses[0]:.6f} -> {losses[-1]:.6f} in {len(losses)} steps on {processes} process(es)")
    return losses


if __name__ == "__main__":
    main(sys.argv[1], yaml.safe_load("\n".join(one.replace("=", ": ", 1) for one in sys.argv[2:])) or {})
