"""How far an artifact is from the model it came from: probabilities, greedy answers, token ids.

Definitions follow llama.cpp's perplexity tool: per position KLD = sum p ln(p / q) with p of the original, and the
share of positions with the same most likely token. Only positions that predict an *answer* count: nobody trained
the model to predict prompts, so what it says there means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hone.deploy.certificate.original import Original
from hone.evaluate.generate import GREEDY, Generation, Sampling

Floats = NDArray[np.float64]
MOST_ARRAY_BYTES = 64 * 2**20


class Artifact(Protocol):
    """What of a session is compared."""

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        ...

    def logprobs(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """For each sequence (len, vocab)."""
        ...

    def generate(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, end_id: int, sampling: Sampling = GREEDY
    ) -> list[Generation]:
        """Continue each prompt."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A prompt with its answer as ids; the answer starts at ``prompt_len``."""

    ids: tuple[int, ...]
    prompt_len: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """Where a greedy answer leaves the original's: ids of both, and how much likelier the original finds its own."""

    prompt: int
    position: int
    original: int
    artifact: int
    gap_nats: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """The figures of a comparison; see :mod:`hone.deploy.certificate.parity`."""

    positions: int
    """Answer positions compared."""
    sequences: int
    finite: bool
    """No probability of the artifact is NaN or plus infinity."""
    kld_mean: float
    kld_max: float
    same_top: float
    """Share of positions with the same most likely token."""
    same_top_or_tie: float
    """The same, with tokens within ``tie_nats`` of each other in the original counted as equal."""
    tie_nats: float
    perplexity_original: float
    perplexity_artifact: float
    log_ratio_low: float
    """Pessimistic and optimistic ends (95 %) of the mean difference of negative log-likelihoods, paired by position."""
    log_ratio_high: float
    greedy_prompts: int
    greedy_equal: bool
    """Every greedy answer is the original's, token for token."""
    greedy_equal_share: float
    greedy_agree_share: float
    """Answers that are equal or leave the original's at a tie."""
    divergences: tuple[Divergence, ...] = field(default=())
    """The first five."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def compare(
    original: Original,
    artifact: Artifact,
    cases: Sequence[Case],
    *,
    end_id: int,
    max_new_tokens: int,
    tie_nats: float,
    greedy_prompts: int = 64,
    most_positions: int = 4096,
) -> Parity:
    """Compare log-probabilities over the cases' answers and greedy answers to their prompts.

    Args:
        original: the float model.
        artifact: an opened session.
        cases: prompts with answers.
        end_id: the id that ends an answer.
        max_new_tokens: longest greedy answer.
        tie_nats: see :class:`Parity`.
        greedy_prompts: prompts that are answered by both.
        most_positions: cases are taken in order until they have so many answer positions.
    """
    taken = list(_first(cases, most_positions))
    rows = _distributions(original, artifact, taken, tie_nats)
    equal, agree, divergences = _greedy(
        original, artifact, taken[:greedy_prompts], end_id=end_id, max_new_tokens=max_new_tokens, tie_nats=tie_nats
    )
    difference = rows["nll_artifact"] - rows["nll_original"]
    margin = 1.96 * float(difference.std()) / max(1, len(difference)) ** 0.5
    return Parity(
        positions=len(difference),
        sequences=len(taken),
        finite=bool(rows["finite"].all()),
        kld_mean=float(rows["kld"].mean()),
        kld_max=float(rows["kld"].max()),
        same_top=float(rows["same"].mean()),
        same_top_or_tie=float(rows["tie"].mean()),
        tie_nats=tie_nats,
        perplexity_original=float(np.exp(rows["nll_original"].mean())),
        perplexity_artifact=float(np.exp(rows["nll_artifact"].mean())),
        log_ratio_low=float(difference.mean()) - margin,
        log_ratio_high=float(difference.mean()) + margin,
        greedy_prompts=min(len(taken), greedy_prompts),
        greedy_equal=equal == 1.0,
        greedy_equal_share=equal,
        greedy_agree_share=agree,
        divergences=tuple(divergences[:5]),
    )


def id_differences(encode: Callable[[str], list[int]], artifact: Artifact, texts: Sequence[str]) -> list[str]:
    """Texts whose ids differ between the trained tokenizer and the artifact's, as sentences."""
    problems = []
    for text in texts:
        ours, theirs = encode(text), artifact.tokenize(text)
        if ours != theirs:
            problems.append(f"{text[:60]!r}: {ours[:12]} in training, {theirs[:12]} in the artifact")
    return problems


def _first(cases: Sequence[Case], most_positions: int) -> Iterator[Case]:
    positions = 0
    for case in cases:
        if positions >= most_positions:
            return
        positions += len(case.ids) - case.prompt_len
        yield case


def _distributions(original: Original, artifact: Artifact, cases: Sequence[Case], tie_nats: float) -> dict[str, Floats]:
    """Per answer position: kld, same top, top within a tie, both negative log-likelihoods, finite."""
    columns: dict[str, list[Floats]] = {}
    for chunk in _chunks(cases, artifact.vocab_size):
        ids = [case.ids for case in chunk]
        for case, ours, theirs in zip(chunk, original.logprobs(ids), artifact.logprobs(ids), strict=True):
            where = slice(case.prompt_len - 1, len(case.ids) - 1)
            targets = np.asarray(case.ids[case.prompt_len :], dtype=np.int64)
            for name, values in _positions(ours[where], theirs[where], targets, tie_nats).items():
                columns.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in columns.items()}


def _positions(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], targets: NDArray[np.int64], tie_nats: float
) -> dict[str, Floats]:
    p, q = ours.astype(np.float64), theirs.astype(np.float64)
    rows, top = np.arange(len(p)), q.argmax(-1)
    best = p.argmax(-1)
    return {
        "kld": (np.exp(p) * (p - q)).sum(-1),
        "same": (best == top).astype(np.float64),
        "tie": (p[rows, best] - p[rows, top] <= tie_nats).astype(np.float64),
        "nll_original": -p[rows, targets],
        "nll_artifact": -q[rows, targets],
        "finite": np.isfinite(q).all(-1).astype(np.float64),
    }


def _chunks(cases: Sequence[Case], vocab_size: int) -> Iterator[list[Case]]:
    """Cases together as long as their log-probabilities stay under 64 MiB."""
    chunk: list[Case] = []
    size = 0
    for case in cases:
        weight = len(case.ids) * vocab_size * 4
        if chunk and size + weight > MOST_ARRAY_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(case)
        size += weight
    if chunk:
        yield chunk


def _greedy(
    original: Original, artifact: Artifact, cases: Sequence[Case], *, end_id: int, max_new_tokens: int, tie_nats: float
) -> tuple[float, float, list[Divergence]]:
    """Share of equal greedy answers, share of equal or tied ones, and the divergences."""
    prompts = [case.ids[: case.prompt_len] for case in cases]
    ours = original.generate(prompts, max_new_tokens=max_new_tokens, end_id=end_id)
    theirs = artifact.generate(prompts, max_new_tokens=max_new_tokens, end_id=end_id)
    places = []
    for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        left, right = _with_end(one, end_id), _with_end(other, end_id)
        position = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), None)
        if position is not None:
            places.append((index, position, left[position], right[position]))
    divergences = []
    for index, position, own, other_id in places:
        before = [*prompts[index], *ours[index].ids[:position]]
        after = original.logprobs([before])[0][-1]
        gap = float(after[own] - after[other_id])
        divergences.append(Divergence(prompt=index, position=position, original=own, artifact=other_id, gap_nats=gap))
    apart = sum(one.gap_nats > tie_nats for one in divergences)
    total = max(1, len(cases))
    return 1 - len(divergences) / total, 1 - apart / total, divergences


def _with_end(generation: Generation, end_id: int) -> list[int]:
    return [*generation.ids, end_id] if generation.finished else list(generation.ids)
