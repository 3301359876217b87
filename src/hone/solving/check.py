"""The first stage: is this task folder right, and what will it cost? Imports no torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hone.data.prepare import DataVersion, check_answers, prepare
from hone.data.task_file import load_task
from hone.errors import InputError
from hone.files import read_json
from hone.hardware import accelerator, machine, threads_to_use, usable_cores
from hone.model.base import is_encoder_base
from hone.solving.defaults import MOST_EPOCHS, default_recipe
from hone.task.layouts import answer_parts, answer_text
from hone.task.own_metric import load_metric
from hone.task.proof import unproven
from hone.task.recipe import Recipe
from hone.task.render import task_prompt, task_reference
from hone.task.schema import infer_schema, schema_lines
from hone.task.spec import Task
from hone.wording import counted

Say = Callable[[str], None]
BYTES_PER_TOKEN = 3.0
"""About what a vocabulary of a thousand tokens makes of English text; the real figure follows with the tokenizer."""
SHOWN_FIELDS = 8
"""Fields of the answer that are listed where the whole list was not asked for."""
GEMM_SHARE = 0.5
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
    warning: str = ""
    """Why the target cannot be proven by the rows of dev and test, where that is so."""


def check(
    folder: Path,
    seed: int,
    say: Say,
    heading: Say = lambda line: None,
    ready: Callable[[], None] = lambda: None,
    *,
    whole_schema: bool = True,
) -> Checked:
    """Validate a task folder and estimate what solving costs.

    Args:
        folder: the task folder.
        seed: of the recipe that is estimated.
        say: takes each line.
        heading: takes the stage's title.
        ready: called when ``hone.yaml`` is right and before data is read.
        whole_schema: list every field of the answer, not only the first eight.

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
    check_answers(task, data)
    if warning := unproven(metric, task.target, {"dev": len(data.dev), "test": data.test.n}):
        say(f"warning: {warning}")
    _say_answers(task, folder, data, say, whole_schema)
    recipe = default_recipe(task, data, seed=seed, threads=threads_to_use())
    memory, epoch_s = _estimate(task, data, recipe, say)
    return Checked(task=task, data=data, recipe=recipe, memory_bytes=memory, epoch_s=epoch_s, warning=warning)


def _check_base(task: Task) -> None:
    from hone.data.tokenizer import TextTokenizer
    from hone.model.base import open_base

    if not is_encoder_base(task.base):
        open_base(task.base, TextTokenizer)


def _say_answers(task: Task, folder: Path, data: DataVersion, say: Say, whole: bool) -> None:
    if task.kind == "classify":
        say(f"labels: {len(data.labels)} ({', '.join(data.labels[:6])}{', ...' if len(data.labels) > 6 else ''})")
    if task.kind != "extract":
        return
    if task.output_schema:
        _check_answers(task, folder / task.output_schema, data, say)
        return
    lines = schema_lines(infer_schema(task_reference(task, row.fields) for row in data.train))
    shown = lines if whole else lines[:SHOWN_FIELDS]
    say("schema of the answer, inferred from train:")
    for line in shown:
        say(line)
    if len(lines) > len(shown):
        say(f"  and {len(lines) - len(shown)} more fields; `hone check` lists all")


def _check_answers(task: Task, path: Path, data: DataVersion, say: Say) -> None:
    """Hold the answers of train and dev against the task's own JSON Schema."""
    import jsonschema

    if not path.is_file():
        raise InputError(f"schema: there is no file {path}; leave the key out to have one inferred")
    schema = read_json(path)
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise InputError(f"{path}: not a JSON Schema: {error.message}") from None
    validator = jsonschema.Draft202012Validator(schema)
    rows = [*data.train, *data.dev]
    found = [(row.id, next(validator.iter_errors(task_reference(task, row.fields)), None)) for row in rows]
    wrong = [(row, first) for row, first in found if first is not None]
    if wrong:
        shown = "; ".join(f"{row} at {first.json_path}: {first.message[:120]}" for row, first in wrong[:3])
        raise InputError(f"{len(wrong):,} of {len(rows):,} answers do not satisfy {path}, the first: {shown}")
    say(f"schema: all {len(rows):,} answers of train and dev satisfy {path}")


def estimated_when_opened(recipe: Recipe) -> bool:
    """Whether what a recipe costs is said before its first step, and not by :func:`check`: of bases and encoders."""
    return not recipe.base.startswith("scratch") or is_encoder_base(recipe.base)


def _estimate(task: Task, data: DataVersion, recipe: Recipe, say: Say) -> tuple[float, float]:
    """Memory in bytes and seconds of one epoch, said with their formulas; (0, 0) for a base, whose shape is unread."""
    if estimated_when_opened(recipe):
        say("estimate: said before the first step of the first attempt, which opens the base")
        return 0.0, 0.0
    from hone.deploy.planning import verdict_line
    from hone.model.estimate import MicroBatch, flops_per_token, parameter_figure, training_memory
    from hone.model.footprint import blueprint
    from hone.model.presets import shape_of

    shape = shape_of(recipe, recipe.vocab_size)
    lengths = [min(recipe.context, _about_tokens(task, recipe, row.fields)) for row in data.train]
    tokens, longest = sum(lengths), max(lengths)
    per_row = tokens / max(1, len(lengths))
    flops = flops_per_token(shape, per_row)
    rows = recipe.batch_size if recipe.batch_tokens is None else max(1, recipe.batch_tokens // longest)
    on_cpu = accelerator() == "cpu"
    memory = training_memory(shape, recipe, MicroBatch(rows=rows, longest=longest), on_cpu=on_cpu)
    peak = _matmul_flops() * usable_cores()
    seconds = tokens * flops.value / (peak * GEMM_SHARE)
    say(parameter_figure(shape).line())
    say(memory.line())
    say(
        f"time: about {seconds:.0f} s for one pass over {counted(len(lengths), 'row')} = {tokens:,.0f} tokens (bytes / "
        f"{BYTES_PER_TOKEN:g}) * {flops.value / 1e6:.1f} MFLOP / ({GEMM_SHARE:.0%} of {peak / 1e9:.0f} GFLOP/s, matrix "
        f"products measured here); at most {MOST_EPOCHS[task.kind]:g} passes are planned"
    )
    if planned := verdict_line(recipe.base.partition(":")[2] or recipe.base, blueprint(shape), task.device):
        say(planned)
    total, free = memory.value + PROCESS_BYTES, machine().free_memory_bytes
    if total > free:
        raise InputError(
            f"training needs about {total / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; use a smaller preset, "
            f"or lower device.context (now {task.device.context})"
        )
    return total, seconds


def _about_tokens(task: Task, recipe: Recipe, fields: dict[str, object]) -> int:
    """Tokens of a row before there is a tokenizer: bytes by three, one for a label, one for each frame."""
    answer = task_reference(task, fields)
    if task.kind == "classify":
        texts, frames = [task_prompt(task, fields)], 1
    elif task.kind == "extract" and recipe.layout == "framed-json":
        parts = answer_parts(recipe.layout, answer)
        texts = [task_prompt(task, fields), *(text for text, is_value in parts if is_value)]
        frames = len(parts) - len(texts) + 1
    else:
        texts, frames = [answer_text(task.kind, recipe.layout, answer)], 0
        texts += [] if task.kind == "language-model" else [task_prompt(task, fields)]
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    return int(size / BYTES_PER_TOKEN) + frames + 2


def _matmul_flops(seconds: float = 0.15, size: int = 256) -> float:
    """Floating-point operations per second of one core on float32 matrix products, measured for 0.15 s."""
    import numpy as np

    square = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
    count, begin = 0, time.process_time()
    while time.process_time() - begin < seconds:
        square @ square
        count += 1
    return count * 2 * size**3 / (time.process_time() - begin)
