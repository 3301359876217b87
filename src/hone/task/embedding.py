"""The renderer of encoders without a head: a text between the model's own marks, which becomes one vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from hone.task.encoding import EncoderRenderer
from hone.task.render import Example, Tokenizer
from hone.task.spec import Kind

EMBED = "embed"
"""What ``kind`` is called in ``hone.json`` of such a model. It is no kind of task: there is no answer to be right."""
Pooling = Literal["mean", "cls"]
"""What stands for a text: the mean of its tokens' last states, its marks included, or the first one's."""
LEAST_LENGTH = 1e-12
"""A vector is divided by its length, or by this where it is shorter, as ``torch.nn.functional.normalize`` does."""


class EmbeddingRenderer(EncoderRenderer):
    """Texts to ids for a model that gives a vector to each; see :class:`EncoderRenderer`.

    Args:
        tokenizer: the model's own.
        marks: role to name of its special token.
        pooling: what stands for a text.
        normalised: whether a vector is divided by its length.
        before: text in front of each, such as a prompt that the model was trained with.
    """

    def __init__(
        self, *, tokenizer: Tokenizer, marks: Mapping[str, str], pooling: Pooling, normalised: bool, before: str = ""
    ) -> None:
        escaped = before.replace("{", "{{").replace("}", "}}")
        super().__init__(
            kind=cast("Kind", EMBED),
            input_template=f"{escaped}{{text}}",
            output_template=None,
            tokenizer=tokenizer,
            marks=marks,
        )
        self.pooling, self.normalised, self.before = pooling, normalised, before

    def example(self, row_id: str, fields: Mapping[str, Any]) -> Example:
        """A text; its vector is what is compared, so one position counts."""
        ids = np.asarray(self.prompt_ids(fields), dtype=np.int32)
        first = np.arange(len(ids)) == 0
        return Example(ids=ids, supervised=first, prompt_len=len(ids), label=None, row=row_id)

    def pooled(self, states: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The vector (width,) of a text whose last hidden states (tokens, width) these are, in float64."""
        wide = states.astype(np.float64)
        return self.finished(wide.mean(axis=0) if self.pooling == "mean" else wide[0])

    def finished(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """Pooled states (..., width) as they are given out: divided by their lengths where the model says so."""
        return unit(vectors) if self.normalised else vectors

    def to_json(self) -> dict[str, Any]:
        """Everything but the tokenizer."""
        own = {"pooling": self.pooling, "normalised": self.normalised, "before": self.before}
        return {**super().to_json(), **own}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], tokenizer: Tokenizer) -> EmbeddingRenderer:
        """The inverse of :meth:`to_json`."""
        return cls(
            tokenizer=tokenizer,
            marks=data["marks"],
            pooling=data["pooling"],
            normalised=data["normalised"],
            before=data["before"],
        )


def unit(vectors: NDArray[Any]) -> NDArray[Any]:
    """Vectors (..., width) divided by their lengths."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, LEAST_LENGTH))
