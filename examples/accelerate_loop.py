"""A five-line Accelerate loop over a task of hone's.

    hone init voice --example voice
    torchrun --nproc-per-node 2 examples/accelerate_loop.py voice steps=40 batch_size=16

(or with ``python`` instead, on one process; Accelerate's own launcher starts one process only on a CPU.) What follows
the folder are changes to the recipe that ``hone solve`` would try first.

hone deals the rows of each step to the processes and knows the step's supervised tokens on all of them: so neither the
data loader nor the division of the loss is left to Accelerate, and any number of processes gives the same gradient. The
trained model lies in ``FOLDER/by-accelerate/model`` afterwards, where ``hone prompt`` opens it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from accelerate import Accelerator

import hone


def main(folder: str, changes: Mapping[str, Any]) -> list[float]:
    """Train; the mean loss per supervised token of each step."""
    accelerator = Accelerator(cpu=True)
    parts = hone.training_parts(folder, changes, say=accelerator.print)
    rank, processes = accelerator.process_index, accelerator.num_processes
    losses, loss = [], 0.0

    model, optimizer = accelerator.prepare(parts.step_loss, parts.optimizer())
    schedule = parts.schedule(optimizer.optimizer)
    for step in parts.step_batches(rank=rank, processes=processes):
        share = model(step)
        accelerator.backward(share)
        loss += accelerator.reduce(share.detach(), "mean").item()
        if step.is_last:  # of the recipe's micro-batches
            accelerator.clip_grad_norm_(model.parameters(), parts.recipe.clip_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses, loss = [*losses, loss], 0.0
    accelerator.print(f"loss {losses[0]:.6f} -> {losses[-1]:.6f} in {len(losses)} steps on {processes} process(es)")
    if accelerator.is_main_process:
        print(f"the model lies in {parts.save(Path(folder) / 'by-accelerate' / 'model')}")
    accelerator.end_training()
    return losses


if __name__ == "__main__":
    main(sys.argv[1], yaml.safe_load("\n".join(one.replace("=", ": ", 1) for one in sys.argv[2:])) or {})
