"""What an artifact of a task is compared with: the model in floats, over dev rows that it can answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hone.data.prepare import DataVersion
from hone.data.rows import Row
from hone.deploy.certificate.original import encoder_original_of, original_of
from hone.deploy.certificate.witness import EXTENTS, Size, Witness
from hone.model.folder import ModelFolder
from hone.task.encoding import EncoderRenderer
from hone.task.render import Example, Renderer
from hone.task.spec import Task

ID_TEXTS = 100
"""Dev prompts whose ids are compared besides the awkward texts."""


def witness_of(model: ModelFolder, task: Task, data: DataVersion, longest_answer: int | None, size: Size) -> Witness:
    """The witness of a run's artifacts; torch computes what the original says when it is first asked.

    Args:
        model: the run's model folder.
        task: what it was trained on.
        data: its data; dev rows are compared and scored.
        longest_answer: tokens.
        size: of the certificates to come: how many rows are rendered for them.
    """
    renderer = model.renderer()
    rows = [row for row in data.dev if task.kind != "classify" or renderer.reference(row.fields) in renderer.labels]
    module = model.load()
    encoder = isinstance(renderer, EncoderRenderer)
    return Witness(
        renderer=renderer,
        examples=_enough(renderer, rows, task.device.context, EXTENTS[size].positions),
        original=encoder_original_of(module) if encoder else original_of(module),
        texts=_texts(task, renderer, rows),
        max_new_tokens=longest_answer,
        hashes={"data": data.id, **_hashes(model.hone)},
        task=task,
        rows=data.dev,
    )


def bare_witness_of(model: ModelFolder, context: int) -> Witness:
    """The witness of a model without its task: the rows that travel with it, and no score."""
    renderer = model.renderer()
    module = model.load()
    rows = [renderer.example(item["row"], item["fields"]) for item in model.hone["examples"]]
    return Witness(
        renderer=renderer,
        examples=[one for one in rows if len(one.ids) <= context],
        original=encoder_original_of(module) if isinstance(renderer, EncoderRenderer) else original_of(module),
        hashes=_hashes(model.hone),
    )


def _hashes(hone: Mapping[str, Any]) -> dict[str, str]:
    return dict(hone.get("hashes", {}))


def _enough(renderer: Renderer, rows: Sequence[Row], context: int, positions: int) -> list[Example]:
    """Rendered rows in order, until they have so many answer positions; documents in pieces of the context."""
    found: list[Example] = []
    count = 0
    for example in rendered_rows(renderer, rows, context):
        found.append(example)
        count += int(example.supervised.sum())
        if count >= positions:
            break
    return found


def rendered_rows(renderer: Renderer, rows: Sequence[Row], context: int) -> Iterator[Example]:
    """Rows as examples; documents in pieces of the context."""
    from hone.data.tokens import windows

    for row in rows:
        example = renderer.example(row.id, row.fields)
        yield from [example] if len(example.ids) <= context else windows(example, context)


def _texts(task: Task, renderer: Renderer, rows: Sequence[Row]) -> list[str]:
    if task.kind == "language-model":
        return [renderer.reference(row.fields)[:2000] for row in rows[:ID_TEXTS]]
    return [" " + renderer.prompt_text(row.fields) for row in rows[:ID_TEXTS]]
