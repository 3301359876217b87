"""Guards: what is wrong with the rows before the start, and what stops a run that has gone wrong."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from hone.errors import FailedError, InputError
from hone.files import atomic_folder, write_json
from hone.task.recipe import Recipe
from hone.task.render import Example
from hone.train.batches import Batch, collate
from hone.train.objectives import NextToken, Objective
from hone.train.tensors import model_tensors


def check_examples(examples: Sequence[Example], *, end_id: int | None = None) -> None:
    """Law 6: every row has a supervised token and a supervised end; the first id is never supervised.

    Args:
        examples: what is about to be trained on.
        end_id: id of ``<|end|>``; without it the last id is taken to be the end.

    Raises:
        InputError: one sentence per kind of fault, with its count and the first three rows.
    """
    faults: dict[str, list[str]] = {}
    for example in examples:
        for fault in _faults(example, end_id):
            faults.setdefault(fault, []).append(example.row)
    if faults:
        raise InputError(
            [f"{len(rows):,} of {len(examples):,} rows {what}: {', '.join(rows[:3])}" for what, rows in faults.items()]
        )


def _faults(example: Example, end_id: int | None) -> list[str]:
    # An encoder's row has no end to learn, and its first position may be the supervised one.
    if example.reads_both_ways:
        what = "have no supervised position, so nothing could be learned from them"
        return [] if example.supervised.any() else [what]
    if len(example.ids) != len(example.supervised) or len(example.ids) < 2:
        return ["have fewer than 2 ids, or a supervision mask of another length"]
    faults = []
    if not example.supervised.any():
        faults.append("have no supervised token, so nothing could be learned from them")
    elif not example.supervised[-1] or (end_id is not None and example.ids[-1] != end_id):
        faults.append("do not end in a supervised end of turn, so the model would not learn to stop")
    if example.supervised[0]:
        faults.append("start with a supervised token, which nothing comes before to predict it from")
    return faults


def first_loss_line(loss: float, vocab_size: int) -> str:
    """A sentence on the loss of the first step of an untrained model, beside that of a uniform guess."""
    uniform = math.log(vocab_size)
    line = f"first loss {loss:.2f} nats per token; a uniform guess has ln {vocab_size:,} = {uniform:.2f}"
    if loss > 2 * uniform:
        return line + ": more than twice that, so the initial weights are too large for this shape"
    if loss < 0.5 * uniform:
        return line + ": less than half of that, so the model is not untrained, or it sees what it is to predict"
    return line


@dataclass(frozen=True, kw_only=True, slots=True)
class Overfit:
    """Losses per token before and after training on one batch alone."""

    first: float
    last: float
    steps: int

    @property
    def learned(self) -> bool:
        """Whether the loss fell below a tenth of what it was."""
        return self.last < 0.1 * self.first


def overfit_one_batch(
    model: nn.Module, batch: Batch, *, objective: Objective | None = None, steps: int = 60, learning_rate: float = 3e-3
) -> Overfit:
    """Train a copy of ``model`` on one batch: a model, mask or loss that is wired wrongly cannot learn it by heart."""
    trial, objective = copy.deepcopy(model).train(), objective or NextToken()
    optimizer = torch.optim.AdamW(trial.parameters(), lr=learning_rate, weight_decay=0.0, fused=True)
    losses = []
    for _ in range(steps + 1):
        total, num_tokens = objective.loss(trial, batch)
        loss = total / num_tokens
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trial.parameters(), 1.0)
        optimizer.step()
    return Overfit(first=losses[0], last=losses[-1], steps=steps)


def stop_non_finite(
    model: nn.Module, objective: Objective, batches: Sequence[Batch], folder: Path, *, step: int, recipe: Recipe
) -> None:
    """Raise for the first step whose loss or gradient is not finite, after writing what reproduces it.

    The weights have not been changed by the step, so the folder holds the very model and batches that failed:
    ``weights.safetensors``, ``batches.safetensors`` and ``failure.json``.

    Raises:
        FailedError: always; it names the tensors and the rows.
    """
    tensors = _non_finite_tensors(model)
    rows = _non_finite_rows(model, objective, batches)
    weights = {name: value.detach().cpu().contiguous() for name, value in model_tensors(model).items()}
    seen = {f"{index}/ids": batch.ids.cpu() for index, batch in enumerate(batches)}
    seen |= {f"{index}/supervised": batch.supervised.cpu() for index, batch in enumerate(batches)}
    failure = {
        "step": step,
        "tensors": tensors,
        "rows": rows,
        "batch_rows": [list(batch.rows) for batch in batches],
        "recipe": recipe.model_dump(mode="json"),
    }
    with atomic_folder(folder) as part:
        save_file(weights, part / "weights.safetensors")
        save_file(seen, part / "batches.safetensors")
        write_json(part / "failure.json", failure)
    first = tensors[0] if tensors else "the loss"
    named = ", ".join(rows[:3]) if rows else "none by itself, only the whole batch"
    raise FailedError(
        f"step {step:,}: the first value that is not finite is in {first} ({len(tensors)} tensors in all); rows whose "
        f"loss is not finite: {named}. The weights before the step and the batches are in {folder}. "
        f"Try a learning rate below {recipe.learning_rate:g}, or look at these rows"
    )


def _non_finite_tensors(model: nn.Module) -> list[str]:
    named = list(model.named_parameters())
    weights = [f"weight {name}" for name, param in named if not param.isfinite().all()]
    return weights + [f"gradient of {name}" for name, p in named if p.grad is not None and not p.grad.isfinite().all()]


@torch.no_grad()
def _non_finite_rows(model: nn.Module, objective: Objective, batches: Sequence[Batch]) -> list[str]:
    bad: list[str] = []
    for batch in batches:
        for index in range(len(batch.lengths)):
            row = _one_row(batch, index)
            if not torch.isfinite(objective.loss(model, row).total):
                bad.extend(row.rows)
    return bad


def _one_row(batch: Batch, index: int) -> Batch:
    """Row ``index`` of a batch alone; all row ids where rows are packed, since they cannot be told apart here."""
    length = int(batch.lengths[index])
    plain = batch.position_ids is None and len(batch.rows) == len(batch.lengths)
    example = Example(
        ids=batch.ids[index, :length].cpu().numpy().astype("int32"),
        supervised=batch.supervised[index, :length].cpu().numpy(),
        prompt_len=0,
        label=None,
        row=batch.rows[index] if plain else f"packed row {index}",
    )
    single = collate([(example,)]).to(batch.ids.device)
    positions = None if batch.position_ids is None else batch.position_ids[index : index + 1, :length]
    return single._replace(position_ids=positions)
