"""The model as it was trained, for comparing: the only place in this room that imports torch.

An original remembers what it was asked, so that several artifacts of one model are compared at the price of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.certificate.cases import Case
from hone.deploy.reading import LogitsAt
from hone.evaluate.generate import GREEDY, Generate, Generation, LabelLogprobs, Sampling, TokenLogprobs, taken_of
from hone.task.embedding import EmbeddingRenderer

Logprobs = Callable[[Sequence[Sequence[int]]], list[NDArray[np.float32]]]
"""Sequences of ids to one (len, vocab) array of natural-log probabilities each."""
MOST_KEPT_BYTES = 256 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Original:
    """What an artifact is compared with: full log-probabilities and greedy answers of the float model.

    ``labels`` and ``token_logprobs`` score rows; without them they are read off ``logprobs``, more slowly.
    """

    logprobs: Logprobs
    generate: Generate
    labels: LabelLogprobs | None = None
    token_logprobs: TokenLogprobs | None = None
    kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was computed before."""

    def answer_logprobs(self, cases: Sequence[Case]) -> list[NDArray[np.float32]]:
        """For each case (predicted positions, vocab): what the model expected there. Kept up to 256 MiB."""
        missing = [case for case in cases if case not in self.kept]
        found = {}
        for case, table in zip(missing, self.logprobs([case.ids for case in missing]) if missing else [], strict=True):
            found[case] = np.ascontiguousarray(table[np.asarray(case.predicted) - 1])
            size = self.kept.get("bytes", 0) + found[case].nbytes
            if size <= MOST_KEPT_BYTES:
                self.kept.update({case: found[case], "bytes": size})
        return [found[case] if case in found else self.kept[case] for case in cases]

    def greedy(self, prompts: Sequence[tuple[int, ...]], *, max_new_tokens: int, end_id: int) -> list[Generation]:
        """Greedy answers, each computed once."""
        asked = [("greedy", prompt, max_new_tokens, end_id) for prompt in prompts]
        missing = list(dict.fromkeys(key for key in asked if key not in self.kept))
        if missing:
            made = self.generate([key[1] for key in missing], max_new_tokens=max_new_tokens, end_id=end_id)
            self.kept.update(zip(missing, made, strict=True))
        return [self.kept[key] for key in asked]

    def scoring(self) -> dict[str, Any]:
        """The callables that :func:`hone.evaluate.scoring.evaluate` takes."""
        return {
            "generate": self._remembered,
            "labels": self.labels or self._labels,
            "logprobs": self.token_logprobs or taken_of(self.logprobs),
        }

    def _remembered(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, end_id: int, sampling: Sampling = GREEDY
    ) -> list[Generation]:
        """Greedy answers that may have been asked for already."""
        if sampling != GREEDY:
            return self.generate(prompts, max_new_tokens=max_new_tokens, end_id=end_id, sampling=sampling)
        return self.greedy([tuple(ids) for ids in prompts], max_new_tokens=max_new_tokens, end_id=end_id)

    def _labels(self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float64]:
        found = [self.logprobs([prompt])[0][-1][list(label_ids)] for prompt in prompts]
        return np.asarray(found, dtype=np.float64)


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderOriginal:
    """What an artifact of an encoder is compared with: logits of the float model."""

    logits: LogitsAt
    kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was computed before."""

    def answer_logits(self, cases: Sequence[Case]) -> list[NDArray[np.float64]]:
        """For each case (predicted positions, outputs), each computed once."""
        missing = [case for case in cases if case not in self.kept]
        if missing:
            made = self.logits([case.ids for case in missing], [case.predicted for case in missing])
            self.kept.update(zip(missing, made, strict=True))
        return [self.kept[case] for case in cases]


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingOriginal:
    """What an artifact of an encoder without a head is compared with: vectors of the float model."""

    vectors: Callable[[Sequence[Sequence[int]]], NDArray[np.float64]]
    """Rows of ids to (rows, width)."""
    kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was computed before."""

    def answer_vectors(self, cases: Sequence[Case]) -> NDArray[np.float64]:
        """(cases, width), each computed once."""
        missing = [case for case in cases if case not in self.kept]
        if missing:
            self.kept.update(zip(missing, self.vectors([case.ids for case in missing]), strict=True))
        return np.stack([self.kept[case] for case in cases])


def original_of(module: Any) -> Original:
    """The callables of a causal Transformers module, in float32 on its own device."""
    from hone.evaluate.torch_generate import TorchGenerate, TorchLabels, TorchLogprobs

    return Original(
        logprobs=lambda sequences: torch_logprobs(module, sequences),
        generate=TorchGenerate(module),
        labels=TorchLabels(module),
        token_logprobs=TorchLogprobs(module),
    )


def encoder_original_of(module: Any) -> EncoderOriginal:
    """The logits of an encoder of Transformers with its head, in float32 on its own device."""
    from hone.evaluate.encoders import at_positions

    return EncoderOriginal(logits=lambda rows, at: at_positions(module, rows, at))


def embedding_original_of(module: Any, renderer: EmbeddingRenderer) -> EmbeddingOriginal:
    """The vectors of an encoder of Transformers, in float32 on its own device, pooled as its folder says."""

    def vectors(rows: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        return np.stack([renderer.pooled(states) for states in torch_states(module, rows)])

    return EmbeddingOriginal(vectors=vectors)


def torch_states(module: Any, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
    """The last hidden states (tokens, width) of every sequence, one sequence at a time."""
    import torch

    device = next(module.parameters()).device
    with torch.no_grad():
        rows = (torch.tensor([list(ids)], device=device) for ids in sequences)
        return [module(input_ids=ids).last_hidden_state[0].float().cpu().numpy() for ids in rows]


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
