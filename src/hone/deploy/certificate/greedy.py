"""Greedy answers of an artifact beside those of its original: where each leaves them, and how far."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Protocol

from hone.deploy.certificate.original import Original
from hone.deploy.weights import Bounds
from hone.evaluate.generate import GREEDY, Generation, Sampling
from hone.task.scores import wilson

MOST_PROMPTS = 64
"""That are answered where few leave it open whether enough answers agree."""


class Writing(Protocol):
    """What of a session is asked."""

    def generate(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, end_id: int, sampling: Sampling = GREEDY
    ) -> list[Generation]:
        """Continue each prompt."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """Where a greedy answer leaves the original's: ids of both, and how much likelier the original finds its own."""

    prompt: int
    row: str
    position: int
    original: int | None
    """None: it writes no more, without having ended its answer."""
    artifact: int | None
    gap_nats: float
    """Infinite where one of both writes no more."""
    original_text: str = ""
    artifact_text: str = ""

    def sentence(self) -> str:
        """The difference in words."""
        where = f"prompt {self.prompt}{f' (row {self.row})' if self.row else ''}, token {self.position}: the original "
        ours, theirs = (
            "nothing more" if one is None else f"{shown!r} ({one})"
            for one, shown in ((self.original, self.original_text), (self.artifact, self.artifact_text))
        )
        if self.original is None or self.artifact is None:
            return f"{where}writes {ours}, the artifact {theirs}, and there was room for more"
        less = f"which the original finds {self.gap_nats:.3g} nats less likely"
        return f"{where}writes {ours}, the artifact {theirs}, {less}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Greedy:
    """Answers compared so far."""

    prompts: int
    tokens: int
    """That the original wrote, all compared."""
    divergences: tuple[Divergence, ...]
    tie_nats: float

    @property
    def equal_share(self) -> float:
        """Prompts whose answer is the original's, token for token."""
        return 1 - len(self.divergences) / max(1, self.prompts)

    @property
    def agree_share(self) -> float:
        """Answers that are equal or leave the original's at a tie."""
        return 1 - sum(not one.gap_nats <= self.tie_nats for one in self.divergences) / max(1, self.prompts)


def highest_share(agree_share: float, prompts: int) -> float:
    """The upper 95 % end of the share of answers that agree (Wilson); 1 only where all do."""
    return wilson(agree_share * prompts, prompts)[1] if prompts else 1.0


def compare_greedy(
    original: Original,
    artifact: Writing,
    prompts: Mapping[tuple[int, ...], str],
    *,
    end_id: int,
    max_new_tokens: int,
    context: int | None,
    bounds: Bounds,
    at_first: int,
) -> Greedy:
    """Compare the answers to the first prompts; to four times as many where those are too few to tell, at last to all.

    Args:
        original: the float model.
        artifact: an opened session.
        prompts: different ones, each with the row that it is of.
        end_id: the id that ends an answer.
        max_new_tokens: longest answer.
        context: tokens of a prompt and its answer together; an answer is compared as far as its own prompt leaves room.
        bounds: what is a tie, and which share of answers has to agree.
        at_first: prompts to begin with; more are answered where too few agree and that may be chance.
    """
    asked, found = list(prompts), Greedy(prompts=0, tokens=0, divergences=(), tie_nats=bounds.tie_nats)
    wanted = min(at_first, len(asked))
    while True:
        more = asked[found.prompts : wanted]
        limits = [max_new_tokens if context is None else min(max_new_tokens, context - len(prompt)) for prompt in more]
        tokens, divergences = _divergences(original, artifact, more, limits, end_id)
        known = [replace(one, prompt=one.prompt + found.prompts, row=prompts[more[one.prompt]]) for one in divergences]
        found = replace(found, prompts=wanted, tokens=found.tokens + tokens, divergences=(*found.divergences, *known))
        open_still = found.agree_share < bounds.greedy <= highest_share(found.agree_share, found.prompts)
        if wanted == len(asked) or not open_still:
            return found
        wanted = min(4 * wanted, len(asked))


def _divergences(
    original: Original,
    artifact: Writing,
    prompts: Sequence[tuple[int, ...]],
    limits: Sequence[int],
    end_id: int,
) -> tuple[int, list[Divergence]]:
    """Tokens compared and the divergences.

    An answer that stops before its limit without the end, while the other goes on, parts where it stops.
    """
    longest = max(limits, default=0)
    ours = original.greedy(prompts, max_new_tokens=longest, end_id=end_id)
    theirs = artifact.generate(prompts, max_new_tokens=longest, end_id=end_id)
    tokens, divergences = 0, []
    for index, (one, other, limit) in enumerate(zip(ours, theirs, limits, strict=True)):
        left, right = _with_end(one, end_id)[:limit], _with_end(other, end_id)[:limit]
        tokens += len(left)
        position = next((at for at, (a, b) in enumerate(zip_longest(left, right)) if a != b), None)
        if position is None:
            continue
        own, other_id = _at(left, position), _at(right, position)
        gap = math.inf
        if own is not None and other_id is not None:
            after = original.logprobs([[*prompts[index], *one.ids[:position]]])[0][-1]
            gap = float(after[own] - after[other_id])
        divergences.append(
            Divergence(prompt=index, row="", position=position, original=own, artifact=other_id, gap_nats=gap)
        )
    return tokens, divergences


def in_words(one: Divergence, decode: Callable[[Sequence[int]], str] | None) -> Divergence:
    """The same with the texts of both tokens."""
    if decode is None:
        return one
    ours, theirs = ("" if found is None else decode([found]) for found in (one.original, one.artifact))
    return replace(one, original_text=ours, artifact_text=theirs)


def _at(ids: Sequence[int], position: int) -> int | None:
    return ids[position] if position < len(ids) else None


def _with_end(generation: Generation, end_id: int) -> list[int]:
    return [*generation.ids, end_id] if generation.finished else list(generation.ids)
