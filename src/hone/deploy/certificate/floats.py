"""What training for a grid cost: an artifact beside the model in floats that its training began from.

The original of such an artifact lies on its grid already, so their divergence and difference of score are of equal
weights. These figures are told and are no gate: the run that trained it was judged by the task's own score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hone.deploy.certificate.cases import Case, first_cases
from hone.deploy.certificate.original import EncoderOriginal
from hone.deploy.certificate.parity import compare_encoder, divergence_from
from hone.deploy.certificate.scoring import Comparison, compare_scores, few_rows
from hone.deploy.certificate.spread import Spread
from hone.deploy.certificate.witness import Extent, FloatModel, Witness
from hone.deploy.process import FreshEncoder, FreshProcess
from hone.deploy.reading import session_logits
from hone.deploy.rendering import renderer_of


@dataclass(frozen=True, kw_only=True, slots=True)
class BesideFloats:
    """An artifact against the model in floats."""

    base: str
    """What the model in floats is called."""
    spread: Spread
    compared: Comparison | None
    """The task's score of both; None without rows."""

    def to_json(self) -> dict[str, Any]:
        """Plain values: the few figures of the divergence, and the comparison."""
        spread = self.spread
        return {
            "base": self.base,
            "positions": spread.positions,
            "kld_mean": spread.kld_mean,
            "kld_low": spread.kld_low,
            "kld_high": spread.kld_high,
            "same_top": spread.same_top,
            "same_top_or_tie": spread.same_top_or_tie,
            "compared": None if self.compared is None else self.compared.to_json(),
        }

    def line(self) -> str:
        """For people."""
        spread, compared = self.spread, self.compared
        told = (
            f"against the model in floats that its training began from ({self.base}): mean divergence "
            f"{spread.kld_mean:.2g} nats [{spread.kld_low:.2g}, {spread.kld_high:.2g}] over {spread.positions:,} "
            f"positions, the same likeliest at {spread.same_top_or_tie:.2%}"
        )
        if compared is not None:
            ends = (compared.difference.mean, compared.difference.low, compared.difference.high)
            mean, low, high = (f"{compared.in_points(one):+.1f}" for one in ends)
            told += (
                f"; {compared.metric} {compared.artifact.mean:.3f}, in floats {compared.original.mean:.3f}: "
                f"{mean} points [{low}, {high}] on {compared.rows:,} rows"
            )
        return f"{told}; no gate"


def beside_floats(
    process: FreshProcess | FreshEncoder,
    witness: Witness,
    floats: FloatModel,
    cases: Sequence[Case],
    tie_nats: float,
    extent: Extent,
) -> BesideFloats:
    """Compare an opened artifact with the model in floats: over the positions and rows of its certificate."""
    taken = list(first_cases(cases, extent.positions))
    if isinstance(floats.original, EncoderOriginal):
        assert isinstance(process, FreshEncoder), "an encoder's original has an encoder's renderer"
        logits, several = session_logits(process, witness.renderer.kind), witness.renderer.kind == "multi-label"
        spread = compare_encoder(floats.original, logits, taken, several=several, tie_nats=tie_nats).spread
    else:
        assert isinstance(process, FreshProcess), "a model that writes has a renderer of answers"
        spread = divergence_from(floats.original, process, taken, tie_nats)
    compared = None
    if witness.task is not None and witness.rows:
        rows = witness.rows if extent.rows is None else few_rows(witness.renderer, witness.rows, extent.rows)
        ours, theirs = (floats.renderer, floats.original), (renderer_of(process), process)
        compared, _ = compare_scores(witness.task, rows, ours, theirs, witness.max_new_tokens, floats.thresholds)
    return BesideFloats(base=floats.name, spread=spread, compared=compared)
