"""How far an artifact is from the model it came from: probabilities, greedy answers, token ids.

Only positions that predict an *answer* count: nobody trained the model to predict prompts, so what it says there means
nothing. What is computed at a position is told in :mod:`hone.deploy.certificate.spread`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hone.deploy.certificate.cases import Case, prompts_of
from hone.deploy.certificate.greedy import MOST_PROMPTS, Divergence, Writing, compare_greedy, in_words
from hone.deploy.certificate.original import EncoderOriginal, Original
from hone.deploy.certificate.spread import Floats, Spread, at_labels, at_positions, mean_interval, spread_of
from hone.deploy.reading import LogitsAt
from hone.deploy.weights import Bounds

MOST_ARRAY_BYTES = 64 * 2**20
SHOWN = 5


class Artifact(Writing, Protocol):
    """What of a session is compared."""

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        ...

    def logprobs(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """For each sequence (len, vocab)."""
        ...


class Tokenizing(Protocol):
    """What of a session is compared over texts."""

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text."""
        ...


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
    greedy_tokens: int = 0
    """Tokens that the original wrote after them, all compared."""
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
    bounds: Bounds,
    context: int | None = None,
    greedy_prompts: int = MOST_PROMPTS,
    decode: Callable[[Sequence[int]], str] | None = None,
) -> Parity:
    """Compare log-probabilities over the cases' answers and greedy answers to their prompts.

    Args:
        original: the float model.
        artifact: an opened session.
        cases: prompts with answers.
        end_id: the id that ends an answer.
        max_new_tokens: longest greedy answer.
        bounds: those of the format: what is a tie, and how many greedy answers have to agree.
        context: tokens of a prompt and its answer together; an answer is compared as far as its own prompt leaves room.
        greedy_prompts: different prompts that are answered by both; more where these leave it open.
        decode: text of ids, for the words of a difference.
    """
    rows = _distributions(original, artifact, cases, bounds.tie_nats)
    clusters = [case.row for case in cases]
    worse = [row["nll_artifact"] - row["nll_original"] for row in rows]
    low, high = mean_interval(worse, clusters)
    ours, theirs = (np.concatenate([row[name] for row in rows]) for name in ("nll_original", "nll_artifact"))
    greedy = compare_greedy(
        original,
        artifact,
        prompts_of(cases, max(greedy_prompts, MOST_PROMPTS)),
        end_id=end_id,
        max_new_tokens=max_new_tokens,
        context=context,
        bounds=bounds,
        at_first=greedy_prompts,
    )
    with np.errstate(over="ignore"):
        perplexities = float(np.exp(ours.mean())), float(np.exp(theirs.mean()))
    return Parity(
        positions=len(ours),
        sequences=len(cases),
        finite=all(bool(row["finite"].all()) for row in rows),
        tie_nats=bounds.tie_nats,
        spread=spread_of(rows, clusters),
        perplexity_original=perplexities[0],
        perplexity_artifact=perplexities[1],
        log_ratio_low=low,
        log_ratio_high=high,
        greedy_prompts=greedy.prompts,
        greedy_tokens=greedy.tokens,
        greedy_equal_share=greedy.equal_share,
        greedy_agree_share=greedy.agree_share,
        divergences=tuple(in_words(one, decode) for one in greedy.divergences[:SHOWN]),
    )


def divergence_from(original: Original, artifact: Artifact, cases: Sequence[Case], tie_nats: float) -> Spread:
    """How far an artifact is from a model that writes, over the cases' answers; without greedy answers."""
    return spread_of(_distributions(original, artifact, cases, tie_nats), [case.row for case in cases])


def compare_encoder(
    original: EncoderOriginal,
    logits: LogitsAt,
    cases: Sequence[Case],
    *,
    several: bool,
    tie_nats: float,
) -> Parity:
    """Compare the outputs of an encoder at the cases' positions.

    Args:
        original: the float model.
        logits: those of the artifact, at positions of rows.
        cases: rows with their positions.
        several: whether each output is decided by itself (several labels of a row).
        tie_nats: as for :func:`compare`.
    """
    theirs = logits([case.ids for case in cases], [case.predicted for case in cases])
    measured = at_labels if several else at_positions
    rows = [measured(p, q, tie_nats) for p, q in zip(original.answer_logits(cases), theirs, strict=True)]
    spread = spread_of(rows, [case.row for case in cases])
    finite = all(bool(row["finite"].all()) for row in rows)
    return Parity(positions=spread.positions, sequences=len(cases), finite=finite, tie_nats=tie_nats, spread=spread)


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
