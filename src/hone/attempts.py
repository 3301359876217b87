"""Carrying out one recipe: data, tokenizer, model, training, scoring. The only place that wires training.

Everything here runs in one process that may import torch; :mod:`hone.solving` and the command line call
:func:`work` in a worker, the Python face calls :func:`carry_out` directly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.data.augment import SwapValues
from hone.data.prepare import DataVersion
from hone.data.rows import Row
from hone.data.tokenizer import TextTokenizer, train_tokenizer
from hone.data.tokens import examples as examples_of
from hone.files import content_hash
from hone.lab.run import Run
from hone.processes import Channel
from hone.task.layouts import answer_text, frames_of
from hone.task.own_metric import load_metric
from hone.task.recipe import Recipe
from hone.task.render import Example, Renderer, task_prompt, task_reference
from hone.task.scores import Score
from hone.task.spec import Task

if TYPE_CHECKING:
    from torch import nn

    from hone.evaluate.scoring import Evaluation
    from hone.model.base import Base
    from hone.train.records import StepRecord

Say = Callable[[str], None]
TOKENIZER_VERSION = "2"
EVAL_ROWS = 256
"""Dev rows of the evaluations on the way; the final one takes all."""
STORED_EXAMPLES = 8
SAMPLES_KEPT = 4


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A task with its data and tokenizer, as every recipe on them needs it."""

    task: Task
    data: DataVersion
    recipe: Recipe
    renderer: Renderer
    tokenizer: TextTokenizer
    train: Sequence[Example]
    dev: Sequence[Example]
    train_rows: Sequence[Row]
    longest_answer: int
    """Ids of the longest training answer: what a generation may take, with a quarter more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptReport:
    """What came out of a recipe so far."""

    run: int
    status: str
    """finished, paused or stopped."""
    step: int
    score: Score | None
    """The task's metric on dev: all dev rows when finished, the first 256 when paused."""
    dev_loss: float | None
    scores: dict[str, Score] = field(default_factory=dict)
    train_loss: float | None = None
    seconds: float = 0.0
    tokens_per_second: float = 0.0
    peak_rss_bytes: int = 0
    model: str | None = None
    longest_answer: int = 0
    """New tokens that an answer may take."""
    slices: list[dict[str, Any]] = field(default_factory=list)
    worst: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values; :meth:`from_json` is the inverse."""
        plain = asdict(self)
        plain["score"] = None if self.score is None else self.score.to_json()
        plain["scores"] = {name: score.to_json() for name, score in self.scores.items()}
        return plain

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> AttemptReport:
        """The report that :meth:`to_json` wrote."""
        score = None if data["score"] is None else Score.from_json(data["score"])
        scores = {name: Score.from_json(value) for name, value in data["scores"].items()}
        return cls(**{**data, "score": score, "scores": scores})


def prepare_bench(task: Task, data: DataVersion, recipe: Recipe, cache: Path, say: Say) -> Bench:
    """Tokenizer, renderer and token cache of a recipe; made once per content and found again by key.

    With a base, its own tokenizer is used; from scratch one is trained on the training rows.
    """
    rows = _share(data.train, recipe)
    tokenizer = _tokenizer(task, data, recipe, cache, say)
    renderer = Renderer.of_task(
        task, tokenizer, layout=recipe.layout, labels=data.labels, frames=_frames(task, data, recipe, tokenizer)
    )
    train = examples_of(rows, renderer, cache, context=recipe.context, overlong=task.overlong_rule, say=say)
    dev = examples_of(
        data.dev, renderer, cache, context=recipe.context, overlong=task.overlong_rule, say=say, split="dev"
    )
    longest = max(len(example.ids) - example.prompt_len for example in train)
    return Bench(
        task=task,
        data=data,
        recipe=recipe,
        renderer=renderer,
        tokenizer=tokenizer,
        train=train,
        dev=dev,
        train_rows=rows,
        longest_answer=longest + longest // 4,
    )


def carry_out(
    run: Run,
    task: Task,
    data: DataVersion,
    recipe: Recipe,
    cache: Path,
    *,
    until_step: int | None = None,
    say: Say = lambda line: None,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> AttemptReport:
    """Train one recipe in its run folder, resuming what is there, up to its end or ``until_step``.

    The best model by the task's metric is kept in ``run.model``, saved before it is scored on all dev rows.

    Raises:
        InputError: wrong data or recipe. FailedError: non-finite values, a full disk.
    """
    import torch

    from hone.train.engine import fit

    torch.set_num_threads(recipe.threads)
    bench = prepare_bench(task, data, recipe, cache, say)
    model = build_model(recipe, bench.tokenizer, data.labels)
    judge = _Judge(bench, run, on_event)
    with run.working():
        result = fit(
            model,
            _source(bench),
            recipe,
            run.folder,
            evaluate=judge,
            until_step=until_step,
            on_step=_Reporter(run, recipe, on_event),
            should_stop=should_stop,
            say=say,
        )
        report = _report(run, bench, model, result, judge)
        if result.status == "finished":
            run.finish({**report.to_json(), "recipe_id": recipe.id})
    return report


def build_model(recipe: Recipe, tokenizer: TextTokenizer, labels: Sequence[str] = ()) -> nn.Module:
    """The module that a recipe starts from: a preset from scratch, or an opened base."""
    if recipe.base.startswith("scratch"):
        from hone.model.induction import place_induction_heads
        from hone.model.presets import from_scratch, shape_of

        model = from_scratch(shape_of(recipe, tokenizer.vocab_size), recipe.seed, init_std=recipe.init_std)
        if recipe.initial == "induction":
            place_induction_heads(model, seed=recipe.seed, std=recipe.init_std)
        return model
    return _base(recipe, labels).module


def score_model(bench: Bench, model: nn.Module, rows: Sequence[Row]) -> Evaluation:
    """Score a torch module on rows with the task's own metric, the way its kind asks."""
    from hone.evaluate.scoring import evaluate
    from hone.evaluate.torch_generate import TorchGenerate, TorchLabels, TorchLogprobs

    kind = bench.task.kind
    return evaluate(
        bench.task,
        bench.renderer,
        rows,
        generate=TorchGenerate(model, bench.renderer.pad_id) if kind in ("extract", "generate") else None,
        labels=TorchLabels(model) if kind == "classify" else None,
        logprobs=TorchLogprobs(model) if kind == "language-model" else None,
        max_new_tokens=bench.longest_answer,
    )


def work(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """:func:`carry_out` in a worker: events go up the channel, the report comes back as plain values."""
    from hone.lab.lab import Lab

    folder = Path(order["folder"])
    # A metric of the user's own is a file of the task folder: imported here it is found by its name alone.
    load_metric(order["task"].metric, folder)
    lab = Lab(folder, say=lambda line: channel.send({"kind": "line", "line": line}))
    report = carry_out(
        lab.run(order["run"]),
        order["task"],
        order["data"],
        order["recipe"],
        folder / ".hone" / "cache",
        until_step=order.get("until_step"),
        say=lambda line: channel.send({"kind": "line", "line": line}),
        on_event=channel.send,
        should_stop=channel.should_stop,
    )
    return report.to_json()


def calibrate(channel: Channel, order: dict[str, Any]) -> dict[str, float]:
    """Measure a recipe's speed here: seconds per step, per evaluation, and of the final scoring.

    Trains a throw-away copy for ``order["seconds"]``; the tokenizer and token cache it makes are the real ones.
    """
    import tempfile

    import torch

    from hone.train.engine import fit

    folder, recipe = Path(order["folder"]), order["recipe"]
    task, data = order["task"], order["data"]
    torch.set_num_threads(recipe.threads)
    load_metric(task.metric, folder)

    def say(line: str) -> None:
        channel.send({"kind": "line", "line": line})

    bench = prepare_bench(task, data, recipe, folder / ".hone" / "cache", say)
    model = build_model(recipe, bench.tokenizer, data.labels)
    source = _source(bench)
    steps: list[StepRecord] = []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        fit(
            model,
            source,
            recipe.child(steps=100_000, eval_every=100_000),
            Path(scratch),
            on_step=steps.append,
            should_stop=lambda: time.monotonic() - begin > order["seconds"] and len(steps) >= 8,
        )
    # The first steps pay for memory that the later ones find ready.
    kept = steps[len(steps) // 4 :]
    step_s = sum(record.seconds for record in kept) / len(kept)
    begin = time.monotonic()
    sample = list(data.dev[:64])
    dev_loss(model, bench.dev, recipe)
    loss_s = time.monotonic() - begin
    score_model(bench, model, sample)
    per_row = (time.monotonic() - begin - loss_s) / len(sample)
    return {
        "step_s": step_s,
        "tokens_per_second": sum(record.tokens for record in kept) / sum(record.seconds for record in kept),
        "steps_per_epoch": len(source.steps(0)),
        "evaluation_s": loss_s + per_row * min(EVAL_ROWS, len(data.dev)),
        "final_s": loss_s + per_row * len(data.dev),
    }


class _Reporter:
    """Writes every tenth step down and sends two a second up."""

    def __init__(self, run: Run, recipe: Recipe, on_event: Callable[[dict[str, Any]], None]) -> None:
        self.run, self.recipe, self.on_event = run, recipe, on_event
        self._sent = 0.0

    def __call__(self, record: StepRecord) -> None:
        if record.step % 10 == 0 or record.step == self.recipe.steps:
            values = record.to_json()
            self.run.log(values.pop("step"), **values)
        now = time.monotonic()
        if now - self._sent >= 0.5 or record.step == self.recipe.steps:
            self._sent = now
            self.on_event({"kind": "step", "steps": self.recipe.steps, **record.to_json()})


class _Judge:
    """The evaluation callback: task metric on a fixed part of dev, loss on all of dev, a few samples kept."""

    def __init__(self, bench: Bench, run: Run, on_event: Callable[[dict[str, Any]], None]) -> None:
        self.bench, self.run, self.on_event = bench, run, on_event
        self.rows = list(bench.data.dev[:EVAL_ROWS])
        self.dev_loss: float | None = None

    def __call__(self, model: nn.Module, step: int) -> Any:
        from hone.train.records import Judgement

        loss = dev_loss(model, self.bench.dev, self.bench.recipe)
        evaluation = score_model(self.bench, model, self.rows)
        score = evaluation.scores[evaluation.metric]
        self.dev_loss = loss
        self.run.score(step, evaluation.scores)
        self.run.log(step, dev_loss=loss, **{f"dev_{name}": value.mean for name, value in evaluation.scores.items()})
        for sample in evaluation.samples[:SAMPLES_KEPT]:
            self.run.sample(step, **sample)
        self.on_event({"kind": "evaluated", "step": step, "dev_loss": loss, "score": score.to_json()})
        return Judgement(score=score, numbers={"dev_loss": loss})


def dev_loss(model: nn.Module, examples: Sequence[Example], recipe: Recipe) -> float:
    """Mean loss per supervised token over all given examples, in nats, without label smoothing."""
    import torch

    from hone.train.batches import collate
    from hone.train.objectives import NextToken

    objective = NextToken()
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


def _report(run: Run, bench: Bench, model: nn.Module, result: Any, judge: _Judge) -> AttemptReport:
    from hone.hardware import peak_rss_bytes

    rate = result.tokens / result.seconds if result.seconds else 0.0
    last = result.evaluations[-1] if result.evaluations else None
    common: dict[str, Any] = {
        "run": run.number,
        "status": result.status,
        "step": result.step,
        "train_loss": _recent_loss(run, result.loss),
        "longest_answer": bench.longest_answer,
        "seconds": round(result.seconds, 2),
        "tokens_per_second": round(rate, 1),
    }
    if result.status != "finished":
        loss = last.numbers.get("dev_loss") if last else None
        return AttemptReport(
            **common, score=last.score if last else None, dev_loss=loss, peak_rss_bytes=peak_rss_bytes()
        )
    best = result.best
    _load_best(model, result)
    _save_model(run, bench, model)
    evaluation = score_model(bench, model, bench.data.dev)
    return AttemptReport(
        **common,
        score=evaluation.scores[evaluation.metric],
        dev_loss=best.numbers.get("dev_loss") if best else judge.dev_loss,
        scores=dict(evaluation.scores),
        peak_rss_bytes=peak_rss_bytes(),
        model=str(run.model),
        slices=[asdict(item) for item in evaluation.slices[:8]],
        worst=[asdict(item) for item in evaluation.worst[:8]],
    )


def _recent_loss(run: Run, last: float | None, steps: int = 10) -> float | None:
    """Mean training loss over the last ten logged steps: one batch alone says little."""
    losses = [row["loss"] for row in run.metrics() if "loss" in row][-steps:]
    return sum(losses) / len(losses) if losses else last


def _load_best(model: nn.Module, result: Any) -> None:
    if result.best_weights is None:
        return
    from hone.train.checkpoints import load_weights

    load_weights(model, result.best_weights)


def _save_model(run: Run, bench: Bench, model: nn.Module) -> None:
    from hone.model.folder import save_model_folder

    stored = [bench.renderer.stored_example(row.id, row.fields) for row in bench.data.dev[:STORED_EXAMPLES]]
    save_model_folder(
        run.model,
        model,
        bench.tokenizer,
        bench.renderer,
        stored,
        {"task": bench.task.name, "recipe": bench.recipe.id, "data": bench.data.id, "base": bench.recipe.base},
    )


def _source(bench: Bench) -> Any:
    from hone.train.source import BatchSource

    recipe = bench.recipe
    if not recipe.swap_values:
        return BatchSource.of_recipe(bench.train, recipe, data_id=bench.data.id)
    swap = SwapValues(bench.task, bench.train_rows, recipe.swap_values, recipe.random_words)
    rows = {row.id: row for row in bench.train_rows}

    def examples(seed: int, epoch: int) -> list[Example]:
        # A swapped row may be longer than the context; then the row itself is used, as it was checked.
        made = []
        for plain in bench.train:
            row = rows[plain.row]
            changed = swap.apply(row, seed, epoch)
            example = plain if changed is row else bench.renderer.example(row.id, changed.fields)
            made.append(example if len(example.ids) <= recipe.context else plain)
        return made

    return BatchSource.of_recipe(examples, recipe, data_id=bench.data.id)


def _share(rows: Sequence[Row], recipe: Recipe) -> Sequence[Row]:
    if recipe.train_share >= 1:
        return rows
    # Chosen by the hash of the row's id: a smaller share is a part of every larger one.
    ranked = sorted(rows, key=lambda row: content_hash([recipe.seed, row.id]))
    return ranked[: max(1, round(len(rows) * recipe.train_share))]


def _tokenizer(task: Task, data: DataVersion, recipe: Recipe, cache: Path, say: Say) -> TextTokenizer:
    if not recipe.base.startswith("scratch"):
        tokenizer = _base(recipe, data.labels).tokenizer
        assert isinstance(tokenizer, TextTokenizer)  # open_base wraps with it
        return tokenizer
    key = content_hash([TOKENIZER_VERSION, data.id, task.to_json(), recipe.vocab_size, recipe.layout])
    folder = cache / f"tokenizer-{key}"
    if folder.exists():
        return TextTokenizer.open(folder)
    wanted = _wanted_frames(task, data, recipe)
    tokenizer = train_tokenizer(_texts(task, data.train, recipe), recipe.vocab_size, data.labels, wanted)
    tokenizer.save(folder)
    say(f"tokenizer: {tokenizer.vocab_size:,} tokens trained on {len(data.train):,} rows (key {key})")
    return tokenizer


def _wanted_frames(task: Task, data: DataVersion, recipe: Recipe) -> list[str]:
    if task.kind != "extract" or recipe.layout != "framed-json":
        return []
    return frames_of(task_reference(task, row.fields) for row in data.train)


def _frames(task: Task, data: DataVersion, recipe: Recipe, tokenizer: TextTokenizer) -> dict[str, int]:
    """Frames that the tokenizer has a token for; a base's tokenizer has none."""
    found = {text: tokenizer.entry_id(text) for text in _wanted_frames(task, data, recipe)}
    return {text: one for text, one in found.items() if one is not None}


def _base(recipe: Recipe, labels: Sequence[str]) -> Base:
    from hone.model.base import open_base

    return open_base(recipe.base, TextTokenizer, labels)


def _texts(task: Task, rows: Sequence[Row], recipe: Recipe) -> list[str]:
    texts = []
    for row in rows:
        if task.kind != "language-model":
            texts.append(" " + task_prompt(task, row.fields))
        if task.kind != "classify":
            texts.append(answer_text(task.kind, recipe.layout, task_reference(task, row.fields)))
    return texts
