"""What a certificate is held to: each gate with what was measured, what is asked, which number decides, and a sentence.

The bounds are those of the weight format (:mod:`hone.deploy.weights`). Every comparison is written so that a NaN fails.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from hone.deploy.certificate.greedy import highest_share
from hone.deploy.certificate.parity import Parity
from hone.deploy.certificate.scoring import Comparison
from hone.deploy.certificate.timing import SLACK_MS, Times
from hone.deploy.weights import Bounds
from hone.task.scores import wilson
from hone.wording import counted

MOST_POINTS_LOST = 1.0
"""Points of the task's score that an artifact may lose."""
ROUNDING = 1e-9
"""What sums of floats may be off, in points."""
SLOWER_AT_MOST = 1.5
"""How much longer a token may take after 200 tokens than after 10."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """One thing that must hold."""

    name: str
    holds: bool
    measured: str
    asked: str
    decided_by: str
    """Which number of the measurement decides."""
    sentence: str
    """What is wrong, with both numbers; empty where it holds."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def none_of(name: str, problems: list[str], checked: int, asked: str, decided_by: str, lead: str = "") -> Gate:
    """A gate that one difference breaks; its sentence is the first one and how many follow."""
    more = f" (and {len(problems) - 1:,} more of {checked:,})" if len(problems) > 1 else ""
    return Gate(
        name=name,
        holds=not problems,
        measured=f"{checked - len(problems):,} of {checked:,}",
        asked=asked,
        decided_by=decided_by,
        sentence=f"{lead}{problems[0]}{more}" if problems else "",
    )


def parity_gates(parity: Parity, bounds: Bounds) -> list[Gate]:
    """What the comparison with the original must keep."""
    gates = [
        Gate(
            name="finite",
            holds=parity.finite,
            measured="all" if parity.finite else "not all",
            asked="all",
            decided_by=f"every probability at {parity.positions:,} positions",
            sentence="" if parity.finite else "the artifact gives probabilities that are not finite",
        ),
        _divergence(parity, bounds),
        _same_top(parity, bounds),
    ]
    if parity.perplexity_original is None or parity.perplexity_artifact is None:
        return gates
    return [*gates, _greedy(parity, bounds), _perplexity(parity, bounds)]


def _divergence(parity: Parity, bounds: Bounds) -> Gate:
    spread = parity.spread
    alone = spread.rows < 2
    value = spread.kld_mean if alone else spread.kld_high
    holds = value <= bounds.kld_mean
    told = f"the mean divergence of {spread.kld_mean:.3g} nats"
    if alone:
        sentence = f"{told} is over {bounds.kld_mean:g}"
    else:
        sentence = (
            f"{told} over {spread.positions:,} positions has an upper 95 % bound of {value:.3g}, "
            f"over the {bounds.kld_mean:g} of this format"
        )
    return Gate(
        name="mean divergence",
        holds=holds,
        measured=f"{spread.kld_mean:.3g} nats" + ("" if alone else f", at most {value:.3g}"),
        asked=f"at most {bounds.kld_mean:g} nats",
        decided_by="the mean: one row has no bound"
        if alone
        else f"upper 95 % bound over {counted(spread.rows, 'row')}",
        sentence="" if holds else sentence,
    )


def _same_top(parity: Parity, bounds: Bounds) -> Gate:
    spread = parity.spread
    # Where even agreement everywhere would not prove the bound, the share itself has to do.
    provable = wilson(spread.positions, spread.positions)[0] >= bounds.same_top and spread.rows > 1
    value = spread.same_top_low if provable else spread.same_top_or_tie
    holds = value >= bounds.same_top
    decided_by = f"lower 95 % bound over {counted(spread.rows, 'row')}"
    if not provable:
        decided_by = f"the share: {counted(spread.positions, 'position')} cannot prove {_share(bounds.same_top)}"
    bound = f", its lower 95 % bound {_share(value)}" if provable else ""
    sentence = (
        f"the most likely token is the original's (or tied with it within {parity.tie_nats:g} nats) on "
        f"{_share(spread.same_top_or_tie)} of {spread.positions:,} positions{bound}; "
        f"at least {_share(bounds.same_top)} is asked"
    )
    return Gate(
        name="same most likely",
        holds=holds,
        measured=_share(spread.same_top_or_tie) + (f", at least {_share(value)}" if provable else ""),
        asked=f"at least {_share(bounds.same_top)}",
        decided_by=decided_by,
        sentence="" if holds else sentence,
    )


def _greedy(parity: Parity, bounds: Bounds) -> Gate:
    share, prompts = parity.greedy_agree_share, parity.greedy_prompts
    high = highest_share(share, prompts)
    holds = high >= bounds.greedy
    apart = [one for one in parity.divergences if not one.gap_nats <= parity.tie_nats]
    first = f"; the first to part is {apart[0].sentence()}" if apart else ""
    bound = "" if share >= bounds.greedy else f", at most {_share(high)}"
    return Gate(
        name="greedy answers",
        holds=holds,
        measured=f"{_share(share)} of {prompts:,}{bound}, {parity.greedy_tokens:,} tokens",
        asked=f"at least {_share(bounds.greedy)}",
        decided_by="upper 95 % end of the share of prompts whose answer is the same or parts at a tie of "
        f"{parity.tie_nats:g} nats",
        sentence=""
        if holds
        else f"greedy answers agree on {_share(share)} of {prompts:,} prompts, at most {_share(high)} (95 %); "
        f"at least {_share(bounds.greedy)} is asked{first}",
    )


def _perplexity(parity: Parity, bounds: Bounds) -> Gate:
    worse = bounds.perplexity_ratio - 1
    holds = parity.log_ratio_low <= worse
    ratio = (parity.perplexity_artifact or 0.0) / (parity.perplexity_original or 1.0)
    low, high = (math.exp(min(one, 50.0)) for one in (parity.log_ratio_low, parity.log_ratio_high))
    return Gate(
        name="perplexity ratio",
        holds=holds,
        measured=f"{ratio:.5g}, {low:.5g} to {high:.5g}",
        asked=f"at most {bounds.perplexity_ratio:g}",
        decided_by="lower end of its 95 % interval over rows",
        sentence=""
        if holds
        else f"perplexity {parity.perplexity_artifact:.4g} against {parity.perplexity_original:.4g} is more than "
        f"{worse:.1%} worse, also at the optimistic end of its interval",
    )


def score_gate(compared: Comparison) -> Gate:
    """The task's score: the pessimistic end of the paired difference must not lose a point."""
    difference = compared.difference
    mean, low, high = (compared.in_points(one) for one in (difference.mean, difference.low, difference.high))
    holds = low >= -MOST_POINTS_LOST - ROUNDING
    rows = counted(compared.rows, "row")
    more = ""
    if mean >= -MOST_POINTS_LOST:
        more = f"; the mean keeps it, and more dev rows than {compared.rows:,} would narrow the interval"
    return Gate(
        name="task score",
        holds=holds,
        measured=f"{mean:+.2f} points, {low:+.2f} to {high:+.2f}",
        asked=f"at least {-MOST_POINTS_LOST:+.1f} point",
        decided_by=f"lower end of the paired difference (95 %) over {rows}; a point is a hundredth {compared.point_is}",
        sentence=""
        if holds
        else f"{compared.metric} {compared.artifact.mean:.4g} against {compared.original.mean:.4g}: the lower end of "
        f"the paired difference over {rows} is {low:+.2f} points, below {-MOST_POINTS_LOST:+.1f}{more}",
    )


def leaves_score_open(compared: Comparison) -> bool:
    """Whether more rows could decide otherwise: the interval holds the loss that is borne, and more than that."""
    low, high = (compared.in_points(one) for one in (compared.difference.low, compared.difference.high))
    return low < -MOST_POINTS_LOST - ROUNDING <= high


def timing_gates(times: Times) -> list[Gate]:
    """No re-reading of the prompt at each token, and a refusal past the context."""
    gates = []
    if (at := times.positions) is not None:
        holds = at.ratio <= SLOWER_AT_MOST
        gates.append(
            Gate(
                name="cost by position",
                holds=holds,
                measured=f"{at.ratio:.2f}x at token {at.far} of that at token {at.near}",
                asked=f"at most {SLOWER_AT_MOST:g}x",
                decided_by=f"the quickest tokens of both, {SLACK_MS:g} ms aside",
                sentence=""
                if holds
                else f"a token after {at.far} tokens takes {at.ratio:.2f} times as long as one after {at.near}; "
                f"at most {SLOWER_AT_MOST:g} is asked: the runtime seems to read the prompt again for every token",
            )
        )
    past = times.past_context
    writes = any(one.token_p50_ms is not None for one in times.by_threads)
    answers = ", and an answer that runs into the context" if writes else ""
    problem = ""
    if not past.refusal:
        problem = f"a prompt of {past.context + 1:,} tokens, one past the context, is answered and not refused"
    elif not past.stops:
        problem = f"an answer does not stop at the context of {past.context:,} tokens"
    gates.append(
        Gate(
            name="past the context",
            holds=not problem,
            measured=f'refused: "{past.refusal}"' if past.refusal else "answered",
            asked="a refusal with a sentence",
            decided_by=f"a prompt of {past.context + 1:,} tokens{answers}",
            sentence=problem,
        )
    )
    return gates


def _share(value: float) -> str:
    return f"{100 * value:.2f} %" if value != 1 else "100 %"
