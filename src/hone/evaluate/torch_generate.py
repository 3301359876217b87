"""A torch module behind the callables of :mod:`hone.evaluate.generate`: text, label and token log-probabilities.

Results do not depend on what else is in the batch beyond the rounding of sums of floats. Nothing here touches torch's
random state, so evaluating in the middle of training changes no later step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache

from hone.errors import InputError
from hone.evaluate.generate import GREEDY, Generation, Sampling, draws_of
from hone.evaluate.torch_cache import side_by_side
from hone.evaluate.torch_choice import choose

MOST_CACHE_BYTES = 256 * 2**20
MOST_ROWS = 128
MOST_LOGITS = 2**24


class TorchGenerate:
    """Batched greedy or sampled generation with a KV cache, for any causal model of Transformers.

    Args:
        model: ``model(input_ids, past_key_values=...)`` gives ``.logits``; its config names the context.
        pad_id: ignored in the results; prompts are never padded with it, finished rows are fed it until they leave.
        batch_size: rows at a time; by default as many as keep keys and values under 256 MiB, at most 128.
    """

    def __init__(self, model: nn.Module, pad_id: int = 0, batch_size: int | None = None) -> None:
        self.model, self.pad_id, self.batch_size = model, pad_id, batch_size

    def __call__(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, end_id: int, sampling: Sampling = GREEDY
    ) -> list[Generation]:
        """See :class:`hone.evaluate.generate.Generate`.

        Raises:
            InputError: for empty prompts, or prompts that fill the model's context.
        """
        config: Any = self.model.config
        context = int(config.max_position_embeddings)
        _check_prompts(prompts, context)
        limits = [min(max_new_tokens, context - len(prompt)) for prompt in prompts]
        draws = draws_of(prompts, sampling)
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        size = self.batch_size or _rows_that_fit(config, max(map(len, prompts), default=1) + max_new_tokens)
        results: list[Generation | None] = [None] * len(prompts)
        with evaluating(self.model):
            for start in range(0, len(order), size):
                batch = order[start : start + size]
                rows = _Rows(self.model, [prompts[index] for index in batch], self.pad_id)
                done = rows.run([limits[i] for i in batch], end_id, sampling, [draws[i] for i in batch])
                for index, generation in zip(batch, done, strict=True):
                    results[index] = generation
        return [result for result in results if result is not None]


class _Rows:
    """One batch while it is being continued. Prompts come sorted by length."""

    def __init__(self, model: nn.Module, prompts: Sequence[Sequence[int]], pad_id: int) -> None:
        self.model, self.pad_id, self.device = model, pad_id, _device(model)
        caches, logits = [], []
        for group in _equal_lengths(prompts, len(prompts)):
            ids = torch.tensor([prompts[index] for index in group], device=self.device)
            cache = DynamicCache()
            logits.append(model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1])
            caches.append(cache)
        self.cache, self.logits = side_by_side(caches), torch.cat(logits)
        self.positions = torch.tensor([len(prompt) for prompt in prompts], device=self.device)
        self.padding = int(self.positions.max()) - self.positions

    def run(
        self, limits: list[int], end_id: int, sampling: Sampling, draws: list[np.random.Generator | None]
    ) -> list[Generation]:
        written: list[list[int]] = [[] for _ in limits]
        finished = [False] * len(limits)
        rows = list(range(len(limits)))  # which prompt each row of the batch belongs to
        active = [limit > 0 for limit in limits]
        while any(active):
            chosen = choose(self.logits, sampling, [draws[row] for row in rows])
            for place, (row, token) in enumerate(zip(rows, chosen.tolist(), strict=True)):
                if not active[place]:
                    continue
                if token == end_id:
                    finished[row], active[place] = True, False
                else:
                    written[row].append(token)
                    active[place] = len(written[row]) < limits[row]
            keep = [place for place, on in enumerate(active) if on]
            if not keep:
                break
            # Leaving costs a copy of the cache, so rows leave together once an eighth of the batch is idle.
            if len(keep) <= 0.875 * len(rows):
                rows, active = [rows[place] for place in keep], [True] * len(keep)
                chosen = self._select(keep, chosen)
            self._step(chosen)
        return [Generation(tuple(ids), stopped) for ids, stopped in zip(written, finished, strict=True)]

    def _select(self, keep: list[int], chosen: Tensor) -> Tensor:
        index = torch.tensor(keep, device=self.device)
        self.cache.batch_select_indices(index)
        self.positions, self.padding = self.positions[index], self.padding[index]
        return chosen[index]

    def _step(self, chosen: Tensor) -> None:
        columns = torch.arange(self.cache.get_seq_length() + 1, device=self.device)
        visible = (columns[None, :] >= self.padding[:, None])[:, None, None, :] if bool(self.padding.any()) else None
        self.logits = self.model(
            input_ids=chosen[:, None],
            position_ids=self.positions[:, None],
            attention_mask=visible,
            past_key_values=self.cache,
            use_cache=True,
        ).logits[:, -1]
        self.positions = self.positions + 1


class TorchLabels:
    """Label log-probabilities of a torch module; see :class:`hone.evaluate.generate.LabelLogprobs`."""

    def __init__(self, model: nn.Module, batch_size: int = 128) -> None:
        self.model, self.batch_size = model, batch_size

    def __call__(self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float64]:
        """(prompts, labels) natural-log probabilities under the whole vocabulary."""
        result = np.empty((len(prompts), len(label_ids)))
        _check_prompts(prompts, int(self.model.config.max_position_embeddings) + 1)  # type: ignore[union-attr, arg-type]
        with evaluating(self.model):
            for group in _equal_lengths(prompts, self.batch_size):
                ids = torch.tensor([prompts[index] for index in group], device=_device(self.model))
                logits = self.model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1]
                result[group] = torch.log_softmax(logits.double(), -1)[:, list(label_ids)].cpu().numpy()
        return result


class TorchLogprobs:
    """Token log-probabilities of a torch module; see :class:`hone.evaluate.generate.TokenLogprobs`."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """Per sequence the log-probabilities of ids 1 to T - 1. Logits of at most 64 MiB are alive at a time."""
        vocabulary = int(self.model.config.vocab_size)  # type: ignore[union-attr, arg-type]
        longest = max(map(len, sequences), default=1)
        result: list[NDArray[np.float64]] = [np.empty(0)] * len(sequences)
        with evaluating(self.model):
            for group in _equal_lengths(sequences, max(1, MOST_LOGITS // (vocabulary * longest))):
                if len(sequences[group[0]]) < 2:
                    continue
                ids = torch.tensor([sequences[index] for index in group], device=_device(self.model))
                logits = self.model(input_ids=ids[:, :-1], use_cache=False).logits.float()
                taken = logits.gather(-1, ids[:, 1:, None])[..., 0] - torch.logsumexp(logits, -1)
                for index, row in zip(group, taken.double().cpu().numpy(), strict=True):
                    result[index] = row
        return result

    def next(self, ids: Sequence[int]) -> NDArray[np.float64]:
        """(vocabulary,) log-probabilities after ``ids``; see :class:`hone.evaluate.generate.NextLogprobs`."""
        with evaluating(self.model):
            tensor = torch.tensor([list(ids)], device=_device(self.model))
            logits = self.model(input_ids=tensor, use_cache=False, logits_to_keep=1).logits[0, -1]
            return np.asarray(torch.log_softmax(logits.double(), -1).cpu().numpy())


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside the block the model is in evaluation mode and keeps no gradients."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def _equal_lengths(sequences: Sequence[Sequence[int]], most: int) -> Iterator[list[int]]:
    """Positions of sequences of one length at a time, at most so many together, shortest first."""
    by_length: dict[int, list[int]] = {}
    for index, sequence in enumerate(sequences):
        by_length.setdefault(len(sequence), []).append(index)
    for length in sorted(by_length):
        group = by_length[length]
        yield from (group[start : start + most] for start in range(0, len(group), most))


def _check_prompts(prompts: Sequence[Sequence[int]], context: int) -> None:
    empty = [index for index, prompt in enumerate(prompts) if len(prompt) == 0]
    long = [index for index, prompt in enumerate(prompts) if len(prompt) >= context]
    problems = []
    if empty:
        problems.append(f"{len(empty):,} of {len(prompts):,} prompts have no ids (the first is number {empty[0]})")
    if long:
        longest = max(long, key=lambda index: len(prompts[index]))
        problems.append(
            f"{len(long):,} of {len(prompts):,} prompts leave no room in the model's context of {context:,} ids; "
            f"the longest is number {longest} with {len(prompts[longest]):,}"
        )
    if problems:
        raise InputError(problems)


def _rows_that_fit(config: Any, columns: int) -> int:
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    row_bytes = 2 * 4 * config.num_hidden_layers * heads * width * columns
    return max(1, min(MOST_ROWS, int(MOST_CACHE_BYTES // row_bytes)))


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
