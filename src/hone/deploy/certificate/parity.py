"""How far an artifact is from the model it came from: probabilities, greedy answers, token ids.

Only positions that predict an *answer* count: nobody trained the model to predict prompts, so what it says there means
nothing. What is computed at a position is told in :mod:`hone.deploy.certificate.spread`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hone.deploy.certificate.cases import Case, first_cases, prompts_of
from hone.deploy.certificate.original import EncoderOriginal, Original
from hone.deploy.certificate.spread import Floats, Spread, at_labels, at_positions, mean_interval, spread_of
from hone.deploy.reading import LogitsAt
from hone.evaluate.generate import GREEDY, Generation, Sampling

MOST_ARRAY_BYTES = 64 * 2**20
SHOWN = 5


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


class Tokenizing(Protocol):
    """What of a session is compared over texts."""

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """Where a greedy answer leaves the original's: ids of both, and how much likelier the original finds its own."""

    prompt: int
    row: str
    position: int
    original: int
    artifact: int
    gap_nats: float
    original_text: str = ""
    artifact_text: str = ""

    def sentence(self) -> str:
        """The difference in words."""
        return (
            f"prompt {self.prompt}{f' (row {self.row})' if self.row else ''}, token {self.position}: the original "
            f"writes {self.original_text!r} ({self.original}), the artifact {self.artifact_text!r} ({self.artifact}), "
            f"which the original finds {self.gap_nats:.3g} nats less likely"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """The figures of a comparison. Of an encoder there are no perplexities and no greedy answers."""

    positions: int
    """Answer positions compared."""
    sequences: int
    finite: bool
    """No probability of the artifact is NaN or plus infinity."""
    tie_nats: float
    spread: Spread
    perplexity_original: float | None = None
    perplexity_artifact: float | None = None
    log_ratio_low: float = 0.0
    """Optimistic and pessimistic end (95 %, over rows) of the mean difference of negative log-likelihoods."""
    log_ratio_high: float = 0.0
    greedy_prompts: int = 0
    greedy_equal_share: float = 1.0
    """Prompts whose greedy answer is the original's, token for token."""
    greedy_agree_share: float = 1.0
    """Answers that are equal or leave the original's at a tie."""
    divergences: tuple[Divergence, ...] = field(default=())
    """The first five."""

    @property
    def greedy_equal(self) -> bool:
        """Every greedy answer is the original's."""
        return self.greedy_equal_share == 1.0

    @property
    def kld_mean(self) -> float:
        """Mean divergence per position, in nats."""
        return self.spread.kld_mean

    @property
    def same_top(self) -> float:
        """Share of positions with the same most likely token."""
        return self.spread.same_top

    @property
    def same_top_or_tie(self) -> float:
        """The same, ties counted as equal."""
        return self.spread.same_top_or_tie

    def to_json(self) -> dict[str, Any]:
        """Plain values, those of the spread beside the others."""
        plain = asdict(self)
        return {**plain.pop("spread"), **plain, "greedy_equal": self.greedy_equal}


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
    decode: Callable[[Sequence[int]], str] | None = None,
) -> Parity:
    """Compare log-probabilities over the cases' answers and greedy answers to their prompts.

    Args:
        original: the float model.
        artifact: an opened session.
        cases: prompts with answers.
        end_id: the id that ends an answer.
        max_new_tokens: longest greedy answer.
        tie_nats: two tokens that the original finds so close are a tie.
        greedy_prompts: different prompts that are answered by both.
        most_positions: cases are taken in order until they have so many answer positions.
        decode: text of ids, for the words of a difference.
    """
    taken = list(first_cases(cases, most_positions))
    rows = _distributions(original, artifact, taken, tie_nats)
    clusters = [case.row for case in taken]
    worse = [row["nll_artifact"] - row["nll_original"] for row in rows]
    low, high = mean_interval(worse, clusters)
    ours, theirs = (np.concatenate([row[name] for row in rows]) for name in ("nll_original", "nll_artifact"))
    prompts = prompts_of(taken, greedy_prompts)
    equal, agree, divergences = _greedy(
        original, artifact, prompts, end_id=end_id, max_new_tokens=max_new_tokens, tie_nats=tie_nats
    )
    shown = tuple(_in_words(one, decode) for one in divergences[:SHOWN])
    with np.errstate(over="ignore"):
        perplexities = float(np.exp(ours.mean())), float(np.exp(theirs.mean()))
    return Parity(
        positions=len(ours),
        sequences=len(taken),
        finite=all(bool(row["finite"].all()) for row in rows),
        tie_nats=tie_nats,
        spread=spread_of(rows, clusters),
        perplexity_original=perplexities[0],
        perplexity_artifact=perplexities[1],
        log_ratio_low=low,
        log_ratio_high=high,
        greedy_prompts=len(prompts),
        greedy_equal_share=equal,
        greedy_agree_share=agree,
        divergences=shown,
    )


def compare_encoder(
    original: EncoderOriginal,
    logits: LogitsAt,
    cases: Sequence[Case],
    *,
    several: bool,
    tie_nats: float,
    most_positions: int = 4096,
) -> Parity:
    """Compare the outputs of an encoder at the cases' positions.

    Args:
        original: the float model.
        logits: those of the artifact, at positions of rows.
        cases: rows with their positions.
        several: whether each output is decided by itself (several labels of a row).
        tie_nats: as for :func:`compare`.
        most_positions: as there.
    """
    taken = list(first_cases(cases, most_positions))
    theirs = logits([case.ids for case in taken], [case.predicted for case in taken])
    measured = at_labels if several else at_positions
    rows = [measured(p, q, tie_nats) for p, q in zip(original.answer_logits(taken), theirs, strict=True)]
    spread = spread_of(rows, [case.row for case in taken])
    finite = all(bool(row["finite"].all()) for row in rows)
    return Parity(positions=spread.positions, sequences=len(taken), finite=finite, tie_nats=tie_nats, spread=spread)


def id_differences(encode: Callable[[str], list[int]], artifact: Tokenizing, texts: Sequence[str]) -> list[str]:
    """Texts whose ids differ between the trained tokenizer and the artifact's, as sentences."""
    problems = []
    for text in texts:
        ours, theirs = encode(text), artifact.tokenize(text)
        if ours != theirs:
            problems.append(f"{text[:60]!r}: {ours[:12]} in training, {theirs[:12]} in the artifact")
    return problems


def _distributions(
    original: Original, artifact: Artifact, cases: Sequence[Case], tie_nats: float
) -> list[dict[str, Floats]]:
    """What :func:`hone.deploy.certificate.spread.at_positions` gives of each case."""
    rows = []
    for chunk in _chunks(cases, artifact.vocab_size):
        tables = artifact.logprobs([case.ids for case in chunk])
        for case, ours, theirs in zip(chunk, original.answer_logprobs(chunk), tables, strict=True):
            where = np.asarray(case.predicted)
            targets = np.asarray(case.ids, dtype=np.int64)[where]
            rows.append(at_positions(ours, theirs[where - 1], tie_nats, targets))
    return rows


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
    original: Original,
    artifact: Artifact,
    prompts: dict[tuple[int, ...], str],
    *,
    end_id: int,
    max_new_tokens: int,
    tie_nats: float,
) -> tuple[float, float, list[Divergence]]:
    """Share of equal greedy answers, share of equal or tied ones, and the divergences."""
    asked = list(prompts)
    ours = original.greedy(asked, max_new_tokens=max_new_tokens, end_id=end_id)
    theirs = artifact.generate(asked, max_new_tokens=max_new_tokens, end_id=end_id)
    places = []
    for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        left, right = _with_end(one, end_id), _with_end(other, end_id)
        position = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), None)
        if position is not None:
            places.append((index, position, left[position], right[position]))
    divergences = []
    for index, position, own, other_id in places:
        before = [*asked[index], *ours[index].ids[:position]]
        after = original.logprobs([before])[0][-1]
        gap = float(after[own] - after[other_id])
        row = prompts[asked[index]]
        divergences.append(
            Divergence(prompt=index, row=row, position=position, original=own, artifact=other_id, gap_nats=gap)
        )
    apart = sum(not one.gap_nats <= tie_nats for one in divergences)
    total = max(1, len(asked))
    return 1 - len(divergences) / total, 1 - apart / total, divergences


def _in_words(one: Divergence, decode: Callable[[Sequence[int]], str] | None) -> Divergence:
    if decode is None:
        return one
    return replace(one, original_text=decode([one.original]), artifact_text=decode([one.artifact]))


def _with_end(generation: Generation, end_id: int) -> list[int]:
    return [*generation.ids, end_id] if generation.finished else list(generation.ids)
