"""Compiled runs in processes of their own; the tracer is always torch's, what runs the traced program differs."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path

import torch
from small_runs import RECIPE, examples, model, weights_hash

from hone.train import compiling
from hone.train.engine import fit
from hone.train.records import StepRecord
from hone.train.source import BatchSource

COMPILED = RECIPE.child(
    compile=True, optimizer="adamw", average=0.9, accumulate=1, steps=5, eval_every=5, warmup_steps=1
)


def fit_compiled(folder: str, backend: str, killed_behind: int = 0) -> tuple[str, int]:
    """Five steps with dropout, or what is left of them: the hash of the last weights, and how much was compiled."""
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    # Programs that another run of the tests left behind would be taken instead of compiled, and none be counted.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(folder).parent / "programs")
    compiling.torch.compile = functools.partial(torch.compile, backend=backend)

    def on_step(record: StepRecord) -> None:
        if record.step == killed_behind:
            os.kill(os.getpid(), signal.SIGKILL)

    module = model(dropout=0.2)
    source = BatchSource.of_recipe(examples(8, shortest=9, longest=9), COMPILED)
    result = fit(module, source, COMPILED, Path(folder), save_every=3, on_step=on_step)
    return weights_hash(module), int(result.used["compiled_programs"])
