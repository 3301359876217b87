"""How like its original's an artifact's vectors are: cosines text by text, and whether neighbours stay neighbours.

What people do with vectors is to compare them with each other, so their direction counts. There is no published bound
for rounded models of this kind (cosines of 0.99 and more are what 8 bits are commonly said to keep): those here are
hone's own. The mean decides by the lower end of its interval, and no single text may be far below it, because one
broken text vanishes in a mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.certificate.cases import Case
from hone.deploy.certificate.gates import Gate, none_of
from hone.deploy.certificate.original import EmbeddingOriginal
from hone.deploy.certificate.spread import mean_interval
from hone.deploy.process import FreshEncoder
from hone.deploy.weights import Bounds, WeightFormat
from hone.task.embedding import unit

LEAST_COSINE = ((32.0, 1 - 1e-6), (16.0, 1 - 1e-5), (8.0, 0.999), (6.0, 0.995), (5.0, 0.99), (0.0, 0.98))
"""From so many bits a weight on: the mean cosine over texts. llama.cpp computes GELU from a table of halves, so 32
bits of GGUF are held to what 16 are."""
FURTHER = 5
"""How many times as far from 1 as the mean may be a single text's cosine is allowed to be."""
MOST_LONGER = ((32.0, 1e-4), (16.0, 1e-3), (8.0, 0.01), (6.0, 0.03), (5.0, 0.05), (0.0, 0.1))
"""From so many bits a weight on: by how much of its length any vector may be longer or shorter."""
TIE = 0.1
"""Two texts whose cosines to a third differ by less than this share of all cosines' deviation are equally near it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """The figures of a comparison of vectors."""

    texts: int
    width: int
    finite: bool
    """Every number of every vector is finite."""
    cosine_mean: float
    cosine_low: float
    """Lower end of the 95 % interval of the mean; sentences of one paragraph are resampled together."""
    cosine_least: float
    least_row: str
    """The text with the least cosine."""
    largest: float
    """Largest difference of any number."""
    length_apart: float
    """Largest relative difference of two vectors' lengths."""
    own_text: float
    """Share of texts to whose vector that of the same text is the nearest of all the original's."""
    same_nearest: float
    """Share of texts whose nearest other text is the original's."""
    same_nearest_or_tie: float
    """The same, with texts that the original finds equally near counted as equal."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def compare_vectors(original: EmbeddingOriginal, process: FreshEncoder, cases: Sequence[Case]) -> Likeness:
    """Compare the vectors of texts.

    Args:
        original: the float model.
        process: the opened artifact.
        cases: the texts, as ids.
    """
    return likeness_of(
        original.answer_vectors(cases), process.vectors([case.ids for case in cases]), [case.row for case in cases]
    )


def likeness_of(ours: NDArray[Any], theirs: NDArray[Any], rows: Sequence[str]) -> Likeness:
    """The figures over (texts, width) vectors of the original and of the artifact."""
    one, other = ours.astype(np.float64), theirs.astype(np.float64)
    finite = bool(np.isfinite(other).all())
    # A vector that is not finite is like nothing.
    cosines = np.nan_to_num((unit(one) * unit(other)).sum(-1), nan=-1.0)
    least = int(cosines.argmin())
    lengths = np.linalg.norm(one, axis=-1), np.linalg.norm(other, axis=-1)
    low = mean_interval([cosines[at : at + 1] for at in range(len(one))], rows)[0]
    whole = np.nan_to_num(other)
    same, tied = _neighbours(unit(one), unit(whole))
    return Likeness(
        texts=len(one),
        width=one.shape[1],
        finite=finite,
        cosine_mean=float(cosines.mean()),
        cosine_low=low,
        cosine_least=float(cosines[least]),
        least_row=rows[least],
        largest=float(np.abs(one - other).max()),
        length_apart=float(np.abs(lengths[1] / np.maximum(lengths[0], 1e-12) - 1).max()),
        own_text=_own_text(one, whole),
        same_nearest=same,
        same_nearest_or_tie=tied,
    )


def least_mean(weights: WeightFormat) -> float:
    """The mean cosine that is asked of a weight format."""
    return next(least for at, least in LEAST_COSINE if _bits(weights) >= at)


def _bits(weights: WeightFormat) -> float:
    return min(weights.bits, 16.0) if weights.runtime == "gguf" else weights.bits


def likeness_gates(found: Likeness, weights: WeightFormat, bounds: Bounds) -> list[Gate]:
    """What the comparison must keep: directions and lengths by the bits of the weight format, texts by ``same_top``."""
    asked, texts = least_mean(weights), f"{found.texts:,} texts"
    of_each = 1 - FURTHER * (1 - asked)
    longer = next(most for at, most in MOST_LONGER if _bits(weights) >= at)
    same = f"at least {bounds.same_top:.1%} is asked"
    finite = [] if found.finite else ["the artifact gives vectors that are not finite"]
    return [
        none_of("finite", finite, 1, "all", f"every vector of {texts}"),
        _judged(
            ("mean cosine", found.cosine_low >= asked),
            (f"{found.cosine_mean:.7g}, at least {found.cosine_low:.7g}", f"at least {asked:.7g}"),
            f"lower 95 % bound over {texts}",
            f"the mean cosine to the original's vectors, {found.cosine_mean:.7g}, has a lower 95 % bound of "
            f"{found.cosine_low:.7g} over {texts}, below the {asked:.7g} of this format",
        ),
        _judged(
            ("least cosine", found.cosine_least >= of_each),
            (f"{found.cosine_least:.7g}", f"at least {of_each:.7g}"),
            f"the least of {texts}",
            f"the vector of the text {found.least_row} has a cosine of {found.cosine_least:.7g} to the original's; at "
            f"least {of_each:.7g} is asked of every text in this format",
        ),
        _judged(
            ("length", found.length_apart <= longer),
            (f"{found.length_apart:.2g} of it apart", f"at most {longer:g}"),
            f"the vector of {texts} whose length differs most",
            f"the length of a vector differs by {found.length_apart:.3g} of the original's; {longer:g} is allowed",
        ),
        _judged(
            ("own text", found.own_text >= bounds.same_top),
            (f"{found.own_text:.1%}", f"at least {bounds.same_top:.1%}"),
            "texts whose original vector is the nearest of all originals, their mean taken off",
            f"of all the original's vectors that of the same text is the nearest for {found.own_text:.1%} of {texts}; "
            + same,
        ),
        _judged(
            ("nearest text", found.same_nearest_or_tie >= bounds.same_top),
            (f"{found.same_nearest_or_tie:.1%} the same", f"at least {bounds.same_top:.1%}"),
            f"texts whose nearest other one is the original's, or within {TIE:g} of the spread of cosines",
            f"the nearest other text is the original's for {found.same_nearest_or_tie:.1%} of {texts}; " + same,
        ),
    ]


def _judged(gate: tuple[str, bool], figures: tuple[str, str], decided_by: str, wrong: str) -> Gate:
    """A gate from its name and whether it holds, what was measured and asked; a NaN holds nothing."""
    (name, holds), (measured, asked) = gate, figures
    return Gate(
        name=name, holds=holds, measured=measured, asked=asked, decided_by=decided_by, sentence="" if holds else wrong
    )


def _own_text(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Share of texts to whose vector that of the same text is the nearest of the original's.

    The original's mean is taken off both: vectors of one model often lie close together, and what is left tells texts
    apart.
    """
    middle = one.mean(axis=0)
    table = unit(other - middle) @ unit(one - middle).T
    return float((table.argmax(-1) == np.arange(len(one))).mean())


def _neighbours(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """Shares of texts with the same nearest other text, strictly and with ties; 1 of a single text."""
    if len(one) < 2:
        return 1.0, 1.0
    cosines = one @ one.T
    spread = float(cosines[~np.eye(len(one), dtype=bool)].std())
    near = [vectors @ vectors.T - 3 * np.eye(len(vectors)) for vectors in (one, other)]
    first, second = (table.argmax(-1) for table in near)
    rows = np.arange(len(one))
    tied = near[0][rows, first] - near[0][rows, second] <= TIE * spread
    return float((first == second).mean()), float(tied.mean())
