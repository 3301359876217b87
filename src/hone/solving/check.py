"""The first stage: is this task folder right, and what will it cost? Imports no torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hone.data.prepare import DataVersion, prepare
from hone.errors import InputError
from hone.hardware import machine, usable_cores
from hone.solving.defaults import MOST_EPOCHS, default_recipe
from hone.task.layouts import answer_text
from hone.task.load import load_task
from hone.task.own_metric import load_metric
from hone.task.recipe import Recipe
from hone.task.render import task_prompt, task_reference
from hone.task.schema import infer_schema, schema_lines
from hone.task.spec import Task

Say = Callable[[str], None]
BYTES_PER_TOKEN = 3.0
"""About what a vocabulary of a thousand tokens makes of English text; the real figure follows with the tokenizer."""
GEMM_SHARE = 0.4
"""Share of the matrix-product peak that training a model of a million parameters reaches on a CPU."""
PROCESS_BYTES = 600e6
"""Python, torch and Transformers before the first tensor."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A task folder that is right."""

    task: Task
    data: DataVersion
    recipe: Recipe
    memory_bytes: float
    epoch_s: float


def check(
    folder: Path,
    seed: int,
    say: Say,
    heading: Say = lambda line: None,
    ready: Callable[[], None] = lambda: None,
) -> Checked:
    """Validate a task folder and estimate what solving costs.

    Args:
        folder: the task folder.
        seed: of the recipe that is estimated.
        say: takes each line.
        heading: takes the stage's title.
        ready: called when ``hone.yaml`` is right and before data is read.

    Raises:
        InputError: with every problem found.
    """
    task = load_task(folder)
    metric = load_metric(task.metric, folder)
    if problem := metric.check_target(task.target):
        raise InputError(problem)
    if not task.base.startswith("scratch"):
        _check_base(task)
    heading(
        f"check: {task.name}, {task.kind}, {task.metric} {'>=' if metric.higher_is_better else '<='} {task.target:g}"
    )
    say(f"machine: {machine().line()}")
    ready()
    data = prepare(task, folder, folder / ".hone" / "cache", say)
    _say_answers(task, data, say)
    recipe = default_recipe(task, data, seed=seed, threads=usable_cores())
    memory, epoch_s = _estimate(task, data, recipe, say)
    return Checked(task=task, data=data, recipe=recipe, memory_bytes=memory, epoch_s=epoch_s)


def _check_base(task: Task) -> None:
    from hone.data.tokenizer import TextTokenizer
    from hone.model.base import open_base

    open_base(task.base, TextTokenizer)


def _say_answers(task: Task, data: DataVersion, say: Say) -> None:
    if task.kind == "classify":
        say(f"labels: {len(data.labels)} ({', '.join(data.labels[:6])}{', ...' if len(data.labels) > 6 else ''})")
    if task.kind == "extract":
        if task.output_schema:
            return
        say("schema of the answer, inferred from train:")
        for line in schema_lines(infer_schema(task_reference(task, row.fields) for row in data.train)):
            say(line)


def _estimate(task: Task, data: DataVersion, recipe: Recipe, say: Say) -> tuple[float, float]:
    """Memory in bytes and seconds of one epoch, said with their formulas; (0, 0) for a base, whose shape is unread."""
    if not recipe.base.startswith("scratch"):
        say("estimate: made once the base is opened")
        return 0.0, 0.0
    from hone.model.estimate import flops_per_token, parameter_figure, training_memory
    from hone.model.presets import shape_of

    shape = shape_of(recipe, recipe.vocab_size)
    row_bytes = sorted(_row_bytes(task, row.fields) for row in data.train)
    tokens = sum(min(size / BYTES_PER_TOKEN + 3, recipe.context) for size in row_bytes)
    per_row = tokens / max(1, len(row_bytes))
    longest = min(recipe.context, int(row_bytes[-1] / BYTES_PER_TOKEN + 3))
    flops = flops_per_token(shape, per_row)
    memory = training_memory(shape, recipe, rows=recipe.batch_size, tokens_per_row=longest)
    peak = _matmul_flops() * usable_cores()
    seconds = tokens * flops.value / (peak * GEMM_SHARE)
    say(parameter_figure(shape).line())
    say(memory.line())
    say(
        f"time: about {seconds:.0f} s for one pass over {len(row_bytes):,} rows = {tokens:,.0f} tokens (bytes / "
        f"{BYTES_PER_TOKEN:g}) * {flops.value / 1e6:.1f} MFLOP / ({GEMM_SHARE:.0%} of {peak / 1e9:.0f} GFLOP/s, matrix "
        f"products measured here); at most {MOST_EPOCHS[task.kind]:g} passes are planned"
    )
    total, free = memory.value + PROCESS_BYTES, machine().free_memory_bytes
    if total > free:
        raise InputError(
            f"training needs about {total / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; use a smaller preset, "
            f"or lower device.context (now {task.device.context})"
        )
    return total, seconds


def _row_bytes(task: Task, fields: dict[str, object]) -> int:
    prompt = "" if task.kind == "language-model" else task_prompt(task, fields)
    answer = "" if task.kind == "classify" else answer_text(task.kind, "spaced-json", task_reference(task, fields))
    return len(prompt.encode("utf-8", "replace")) + len(answer.encode("utf-8", "replace"))


def _matmul_flops(seconds: float = 0.15, size: int = 256) -> float:
    """Floating-point operations per second of one core on float32 matrix products, measured for 0.15 s."""
    import numpy as np

    square = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
    count, begin = 0, time.process_time()
    while time.process_time() - begin < seconds:
        square @ square
        count += 1
    return count * 2 * size**3 / (time.process_time() - begin)
