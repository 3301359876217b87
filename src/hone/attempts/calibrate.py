"""How fast a recipe is on this machine, measured before its length is planned."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.attempts.bench import Bench, build_model, prepare_bench, source_of
from hone.attempts.judging import dev_loss, score_model
from hone.processes import Channel
from hone.task.own_metric import load_metric

if TYPE_CHECKING:
    from torch import nn

    from hone.train.records import StepRecord

SAMPLED_ROWS, SAMPLED_DOCUMENTS = 64, 8
"""Dev rows that are scored to learn how long scoring takes."""
GUARD_ROWS, GUARD_TOKENS = 4, 512
GUARD_STEPS = 60


def calibrate(channel: Channel, order: dict[str, Any]) -> dict[str, float]:
    """Measure a recipe's speed here: seconds per step, per evaluation, and of the final scoring.

    Trains a throw-away copy for ``order["seconds"]``; the tokenizer and token cache it makes are the real ones.
    """
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
    say(_by_heart(bench, model))
    source = source_of(bench)
    steps: list[StepRecord] = []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder / ".hone") as scratch:
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
    # The median rate: a moment in which somebody else had the cores is no measure of the next five minutes.
    rate = statistics.median(record.tokens / record.seconds for record in kept)
    begin = time.monotonic()
    sample = list(data.dev[: SAMPLED_DOCUMENTS if task.kind == "language-model" else SAMPLED_ROWS])
    dev_loss(model, bench.dev)
    loss_s = time.monotonic() - begin
    score_model(bench, model, sample)
    per_row = (time.monotonic() - begin - loss_s) / len(sample)
    return {
        "step_s": sum(record.tokens for record in kept) / len(kept) / rate,
        "tokens_per_second": rate,
        "steps_per_epoch": len(source.steps(0)),
        "evaluation_s": loss_s + per_row * min(recipe.eval_rows, len(data.dev)),
        "final_s": loss_s + per_row * len(data.dev),
    }


def tokens_per_step(channel: Channel, order: dict[str, Any]) -> float:
    """Mean tokens of a step of a recipe on its data; the tokenizer and token cache it makes are the real ones."""
    bench = prepare_bench(
        order["task"],
        order["data"],
        order["recipe"],
        Path(order["folder"]) / ".hone" / "cache",
        lambda line: channel.send({"kind": "line", "line": line}),
    )
    return sum(len(example.ids) for example in bench.train) / len(source_of(bench).steps(0))


def _by_heart(bench: Bench, model: nn.Module) -> str:
    """The guard that every model, mask and loss must pass: a few rows can be learned by heart."""
    from hone.train.batches import collate
    from hone.train.guards import overfit_one_batch

    rows = list(bench.train[:GUARD_ROWS])
    while len(rows) > 1 and sum(len(example.ids) for example in rows) > GUARD_TOKENS:
        rows.pop()
    found = overfit_one_batch(model, collate([(example,) for example in rows]), steps=GUARD_STEPS)
    figures = f"{len(rows)} rows alone, loss {found.first:.2f} -> {found.last:.2f} in {found.steps} steps"
    if found.learned:
        return f"guard: learned by heart: {figures}"
    return f"guard: NOT learned by heart: {figures}; contradicting rows, a mask or the rate may be wrong"
