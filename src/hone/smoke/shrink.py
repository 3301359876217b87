"""A task made small: the same kind, templates, labels and metric, on a few short rows with a tiny model.

Everything that would fail on the real way because of the task (a template, a label, a metric of the user's own, text
that a tokenizer stumbles over) fails here as well, in seconds. The rows come from train and dev; the test stays sealed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hone.attempts.checking import OBJECTIVES
from hone.data.ledger import Ledger
from hone.data.prepare import DataVersion
from hone.data.rows import Row
from hone.errors import FailedError
from hone.files import content_hash
from hone.model.base import needs_encoder
from hone.task.recipe import Recipe
from hone.task.render import task_prompt, task_reference
from hone.task.spec import Device, Task

STEPS = 4
SAVE_EVERY = 2
"""The second of two saves is the one in which the trainer is killed, so that there is a state to go on from."""
TRAIN_ROWS = 48
DEV_ROWS = 6
LOOKED_AT = 512
"""Rows, evenly spread, among which the shortest are taken: they cost least and end soonest."""
DOCUMENT_CHARS = 400
DOCUMENT_CONTEXT = 96
"""Shorter than a cut document, so that cutting into windows is walked too."""
VOCABULARY = 512
"""Tokens, besides one for each label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shrunken:
    """What is walked with."""

    task: Task
    data: DataVersion
    recipe: Recipe
    base: str
    """What the task itself begins with; a random model from scratch stands in for it."""

    @property
    def stand_in(self) -> str:
        """What is not tried, as a sentence; empty for a task from scratch, whose model is only made smaller."""
        if self.base.startswith("scratch"):
            return ""
        return (
            f"{self.recipe.base} with random weights and a tokenizer of these rows stands in for the base {self.base}: "
            "neither its weights nor its tokenizer are tried here"
        )


def shrunken(task: Task, data: DataVersion) -> Shrunken:
    """The small task, its rows and the recipe of its four steps.

    Raises:
        FailedError: when there are no rows to learn from or to score.
    """
    recipe = Recipe.model_validate(
        {
            **_smallest(task),
            "vocab_size": VOCABULARY + len(data.labels),
            "steps": STEPS,
            "eval_every": SAVE_EVERY,
            "warmup_steps": 1,
            "batch_size": 8,
            # Every part of a state that a recipe can have is there to be lost.
            "average": 0.9,
            **({"swap_values": 0.5, "random_words": 0.1} if task.kind == "extract" else {}),
        }
    )
    train, dev = _chosen(task, data.train, TRAIN_ROWS), _chosen(task, _learnable(task, data), DEV_ROWS)
    if not train or not dev:
        raise FailedError(f"{len(train)} rows to learn from and {len(dev)} to score: at least one of each is needed")
    context = DOCUMENT_CONTEXT
    if task.kind != "language-model":
        # No text has more tokens than bytes, so nothing can be too long.
        context = max(64, max(_size_bytes(task, row) for row in (*train, *dev)) + 8)
    device = Device(context=context, prompt_tokens=min(task.device.prompt_tokens, context // 2))
    small = replace(
        data,
        id=content_hash(["smoke", data.id]),
        train=train,
        dev=dev,
        ood=(),
        ledger=Ledger(read={"train": len(train), "dev": len(dev)}, kept={"train": len(train), "dev": len(dev)}),
        counts={"train": len(train), "dev": len(dev)},
    )
    return Shrunken(
        task=task.model_copy(update={"device": device, "base": recipe.base}),
        data=small,
        recipe=recipe.child(data=small.id, context=context),
        base=task.base,
    )


def _smallest(task: Task) -> dict[str, object]:
    """The smallest model of the kind that solves a task: a decoder, or an encoder with its objective."""
    if not needs_encoder(task):
        return {"base": "scratch:tiny"}
    return {"base": "scratch:bert-tiny", "objective": OBJECTIVES[task.kind][-1], "optimizer": "adamw"}


def _learnable(task: Task, data: DataVersion) -> Sequence[Row]:
    """Dev rows whose answer a model of these labels can give."""
    if task.kind != "classify":
        return data.dev
    return [row for row in data.dev if task_reference(task, row.fields) in data.labels]


def _chosen(task: Task, rows: Sequence[Row], count: int) -> tuple[Row, ...]:
    spread = rows[:: max(1, len(rows) // LOOKED_AT)][:LOOKED_AT]
    if task.kind == "language-model":
        return tuple(_cut(row) for row in spread[:count])
    return tuple(sorted(spread, key=lambda row: (_size_bytes(task, row), row.id))[:count])


def _cut(row: Row) -> Row:
    """The beginning of a document."""
    fields = {name: value[:DOCUMENT_CHARS] if isinstance(value, str) else value for name, value in row.fields.items()}
    return Row(row.id, fields)


def _size_bytes(task: Task, row: Row) -> int:
    """At least the bytes of prompt and answer, whichever way an object is written for a model."""
    answer = task_reference(task, row.fields)
    # Two spaces before every value: more than any layout has.
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, separators=(",  ", ":  "))
    return len(f"{task_prompt(task, row.fields)} {text}".encode("utf-8", "surrogatepass"))
