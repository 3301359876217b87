"""What a recipe will cost, before it starts: parameters, arithmetic, memory, time. Each figure with its formula.

Legend: N parameters, h width, f feed-forward width, L layers, V vocabulary, T tokens of a row, B rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hone.model.encoders import EncoderShape
from hone.model.memory import (
    activation_bytes,
    coming_and_going,
    held_bytes,
    is_fused,
    moments,
    passing_bytes,
    piece_bytes,
    update_bytes,
)
from hone.model.presets import Shape
from hone.model.sizes import Size, count, size_of
from hone.task.recipe import Recipe
from hone.wording import counted

if TYPE_CHECKING:
    from hone.model.base import Base

    Model = Shape | EncoderShape | Base | Size


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroBatch:
    """What memory needs to know of the largest micro-batch of one process."""

    rows: int
    longest: int
    """Tokens of its longest row, to which the others are padded."""
    tokens: int | None = None
    """Real ones, which the fused pass alone computes on; by default all places are."""
    supervised: float | None = None
    """Share of the tokens that predict something; by default all, or ``mask_share``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A number with how it was made."""

    name: str
    value: float
    unit: str
    formula: str

    def line(self) -> str:
        """One line for people."""
        return f"{self.name}: {_readable(self.value, self.unit)} = {self.formula}"


def figures(
    recipe: Recipe,
    model: Model,
    batch: MicroBatch,
    *,
    tokens: float,
    tokens_per_second: float | None = None,
    labels: int = 0,
    on_cpu: bool = True,
) -> list[Figure]:
    """Everything that is said before the start: parameters, tokens, operations, memory, time.

    Args:
        recipe: objective, optimizer, precision and what else memory depends on.
        model: a preset's shape or an opened base.
        batch: the largest micro-batch of one process.
        tokens: of the whole run, padding included, over all processes.
        tokens_per_second: as measured; without it the time is left out.
        labels: classes of an encoder made from scratch.
        on_cpu: whether it trains on a CPU.
    """
    size = size_of(model, recipe.objective, labels, recipe.dropout)
    if recipe.objective == "classify-sequence" and recipe.pooling == "mean":
        size = size.without_pooler()
    each = flops_per_token(size, batch.longest)
    listed = [
        parameter_figure(size),
        Figure(
            name="training tokens",
            value=tokens,
            unit="",
            formula=f"{counted(recipe.steps, 'step')}, padding included: a row counts as long as its batch's longest",
        ),
        each,
        Figure(
            name="training operations",
            value=each.value * tokens,
            unit="FLOP",
            formula=f"{each.value:,.0f} per token * {tokens:,.0f} tokens",
        ),
        training_memory(size, recipe, batch, on_cpu=on_cpu),
    ]
    return listed if tokens_per_second is None else [*listed, training_seconds(tokens, tokens_per_second)]


def parameter_figure(model: Model) -> Figure:
    """Number of parameters, exact."""
    size = size_of(model)
    return Figure(name="parameters", value=size.parameters, unit="", formula=size.how)


def flops_per_token(model: Model, tokens_per_row: float) -> Figure:
    """Floating-point operations to train on one token, forward and backward (A. Chowdhery et al., arXiv:2204.02311)."""
    size = size_of(model)
    return Figure(
        name="training operations per token",
        value=6.0 * size.matrices + 12.0 * size.layers * size.hidden * tokens_per_row,
        unit="FLOP",
        formula=f"6*N + 12*L*h*T with N {size.matrices:,} (matrices), L {size.layers}, h {size.hidden}, "
        f"T {tokens_per_row:.0f}",
    )


def training_memory(model: Model, recipe: Recipe, batch: MicroBatch, *, on_cpu: bool = True) -> Figure:
    """Bytes of one process's training: weights, gradients, optimizer, average, and what comes and goes in a step.

    Args:
        model: a preset's shape or an opened base.
        recipe: for the optimizer, the average, the precision, what is frozen, checkpointing, and shards. Whoever
            knows the device says what its precision ``auto`` is there; here it counts as float32, the larger.
        batch: the largest micro-batch.
        on_cpu: whether it trains on a CPU, with its fused pass and its heap.
    """
    size = size_of(model, recipe.objective)
    held = held_bytes(size, recipe)
    shards = recipe.processes if recipe.strategy == "fsdp" else 1
    copies = 2 * size.matrices if recipe.precision == "bf16-mixed" else 0
    fused = on_cpu and is_fused(size, recipe)
    tokens = batch.tokens if fused and batch.tokens is not None else batch.rows * batch.longest
    supervised = recipe.mask_share if recipe.objective == "masked-tokens" else 1.0
    supervised = supervised if batch.supervised is None else batch.supervised
    activations = activation_bytes(
        size,
        rows=batch.rows,
        tokens_per_row=batch.longest,
        tokens=tokens,
        supervised=supervised,
        fused=fused,
        precision=recipe.precision,
        checkpointing=recipe.gradient_checkpointing,
    )
    passing = passing_bytes(size, tokens, fused=fused, supervised=supervised, precision=recipe.precision)
    update = update_bytes(size, recipe)
    # The output matrix's gradient is made on the way forward, the others on the way back.
    late = max(0, 4 * (count(size.trained(recipe.freeze).values()) - size.output_values)) / shards
    moving = coming_and_going(
        activations + passing,
        update,
        late,
        accumulated=recipe.accumulate > 1,
        on_cpu=on_cpu,
        piece=piece_bytes(size, tokens, supervised) if fused else 0.0,
        matrix=4 * size.output_values if fused else 0.0,
    )
    again = "; layers are computed again" if recipe.gradient_checkpointing else ""
    terms = [f"activations {activations / 1e6:,.1f} MB{again}", f"their way back {passing / 1e6:,.1f} MB"]
    terms += [f"an update {update / 1e6:,.1f} MB"] if update else []
    half = f", {copies / 1e6:,.1f} MB of matrices in bf16" if copies else ""
    return Figure(
        name="training memory",
        value=held / shards + copies + moving,
        unit="B",
        formula=f"{_held_text(size, recipe, held / shards)}{half}, and {moving / 1e6:,.1f} MB that come and go with "
        f"{counted(batch.rows, 'row')} of {batch.longest} tokens ({', '.join(terms)}); the process itself (Python, "
        "torch, Transformers) comes on top",
    )


def _held_text(size: Size, recipe: Recipe, value: float) -> str:
    trained = size.trained(recipe.freeze)
    moved = count(trained.values())
    terms = f"weights, gradients, {moments(size, trained, recipe)[1]}{', average' if recipe.average else ''}"
    terms += ", the values beneath the grid" if recipe.aware != "none" else ""
    frozen = f", {size.parameters - moved:,} of N frozen: weights only" if moved < size.parameters else ""
    sharded = f" / {recipe.processes} processes" if recipe.strategy == "fsdp" and recipe.processes > 1 else ""
    return f"4 bytes * N * ({terms}){frozen}{sharded} = {value / 1e6:,.1f} MB"


def training_seconds(tokens: float, tokens_per_second: float, how: str = "measured") -> Figure:
    """Time of training on ``tokens``, padding included, at a rate that was measured; ``how`` it was."""
    return Figure(
        name="training time",
        value=tokens / tokens_per_second,
        unit="s",
        formula=f"{tokens:,.0f} tokens / {tokens_per_second:,.0f} tokens per second ({how})",
    )


def _readable(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:,.0f} s" if value < 600 else f"{value / 60:,.1f} min"
    if not unit:
        return f"{value:,.0f}"
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:,.1f} {prefix}{unit}"
    return f"{value:,.0f} {unit}"
