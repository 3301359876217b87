"""Small runs that the tests of training share, and what they do in processes of their own.

Everything here can be imported by name, because a process that is about to be killed must be another one.
:func:`apart` starts it from the fork server of the standard library, which imports torch once and computes nothing.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hone.errors import HoneError
from hone.model import faster
from hone.model.presets import Shape, from_scratch
from hone.task.recipe import Recipe
from hone.task.render import Example
from hone.task.scores import Score
from hone.train import checkpoints, launch
from hone.train.batches import PackedRow, collate
from hone.train.compiling import LossModule
from hone.train.engine import fit
from hone.train.fabric import connect
from hone.train.objectives import NextToken
from hone.train.records import FitResult, Judgement, StepRecord
from hone.train.source import BatchSource, share_of
from hone.train.stepping import accumulate_gradients, normalise

VOCAB, END = 60, 3
SHAPE = Shape(hidden=32, layers=2, heads=2, kv_heads=2, ffn=64, vocab=VOCAB, context=64)
RECIPE = Recipe(
    base="scratch:tiny",
    data="d1",
    optimizer="muon",
    average=0.9,
    steps=10,
    warmup_steps=2,
    decay_share=0.5,
    batch_size=4,
    accumulate=2,
    context=64,
    eval_every=5,
    seed=3,
)


def examples(count: int = 40, seed: int = 0, *, shortest: int = 6, longest: int = 30) -> list[Example]:
    """Random rows whose second half is supervised."""
    generator = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        length = int(generator.integers(shortest, longest + 1))
        ids = generator.integers(4, VOCAB, length).astype(np.int32)
        ids[-1] = END
        supervised = np.arange(length) >= length // 2
        rows.append(Example(ids=ids, supervised=supervised, prompt_len=length // 2, label=None, row=f"r:{index + 1}"))
    return rows


def fresh_each_epoch(seed: int, epoch: int) -> Sequence[Example]:
    """Other rows in every epoch, as augmentation gives."""
    return examples(12, seed=1000 * seed + epoch)


def model(seed: int = 0, *, dropout: float = 0.0) -> Any:
    """A two-layer model; with ``dropout`` each step draws from torch's generator."""
    module: Any = from_scratch(SHAPE, seed)
    for layer in module.model.layers:
        layer.self_attn.attention_dropout = dropout
    return module


def weights_hash(module: nn.Module) -> str:
    """SHA-256 over all weights, to the bit."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def judge(module: nn.Module, step: int) -> Judgement:
    """A metric that depends on the weights, and that draws random numbers, as a careless callback would."""
    torch.rand(3)
    value = float(sum(param.double().abs().mean() for param in module.parameters()))
    return Judgement(score=Score(name="size", mean=value, low=0.0, high=9.0, n=1), numbers={"step": step})


def small_fit(folder: Path, recipe: Recipe = RECIPE, **arguments: Any) -> tuple[str, FitResult]:
    """Train with dropout, augmentation, Muon, averaging and accumulation; the hash of the last weights."""
    module = model(dropout=0.2)
    result = fit(module, BatchSource.of_recipe(fresh_each_epoch, recipe), recipe, folder, **arguments)
    return weights_hash(module), result


# Work for processes of their own.


Outcome = tuple[str, list[tuple[int, float]]]
"""The hash of the last weights, and what the (averaged) weights scored at each step."""


def fit_and_hash(folder: str, until_step: int | None = None) -> Outcome:
    """A run to its end, or to a pause."""
    return outcome(small_fit(Path(folder), until_step=until_step, evaluate=judge))


def outcome(run: tuple[str, FitResult]) -> Outcome:
    """What two runs must have in common to be the same run."""
    return run[0], [(item.step, item.score.mean) for item in run[1].evaluations]


def fit_until_killed(folder: str, at_step: int) -> str:
    """A run that is killed behind ``at_step``, between two saves."""

    def on_step(record: StepRecord) -> None:
        if record.step == at_step:
            os.kill(os.getpid(), signal.SIGKILL)

    return small_fit(Path(folder), on_step=on_step, evaluate=judge)[0]


def fit_until_killed_in_save(folder: str) -> str:
    """A run that is killed in its second save."""
    _deadly_second_header()
    return small_fit(Path(folder))[0]


def _deadly_second_header() -> None:
    """From now on the process is killed in its second save, when the tensors are written and the header is not."""
    write_json, calls = checkpoints.write_json, []

    def deadly(path: Path, value: Any) -> Path:
        if path.name == "state.json":
            calls.append(path)
            if len(calls) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        return write_json(path, value)

    checkpoints.write_json = deadly


def fit_on_a_full_disk(folder: str) -> str:
    """A run whose files may not grow beyond 20 kB after its first save; the error's sentence."""

    try:
        return small_fit(Path(folder), on_step=_full_behind(7))[0]
    except HoneError as error:
        return f"{type(error).__name__}: {error}"


TWO = RECIPE.child(processes=2)


def fit_rank(rank: int, folder: str, kill_at: int | None) -> Outcome:
    """One of two processes of a run; the second is killed at ``kill_at``."""

    def stop_here() -> bool:
        return False

    objective = NextToken()
    if rank == 1 and kill_at is not None:
        objective = _Deadly(kill_at)
    return outcome(small_fit(Path(folder), TWO, objective=objective, should_stop=stop_here, evaluate=judge))


def fit_rank_disturbed(rank: int, folder: str, how: str) -> Outcome:
    """One of two processes; the first is killed in its second save, or finds the disk full at it."""
    if rank == 0 and how == "killed in a save":
        _deadly_second_header()
    source = BatchSource.of_recipe(fresh_each_epoch, TWO)
    full = _full_behind(7) if rank == 0 and how == "full disk" else None
    module = model()
    result = fit(module, source, TWO, Path(folder), on_step=full, evaluate=judge)
    return outcome((weights_hash(module), result))


def _full_behind(step: int) -> Callable[[StepRecord], None]:
    def on_step(record: StepRecord) -> None:
        if record.step == step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    return on_step


def fit_two_disturbed(folder: str, how: str) -> list[Outcome]:
    """:func:`fit_rank_disturbed` in both."""
    return launch.run(Rank(fit_rank_disturbed, folder, how), 2, start="fork")


class _Deadly(NextToken):
    """An objective that kills its process at a call."""

    def __init__(self, at_step: int) -> None:
        super().__init__()
        # One rehearsal and two micro-batches a step; the kill falls between the two of the step.
        self.calls_left = 2 + 2 * at_step + 1

    def loss(self, model: nn.Module, batch: Any) -> Any:
        self.calls_left -= 1
        if self.calls_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(model, batch)


class Rank:
    """A function of the rank with its other arguments, for :func:`hone.train.launch.run`."""

    def __init__(self, work: Callable[..., Any], *arguments: Any) -> None:
        self.work, self.arguments = work, arguments

    def __call__(self, rank: int) -> Any:
        torch.set_num_threads(1)
        return self.work(rank, *self.arguments)


def fit_two(folder: str, kill_at: int | None = None) -> list[Outcome]:
    """A run on two processes: the outcome in each."""
    return launch.run(Rank(fit_rank, folder, kill_at), 2, start="fork")


def gradient(rank: int, processes: int, accumulate: int, rows: Sequence[PackedRow] | None = None) -> dict[str, Any]:
    """The normalised gradient of a step in float64, as this many processes make it; of eight rows by default."""
    recipe = RECIPE.child(processes=processes, accumulate=accumulate, batch_size=8)
    fabric = connect(recipe)
    module = model().double()
    wrapped = fabric.setup(LossModule(module, NextToken()))
    rows = BatchSource(examples(), batch_size=8, context=64, seed=1).steps(0)[0] if rows is None else rows
    batches = [collate(s) for s in share_of(rows, rank=rank, processes=processes, accumulate=accumulate)]
    assert faster.obstacle(module) is None, "laws 2 and 3 are those of the way that runs take"
    sums = accumulate_gradients(fabric, wrapped, batches)
    params = list(module.parameters())
    norm = normalise(params, num_tokens=sums.num_tokens, processes=processes, clip_norm=1e9)
    step = sums.read(norm)
    grads = {name: param.grad.numpy().copy() for name, param in module.named_parameters()}
    return {"loss": step.loss_total / step.num_tokens, "norm": step.grad_norm, "grads": grads}


def gradient_two(accumulate: int) -> list[dict[str, Any]]:
    """:func:`gradient` on two processes."""
    return launch.run(Rank(gradient, 2, accumulate), 2, start="fork")


def packed_rows() -> tuple[list[PackedRow], list[PackedRow]]:
    """Sixteen examples as sixteen rows, and the same ones as eight rows of two."""
    singles = examples(16, seed=7)
    return [(one,) for one in singles], [(singles[i], singles[i + 8]) for i in range(8)]


# Starting them.


class DiedError(Exception):
    """A process ended without a result; holds its exit status (minus the signal)."""


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call ``work`` in a process forked from a warm one; what it returned.

    Raises:
        DiedError: when it was killed.
    """
    multiprocessing.set_forkserver_preload(["hone.warm"])
    forkserver.ensure_running()
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        process.join()
        raise DiedError(process.exitcode) from None
    finally:
        process.join()
        ours.close()


def _send_result(pipe: Any, work: Callable[..., Any], arguments: Sequence[Any]) -> None:
    torch.set_num_threads(1)
    try:
        pipe.send(work(*arguments))
    except HoneError as error:
        pipe.send(error)
