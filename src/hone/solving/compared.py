"""What an artifact of a task is compared with: the model in floats, over dev rows that it can answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hone.data.prepare import DataVersion
from hone.data.rows import Row
from hone.deploy.certificate.original import (
    EmbeddingOriginal,
    EncoderOriginal,
    embedding_original_of,
    encoder_original_of,
    original_of,
)
from hone.deploy.certificate.scoring import thresholds_by_row
from hone.deploy.certificate.witness import EXTENTS, Size, Witness
from hone.evaluate.reading import masking_of
from hone.model.adapters import made_of
from hone.model.folder import ModelFolder
from hone.solving.bare_encoders import compared_texts
from hone.solving.floats import float_model_of
from hone.task.embedding import EmbeddingRenderer
from hone.task.encoding import EncoderRenderer
from hone.task.masking import DEV_SEED, DEV_SHARE
from hone.task.render import Example, Renderer
from hone.task.spec import Task
from hone.wording import counted

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
    examples, left_out = rendered_rows(renderer, data.dev, task, EXTENTS[size].positions)
    thresholds = _thresholds(model.hone, renderer, data.dev, task)
    notes = [f"dev: {line}" for line in left_out]
    if task.kind == "multi-label" and not thresholds and not _plain(model.hone):
        notes.append("the score on dev is by a threshold that was chosen on these rows, so it is a little too good")
    module = model.load()
    encoder = isinstance(renderer, EncoderRenderer)
    floats, no_floats = float_model_of(model, lambda hone, own: _thresholds(hone, own, data.dev, task))
    if isinstance(renderer, EncoderRenderer) and task.kind == "language-model":
        examples = masking_of(renderer, DEV_SHARE).all(examples, DEV_SEED, 0)
    return Witness(
        renderer=renderer,
        examples=examples,
        original=encoder_original_of(module) if encoder else original_of(module),
        texts=_texts(task, renderer, data.dev),
        max_new_tokens=longest_answer,
        hashes={"data": data.id, **_hashes(model.hone)},
        stored=model.hone["examples"],
        task=task,
        rows=data.dev,
        thresholds=thresholds,
        notes=notes,
        floats=floats,
        no_floats=no_floats,
    )


def bare_witness_of(model: ModelFolder, context: int) -> Witness:
    """The witness of a model without its task: the rows that travel with it, and no score."""
    renderer = model.renderer()
    module = model.load()
    if isinstance(renderer, EmbeddingRenderer):
        return _texts_witness(model, renderer, embedding_original_of(module, renderer), context)
    if isinstance(renderer, EncoderRenderer) and renderer.kind == "language-model" and not model.hone.get("task"):
        return _texts_witness(model, renderer, encoder_original_of(module), context)
    rows = [renderer.example(item["row"], item["fields"]) for item in model.hone["examples"]]
    examples = [one for one in rows if len(one.ids) <= context]
    if isinstance(renderer, EncoderRenderer) and renderer.kind == "language-model":
        examples = masking_of(renderer, DEV_SHARE).all(examples, DEV_SEED, 0)
    return Witness(
        renderer=renderer,
        examples=examples,
        original=encoder_original_of(module) if isinstance(renderer, EncoderRenderer) else original_of(module),
        hashes=_hashes(model.hone),
        stored=model.hone["examples"],
        notes=[*made_of(model.hone), *_too_long(len(rows) - len(examples), len(rows), context)],
    )


def _texts_witness(
    model: ModelFolder, renderer: EncoderRenderer, original: EncoderOriginal | EmbeddingOriginal, context: int
) -> Witness:
    """The witness of an encoder that belongs to no task: over neutral prose, masked where words are predicted."""
    rows = [renderer.example(row, {"text": text}) for row, text in compared_texts()]
    examples = [one for one in rows if len(one.ids) <= context]
    if renderer.kind == "language-model":
        examples = masking_of(renderer, DEV_SHARE).all(examples, DEV_SEED, 0)
    return Witness(
        renderer=renderer,
        examples=examples,
        original=original,
        hashes=_hashes(model.hone),
        stored=model.hone["examples"],
        notes=[*made_of(model.hone), *_too_long(len(rows) - len(examples), len(rows), context)],
    )


def _hashes(hone: Mapping[str, Any]) -> dict[str, str]:
    return dict(hone.get("hashes", {}))


def _thresholds(hone: Mapping[str, Any], renderer: Renderer, dev: Sequence[Row], task: Task) -> dict[str, float]:
    """As the run's own score has them: of rows that chose the model's threshold, that of the half they are not in."""
    if task.kind != "multi-label":
        return {}
    return thresholds_by_row(hone.get("calibration", {}), [one.row for one in rendered_rows(renderer, dev, task)[0]])


def _plain(hone: Mapping[str, Any]) -> bool:
    """Whether no threshold was chosen on dev."""
    calibration = hone.get("calibration")
    return not calibration or bool(calibration.get("threshold_why_not"))


def rendered_rows(
    renderer: Renderer, rows: Sequence[Row], task: Task, positions: int | None = None
) -> tuple[list[Example], list[str]]:
    """Rows as training reads them: documents in pieces of the context, other rows that are longer left out.

    Args:
        renderer: of the model.
        rows: of one split.
        task: its rule for longer rows; of ``classify`` rows whose label the model does not know are left out.
        positions: rows are rendered in order until they have so many answer positions; None: all.

    Returns:
        The examples, and sentences on the rows that were left out.
    """
    from hone.data.tokens import within_context

    context, known = task.device.context, set(renderer.labels)
    found: list[Example] = []
    count = read = too_long = unknown = 0
    for row in rows:
        if positions is not None and count >= positions:
            break
        read += 1
        if task.kind == "classify" and renderer.reference(row.fields) not in known:
            unknown += 1
            continue
        pieces = within_context(renderer.example(row.id, row.fields), context, task.overlong_rule)
        too_long += not pieces
        found += pieces
        count += sum(int(one.supervised.sum()) for one in pieces)
    notes = _too_long(too_long, read, context)
    if unknown:
        notes.append(f"{unknown:,} of {counted(read, 'row')} left out: the model does not know their label")
    return found, notes


def _too_long(left_out: int, of: int, context: int) -> list[str]:
    if not left_out:
        return []
    return [f"{left_out:,} of {counted(of, 'row')} left out: longer than the context of {context:,} tokens"]


def _texts(task: Task, renderer: Renderer, rows: Sequence[Row]) -> list[str]:
    if task.kind == "language-model":
        return [renderer.reference(row.fields)[:2000] for row in rows[:ID_TEXTS]]
    return [" " + renderer.prompt_text(row.fields) for row in rows[:ID_TEXTS]]
