"""How fast a recipe is on this machine, measured before its length is planned."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.attempts.bench import Bench, build_model, prepare_bench, source_of
from hone.attempts.encoding import objective_of
from hone.attempts.judging import dev_loss, score_model
from hone.attempts.rationing import writes
from hone.attempts.training_for import minimised, rounded_to
from hone.processes import Channel
from hone.task.own_metric import load_metric
from hone.task.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from hone.train.records import StepRecord
    from hone.train.source import BatchSource

SAMPLED_ROWS, SAMPLED_DOCUMENTS = 64, 8
"""Dev rows that are scored to learn how long scoring takes, where time allows."""
FEW_ROWS, FEW_DOCUMENTS, LOSS_ROWS = 4, 1, 64
"""So many come first: they tell what more of them would take."""
FIXED_ROWS = 32
"""Where answers are written, a few rows cost about as much as so many more do on top (24 to 40, measured with the
presets tiny and 500k): each token is a pass of the whole batch."""
GUARD_ROWS, GUARD_TOKENS = 4, 512
GUARD_STEPS, GUARD_S = 60, 20.0
GUARD_RATE, GUARD_BASE_RATE = 3e-3, 3e-4
LEAST_STEPS, FEWEST_STEPS = 8, 2
"""Steps that a speed is measured over; and those that it is where they take long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """How fast a recipe trains here."""

    step_s: float
    tokens_per_second: float
    """Padding included; over all processes."""
    tokens_per_step: float
    core_share: float = 1.0
    """CPU seconds over wall seconds and threads: below 1 where others use the cores too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judging:
    """What judging a model costs here."""

    loss_s: float
    """Seconds of the loss on all of dev."""
    row_s: float
    """Seconds that one dev row more takes with the task's metric."""
    rows: int
    """Dev rows in all."""
    fixed_s: float = 0.0
    """Seconds of the metric however few rows there are."""

    def seconds(self, rows: int, *, loss_share: float = 1.0) -> float:
        """Of the metric on so many rows, and of the loss on that share of dev."""
        return loss_share * self.loss_s + self.fixed_s + self.row_s * min(rows, self.rows)


def speed_of(
    bench: Bench, model: nn.Module, source: BatchSource, recipe: Recipe, seconds: float, most_s: float = math.inf
) -> Speed:
    """Train ``model`` for so many seconds in a folder that is thrown away; its speed, the first quarter left out.

    The model must be made for the bench's objective; ``recipe`` may be another than the bench's, such as another size.
    Where eight steps take longer than ``most_s``, two are enough.
    """
    from hone.train.engine import fit

    steps: list[StepRecord] = []
    begin, cpu = time.monotonic(), time.process_time()

    def is_enough() -> bool:
        passed = time.monotonic() - begin
        return passed > seconds and len(steps) >= (LEAST_STEPS if passed < most_s else FEWEST_STEPS)

    with tempfile.TemporaryDirectory(prefix="hone-") as scratch:
        fit(
            model,
            source,
            recipe.child(steps=100_000, eval_every=100_000, early_stop=0),
            Path(scratch),
            objective=minimised(bench, model),
            transform=rounded_to(bench),
            on_step=steps.append,
            should_stop=is_enough,
        )
    used = (time.process_time() - cpu) / max(1e-9, (time.monotonic() - begin) * recipe.threads)
    # The first steps pay for memory that the later ones find ready.
    kept = steps[len(steps) // 4 :]
    # The median rate: a moment in which somebody else had the cores is no measure of the next five minutes.
    rate = statistics.median(record.tokens / record.seconds for record in kept)
    tokens = sum(record.tokens for record in kept) / len(kept)
    return Speed(step_s=tokens / rate, tokens_per_second=rate, tokens_per_step=tokens, core_share=min(1.0, used))


def judging_of(bench: Bench, model: nn.Module, rows: int = SAMPLED_ROWS, most_s: float = math.inf) -> Judging:
    """Seconds of the loss on dev and of the metric on its rows; an untrained model writes to the end.

    A few rows come first. More are read only where they would take no longer than ``most_s``.
    """
    by_document, dev = bench.task.kind == "language-model", bench.data.dev
    few, more = (FEW_DOCUMENTS, SAMPLED_DOCUMENTS) if by_document else (FEW_ROWS, rows)
    few_s = _seconds_of(lambda: score_model(bench, model, dev[:few]))
    few, more = min(few, len(dev)), min(more, len(dev))
    # Rows of one length are read together: of a few each is likely to be alone.
    fixed_s, row_s = (few_s, few_s / FIXED_ROWS) if writes(bench) else (few_s / 2, few_s / few / 2)
    if few < more and fixed_s + row_s * more <= most_s:
        more_s = _seconds_of(lambda: score_model(bench, model, dev[:more]))
        row_s = max(0.0, more_s - few_s) / (more - few)
        fixed_s = max(0.0, few_s - row_s * few)
    loss_s = _loss_seconds(bench, model, most_s)
    return Judging(loss_s=loss_s, row_s=row_s, rows=len(dev), fixed_s=fixed_s)


def _loss_seconds(bench: Bench, model: nn.Module, most_s: float) -> float:
    """Of all of dev, which is read where that takes no longer than ``most_s``."""
    few = min(LOSS_ROWS, len(bench.dev))
    expected = _seconds_of(lambda: dev_loss(model, bench.dev[:few])) * len(bench.dev) / few
    return _seconds_of(lambda: dev_loss(model, bench.dev)) if expected <= most_s else expected


def _seconds_of(work: Callable[[], object]) -> float:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def calibrate(channel: Channel, order: dict[str, Any]) -> dict[str, float]:
    """Measure a recipe's speed here: seconds per step, per evaluation, and of the final scoring.

    Trains a throw-away copy for ``order["seconds"]``; the tokenizer and token cache it makes are the real ones.
    """
    import torch

    recipe: Recipe = order["recipe"]
    torch.set_num_threads(recipe.threads)
    bench = bench_of(channel, order)
    model = build_model(recipe, bench.tokenizer, bench.data.labels)
    source = source_of(bench)
    for line in (by_heart(bench, model, source), *how_it_computes(recipe, model, source)[0]):
        channel.send({"kind": "line", "line": line})
    speed = speed_of(bench, model, source, recipe, order["seconds"])
    judging = judging_of(bench, model)
    return {
        "step_s": speed.step_s,
        "tokens_per_second": speed.tokens_per_second,
        "steps_per_epoch": source.num_steps(0),
        "evaluation_s": judging.seconds(recipe.eval_rows),
        "final_s": judging.seconds(judging.rows),
    }


def tokens_per_step(channel: Channel, order: dict[str, Any]) -> float:
    """Mean tokens of a step of a recipe on its data; the tokenizer and token cache it makes are the real ones."""
    bench = bench_of(channel, order)
    return sum(len(example.ids) for example in bench.train) / source_of(bench).num_steps(0)


def bench_of(channel: Channel, order: dict[str, Any]) -> Bench:
    """The bench of an order (folder, task, data, recipe) in a worker; its lines go up the channel."""
    folder = Path(order["folder"])
    # A metric of the user's own is a file of the task folder: imported here it is found by its name alone.
    load_metric(order["task"].metric, folder)
    return prepare_bench(
        order["task"],
        order["data"],
        order["recipe"],
        folder / ".hone" / "cache",
        lambda line: channel.send({"kind": "line", "line": line}),
    )


def how_it_computes(recipe: Recipe, model: nn.Module, source: BatchSource) -> tuple[list[str], dict[str, Any]]:
    """Precision and compiling as they are chosen on this machine, each with its reason: lines, and the values."""
    from hone.train.compiling import compile_of
    from hone.train.fabric import precision_of

    precision, why = precision_of(recipe)
    compiled, because = compile_of(recipe, model, source)
    lines = [f"precision: {precision}, {why}", f"{'compiled' if compiled else 'not compiled'}: {because}"]
    return lines, {"precision": precision, "compile": compiled}


def by_heart(bench: Bench, model: nn.Module, source: BatchSource) -> str:
    """The guard that every model, mask and loss must pass: a few rows can be learned by heart.

    They are rows of the first step as the run will see them, masked where it masks, with the run's own objective. A
    base is trained at its recipe's rate where that is higher than the guard's for bases: it is not to be shaken apart.
    """
    from hone.train.batches import collate
    from hone.train.guards import overfit_one_batch
    from hone.train.source import Cursor

    recipe = bench.recipe
    rows = [example for row in source.read(Cursor())[0] for example in row if example.supervised.any()][:GUARD_ROWS]
    while len(rows) > 1 and sum(len(example.ids) for example in rows) > GUARD_TOKENS:
        rows.pop()
    rate = (
        GUARD_RATE if recipe.base.startswith("scratch") else min(GUARD_RATE, max(GUARD_BASE_RATE, recipe.learning_rate))
    )
    found = overfit_one_batch(
        model,
        collate([(example,) for example in rows]),
        objective=objective_of(bench, model),
        steps=GUARD_STEPS,
        learning_rate=rate,
        most_s=GUARD_S,
    )
    figures = f"{len(rows)} rows alone, loss {found.first:.2f} -> {found.last:.2f} in {found.steps} steps"
    if found.learned:
        return f"guard: learned by heart: {figures}"
    if found.steps < GUARD_STEPS:
        return f"guard: not decided whether it learns by heart: {figures}, and {GUARD_S:.0f} s were over"
    return f"guard: NOT learned by heart: {figures}; contradicting rows, a mask or the rate may be wrong"
