"""The parts of a training run, for a loop of one's own: Lightning's or Transformers' Trainer, Accelerate, a plain one.

A loop that is given these parts minimises what :func:`hone.attempt` minimises: a step's gradient is that of its summed
loss divided by *all* its supervised tokens, however the rows are dealt to micro-batches and processes (law 2). What the
engine does beside that (exact resume, guards, judging, the lab) a loop of one's own does itself, or does without.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hone.attempts.bench import Bench, build_model, prepare_bench, source_of
from hone.attempts.checking import changed, check_recipe, is_set
from hone.attempts.encoding import objective_of
from hone.attempts.judging import dev_loss, score_model
from hone.attempts.saving import save_model
from hone.data.prepare import prepare
from hone.data.rows import Row
from hone.data.task_file import load_task
from hone.errors import InputError
from hone.evaluate.scoring import Evaluation
from hone.solving.defaults import default_recipe
from hone.task.encoding import EncoderRenderer
from hone.task.own_metric import load_metric
from hone.task.recipe import Recipe, of_length
from hone.task.render import Example
from hone.task.spec import Task
from hone.train.batches import Batch, PackedRow, collate
from hone.train.layers import freeze
from hone.train.objectives import Objective, objective_for
from hone.train.optimizers import Part, build_optimizers
from hone.train.schedules import rate_factor
from hone.train.source import BatchSource, Cursor, share_of
from hone.train.trainable import save_activations_again

IGNORED = -100
"""The label of a position that carries no loss, as PyTorch's cross entropy and Transformers have it."""
LEFT_TO_THE_LOOP = {
    "clip_norm": "clip by parts.recipe.clip_norm before the optimizer's step",
    "aware": "round the matrices around each update (hone.deploy.quantization.aware.OnGrid, hone.train.transforms)",
    "average": "average the weights behind each step (hone.train.averaging.Average)",
    "precision": "set it in the Trainer, or with torch.autocast around the loss",
    "compile": "compile parts.step_loss with torch.compile, or in the Trainer",
    "processes": "name their number to torchrun, to the launcher or to the Trainer",
    "strategy": "name it to the launcher or to the Trainer",
    "threads": "call torch.set_num_threads",
    "eval_every": "ask for parts.score when it is due, or tell the Trainer",
    "early_stop": "a callback of the Trainer, or the loop, decides when it ends",
    "keep_states": "a callback of the Trainer, or the loop, keeps its checkpoints",
    "on_spike": "spikes are watched by the engine of hone train",
}
"""Keys of a recipe that these parts do not carry out, and how a loop of one's own does."""
Say = Callable[[str], None]


class StepBatch(NamedTuple):
    """A micro-batch of one process, with what its loss has to be divided by. A named tuple: wrappers pass it on."""

    batch: Batch
    step_tokens: int
    """Supervised tokens of the whole optimizer step: of all its micro-batches, on all processes."""
    processes: int
    """Processes over which a data-parallel wrapper averages gradients."""
    is_last: bool
    """Whether the optimizer's step is due behind this micro-batch."""

    def to(self, device: torch.device) -> StepBatch:
        """The same on a device."""
        return self._replace(batch=self.batch.to(device))


class StepLoss(nn.Module):
    """``StepBatch -> loss ()``: losses of a step's micro-batches add up to its mean loss per supervised token.

    On several processes each one's loss is scaled by their number, because data-parallel wrappers take the *mean* of
    gradients over processes; the sum over processes divided by their number is the mean loss.
    """

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, step: StepBatch) -> Tensor:
        """The scaled loss, for ``backward``."""
        return self.objective.loss(self.model, step.batch).total * (step.processes / max(1, step.step_tokens))


class Together(torch.optim.Optimizer):
    """Several optimizers over different parameters as one, for loops that know only one.

    Groups and states are those of the parts, so that schedulers, checkpoints and gradient scalers see all of them.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self._parts = tuple(parts)
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        start = 0
        for part in self._parts:
            end = start + len(part.param_groups)
            part.param_groups = self.param_groups[start:end]
            part.state = self.state
            start = end

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update by every part; the closure's value."""
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        for part in self._parts:
            part.step()
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""
        super().load_state_dict(state_dict)
        self._share()


@dataclass(frozen=True, kw_only=True)
class TrainingParts:
    """Everything a loop needs to train one recipe on one task; made by :func:`training_parts`.

    Attributes:
        folder: the task folder.
        bench: the task with its data and tokenizer: ``bench.train`` and ``bench.dev`` are lists of rendered examples,
            ``bench.renderer`` makes ids of rows and answers of ids.
        recipe: what is carried out, but for :data:`LEFT_TO_THE_LOOP`: those a loop of one's own decides by itself, and
            each that was set is said.
        model: the module, in float32 on the CPU: trained in place.
        objective: what is minimised.
        source: the steps of rows, the same ones that the engine would see.
    """

    folder: Path
    bench: Bench
    recipe: Recipe
    model: nn.Module
    objective: Objective
    source: BatchSource

    @property
    def task(self) -> Task:
        """What "solved" means."""
        return self.bench.task

    @cached_property
    def step_loss(self) -> StepLoss:
        """Model and objective as one module: what a data-parallel wrapper should wrap."""
        return StepLoss(self.model, self.objective)

    @property
    def dev_objective(self) -> Objective:
        """What the loss on dev is measured with: without label smoothing and class weights."""
        return objective_for(self.model)

    @cached_property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of the first epoch (with augmentation another epoch may have a few more or less)."""
        return self.source.num_steps(0)

    def step_batches(
        self, *, steps: int | None = None, start: Cursor | None = None, rank: int = 0, processes: int = 1
    ) -> Iterator[StepBatch]:
        """The micro-batches of one process, ``recipe.accumulate`` of them for each of ``steps`` optimizer steps.

        Args:
            steps: how many; the recipe's without it. Epochs follow each other.
            start: where in the data to begin; at its beginning without it.
            rank: this process, counted from 0.
            processes: how many there are; each must ask with its own rank.
        """
        cursor = start or Cursor()
        for _ in range(self.recipe.steps if steps is None else steps):
            rows, cursor = self.source.read(cursor)
            yield from self.share_of_step(rows, rank=rank, processes=processes)

    def share_of_step(self, rows: Sequence[PackedRow], *, rank: int = 0, processes: int = 1) -> list[StepBatch]:
        """The micro-batches that one process has of a step's rows."""
        terms = sum(map(loss_terms, rows))
        shares = share_of(rows, rank=rank, processes=processes, accumulate=self.recipe.accumulate)
        last = len(shares)
        return [StepBatch(collate(share), terms, processes, at == last) for at, share in enumerate(shares, 1)]

    def optimizer(self) -> Together:
        """The recipe's optimizers over the model's parameters as one, at their peak rates."""
        parts: list[Part] = build_optimizers(self.model, self.recipe)
        for part in parts:
            part.set_rate(1.0)
        return Together([part.optimizer for part in parts])

    def schedule(self, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LambdaLR:
        """The recipe's learning-rate schedule; call its ``step`` behind each optimizer step."""
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(self.recipe, step))

    def dev_loss(self, model: nn.Module | None = None) -> float:
        """Mean loss per supervised token over all dev rows, in nats."""
        return dev_loss(model or self.model, self.bench.dev)

    def score(self, model: nn.Module | None = None, rows: Sequence[Row] | None = None) -> Evaluation:
        """The task's metric with its interval: on the ``recipe.eval_rows`` first dev rows, or on ``rows``."""
        judged = self.bench.data.dev[: self.recipe.eval_rows] if rows is None else rows
        return score_model(self.bench, model or self.model, judged)

    def answers(self, rows: Sequence[Mapping[str, Any]], model: nn.Module | None = None) -> list[Any]:
        """Answers to rows (their input columns) in the task's terms, by the likeliest tokens; None where it is none.

        Raises:
            InputError: for a language-model task, which has no questions.
        """
        from hone.evaluate.torch_generate import TorchGenerate, TorchLabels

        renderer, module = self.bench.renderer, model or self.model
        if renderer.kind == "language-model":
            raise InputError("a language-model task has no questions to answer; its score is bits per byte")
        if not rows:
            return []
        if isinstance(renderer, EncoderRenderer):
            return _read_answers(renderer, module, rows)
        prompts = [renderer.prompt_ids(fields) for fields in rows]
        if renderer.kind == "classify":
            best = TorchLabels(module)(prompts, renderer.label_ids).argmax(-1)
            return [renderer.labels[int(index)] for index in best]
        generate = TorchGenerate(module, renderer.pad_id)
        done = generate(prompts, max_new_tokens=self.bench.longest_answer, end_id=renderer.end_id)
        return [renderer.parse(one.ids) for one in done]

    def save(self, path: str | Path, model: nn.Module | None = None) -> Path:
        """Write a model folder that :func:`hone.load`, ``hone prompt`` and the exporters open."""
        return save_model(self.bench, model or self.model, Path(path))


def _read_answers(renderer: EncoderRenderer, module: nn.Module, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What an encoder says of rows: a label, labels, or entities."""
    from hone.evaluate.encoders import EncoderLabels, EncoderTags

    prompts = [renderer.prompt_ids(fields) for fields in rows]
    if renderer.kind == "tag":
        tables = EncoderTags(module)(prompts, [renderer.supervised_at(fields) for fields in rows])
        tags = [table.argmax(-1).tolist() if len(table) else [] for table in tables]
        return [renderer.entities(fields, found) for fields, found in zip(rows, tags, strict=True)]
    several = renderer.kind == "multi-label"
    shares = np.exp(EncoderLabels(module, renderer.temperature, several=several)(prompts, renderer.label_ids))
    if several:
        return [renderer.labels_from(row) for row in shares]
    return [renderer.labels[int(index)] for index in shares.argmax(-1)]


def training_parts(
    folder: str | Path,
    recipe: Recipe | Mapping[str, Any] | None = None,
    *,
    say: Say | None = None,
    carried_out: Collection[str] = (),
) -> TrainingParts:
    """Prepare a task's data and open the model, for a loop of one's own.

    Args:
        folder: the task folder.
        recipe: what to carry out, or the changes to the recipe that ``hone solve`` would try first; that one without
            it. Its ``data`` is filled in.
        say: takes each line that a person should read. Without it, keys of the recipe that were set and that only
            your loop can carry out are a warning, and the other lines go nowhere.
        carried_out: those of :data:`LEFT_TO_THE_LOOP` that your loop looks at; nothing is said of them.

    Raises:
        InputError: a wrong task, data or recipe, all problems at once; when ``gradient_checkpointing`` is on and the
            model does not offer it.
    """
    folder, tell = Path(folder), say or _unsaid
    wished = set(LEFT_TO_THE_LOOP if isinstance(recipe, Recipe) else recipe or ()) - set(carried_out)
    task = load_task(folder)
    load_metric(task.metric, folder)
    cache = folder / ".hone" / "cache"
    data = prepare(task, folder, cache, tell)
    if not isinstance(recipe, Recipe):
        changes = dict(recipe or {})
        start = default_recipe(task, data, seed=0, threads=1, base=changes.get("base"))
        recipe, follows, _ = changed(start, changes, task)
        if follows:
            told = ", ".join(f"{key} {value}" for key, value in follows.items())
            tell(f"recipe: {told} (follows from steps {recipe.steps:,})")
    recipe = recipe.child(data=data.id)
    check_recipe(recipe, task)
    for line in _left_to_the_loop(recipe, wished):
        warnings.warn(line, stacklevel=2) if say is None else say(line)
    bench = prepare_bench(task, data, recipe, cache, tell)
    model = build_model(recipe, bench.tokenizer, data.labels)
    freeze(model, recipe.freeze)  # before anybody wraps it: wrappers remember what is trained
    if recipe.gradient_checkpointing:
        save_activations_again(model)
    return TrainingParts(
        folder=folder,
        bench=bench,
        recipe=recipe,
        model=model,
        objective=objective_of(bench, model),
        source=source_of(bench),
    )


def _left_to_the_loop(recipe: Recipe, wished: Collection[str]) -> list[str]:
    """A sentence for each key that was set and that the parts do nothing about; what follows from steps was not."""
    follows = of_length(recipe.steps)
    return [
        f"{key} {getattr(recipe, key)} does nothing by itself in a loop of one's own: {how}"
        for key, how in LEFT_TO_THE_LOOP.items()
        if key in wished and is_set(recipe, key) and getattr(recipe, key) != follows.get(key)
    ]


def loss_terms(row: PackedRow) -> int:
    """What a row adds to the number that a step's loss is divided by: supervised tokens, or classes (multi-label)."""
    return sum(int(example.supervised.sum()) if example.labels is None else len(example.labels) for example in row)


def model_inputs(examples: Sequence[Example]) -> dict[str, Tensor]:
    """Collate examples for a causal model of Transformers: ``input_ids`` and ``labels``, both (B, T) int64.

    A ``data_collator`` for its ``Trainer``. Labels are the supervised ids and -100 everywhere else, not shifted: the
    model shifts them. Without an attention mask the fast path of attention stays open, and as the padding is on the
    right of causal attention nothing sees it.

    Raises:
        InputError: for examples of an encoder's objective, which a causal model cannot be trained on.
    """
    if any(example.reads_both_ways for example in examples):
        raise InputError("model_inputs is for causal models; an encoder's examples say what is predicted at a position")
    batch = collate([(example,) for example in examples])
    return {"input_ids": batch.ids, "labels": batch.ids.masked_fill(~batch.supervised, IGNORED)}


def _unsaid(_: Any) -> None:
    """Takes what nobody wants to hear."""
