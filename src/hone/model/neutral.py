"""Plain text that belongs to nobody's task, and what a model makes of it.

A base is compared with what became of it, and with what it says it is, on the same twelve paragraphs of everyday prose
(about 1,100 words, written for this purpose). Losses are in nats per token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from hone.model.base import Base

LONGEST = 256
"""Tokens of one piece of text."""
MASK_EVERY = 7
"""Each seventh token is to be predicted: about the share of 15 % that encoders are trained with."""


def neutral_texts() -> list[str]:
    """The paragraphs."""
    text = files("hone.model").joinpath("neutral.txt").read_text(encoding="utf-8")
    return [paragraph.strip() for paragraph in text.split("\n\n") if paragraph.strip()]


def rows_of(base: Base, texts: Sequence[str]) -> list[list[int]]:
    """Texts as the base itself saw them in its training: its own begin, and for an encoder its own end too.

    Texts that are longer than the base's context, or than 256 tokens, are cut into pieces.
    """
    rust, roles = base.vocabulary.rust, base.roles
    before = [rust.token_to_id(roles["begin"])] if "begin" in roles else []
    behind = [rust.token_to_id(roles["end"])] if "end" in roles and base.opening.use != "next-token" else []
    room = max(2, min(LONGEST, context_of(base)) - len(before) - len(behind))
    rows = []
    for text in texts:
        ids = [one for one in rust.encode(text, add_special_tokens=False).ids if one < base.vocabulary.before]
        rows += [[*before, *ids[at : at + room], *behind] for at in range(0, len(ids), room)]
    return [row for row in rows if len(row) > 2]


def context_of(base: Base) -> int:
    """Tokens that the base can see at once."""
    names = ("max_position_embeddings", "n_positions", "n_ctx")
    found = [int(base.config[name]) for name in names if base.config.get(name)]
    # RoBERTa counts positions from behind its padding id, so two of its positions are never reached.
    return found[0] - 2 if found else LONGEST


def next_token_logprobs(module: Any, rows: Sequence[Sequence[int]], ids: int) -> Iterator[tuple[Tensor, Tensor]]:
    """For each row the log-probabilities (T - 1, ``ids``) and the ids (T - 1,) that follow.

    Ids from ``ids`` on are those of a later model only, and are left out of the distribution.
    """
    import torch

    device = next(module.parameters()).device
    for row in rows:
        inputs = torch.tensor([list(row)], device=device)
        with torch.no_grad():  # never around a yield: it would hold for the caller too
            logprobs = module(input_ids=inputs).logits[0, :-1, :ids].float().log_softmax(-1)
        yield logprobs, inputs[0, 1:]


def masked_logprobs(
    module: Any, rows: Sequence[Sequence[int]], ids: int, mask_id: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """For each row the log-probabilities (S, ``ids``) at its masked tokens, and the ids (S,) that stood there."""
    import torch

    device = next(module.parameters()).device
    for row in rows:
        inputs = torch.tensor([list(row)], device=device)
        places = torch.arange(1, len(row) - 1, MASK_EVERY, device=device)
        hidden = inputs.clone()
        hidden[0, places] = mask_id
        with torch.no_grad():
            logprobs = module(input_ids=hidden).logits[0, places, :ids].float().log_softmax(-1)
        yield logprobs, inputs[0, places]


def mean_loss(predictions: Iterator[tuple[Tensor, Tensor]]) -> tuple[float, int]:
    """Mean loss in nats per token, and the number of tokens."""
    total, num_tokens = 0.0, 0
    for logprobs, targets in predictions:
        total -= float(logprobs.gather(-1, targets[:, None]).sum())
        num_tokens += len(targets)
    return total / max(1, num_tokens), num_tokens


def pooled(module: Any, rows: Sequence[Sequence[int]]) -> Tensor:
    """(rows, h): the mean of the last layer's states of each row, of length 1."""
    import torch

    device = next(module.parameters()).device
    trunk = module.base_model
    means = []
    with torch.no_grad():
        for row in rows:
            states: Tensor = trunk(input_ids=torch.tensor([list(row)], device=device))[0]
            means.append(states[0].float().mean(0))
    return torch.nn.functional.normalize(torch.stack(means), dim=-1)
