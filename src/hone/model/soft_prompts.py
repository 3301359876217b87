"""Prompt tuning as rows of the vocabulary: what no runtime but PyTorch takes as vectors, every one takes as tokens.

``n`` learned vectors become the embeddings of ``n`` new special tokens behind all rows that the model has. A decoder
that reads their ids computes what it computed of the vectors; their logits are masked, because the model that was
trained could not write them (:mod:`hone.task.soft_prompt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from hone.errors import InputError
from hone.task.soft_prompt import MASKED_LOGIT, soft_token

if TYPE_CHECKING:
    from torch import Tensor, nn

SPARE = "<|unused:{}|>"
"""Name of a row that the tokenizer has no token for: ids follow each other, so those before new ones need names."""


def add_soft_prompt(module: Any, rust: Any, vectors: Tensor) -> tuple[int, ...]:
    """Make the vectors rows of the model and special tokens of its tokenizer, both in place.

    Args:
        module: a decoder of Transformers.
        rust: its tokenizer, of the ``tokenizers`` library.
        vectors: (n, width).

    Returns:
        The new ids, in the order of the vectors; they follow on all rows that the model had.

    Raises:
        InputError: when they have another width, leave no room in the model's context, or the tokenizer's ids do not
            follow each other.
    """
    import torch
    from tokenizers import AddedToken

    count, width = vectors.shape
    rows, own_width = module.get_input_embeddings().weight.shape
    positions = int(module.config.max_position_embeddings)
    known = rust.get_vocab_size(with_added_tokens=True)
    names = [*(SPARE.format(index) for index in range(known, rows)), *map(soft_token, range(count))]
    problems = []
    if width != own_width:
        problems.append(f"its vectors have {width} numbers, the embedding of its base {own_width}")
    if count >= positions - 1:
        problems.append(f"{count} vectors leave no room for a prompt in a context of {positions}")
    problems += [f"the tokenizer has a token {name} already" for name in names if rust.token_to_id(name) is not None]
    if problems:
        raise InputError(problems)
    rust.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    ids = tuple(range(rows, rows + count))
    given = tuple(rust.token_to_id(soft_token(index)) for index in range(count))
    if given != ids:
        raise InputError(f"the tokenizer gives new tokens ids from {given[0]} on, and its model has {rows} rows")
    module.resize_token_embeddings(rows + count, mean_resizing=False)
    head = module.get_output_embeddings()
    with torch.no_grad():
        if head.weight is not module.get_input_embeddings().weight:
            head.weight[rows:] = 0.0
        module.get_input_embeddings().weight[rows:] = vectors.to(torch.float32)
    return ids


def masked(module: nn.Module, ids: Sequence[int]) -> nn.Module:
    """The decoder, whose logits at these ids are :data:`~hone.task.soft_prompt.MASKED_LOGIT` from now on."""
    head: Any = module.get_output_embeddings()  # type: ignore[operator]
    head.register_forward_hook(partial(_mask, list(ids)))
    return module


def _mask(ids: list[int], _: Any, __: Any, logits: Tensor) -> Tensor:
    import torch

    return logits.index_fill(-1, torch.tensor(ids, device=logits.device), MASKED_LOGIT)
