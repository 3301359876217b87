"""The model as it was trained, for comparing: the only place in this room that imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.evaluate.generate import Generate

Logprobs = Callable[[Sequence[Sequence[int]]], list[NDArray[np.float32]]]
"""Sequences of ids to one (len, vocab) array of natural-log probabilities each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Original:
    """What an artifact is compared with: full log-probabilities and greedy answers of the float model."""

    logprobs: Logprobs
    generate: Generate


def original_of(module: Any) -> Original:
    """The two callables of a causal Transformers module, in float32 on its own device."""
    from hone.evaluate.torch_generate import TorchGenerate

    return Original(logprobs=lambda sequences: torch_logprobs(module, sequences), generate=TorchGenerate(module))


def torch_logprobs(module: Any, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
    """Natural-log probabilities after every position of every sequence, one sequence at a time."""
    import torch

    training, device = module.training, next(module.parameters()).device
    module.eval()
    found: list[NDArray[np.float32]] = []
    try:
        with torch.no_grad():
            for ids in sequences:
                logits = module(input_ids=torch.tensor([list(ids)], device=device), use_cache=False).logits[0]
                found.append(torch.log_softmax(logits.float(), -1).cpu().numpy())
    finally:
        module.train(training)
    return found
