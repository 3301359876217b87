"""What an artifact is compared with, and how much of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hone.deploy.certificate.original import EmbeddingOriginal, EncoderOriginal, Original
from hone.deploy.certificate.scoring import FEW_ROWS
from hone.task.render import Example, Renderer
from hone.task.spec import Task

if TYPE_CHECKING:
    from hone.data.rows import Row

Size = Literal["quick", "full"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """How much is compared and timed."""

    positions: int
    """Answer positions."""
    rows: int | None
    """Dev rows of the task's score; None: all."""
    greedy_prompts: int
    greedy_tokens: int
    """Longest greedy answer compared."""
    runs: int
    """Timed runs."""


EXTENTS: dict[str, Extent] = {
    "quick": Extent(positions=2_000, rows=FEW_ROWS, greedy_prompts=16, greedy_tokens=64, runs=3),
    "full": Extent(positions=5_000, rows=None, greedy_prompts=64, greedy_tokens=256, runs=20),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatModel:
    """The model in floats from which training for a grid began."""

    name: str
    renderer: Renderer
    original: Original | EncoderOriginal
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """As those of a :class:`Witness`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """What an artifact is compared with."""

    renderer: Renderer
    """The task's renderer over the tokenizer that the model was trained with; of an encoder, an encoder's."""
    examples: Sequence[Example]
    """Rendered dev rows; their answers are compared, as many as the certificate's size asks for. At least one."""
    original: Original | EncoderOriginal | EmbeddingOriginal | None
    """The float model; None when it cannot be run here."""
    texts: Sequence[str] = ()
    """Texts of the task whose ids are compared besides the awkward ones of :mod:`hone.deploy.certificate.corpus`."""
    max_new_tokens: int | None = None
    """Longest answer; None: what the context leaves after each prompt."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Of model, tokenizer, data, for the record."""
    task: Task | None = None
    """With ``rows``: the task whose metric both are scored by."""
    rows: Sequence[Row] = ()
    """Dev rows, all of them."""
    stored: Sequence[Mapping[str, Any]] = ()
    """The model folder's stored examples, all of which the artifact has to carry."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Of several labels: by a row's id, its threshold (:func:`~hone.deploy.certificate.scoring.thresholds_by_row`)."""
    notes: Sequence[str] = ()
    """What the certificate is to say of them: rows that were left out."""
    floats: FloatModel | None = None
    """Of a model that was trained for a grid: what it began from, where that is at hand."""
    no_floats: str = ""
    """...and why it is not."""

    def longest_answer(self, most: int) -> int:
        """New tokens of a greedy answer at most: ``max_new_tokens`` or ``most``, whichever is less."""
        return min(most, self.max_new_tokens or most)
