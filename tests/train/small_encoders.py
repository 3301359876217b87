"""Tiny encoders of three families and random rows for them, which the tests of training share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hone.task.render import Example

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
