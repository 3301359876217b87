"""Scoring a model on dev, on the way and at the end."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from hone.attempts.bench import Bench
from hone.attempts.rationing import Ration
from hone.data.rows import Row
from hone.lab.run import Run
from hone.task.encoding import EncoderRenderer
from hone.task.render import Example

if TYPE_CHECKING:
    from torch import nn

    from hone.attempts.encoding import Calibrated
    from hone.evaluate.generate import Generate, Generation
    from hone.evaluate.scoring import Evaluation
    from hone.task.scores import Score
    from hone.train.records import Judgement

SAMPLES_KEPT = 4
UNTRAINED_ROWS = 8
"""Dev rows of the evaluation at step 0 from scratch: a model that has learned nothing writes each answer to the end of
what is allowed, and all of them would take as long as several later evaluations. So few rows decide nothing: these
weights are no candidate to best."""
CONTINUED_IDS = 48
"""Ids of a document that a language model is given, and as many that it writes."""


class Written:
    """What one model's weights have written: each prompt is asked once, also when rows are added to those scored."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], Generation] = {}

    def by(self, generate: Generate) -> Generate:
        """The same callable, asked only for what is not known."""

        def written(prompts: Sequence[Sequence[int]], **how: Any) -> list[Generation]:
            missing = [key for key in dict.fromkeys(map(tuple, prompts)) if key not in self._known]
            if missing:
                self._known |= zip(missing, generate(missing, **how), strict=True)
            return [self._known[tuple(prompt)] for prompt in prompts]

        return cast("Generate", written)


def score_model(
    bench: Bench,
    model: nn.Module,
    rows: Sequence[Row],
    written: Written | None = None,
    calibrated: Calibrated | None = None,
) -> Evaluation:
    """Score a torch module on rows with the task's own metric, the way its kind asks.

    ``written`` holds what the same weights have written already, ``calibrated`` what their calibration has read of
    dev: a row on which a threshold was chosen is decided by that of the other half.
    """
    from hone.evaluate.scoring import evaluate
    from hone.evaluate.torch_generate import TorchGenerate, TorchLabels, TorchLogprobs

    kind = bench.task.kind
    if isinstance(bench.renderer, EncoderRenderer):
        return evaluate(bench.task, bench.renderer, rows, **_of_encoder(bench.renderer, model, calibrated))
    generate: Generate | None = None
    if kind in ("extract", "generate"):
        generate = (written or Written()).by(TorchGenerate(model, bench.renderer.pad_id))
    return evaluate(
        bench.task,
        bench.renderer,
        rows,
        generate=generate,
        labels=TorchLabels(model) if kind == "classify" else None,
        logprobs=TorchLogprobs(model) if kind == "language-model" else None,
        max_new_tokens=bench.longest_answer,
    )


def _of_encoder(renderer: EncoderRenderer, model: nn.Module, calibrated: Calibrated | None) -> dict[str, Any]:
    """What scoring takes of an encoder."""
    from hone.evaluate.encoders import EncoderLabels, EncoderMasked, EncoderTags

    if renderer.kind == "tag":
        return {"tags": EncoderTags(model)}
    if renderer.kind == "language-model":
        return {"masked": EncoderMasked(model)}
    several, known = renderer.kind == "multi-label", None if calibrated is None else calibrated.logits
    return {
        "labels": EncoderLabels(model, renderer.temperature, several=several, known=known),
        "thresholds": None if calibrated is None else calibrated.thresholds,
    }


def dev_loss(model: nn.Module, examples: Sequence[Example]) -> float:
    """Mean loss per supervised token over all given examples, in nats, without label smoothing or class weights."""
    import torch

    from hone.train.batches import collate
    from hone.train.objectives import objective_for

    objective = objective_for(model)
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].ids))
    total, tokens = 0.0, 0
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for start in range(0, len(order), 64):
            batch = collate([(examples[index],) for index in order[start : start + 64]])
            loss = objective.loss(model, batch)
            total += float(loss.total)
            tokens += int(loss.num_tokens)
    model.train(was_training)
    return total / max(1, tokens)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """An evaluation as it was made, with what it took."""

    step: int
    evaluation: Evaluation
    loss: float
    loss_rows: int
    """Dev examples (windows of them for language-model) that the loss is of."""
    loss_s: float
    metric_s: float
    written: Written
    on_all: Evaluation | None = None
    """On all of dev, where it led and was confirmed there."""


class Judge:
    """The evaluation callback: task metric and loss on fixed parts of dev, a few samples kept.

    Where the ration allows, what leads is scored on all of dev before it is kept as the best.
    """

    def __init__(self, bench: Bench, run: Run, on_event: Callable[[dict[str, Any]], None], ration: Ration) -> None:
        self.bench, self.run, self.on_event, self.ration = bench, run, on_event, ration
        self.rows = list(bench.data.dev[: bench.recipe.eval_rows])
        self.last: Judged | None = None
        """The last evaluation of this call."""
        self.best: Judged | None = None
        """That of the weights which are kept as the best; None where no evaluation of this call is."""

    def rows_at(self, step: int) -> list[Row]:
        """The dev rows that are scored after so many steps."""
        return self.rows[:UNTRAINED_ROWS] if self._untrained(step) else self.rows

    def _untrained(self, step: int) -> bool:
        return step == 0 and self.bench.recipe.base.startswith("scratch")

    def __call__(self, model: nn.Module, step: int) -> Judgement:
        """Judge the model after so many steps."""
        from hone.train.records import Judgement

        began, rows = time.monotonic(), self.rows_at(step)
        loss = dev_loss(model, self.bench.dev[: self.ration.loss_rows])
        read = time.monotonic()
        written = Written()
        evaluation = score_model(self.bench, model, rows, written)
        self.last = judged = Judged(
            step=step,
            evaluation=evaluation,
            loss=loss,
            loss_rows=min(len(self.bench.dev), self.ration.loss_rows),
            loss_s=read - began,
            metric_s=time.monotonic() - read,
            written=written,
        )
        score = evaluation.scores[evaluation.metric]
        self.run.score(step, evaluation.scores)
        self.run.log(step, dev_loss=loss, **{f"dev_{name}": value.mean for name, value in evaluation.scores.items()})
        for sample in self._samples(model, evaluation):
            self.run.sample(step, **sample)
        self.on_event({"kind": "evaluated", "step": step, "dev_loss": loss, "score": score.to_json()})
        return Judgement(
            score=score,
            numbers={"dev_loss": loss},
            # Rounded weights that nothing was trained for are what an export of the base gives anyway.
            candidate=step > 0 or not (self._untrained(step) or self.bench.recipe.aware != "none"),
            confirm=functools.partial(self._on_all, model, judged) if self.ration.confirms else None,
            on_kept=self._keep,
        )

    def _on_all(self, model: nn.Module, judged: Judged) -> Score:
        """The task's metric on all of dev, for a candidate to best."""
        evaluation = score_model(self.bench, model, self.bench.data.dev, judged.written)
        self.last, found = replace(judged, on_all=evaluation), evaluation.score
        self.run.log(judged.step, **{f"dev_all_{found.name}": found.mean})
        return found

    def _keep(self) -> None:
        self.best = self.last

    def _samples(self, model: nn.Module, evaluation: Evaluation) -> list[dict[str, Any]]:
        """A few dev prompts with what the model answers; a language model continues the beginnings of documents."""
        if self.bench.task.kind != "language-model" or isinstance(self.bench.renderer, EncoderRenderer):
            return list(evaluation.samples[:SAMPLES_KEPT])
        from hone.evaluate.torch_generate import TorchGenerate

        renderer = self.bench.renderer
        prompts = [example.ids[:CONTINUED_IDS].tolist() for example in self.bench.dev[:SAMPLES_KEPT]]
        generate = TorchGenerate(model, renderer.pad_id)
        found = generate(prompts, max_new_tokens=CONTINUED_IDS, end_id=renderer.end_id)
        decode = renderer.tokenizer.decode
        return [
            {"row": example.row, "input": decode(ids), "got": decode(one.ids), "finished": one.finished}
            for example, ids, one in zip(self.bench.dev, prompts, found, strict=False)
        ]
