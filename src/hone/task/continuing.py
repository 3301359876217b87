"""The renderer of a model that belongs to no task and only continues text, with the marks of its own tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hone.task.render import Example, Renderer, Tokenizer
from hone.task.soft_prompt import soft_prompt_json, soft_prompt_of


class ContinuingRenderer(Renderer):
    """Text to ids as the model's pretraining wrote it: its begin where it has one, then the text, then its end.

    Args:
        tokenizer: the model's own.
        begin: name of the special token before a text; None where there is none.
        end: name of the special token behind a text.
    """

    def __init__(self, *, tokenizer: Tokenizer, begin: str | None, end: str) -> None:
        self.kind = "language-model"
        self.input_template, self.output_template = None, "{text}"
        self.tokenizer, self.layout = tokenizer, "json"
        self.labels, self.label_ids, self.frames, self.longest_answer = (), [], {}, 0
        self.begin, self.end = begin, end
        self._before = [] if begin is None else [tokenizer.special_id(begin)]
        self.end_id = self.pad_id = tokenizer.special_id(end)

    def prompt_ids(self, fields: Mapping[str, Any]) -> list[int]:  # noqa: ARG002  (a text has no prompt)
        """The soft prompt and the begin, where there is one."""
        return [*self.soft_prompt, *self._before]

    def example(self, row_id: str, fields: Mapping[str, Any]) -> Example:
        """A text between its marks; every id behind the first is predicted."""
        before = self.prompt_ids(fields)
        ids = [*before, *self.tokenizer.encode(str(self.reference(fields))), self.end_id]
        first = max(1, len(before))
        return Example(
            ids=np.asarray(ids, dtype=np.int32),
            supervised=np.arange(len(ids)) >= first,
            prompt_len=first,
            label=None,
            row=row_id,
        )

    def to_json(self) -> dict[str, Any]:
        """Everything but the tokenizer."""
        plain = {"kind": self.kind, "input": None, "output": self.output_template, "layout": "json", "labels": []}
        marks = {"continues": {"begin": self.begin, "end": self.end}, "longest_answer": 0}
        return {**plain, **marks, **soft_prompt_json(self.soft_prompt)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], tokenizer: Tokenizer) -> ContinuingRenderer:
        """The inverse of :meth:`to_json`."""
        made = cls(tokenizer=tokenizer, begin=data["continues"]["begin"], end=data["continues"]["end"])
        made.soft_prompt = soft_prompt_of(data)
        return made
