"""Learning rates worked out beforehand: formulas with their sources, to start from and to compare a search with."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from hone.errors import InputError

PRETRAINED_BATCH_TOKENS = 4_000_000
"""Tokens of one batch in the pretraining of the Llama and Mistral models, by the source of the formula."""
BASE_RATES = {"llama-2": 3e-4, "mistral": 5e-5}
"""Rates that :func:`supervised_token_rate` starts from, by the family of the base, as its source gives them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RateAdvice:
    """A learning rate and where it comes from."""

    rate: float
    formula: str
    """The formula with the numbers put in."""
    source: str

    def line(self) -> str:
        """One sentence for a person."""
        return f"learning rate {self.rate:.3g} = {self.formula} ({self.source})"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def supervised_token_rate(
    *,
    base_rate: float,
    supervised_tokens: int,
    steps: int,
    epochs: float = 1.0,
    pretrained_batch_tokens: int = PRETRAINED_BATCH_TOKENS,
) -> RateAdvice:
    """The rate for fine-tuning a base, by the supervised tokens of a batch: ``base * sqrt(ours / pretraining's)``.

    Args:
        base_rate: the rate of the base's own pretraining, or of its family (:data:`BASE_RATES`).
        supervised_tokens: tokens with loss in the whole data set, once through.
        steps: optimizer steps of the run.
        epochs: passes over the data in these steps.
        pretrained_batch_tokens: tokens of a batch when the base was made.

    Raises:
        InputError: for a number that is not positive.
    """
    _positive(
        base_rate=base_rate,
        supervised_tokens=supervised_tokens,
        steps=steps,
        epochs=epochs,
        pretrained_batch_tokens=pretrained_batch_tokens,
    )
    in_batch = supervised_tokens / (steps / epochs)
    return RateAdvice(
        rate=base_rate * math.sqrt(in_batch / pretrained_batch_tokens),
        formula=(
            f"{base_rate:g} * sqrt({in_batch:,.0f} supervised tokens in a batch / {pretrained_batch_tokens:,} in "
            "pretraining)"
        ),
        source="Alpin, The Novice's LLM Training Guide",
    )


def step_law_rate(*, parameters: int, tokens: int) -> RateAdvice:
    """The peak rate for training from scratch with AdamW: ``1.79 * N^-0.713 * D^0.307``.

    H. Li et al., "Predictable Scale: Part I, Step Law", arXiv:2503.04715; fitted on 60M parameters and more, so
    that it is a guess below.

    Args:
        parameters: N, without the embedding.
        tokens: D, seen in the whole run.

    Raises:
        InputError: for a number that is not positive.
    """
    _positive(parameters=parameters, tokens=tokens)
    return RateAdvice(
        rate=1.79 * parameters**-0.713 * tokens**0.307,
        formula=f"1.79 * {parameters:,}^-0.713 * {tokens:,}^0.307 (parameters, tokens)",
        source="Step Law, arXiv:2503.04715",
    )


def _positive(**numbers: float) -> None:
    problems = [f"{name} is {number:g}; it has to be above 0" for name, number in numbers.items() if number <= 0]
    if problems:
        raise InputError(problems)
