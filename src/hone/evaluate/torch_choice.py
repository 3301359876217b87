"""Choosing the next id from logits: greedy, or drawn with a random generator of each prompt's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hone.evaluate.generate import Sampling


def choose(logits: Tensor, sampling: Sampling, draws: Sequence[np.random.Generator | None]) -> Tensor:
    """The next id of each row: (rows, vocabulary) to (rows,)."""
    if sampling.temperature <= 0:
        return logits.argmax(-1)
    softmax = torch.softmax(logits.double() / sampling.temperature, -1)
    shares, ids = torch.sort(softmax, stable=True, dim=-1, descending=True)
    if sampling.top_k:
        shares[:, sampling.top_k :] = 0
    before = shares.cumsum(-1) - shares
    shares = shares.masked_fill(before >= sampling.top_p * shares.sum(-1, keepdim=True), 0)
    uniform = torch.tensor([0.0 if draw is None else draw.random() for draw in draws], device=logits.device)
    heights = shares.cumsum(-1)
    place = torch.searchsorted(heights, (uniform.double() * heights[:, -1])[:, None], right=True)
    place = place.clamp(max=(shares > 0).sum(-1, keepdim=True) - 1)
    return ids.gather(-1, place)[:, 0]
