"""What a recipe will cost, before it starts: parameters, arithmetic, memory, time. Each figure with its formula.

Legend: N parameters, h width, f feed-forward width, L layers, V vocabulary, T tokens of a row, B rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from hone.model.presets import Shape, matrix_parameters, parameters
from hone.task.recipe import Recipe

SAVED_WIDTHS_PER_LAYER = {"llama": 11, "qwen3": 15}
"""Values per token and unit of width that a layer keeps for its backward pass, counted with hooks on saved tensors:
both norms and what they read, queries, keys and values, the attention's output (Qwen3: two more norms)."""
SAVED_FFN_WIDTHS_PER_LAYER = 4
"""The same per unit of the feed-forward's width: gate, its activation, the other branch, their product."""


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


def parameter_figure(shape: Shape) -> Figure:
    """Number of parameters, exact."""
    tied = "V*h" if shape.tied else "2*V*h"
    gains = "2h + 2h/heads" if shape.arch == "qwen3" else "2h"
    return Figure(
        name="parameters",
        value=parameters(shape),
        unit="",
        formula=f"{tied} + L*(2*h*h + 2*h*kv + 3*h*f + {gains}) + h with h {shape.hidden}, f {shape.ffn}, "
        f"L {shape.layers}, V {shape.vocab:,}, kv {shape.kv_heads * shape.head_width}",
    )


def flops_per_token(shape: Shape, tokens_per_row: float) -> Figure:
    """Floating-point operations to train on one token, forward and backward (A. Chowdhery et al., arXiv:2204.02311)."""
    matrices = matrix_parameters(shape)
    value = 6.0 * matrices + 12.0 * shape.layers * shape.hidden * tokens_per_row
    return Figure(
        name="training operations per token",
        value=value,
        unit="FLOP",
        formula=f"6*N + 12*L*h*T with N {matrices:,} (matrices), L {shape.layers}, h {shape.hidden}, "
        f"T {tokens_per_row:.0f}",
    )


def training_memory(shape: Shape, recipe: Recipe, *, rows: int, tokens_per_row: int) -> Figure:
    """Bytes of one process's training tensors: weights, gradients, optimizer, average, activations.

    Args:
        shape: the model.
        recipe: for the optimizer, the average and the precision.
        rows: rows of one micro-batch.
        tokens_per_row: tokens of its longest row, all taken to be supervised.
    """
    count = parameters(shape)
    hidden_matrices = matrix_parameters(shape) - shape.vocab * shape.hidden
    moments = 2 * count - (hidden_matrices if recipe.optimizer == "muon" else 0)
    average = count if recipe.average else 0
    fixed = 4 * (2 * count + moments + average)
    activations = activation_bytes(shape, rows=rows, tokens_per_row=tokens_per_row, precision=recipe.precision)
    moments_text = "1 moment of each hidden matrix, 2 of the rest" if recipe.optimizer == "muon" else "2 moments"
    return Figure(
        name="training memory",
        value=fixed + activations,
        unit="B",
        formula=f"4 bytes * N * (weights, gradients, {moments_text}{', average' if average else ''}) = "
        f"{fixed / 1e6:,.1f} MB, and {activations / 1e6:,.1f} MB of activations for {rows} rows of {tokens_per_row} "
        "tokens; the process itself (Python, torch, Transformers) comes on top",
    )


def activation_bytes(shape: Shape, *, rows: int, tokens_per_row: int, precision: str = "32-true") -> int:
    """Bytes that the forward pass keeps for the backward one.

    ``B*T * (L * (11 h + 4 f) * w + 2 V * 4)`` (Qwen3: 15 h) with ``w`` 4 bytes per value (2 in bf16-mixed). Attention
    keeps no T x T matrix, it is computed in blocks; the logits' log-softmax and gradient are float32.
    """
    width = 2 if precision == "bf16-mixed" else 4
    layer = SAVED_WIDTHS_PER_LAYER[shape.arch] * shape.hidden + SAVED_FFN_WIDTHS_PER_LAYER * shape.ffn
    return rows * tokens_per_row * (shape.layers * layer * width + 2 * shape.vocab * 4)


def training_seconds(tokens: float, tokens_per_second: float) -> Figure:
    """Time of training on ``tokens``, padding included, at a rate that was measured."""
    return Figure(
        name="training time",
        value=tokens / tokens_per_second,
        unit="s",
        formula=f"{tokens:,.0f} tokens / {tokens_per_second:,.0f} tokens per second (measured)",
    )


def _readable(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:,.0f} s" if value < 600 else f"{value / 60:,.1f} min"
    if not unit:
        return f"{value:,.0f}"
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:,.1f} {prefix}{unit}"
    return f"{value:,.0f} {unit}"
