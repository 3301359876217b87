"""The renderer of encoders: a row between the marks of the model's own tokenizer, and what is predicted where.

Shapes on paper, with ``cls`` and ``sep`` single ids that no user text can produce::

    classify, multi-label   cls  prompt  sep      the class, or classes, at cls
    tag                     cls  text    sep      a tag (BIO) at each word's first token, or at all tokens
    language-model          cls  document  sep    which tokens are masked is drawn anew in each epoch

The text is written as the model's pretraining wrote it: without hone's space in front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from hone.errors import InputError
from hone.task.entities import Entity, entities_of, located, tag_names, tags_of
from hone.task.render import Example, Renderer, Tokenizer, prompt_text
from hone.task.spec import WRITTEN, Kind, Task

Subtokens = Literal["first", "all"]
ROLES = ("pad", "begin", "end", "mask")
"""What an encoder's special tokens are for; ``begin`` is often called cls, ``end`` sep."""
MASK = "<|mask|>"
"""The mask of a tokenizer that hone trains."""


class AligningTokenizer(Tokenizer, Protocol):
    """A tokenizer that says where its tokens stand."""

    def encode_with_places(self, text: str) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """Ids, the characters that each came from (start, end), and the word that each belongs to."""
        ...


class EncoderRenderer(Renderer):
    """Rows to ids, targets and answers for an encoder; see :class:`hone.task.render.Renderer`.

    Args:
        kind, input_template, output_template, tokenizer: as there.
        labels: classes (classify, multi-label) or types of entities (tag), in the order of the outputs.
        marks: role to name of its special token: ``begin``, ``end``, ``pad``, and ``mask`` where tokens are masked.
        subtokens: which tokens of a word have a tag (tag only).
        temperature: what logits are divided by, fitted on dev.
        threshold: probability from which a label is given (multi-label), chosen on dev.
    """

    def __init__(
        self,
        *,
        kind: Kind,
        input_template: Any,
        output_template: Any,
        tokenizer: Tokenizer,
        marks: Mapping[str, str],
        labels: Sequence[str] = (),
        subtokens: Subtokens = "first",
        temperature: float = 1.0,
        threshold: float = 0.5,
    ) -> None:
        if missing := [role for role in ("begin", "end", "pad") if role not in marks]:
            raise InputError(
                f"the tokenizer names no token for {', '.join(missing)}; an encoder's rows stand between its own marks "
                "(cls_token, sep_token, pad_token of tokenizer_config.json)"
            )
        self.kind = kind
        self.input_template, self.output_template = input_template, output_template
        self.tokenizer = tokenizer
        self.labels = tuple(labels)
        self.marks = dict(marks)
        self.subtokens = subtokens
        self.temperature, self.threshold = temperature, threshold
        self.layout = "json"
        self.frames = {}
        self.longest_answer = 1
        self._begin_id = tokenizer.special_id(self.marks["begin"])
        self.end_id = tokenizer.special_id(self.marks["end"])
        self.pad_id = tokenizer.special_id(self.marks["pad"])
        self.outputs = tag_names(self.labels) if kind == "tag" else self.labels
        self.label_ids = list(range(len(self.outputs)))
        self._label_index = {label: index for index, label in enumerate(self.outputs)}

    @classmethod
    def for_task(
        cls,
        task: Task,
        tokenizer: Tokenizer,
        marks: Mapping[str, str],
        labels: Sequence[str] = (),
        subtokens: Subtokens = "first",
    ) -> EncoderRenderer:
        """The renderer of a task.

        Raises:
            InputError: for kinds whose answers are written: an encoder cannot write.
        """
        if task.kind in WRITTEN:
            raise InputError(
                f"a task of kind {task.kind} needs a model that writes, and an encoder cannot; use a decoder as base, "
                "or kind: classify, multi-label, tag or language-model"
            )
        plain = Renderer.templates_of(task)
        return cls(
            kind=task.kind,
            input_template=plain[0],
            output_template=plain[1],
            tokenizer=tokenizer,
            marks=marks,
            labels=labels,
            subtokens=subtokens,
        )

    @property
    def mask_id(self) -> int:
        """Id of the mask.

        Raises:
            InputError: when the tokenizer has none.
        """
        if "mask" not in self.marks:
            raise InputError("the tokenizer has no mask token, so masked tokens cannot be trained or scored")
        return self.tokenizer.special_id(self.marks["mask"])

    def prompt_ids(self, fields: Mapping[str, Any]) -> list[int]:
        """The whole row between its marks: what the model reads."""
        return [self._begin_id, *self.tokenizer.encode(self._text(fields)), self.end_id]

    def completion_ids(self, answer: Any) -> list[int]:
        """None: an encoder writes nothing.

        Raises:
            InputError: when a classify answer is not among the labels.
        """
        if self.kind == "classify":
            self._index(answer)
        return []

    def example(self, row_id: str, fields: Mapping[str, Any]) -> Example:
        """A row with its targets; see the module."""
        if self.kind == "tag":
            return self._tagged(row_id, fields)
        ids = np.asarray(self.prompt_ids(fields), dtype=np.int32)
        if self.kind == "language-model":
            # Which of these are masked is drawn for each epoch; see hone.train.masking.
            inner = np.ones(len(ids), dtype=np.bool_)
            inner[[0, -1]] = False
            return Example(ids=ids, supervised=inner, prompt_len=len(ids), label=None, row=row_id, targets=ids)
        answer = self.reference(fields)
        targets, several, label = np.zeros(len(ids), dtype=np.int32), None, None
        if self.kind == "classify":
            label = self._index(answer)
            targets[0] = label
        else:
            several = np.zeros(len(self.labels), dtype=np.float32)
            several[[self._label_index[one] for one in answer if one in self._label_index]] = 1.0
        return Example(
            ids=ids,
            supervised=np.arange(len(ids)) == 0,
            prompt_len=len(ids),
            label=label,
            row=row_id,
            targets=targets,
            labels=several,
        )

    def _tagged(self, row_id: str, fields: Mapping[str, Any]) -> Example:
        text = self._text(fields)
        ids, at, units = self._units(text)
        entities = located(text, self._items(fields)).entities
        known = [entity for entity in entities if f"B-{entity.kind}" in self._label_index]
        targets = np.zeros(len(ids), dtype=np.int32)
        targets[at] = [self._label_index[tag] for tag in tags_of(known, units)]
        supervised = np.zeros(len(ids), dtype=np.bool_)
        supervised[at] = True
        return Example(
            ids=np.asarray(ids, dtype=np.int32),
            supervised=supervised,
            prompt_len=len(ids),
            label=None,
            row=row_id,
            targets=targets,
        )

    def _units(self, text: str) -> tuple[list[int], list[int], list[tuple[int, int]]]:
        """Ids of a row, the positions that have a tag, and the characters that each of these tags is about."""
        inner, places, words = cast("AligningTokenizer", self.tokenizer).encode_with_places(text)
        at: list[int] = []
        units: list[tuple[int, int]] = []
        last = None
        for position, ((start, end), word) in enumerate(zip(places, words, strict=True), 1):
            if self.subtokens == "first" and at and word == last:
                units[-1] = (units[-1][0], max(end, units[-1][1]))
                continue
            at.append(position)
            units.append((start, end))
            last = word
        return [self._begin_id, *inner, self.end_id], at, [_without_blanks(text, unit) for unit in units]

    def unwritable(self, fields: Mapping[str, Any]) -> list[str]:
        """Entities of a row that its tags cannot say, each as ``type: text``: no model can get them right.

        They stand nowhere in the text, end inside a word (or token), overlap another, or their characters vanish in
        the tokenizer.
        """
        text = self._text(fields)
        found = located(text, self._items(fields))
        _, _, units = self._units(text)
        said = set(entities_of(tags_of(found.entities, units), units))
        lost = [f"{item['type']}: {item.get('text', '')}" for item in found.lost]
        return lost + [f"{one.kind}: {text[one.start : one.end]}" for one in found.entities if one not in said]

    # What the model says, as answers.

    def supervised_at(self, fields: Mapping[str, Any]) -> list[int]:
        """Positions of a row at which a tag is predicted (tag)."""
        return self._units(self._text(fields))[1]

    def entities(self, fields: Mapping[str, Any], tags: Sequence[int]) -> list[dict[str, Any]]:
        """The answer of a tag task from the ids of the tags at :meth:`supervised_at`."""
        text = self._text(fields)
        _, _, units = self._units(text)
        found: tuple[Entity, ...] = entities_of([self.outputs[tag] for tag in tags], units)
        return [entity.to_json(text) for entity in found]

    def labels_from(self, probabilities: NDArray[np.floating[Any]], threshold: float | None = None) -> list[str]:
        """The answer of a multi-label task: the labels (in order) whose probability reaches the threshold.

        It is the model's own, where no other is given.
        """
        least = self.threshold if threshold is None else threshold
        return sorted(self.labels[int(index)] for index in np.flatnonzero(probabilities >= least))

    def parse(self, completion_ids: Sequence[int]) -> Any:
        """The label of an output's id (classify), else None: an encoder writes no answer."""
        first = completion_ids[0] if len(completion_ids) else -1
        return self.labels[first] if self.kind == "classify" and 0 <= first < len(self.labels) else None

    def to_json(self) -> dict[str, Any]:
        """Everything but the tokenizer, for ``hone.json``."""
        return {
            "kind": self.kind,
            "input": self.input_template,
            "output": self.output_template,
            "labels": list(self.labels),
            "marks": self.marks,
            "subtokens": self.subtokens,
            "temperature": self.temperature,
            "threshold": self.threshold,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], tokenizer: Tokenizer) -> EncoderRenderer:
        """The inverse of :meth:`to_json`; for a model that gives vectors its own kind of renderer."""
        if "pooling" in data:
            from hone.task.embedding import EmbeddingRenderer

            return EmbeddingRenderer.from_json(data, tokenizer)
        return cls(
            kind=data["kind"],
            input_template=data["input"],
            output_template=data["output"],
            tokenizer=tokenizer,
            marks=data["marks"],
            labels=data["labels"],
            subtokens=data["subtokens"],
            temperature=data["temperature"],
            threshold=data["threshold"],
        )

    def _text(self, fields: Mapping[str, Any]) -> str:
        if self.kind == "language-model":
            return str(self.reference(fields))
        return prompt_text(self.input_template, fields)

    def _items(self, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
        return list(self.reference(fields))

    def _index(self, label: Any) -> int:
        if label not in self._label_index:
            raise InputError(f'label "{label}" is not among the {len(self.labels)} labels of the training rows')
        return self._label_index[label]


def _without_blanks(text: str, unit: tuple[int, int]) -> tuple[int, int]:
    """A byte-level token begins with the blank before its word, which belongs to no entity."""
    start, end = unit
    part = text[start:end]
    stripped = part.strip()
    if not stripped or stripped == part:
        return unit
    start += len(part) - len(part.lstrip())
    return start, start + len(stripped)
