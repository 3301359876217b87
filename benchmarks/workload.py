"""The same work for every contender: the voice task's batches, a model of a million parameters, blocks by turns."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hone.task.load import load_task
from hone.task.recipe import Recipe
from hone.train.batches import PackedRow
from hone.train.source import BatchSource

if TYPE_CHECKING:
    from torch import nn

    from hone.attempts import Bench

ROOT = Path(__file__).resolve().parent.parent
VOICE = ROOT / "src" / "hone" / "examples" / "voice"
WARM_UP_STEPS = 20
ENDLESS = 1_000_000
"""Steps of a schedule that no benchmark reaches, so that nothing is saved or evaluated between steps."""


def recipe_of(threads: int) -> Recipe:
    """The shipped default, with what all contenders can do: AdamW at a constant rate, plain rows, no evaluation."""
    return Recipe().child(
        optimizer="adamw", schedule="constant", warmup_steps=0, steps=ENDLESS, eval_every=ENDLESS,
        label_smoothing=0.0, average=0.0, swap_values=0.0, packing=False, accumulate=1, processes=1, threads=threads,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """One recipe with its data and tokenizer; the same in every process, since all of it is deterministic."""

    recipe: Recipe
    bench: Bench

    def model(self) -> nn.Module:
        """The model, with the same first weights every time."""
        from hone.attempts import build_model

        return build_model(self.recipe, self.bench.tokenizer)

    def source(self) -> BatchSource:
        """The batches, as the engine reads them."""
        return BatchSource.of_recipe(self.bench.train, self.recipe, data_id=self.bench.data.id)

    def steps(self) -> Iterator[list[PackedRow]]:
        """The rows of each optimizer step in the engine's order, epoch after epoch."""
        source = self.source()
        for epoch in range(ENDLESS):
            yield from source.steps(epoch)


def prepare_workload(cache: Path, threads: int) -> Workload:
    """Read, split and tokenize the voice example (kept in ``cache`` for the other contenders)."""
    from hone.attempts import prepare_bench
    from hone.data.prepare import prepare

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    task = load_task(VOICE)
    data = prepare(task, VOICE, cache, say)
    recipe = recipe_of(threads)
    return Workload(recipe=recipe, bench=prepare_bench(task, data, recipe, cache, say))


class Gate:
    """Lets a contender's loop run in blocks: its loop calls :meth:`step`, its parent says when a block begins.

    Between blocks the process waits for a line on standard input and uses no CPU. The first steps are not measured.
    """

    def __init__(self) -> None:
        self.warm_up = WARM_UP_STEPS
        self.seconds = 0.0
        self.wall = self.cpu = 0.0
        self.steps = self.tokens = 0

    def step(self, tokens: int) -> bool:
        """Count one finished optimizer step of ``tokens`` computed tokens; whether the loop is to end."""
        if self.warm_up > 0:
            self.warm_up -= 1
            return self._wait() if self.warm_up == 0 else False
        self.steps += 1
        self.tokens += tokens
        if time.perf_counter() - self.wall < self.seconds:
            return False
        report = {
            "steps": self.steps,
            "tokens": self.tokens,
            "wall_s": time.perf_counter() - self.wall,
            "cpu_s": time.process_time() - self.cpu,
        }
        print(json.dumps(report), flush=True)
        return self._wait()

    def _wait(self) -> bool:
        if self.seconds == 0.0:
            print(json.dumps({"ready": True}), flush=True)
        command = sys.stdin.readline().split()
        if not command or command[0] == "stop":
            return True
        self.seconds = float(command[1])
        self.steps = self.tokens = 0
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return False
