"""What an attempt with an encoder has of its own: outputs, renderer, masked rows, class weights, calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hone.data.rows import Row
from hone.data.tokenizer import TextTokenizer
from hone.task.encoding import MASK, EncoderRenderer
from hone.task.entities import tag_names
from hone.task.recipe import Recipe
from hone.task.render import BEGIN, END, PAD, Example, Renderer, labels_of

if TYPE_CHECKING:
    from torch import nn

    from hone.attempts.bench import Bench
    from hone.evaluate.calibration import Calibration, Rating
    from hone.evaluate.encoders import KnownLogits
    from hone.train.objectives import Objective

Say = Callable[[str], None]
OWN_MARKS = {"pad": PAD, "begin": BEGIN, "end": END, "mask": MASK}
"""Roles of the special tokens in a tokenizer that hone trains for an encoder."""
SHOWN = 3


def reads_both_ways(recipe: Recipe) -> bool:
    """Whether a recipe trains an encoder."""
    return recipe.objective != "next-token"


def outputs_of(recipe: Recipe, labels: Sequence[str]) -> tuple[str, ...]:
    """Names of the head's outputs: classes, or tags of the entities' types; none for masked tokens."""
    if recipe.objective == "masked-tokens":
        return ()
    return tag_names(labels) if recipe.objective == "tag-tokens" else tuple(labels)


def build_encoder(recipe: Recipe, tokenizer: TextTokenizer, labels: Sequence[str]) -> nn.Module:
    """The encoder that a recipe starts from, with the head that its objective needs.

    Args:
        recipe: base, objective, pooling, dropout and seed.
        tokenizer: the tokenizer of a model from scratch.
        labels: classes, or types of entities.
    """
    from hone.model.encoders import encoder_from_scratch, encoder_shape_of
    from hone.model.heads import pool_by_mean

    outputs = outputs_of(recipe, labels)
    module: Any
    if recipe.base.startswith("scratch"):
        shape = encoder_shape_of(recipe, tokenizer.vocab_size)
        module = encoder_from_scratch(
            shape,
            recipe.seed,
            recipe.objective,  # type: ignore[arg-type]  # checked: no decoder's
            len(outputs),
            init_std=recipe.init_std,
            dropout=recipe.dropout or 0.0,
        )
        module.config.id2label = dict(enumerate(outputs))
        module.config.label2id = {name: index for index, name in enumerate(outputs)}
    else:
        from hone.attempts.bench import base_of

        module = base_of(recipe, labels).module
    if recipe.objective == "classify-sequence" and recipe.pooling == "mean":
        pool_by_mean(module)
    return module  # type: ignore[no-any-return]


def objective_of(bench: Bench, model: nn.Module) -> Objective:
    """What a recipe minimises, with the weights of its classes."""
    from hone.train.objectives import SeveralLabels, objective_for

    if bench.task.kind == "multi-label":
        return SeveralLabels(class_weights(bench))
    return objective_for(model, bench.recipe.label_smoothing, class_weights(bench))


def class_weights(bench: Bench) -> list[float] | None:
    """What each class counts, or None: inversely to its number of training rows (or tagged tokens), 1 on average.

    Of several labels a row's: the rows without the label over those with it, which balances each label by itself.
    """
    if bench.recipe.class_weights == "none" or not isinstance(bench.renderer, EncoderRenderer):
        return None
    outputs = len(bench.renderer.outputs)
    if bench.task.kind == "multi-label":
        table = np.stack([labels_of(example) for example in bench.train])
        having = np.maximum(1.0, table.sum(axis=0))
        return [float(weight) for weight in np.maximum(1.0, len(table) - having) / having]
    targets = np.concatenate([_targets(example) for example in bench.train])
    counts = np.maximum(1, np.bincount(targets, minlength=outputs))
    return [float(weight) for weight in len(targets) / (outputs * counts)]


def _targets(example: Example) -> Any:
    return np.zeros(0, np.int32) if example.targets is None else example.targets[example.supervised]


def masked_each_epoch(
    renderer: Renderer, examples: Sequence[Example], share: float
) -> Callable[[int, int], Sequence[Example]]:
    """Documents with other masks in each epoch: ``(seed, epoch) -> examples``."""
    from hone.evaluate.reading import masking_of

    masking = masking_of(_encoder(renderer), share)
    documents = [example for example in examples if example.supervised.any()]
    return lambda seed, epoch: masking.all(documents, seed, epoch)


def masked_dev(renderer: Renderer, examples: Sequence[Example]) -> list[Example]:
    """Dev documents with the masks that every reading has."""
    from hone.evaluate.reading import masking_of
    from hone.task.masking import DEV_SEED, DEV_SHARE

    documents = [example for example in examples if example.supervised.any()]
    return masking_of(_encoder(renderer), DEV_SHARE).all(documents, DEV_SEED, 0)


def _encoder(renderer: Renderer) -> EncoderRenderer:
    assert isinstance(renderer, EncoderRenderer), "the objective made it one"
    return renderer


def say_unwritable(renderer: EncoderRenderer, rows: Sequence[Row], split: str, say: Say) -> None:
    """Count the entities that no tags of this tokenizer can say: they are misses whatever the model does."""
    lost = [(row.id, what) for row in rows for what in renderer.unwritable(row.fields)]
    if lost:
        total = sum(len(renderer.reference(row.fields)) for row in rows)
        shown = "; ".join(f"{row} {what}" for row, what in lost[:SHOWN])
        say(
            f"{split}: {len(lost):,} of {total:,} entities cannot be said by tags on this tokenizer's "
            f"{'words' if renderer.subtokens == 'first' else 'tokens'} and count as missed (they end inside one, "
            f"overlap another or stand nowhere in the text): {shown}"
        )


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A classifier's calibration, and what is known of dev behind it."""

    calibration: Calibration
    thresholds: Mapping[str, float]
    """By a dev row's id, the threshold of the half that it is not in; empty where none was chosen."""
    logits: KnownLogits
    """Of the dev rows, by their ids."""


def calibrate_on_dev(bench: Bench, model: nn.Module, say: Say) -> Calibrated | None:
    """Fit the temperature of a classifier on dev (and choose the threshold), into its renderer; None for others."""
    renderer = bench.renderer
    known = [example for example in bench.dev if example.label is not None or example.labels is not None]
    if not isinstance(renderer, EncoderRenderer) or bench.recipe.objective != "classify-sequence" or not known:
        return None
    from hone.evaluate.calibration import calibrate_classes, calibrate_labels
    from hone.evaluate.encoders import EncoderLabels

    several = bench.task.kind == "multi-label"
    ids = [example.ids.tolist() for example in known]
    logits = EncoderLabels(model).logits(ids)
    if several:
        labels = np.stack([labels_of(example) for example in known]).astype(np.float64)
        found = calibrate_labels(logits, labels, _scored(bench))
    else:
        found = calibrate_classes(logits, np.array([example.label for example in known]))
    renderer.temperature, renderer.threshold = found.temperature, found.threshold
    say(found.line(several=several))
    chosen = zip(known, found.thresholds_of(len(known)), strict=True) if several and not found.threshold_why_not else ()
    return Calibrated(
        calibration=found,
        thresholds={example.row: threshold for example, threshold in chosen},
        logits={tuple(row): line for row, line in zip(ids, logits, strict=True)},
    )


def _scored(bench: Bench) -> Rating:
    """The task's metric over decisions and labels (rows, labels), higher is better."""
    from hone.task.own_metric import load_metric
    from hone.task.scores import point

    metric, names = load_metric(bench.task.metric), bench.renderer.labels

    def as_lists(table: Any) -> list[list[str]]:
        return [sorted(names[int(index)] for index in np.flatnonzero(line)) for line in table]

    def score(decisions: Any, labels: Any) -> float:
        value = point(metric.prepare(as_lists(decisions), as_lists(labels)), len(labels))
        return value if metric.higher_is_better else -value

    return score
