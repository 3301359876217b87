"""What a recipe will cost, before it starts: parameters, arithmetic, memory, time. Each figure with its formula.

Legend: N parameters, h width, f feed-forward width, L layers, V vocabulary, T tokens of a row, B rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from hone.model.encoders import EncoderShape
from hone.model.presets import Shape
from hone.model.sizes import DROPOUT_MATRICES, Size, count, size_of
from hone.task.recipe import Recipe

if TYPE_CHECKING:
    from hone.model.base import Base

    Model = Shape | EncoderShape | Base | Size


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
    *,
    rows: int,
    tokens_per_row: int,
    tokens: float,
    tokens_per_second: float | None = None,
    labels: int = 0,
) -> list[Figure]:
    """Everything that is said before the start: parameters, tokens, operations, memory, time.

    Args:
        recipe: objective, optimizer, precision and what else memory depends on.
        model: a preset's shape or an opened base.
        rows: of one micro-batch of one process.
        tokens_per_row: of its longest row.
        tokens: of the whole run, padding included, over all processes.
        tokens_per_second: as measured; without it the time is left out.
        labels: classes of an encoder made from scratch.
    """
    size = size_of(model, recipe.objective, labels, recipe.dropout)
    each = flops_per_token(size, tokens_per_row)
    listed = [
        parameter_figure(size),
        Figure(name="training tokens", value=tokens, unit="", formula="padding included, over all steps"),
        each,
        Figure(
            name="training operations",
            value=each.value * tokens,
            unit="FLOP",
            formula=f"{each.value:,.0f} per token * {tokens:,.0f} tokens",
        ),
        training_memory(size, recipe, rows=rows, tokens_per_row=tokens_per_row),
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


def training_memory(model: Model, recipe: Recipe, *, rows: int, tokens_per_row: int) -> Figure:
    """Bytes of one process's training tensors: weights, gradients, optimizer, average, activations.

    Args:
        model: a preset's shape or an opened base.
        recipe: for the optimizer, the average, the precision, what is frozen, checkpointing, and shards. Whoever
            knows the device says what its precision ``auto`` is there; here it counts as float32, the larger.
        rows: rows of one micro-batch.
        tokens_per_row: tokens of its longest row, all taken to be supervised where the objective is next-token.
    """
    size = size_of(model, recipe.objective)
    trained = size.trained(recipe.freeze)
    moments, moments_text = _moments(size, trained, recipe)
    moved = count(trained.values())
    average = moved if recipe.average else 0
    fixed = 4 * (size.parameters + moved + moments + average)
    shards = recipe.processes if recipe.strategy == "fsdp" else 1
    copies = 2 * size.matrices if recipe.precision == "bf16-mixed" else 0
    activations = activation_bytes(
        size,
        rows=rows,
        tokens_per_row=tokens_per_row,
        precision=recipe.precision,
        checkpointing=recipe.gradient_checkpointing,
        supervised=recipe.mask_share if recipe.objective == "masked-tokens" else 1.0,
    )
    terms = f"weights, gradients, {moments_text}{', average' if average else ''}"
    frozen = f", {size.parameters - moved:,} of N frozen: weights only" if moved < size.parameters else ""
    sharded = f" / {shards} processes" if shards > 1 else ""
    half = f", {copies / 1e6:,.1f} MB of matrices in bf16" if copies else ""
    again = "; layers are computed again" if recipe.gradient_checkpointing else ""
    return Figure(
        name="training memory",
        value=fixed / shards + copies + activations,
        unit="B",
        formula=f"4 bytes * N * ({terms}){frozen}{sharded} = {fixed / shards / 1e6:,.1f} MB{half}, and "
        f"{activations / 1e6:,.1f} MB of activations for {rows} rows of {tokens_per_row} tokens{again}; the process "
        "itself (Python, torch, Transformers) comes on top",
    )


def _moments(size: Size, trained: dict[str, tuple[int, ...]], recipe: Recipe) -> tuple[int, str]:
    """Values that the optimizer keeps, and how people say it."""
    moved = count(trained.values())
    if recipe.optimizer == "muon":
        hidden = count(shape for name, shape in trained.items() if size.is_hidden_matrix(name))
        return 2 * moved - hidden, "1 moment of each hidden matrix, 2 of the rest"
    if recipe.optimizer == "adafactor":
        # Of a matrix only the means of rows and columns (N. Shazeer, M. Stern, arXiv:1804.04235).
        values = sum(prod(s[:-1]) + prod((*s[:-2], s[-1])) if len(s) > 1 else s[0] for s in trained.values())
        return values, "rows and columns of the second moment"
    return 2 * moved, "2 moments"


def activation_bytes(
    model: Model,
    *,
    rows: int,
    tokens_per_row: int,
    precision: str = "32-true",
    checkpointing: bool = False,
    supervised: float = 1.0,
) -> int:
    """Bytes that the forward pass keeps for the backward one.

    ``B*T * (L * (a h + b f) * w + 2 V * 4 * s)`` with ``w`` 4 bytes per value (2 in bf16-mixed), ``s`` the share of
    supervised tokens, and ``a, b`` 11 and 4 (Llama), 15 and 4 (Qwen3), 8 and 2 (BERT). Attention keeps no T x T matrix,
    it is computed in blocks, except with dropout inside it: then 2.5 a head and layer. The logits' log-softmax and
    gradient are float32; logits of a whole row are one token's. With checkpointing a layer keeps its input alone, and
    one layer at a time has its own values.
    """
    size = size_of(model)
    width = 2 if precision == "bf16-mixed" else 4
    kept = size.kept
    layer = kept.widths * size.hidden + kept.ffn_widths * size.ffn
    if size.dropout:
        layer += kept.dropout_widths * size.hidden + DROPOUT_MATRICES * size.heads * tokens_per_row
    layers = size.layers * size.hidden + layer if checkpointing else size.layers * layer
    logits = rows if size.per_row else rows * tokens_per_row * supervised
    return round(rows * tokens_per_row * layers * width + logits * 2 * size.outputs * 4)


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
