"""Tiny encoders of three families and random rows for them, which the tests of training share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from small_runs import RECIPE, Rank, judge, outcome, weights_hash

from hone.task.masking import Masking
from hone.task.render import Example
from hone.train import launch
from hone.train.batches import PackedRow, collate
from hone.train.compiling import LossModule
from hone.train.engine import fit
from hone.train.fabric import connect
from hone.train.objectives import objective_for
from hone.train.source import BatchSource, share_of
from hone.train.stepping import accumulate_gradients, normalise

VOCAB, CLASSES = 50, 5
FAMILIES = ("bert", "distilbert", "roberta")


def encoder(family: str, head: str, *, seed: int = 0, outputs: int = CLASSES) -> Any:
    """A two-layer model ``...For<head>`` without dropout, in evaluation mode, with random weights."""
    import transformers

    name = {"bert": "Bert", "distilbert": "DistilBert", "roberta": "Roberta"}[family]
    shape: dict[str, Any] = {"vocab_size": VOCAB, "num_labels": outputs, "pad_token_id": 0}
    if family == "distilbert":
        shape |= {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 66}
        shape |= {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
    else:
        shape |= {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        shape |= {"max_position_embeddings": 66, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = getattr(transformers, f"{name}Config")(**shape)
    torch.manual_seed(seed)
    return getattr(transformers, f"{name}For{head}")(config).eval()


def tagged(count: int, seed: int = 0, *, shortest: int = 6, longest: int = 20, outputs: int = VOCAB) -> list[Example]:
    """Random rows with a target at about a third of the positions."""
    generator = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        length = int(generator.integers(shortest, longest + 1))
        supervised = generator.random(length) < 0.3
        supervised[length // 2] = True
        rows.append(
            Example(
                ids=generator.integers(4, VOCAB, length).astype(np.int32),
                supervised=supervised,
                prompt_len=length,
                label=None,
                row=f"r:{index + 1}",
                targets=generator.integers(0, outputs, length).astype(np.int32),
            )
        )
    return rows


def classified(count: int, seed: int = 0, *, several: bool = False) -> list[Example]:
    """Random rows with a class at the first position, or with any number of classes each."""
    generator = np.random.default_rng(seed + 1)
    rows = []
    for row in tagged(count, seed):
        label = int(generator.integers(0, CLASSES))
        targets = np.zeros(len(row.ids), np.int32)
        targets[0] = label
        labels = (generator.random(CLASSES) < 0.4).astype(np.float32) if several else None
        rows.append(
            Example(
                ids=row.ids,
                supervised=np.arange(len(row.ids)) == 0,
                prompt_len=len(row.ids),
                label=None if several else label,
                row=row.row,
                targets=targets,
                labels=labels,
            )
        )
    return rows


# Whole runs, on one process and two.

MASKED = RECIPE.child(objective="masked-tokens", optimizer="adamw", packing=True, average=0.0)


def masked_each_epoch(seed: int, epoch: int) -> Sequence[Example]:
    """Documents with the masks of an epoch."""
    documents = []
    for row in tagged(24, 5):
        everywhere = np.ones(len(row.ids), dtype=np.bool_)
        documents.append(Example(**{**_fields(row), "supervised": everywhere, "targets": row.ids}))
    return Masking(3, range(4, VOCAB), 0.15).all(documents, seed, epoch)


def _fields(row: Example) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("ids", "supervised", "prompt_len", "label", "row", "targets")}


def fit_masked(rank: int, folder: str, processes: int = 1, until_step: int | None = None) -> Any:
    """Masked tokens with dropout, packing and accumulation; what two equal runs have in common."""
    recipe = MASKED.child(processes=processes)
    model = encoder("bert", "MaskedLM")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.1
    source = BatchSource.of_recipe(masked_each_epoch, recipe)
    result = fit(model, source, recipe, Path(folder), until_step=until_step, evaluate=judge)
    return outcome((weights_hash(model), result))


def fit_masked_two(folder: str, until_step: int | None = None) -> list[Any]:
    """The same on two processes."""
    return launch.run(Rank(fit_masked, folder, 2, until_step), 2, start="fork")


def gradient_of(rank: int, name: str, processes: int, accumulate: int) -> dict[str, Any]:
    """The normalised gradient of seven rows in float64; seven do not divide, so one part may be empty."""
    recipe = RECIPE.child(processes=processes, accumulate=accumulate, batch_size=8)
    fabric = connect(recipe)
    head = {"masked": "MaskedLM", "packed": "MaskedLM", "tags": "TokenClassification"}.get(
        name, "SequenceClassification"
    )
    module = encoder("bert", head).double()
    wrapped = fabric.setup(LossModule(module, objective_for(module)))
    batches = [collate(part) for part in share_of(rows_of(name), rank=rank, processes=processes, accumulate=accumulate)]
    sums = accumulate_gradients(fabric, wrapped, batches)
    params = list(module.parameters())
    normalise(params, num_tokens=sums.num_tokens, processes=processes, clip_norm=1e9)
    return {key: param.grad.numpy().copy() for key, param in module.named_parameters() if param.grad is not None}


def rows_of(name: str) -> list[PackedRow]:
    """Seven examples of an objective; ``packed``: two in each row but the last."""
    if name in ("class", "several"):
        return [(row,) for row in classified(7, several=name == "several")]
    rows = tagged(7, outputs=CLASSES)
    if name != "packed":
        return [(row,) for row in rows]
    return [*((rows[index], rows[index + 1]) for index in (0, 2, 4)), (rows[6],)]


OBJECTIVES = ("masked", "packed", "tags", "class", "several")


def gradients_of(rank: int, processes: int, accumulate: int) -> dict[str, dict[str, Any]]:
    """:func:`gradient_of` for every objective."""
    return {name: gradient_of(rank, name, processes, accumulate) for name in OBJECTIVES}


def gradients_of_two(accumulate: int) -> list[dict[str, Any]]:
    """The same on two processes."""
    return launch.run(Rank(gradients_of, 2, accumulate), 2, start="fork")
