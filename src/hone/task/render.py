"""The one renderer: how a row becomes token ids, and how generated ids become an answer again.

Training, scoring, serving and every artifact call this and nothing else (law 4). It is pure Python
over a small :class:`Tokenizer` protocol, so a process without torch can use it.

Shapes on paper, with ``<|answer|>`` and ``<|end|>`` single ids that no user text can produce::

    extract, generate   " " + prompt  <|answer|>  completion  <|end|>
    classify            " " + prompt  <|answer|>  <|label:NAME|>  <|end|>
    language-model      <|begin|>  document  <|end|>
    conversations       see :mod:`hone.task.conversation`

Supervised ids are the completion (or label, or document) and the ``<|end|>`` (law 6). The prompt starts
with one space so that its first word has the same token as the same word in the middle.

How an object is written is told in :mod:`hone.task.layouts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hone.errors import FailedError, InputError
from hone.task.conversation import MARKS, Conversing, answer_of, before_answer, conversation_text, form_of
from hone.task.entities import located
from hone.task.layouts import Layout, answer_parts, answer_text, parse_answer
from hone.task.soft_prompt import soft_prompt_json, soft_prompt_of
from hone.task.spec import Kind, Task
from hone.task.templates import fill

PAD, BEGIN, ANSWER, END = "<|pad|>", "<|begin|>", "<|answer|>", "<|end|>"
SPECIALS = (PAD, BEGIN, ANSWER, END)


def label_token(label: str) -> str:
    """Name of the single token that stands for a class."""
    return f"<|label:{label}|>"


class Tokenizer(Protocol):
    """What the renderer needs of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        ...

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; never a special id, whatever the text says."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special ids left out."""
        ...

    def special_id(self, name: str) -> int:
        """Id of a special token by its name, such as ``<|end|>``."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """What every consumer of text sees.

    ``ids`` (T,) int32 token ids; ``supervised`` (T,) bool, which ids carry loss; ``prompt_len`` ids before
    the first completion; ``label`` index of the class or None; ``row`` id of the source row.

    ``targets`` (T,) int32: what is to be predicted *at* each supervised position by a model that reads from both
    sides (a masked token's id, a tag, the class at the first position); None where each supervised id is predicted
    from the one before it. ``labels`` (K,) float32: 1 for each class that the row has, where it can have several.
    """

    ids: NDArray[np.int32]
    supervised: NDArray[np.bool_]
    prompt_len: int
    label: int | None
    row: str
    targets: NDArray[np.int32] | None = None
    labels: NDArray[np.float32] | None = None

    @property
    def reads_both_ways(self) -> bool:
        """Whether it is made for an encoder: what is predicted stands at the position itself."""
        return self.targets is not None or self.labels is not None

    @property
    def longest_stretch(self) -> int:
        """Ids of the longest stretch that is supervised: of the longest answer, its end included."""
        count = int(np.count_nonzero(self.supervised))
        if self.supervised[len(self.supervised) - count :].all():  # one stretch, at the end: nearly every row
            return count
        edges = np.flatnonzero(np.diff(self.supervised, prepend=False, append=False))
        return int((edges[1::2] - edges[::2]).max(initial=0))


def labels_of(example: Example) -> NDArray[np.float32]:
    """The labels of a row that can have several."""
    assert example.labels is not None, f"row {example.row} has no labels beside others that have"
    return example.labels


class Renderer:
    """Rows to ids and ids to answers for one task and one tokenizer.

    Args:
        kind, input_template, output_template: as in the task.
        tokenizer: see :class:`Tokenizer`.
        layout: how objects are written.
        labels: names of the classes, in the order of their ids (classify only).
        frames: ids of frames that are one token each (``framed-json`` only).
        longest_answer: ids that an answer may take, learned from the training rows; 0 is what the context holds.
    """

    conversation: Conversing | None = None
    """How conversations are rendered, where the task has them."""
    soft_prompt: tuple[int, ...] = ()
    """Ids in front of every prompt, see :mod:`hone.task.soft_prompt`."""

    def __init__(
        self,
        *,
        kind: Kind,
        input_template: Any,
        output_template: Any,
        tokenizer: Tokenizer,
        layout: Layout = "spaced-json",
        labels: Sequence[str] = (),
        frames: Mapping[str, int] | None = None,
        longest_answer: int = 0,
    ) -> None:
        self.kind = kind
        self.input_template = input_template
        self.output_template = output_template
        self.tokenizer = tokenizer
        self.layout = layout
        self.labels = tuple(labels)
        self.longest_answer = longest_answer
        self.frames = dict(frames or {})
        wrong = [text for text, one in self.frames.items() if tokenizer.decode([one]) != text]
        if wrong:
            raise FailedError(
                f"{len(wrong)} of {len(self.frames)} frames are other tokens here, the first: {wrong[0]!r} is id "
                f"{self.frames[wrong[0]]}, which reads {tokenizer.decode([self.frames[wrong[0]]])!r}"
            )
        self.end_id = tokenizer.special_id(END)
        self.pad_id = tokenizer.special_id(PAD)
        self._begin_id = tokenizer.special_id(BEGIN)
        self._answer_id = tokenizer.special_id(ANSWER)
        form = form_of(input_template)
        self.conversation = None if form is None else Conversing(form, tokenizer, self._answer_id, self.end_id)
        self.label_ids = [tokenizer.special_id(label_token(label)) for label in self.labels]
        self._label_index = {label: index for index, label in enumerate(self.labels)}

    @classmethod
    def of_task(
        cls,
        task: Task,
        tokenizer: Tokenizer,
        *,
        layout: Layout = "spaced-json",
        labels: Sequence[str] = (),
        frames: Mapping[str, int] | None = None,
    ) -> Renderer:
        """The renderer of a task."""
        return cls(
            kind=task.kind,
            input_template=task.prompt_template,
            output_template=task.answer_template,
            tokenizer=tokenizer,
            layout=layout,
            labels=labels,
            frames=frames,
        )

    @staticmethod
    def templates_of(task: Task) -> tuple[Any, Any]:
        """A task's templates of prompt and answer as plain values."""
        return task.prompt_template, task.answer_template

    # Rows to text and ids.

    def prompt_text(self, fields: Mapping[str, Any]) -> str:
        """The prompt of a row as people read it."""
        return prompt_text(self.input_template, fields)

    def prompt_ids(self, fields: Mapping[str, Any]) -> list[int]:
        """Ids before the first completion, the answer mark included."""
        if self.kind == "language-model":
            return [*self.soft_prompt, self._begin_id]
        if self.conversation is not None:
            return [*self.soft_prompt, *self.conversation.prompt_ids(fields, self.longest_answer)]
        return [*self.soft_prompt, *self.tokenizer.encode(" " + self.prompt_text(fields)), self._answer_id]

    def reference(self, fields: Mapping[str, Any]) -> Any:
        """The gold answer in the task's terms: a label or text (str), or an object (dict)."""
        return reference(self.kind, self.output_template, fields, self.input_template)

    def completion_text(self, answer: Any) -> str:
        """An answer as the text that the model is to write."""
        return answer_text(self.kind, self.layout, answer)

    def completion_ids(self, answer: Any) -> list[int]:
        """Ids of an answer without the end.

        Raises:
            InputError: when a classify answer is not among the labels.
        """
        if self.kind == "classify":
            if answer not in self._label_index:
                raise InputError(f'label "{answer}" is not among the {len(self.labels)} labels of the training rows')
            return [self.label_ids[self._label_index[answer]]]
        if not self.frames:
            return self.tokenizer.encode(self.completion_text(answer))
        ids: list[int] = []
        for text, is_value in answer_parts(self.layout, answer):
            frame = None if is_value else self.frames.get(text)
            ids += self.tokenizer.encode(text) if frame is None else [frame]
        return ids

    def example(self, row_id: str, fields: Mapping[str, Any]) -> Example:
        """A row as ids with its supervision mask."""
        if self.conversation is not None:
            ids, supervised = self.conversation.ids_and_mask(fields)
            ids, supervised = [*self.soft_prompt, *ids], [*(False for _ in self.soft_prompt), *supervised]
            prompt_len, label = int(np.argmax(supervised)), None
        else:
            prompt, answer = self.prompt_ids(fields), self.reference(fields)
            ids = [*prompt, *self.completion_ids(answer), self.end_id]
            prompt_len = len(prompt)
            supervised = [index >= prompt_len for index in range(len(ids))]
            label = self._label_index[answer] if self.kind == "classify" else None
        return Example(
            ids=np.asarray(ids, dtype=np.int32),
            supervised=np.asarray(supervised, dtype=np.bool_),
            prompt_len=prompt_len,
            label=label,
            row=row_id,
        )

    # Ids to answers.

    def parse(self, completion_ids: Sequence[int]) -> Any:
        """The model's answer in the terms of :meth:`reference`; None when it is not an answer at all."""
        if self.kind == "classify":
            first = completion_ids[0] if len(completion_ids) else -1
            return self.labels[self.label_ids.index(first)] if first in self.label_ids else None
        ids = list(completion_ids)
        if self.end_id in ids:
            ids = ids[: ids.index(self.end_id)]
        return self.parse_text(self.tokenizer.decode(ids))

    def parse_text(self, text: str) -> Any:
        """Like :meth:`parse`, from the text that the model wrote."""
        if self.kind == "extract":
            return parse_answer(self.layout, text)
        return text.removeprefix(" ") if self.kind == "generate" else text

    # The renderer travels with the model.

    def to_json(self) -> dict[str, Any]:
        """Everything but the tokenizer, for ``hone.json`` and artifacts."""
        return {
            "kind": self.kind,
            "input": self.input_template,
            "output": self.output_template,
            "layout": self.layout,
            "labels": list(self.labels),
            "frames": self.frames,
            "longest_answer": self.longest_answer,
            **soft_prompt_json(self.soft_prompt),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], tokenizer: Tokenizer) -> Renderer:
        """The inverse of :meth:`to_json`; for a model that reads from both sides its own kind of renderer."""
        if "marks" in data:
            from hone.task.encoding import EncoderRenderer

            return EncoderRenderer.from_json(data, tokenizer)
        if "continues" in data:
            from hone.task.continuing import ContinuingRenderer

            return ContinuingRenderer.from_json(data, tokenizer)
        made = cls(
            kind=data["kind"],
            input_template=data["input"],
            output_template=data["output"],
            tokenizer=tokenizer,
            layout=data["layout"],
            labels=data["labels"],
            frames=data.get("frames"),
            longest_answer=data.get("longest_answer", 0),
        )
        made.soft_prompt = soft_prompt_of(data)
        return made

    def verify(self, stored: Sequence[Mapping[str, Any]]) -> None:
        """Render stored examples again and compare ids (law 4).

        Args:
            stored: items with ``row``, ``fields``, ``ids``, as :meth:`stored_example` makes them.

        Raises:
            FailedError: at the first different id, naming row, position and both ids.
        """
        for item in stored:
            fresh = self.example(item["row"], item["fields"]).ids.tolist()
            first = first_difference(fresh, list(item["ids"]))
            if first is not None:
                raise FailedError(
                    f"row {item['row']} renders differently here than when the model was trained: "
                    f"id {first} is {_at(fresh, first)}, stored {_at(item['ids'], first)}; "
                    "the tokenizer or the template has changed, so the model's answers would be wrong"
                )

    def stored_example(self, row_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """One of the eight examples that travel with a model."""
        example = self.example(row_id, fields)
        return {"row": row_id, "fields": dict(fields), "ids": example.ids.tolist(), "prompt_len": example.prompt_len}


def prompt_text(template: Any, fields: Mapping[str, Any]) -> str:
    """A row's prompt as people read it; messages become one ``role: content`` line each."""
    if (form := form_of(template)) is not None:
        return conversation_text(before_answer(form.turns(fields)))
    if isinstance(template, list):
        return "\n".join(f"{turn['role']}: {fill(turn['content'], fields)}" for turn in template)
    return str(fill(template, fields))


def reference(kind: Kind, template: Any, fields: Mapping[str, Any], input_template: Any = None) -> Any:
    """A row's gold answer: text for classify, generate and language-model, an object for extract.

    For multi-label the labels in order, once each; for tag the entities with the characters of the prompt on which
    they stand (:meth:`hone.task.entities.Located.to_json`).
    """
    if (form := form_of(template)) is not None:
        return answer_of(form.turns(fields))
    answer = fill(template, fields)
    if kind == "extract":
        return answer
    if kind == "multi-label":
        return sorted({str(label) for label in answer})
    if kind == "tag":
        text = prompt_text(input_template, fields)
        return located(text, answer).to_json(text)
    return str(answer)


def task_prompt(task: Task, fields: Mapping[str, Any]) -> str:
    """A row's prompt before any tokenizer exists; the whole document for language-model tasks."""
    if task.kind == "language-model":
        return task_reference(task, fields)  # type: ignore[no-any-return]
    return prompt_text(task.prompt_template, fields)


def task_texts(task: Task, layout: Layout, fields: Mapping[str, Any]) -> list[str]:
    """The texts of a row as they become ids, one by one: what a tokenizer is trained on."""
    if (form := form_of(task.prompt_template)) is not None:
        return [" " + turn.text for turn in form.turns(fields)]
    prompt = [] if task.kind == "language-model" else [" " + task_prompt(task, fields)]
    answer = [] if task.kind == "classify" else [answer_text(task.kind, layout, task_reference(task, fields))]
    return prompt + answer


def task_marks(task: Task) -> tuple[str, ...]:
    """Special tokens that a task needs beside :data:`SPECIALS` and labels: the marks of roles."""
    return () if task.conversation is None else tuple(MARKS.values())


def task_reference(task: Task, fields: Mapping[str, Any]) -> Any:
    """A row's gold answer before any tokenizer exists."""
    return reference(task.kind, task.answer_template, fields, task.prompt_template)


def labels_in(kind: Kind, answer: Any) -> list[str]:
    """The labels that an answer has: one (classify), several (multi-label), the entities' types (tag), or none."""
    if kind == "classify":
        return [answer]
    if kind == "multi-label":
        return list(answer)
    return [item["type"] for item in answer] if kind == "tag" else []


def first_difference(left: Sequence[int], right: Sequence[int]) -> int | None:
    """Position of the first different id, or None when both are equal."""
    for position, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return position
    return None if len(left) == len(right) else min(len(left), len(right))


def _at(ids: Sequence[int], position: int) -> str:
    return str(ids[position]) if position < len(ids) else "missing"
