"""What scoring needs of a model: three callables that a torch module and an artifact's session both satisfy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hone.task.render import Example


@dataclass(frozen=True, slots=True)
class Generation:
    """Ids that a model wrote after a prompt, without the end; ``finished`` when it stopped by itself."""

    ids: tuple[int, ...]
    finished: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How the next token is chosen. Temperature 0 is greedy, and then nothing else counts.

    ``top_k`` keeps the k likeliest tokens (0: all); ``top_p`` the smallest set whose share reaches p (1: all), of what
    top_k left. The same seed and prompt give the same text, whatever else is in the call; a prompt that occurs
    several times in a call gets a text of its own each time.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0


GREEDY = Sampling()


def draws_of(prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[np.random.Generator | None]:
    """A random generator per prompt, made of the seed, the prompt and how often it has come before in the call.

    None for each when sampling is greedy.
    """
    if sampling.temperature <= 0:
        return [None] * len(prompts)
    seen: Counter[tuple[int, ...]] = Counter()
    draws: list[np.random.Generator | None] = []
    for prompt in prompts:
        key = tuple(prompt)
        draws.append(np.random.default_rng([sampling.seed, seen[key], *key]))
        seen[key] += 1
    return draws


class Generate(Protocol):
    """Continue prompts of token ids; one generation per prompt, in order."""

    def __call__(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, end_id: int, sampling: Sampling = GREEDY
    ) -> list[Generation]:
        """At most ``max_new_tokens`` ids each, and no more than the model's context holds."""
        ...


class LabelLogprobs(Protocol):
    """Log-probabilities of single-token labels right after prompts."""

    def __call__(self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float64]:
        """Natural-log probabilities under the whole vocabulary: (prompts, labels)."""
        ...


class TokenLogprobs(Protocol):
    """Log-probabilities of the tokens of given sequences, each after all before it."""

    def __call__(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """Per sequence of T ids the T - 1 natural-log probabilities of ids 1 to T - 1."""
        ...


class NextLogprobs(Protocol):
    """Log-probabilities of every token after one sequence: what an artifact's session can give."""

    def __call__(self, ids: Sequence[int]) -> NDArray[np.float64]:
        """Natural-log probabilities after ``ids``: (vocabulary,)."""
        ...


class TagLogits(Protocol):
    """Logits of tags at given positions of rows that are read from both sides."""

    def __call__(self, rows: Sequence[Sequence[int]], at: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """For each row (positions, tags)."""
        ...


class MaskedNats(NamedTuple):
    """What a row's masked tokens cost: the sum in nats, how many were guessed right, how many there are."""

    nats: float
    hits: int
    num_tokens: int


class MaskedLoss(Protocol):
    """How well masked tokens are guessed."""

    def __call__(self, examples: Sequence[Example]) -> list[MaskedNats]:
        """One sum for each masked row."""
        ...


def taken_of(
    logprobs: Callable[[Sequence[Sequence[int]]], Sequence[NDArray[np.floating[Any]]]],
) -> TokenLogprobs:
    """:class:`TokenLogprobs` from a callable that gives the whole distribution at each position, (T, vocabulary).

    It is asked for one sequence at a time, so that one table of probabilities is alive at a time.
    """

    def of_sequences(sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        taken = []
        for ids in sequences:
            table = logprobs([ids])[0]
            taken.append(np.asarray(table[np.arange(len(ids) - 1), list(ids[1:])], dtype=np.float64))
        return taken

    return of_sequences
