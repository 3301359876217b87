"""Memory of one training process on top of the process itself, from what the code of a step keeps.

Two moments decide. When the last layer's backward pass begins, all that the forward pass has kept is there, with what
that layer's own backward pass makes. When the update is computed, all gradients are there, with its working copies.
Which tensors those are is read off :mod:`hone.model.fused`, the modules of Transformers and :mod:`hone.train.muon`.

Legend: N parameters, h width, f feed-forward width, L layers, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from math import prod

from hone.model.fused_sizes import MOST_WANTED, piece_rows
from hone.model.sizes import DROPOUT_MATRICES, Kept, Size, Tensors, count
from hone.task.recipe import Recipe

HOLES = 1.25
"""What glibc's heap takes for what a forward and backward pass keeps and makes, over its bytes: places that are freed
are not filled to the last one. Measured 1.18 to 1.34 for models of 0.5 to 30 million parameters."""
ACCUMULATED_HOLES = 1.75
"""The same from the second micro-batch of a step on: the gradients of the first lie in the places that it left, and
large blocks no longer fit between them. Measured 1.57 at 1 and 1.96 at 5 million parameters."""
OUTPUT_MATRICES, ACCUMULATED_OUTPUT_MATRICES = 1, 2
"""Gradients as large as the output matrix that the fused pass makes beside those that are held: the embedding's; from
the second micro-batch on also the head's own. For eight runs of 8,192 to 65,536 ids at width 128 the sum was 0.90 to
1.16 of what was measured."""
UPDATE_SHARES = (0.5, 1.5)
"""Of the pass's bytes and of the update's: what both take together where the update decides. Muon's working copies are
larger than most of the freed places; fitted to seven models of 0.15 to 15 million parameters."""
UPDATE_LEFT = 0.4
"""Of the update's bytes, what its places add where the pass decides: moments that stay lie between them."""
SMALL_THINGS = 1_000_000
"""Batches, logged values and Python's own objects: what a model of 150,000 parameters takes on top of its tensors."""


def held_bytes(size: Size, recipe: Recipe) -> int:
    """Bytes of weights, gradients, the optimizer's moments and the average, of one process without shards.

    4 bytes for each value: computing in bfloat16 keeps all of them in float32.
    """
    trained = size.trained(recipe.freeze)
    moved = count(trained.values())
    average = moved if recipe.average else 0
    # Training on a grid keeps the unrounded values beside, and of a base a copy that teaches.
    rounded = 0 if recipe.aware == "none" else size.parameters * (1 if recipe.base.startswith("scratch") else 2)
    return 4 * (size.parameters + moved + moments(size, trained, recipe)[0] + average + rounded)


def moments(size: Size, trained: Tensors, recipe: Recipe) -> tuple[int, str]:
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


def is_fused(size: Size, recipe: Recipe) -> bool:
    """Whether a run of this recipe on a CPU takes the fused forward pass, as far as shape and recipe can tell."""
    sharded = recipe.strategy == "fsdp" and recipe.processes > 1
    plain = recipe.compile is True or recipe.gradient_checkpointing or recipe.precision == "bf16-mixed" or sharded
    return size.fused is not None and not plain and not size.dropout


def activation_bytes(
    size: Size,
    *,
    rows: int,
    tokens_per_row: int,
    tokens: int | None = None,
    supervised: float = 1.0,
    fused: bool = False,
    precision: str = "32-true",
    checkpointing: bool = False,
) -> int:
    """Bytes that the forward pass keeps for the backward one.

    ``tokens * L * (a h + b f) * w`` with ``w`` 4 bytes per value (2 in bf16-mixed) and ``a, b`` as in
    :data:`hone.model.sizes.KEPT`, or of the fused pass. Attention keeps no T x T matrix, it is computed in blocks,
    except with dropout inside it: then 2.5 a head and layer. Logits' log-softmax and gradient are float32, of
    supervised tokens alone, or of one token a row; the fused head holds a piece of the logits. With checkpointing a
    layer keeps its input alone, and one layer at a time has its own values.

    Args:
        size: of the model.
        rows: of one micro-batch.
        tokens_per_row: of its longest row.
        tokens: real ones of the micro-batch, where padding is left out (fused); else all places of the batch.
        supervised: share of the tokens that predict something.
        fused: whether the pass is that of :mod:`hone.model.fused`.
        precision: ``32-true`` or ``bf16-mixed``.
        checkpointing: whether layers are computed again.
    """
    tokens = tokens if tokens is not None and fused else rows * tokens_per_row
    kept = _kept(size, fused=fused)
    layer = kept.widths * size.hidden + kept.ffn_widths * size.ffn
    if size.dropout:
        layer += kept.dropout_widths * size.hidden + DROPOUT_MATRICES * size.heads * tokens_per_row
    layers = size.layers * size.hidden + layer if checkpointing else size.layers * layer
    layers -= layer - _last_layer(size, supervised) if fused else 0.0
    predicting = rows if size.per_row else tokens * supervised
    logits = piece_bytes(size, tokens, supervised) if fused else 8 * size.outputs * predicting
    return round(tokens * layers * (2 if precision == "bf16-mixed" else 4) + logits)


def piece_bytes(size: Size, tokens: int, supervised: float = 1.0) -> float:
    """Bytes of the logits that the fused head holds at once."""
    return 4 * size.outputs * min(tokens * supervised, piece_rows(size.outputs))


def passing_bytes(size: Size, tokens: int, *, fused: bool, supervised: float = 1.0, precision: str = "32-true") -> int:
    """Bytes that the backward pass of a layer makes while everything that was kept is still there.

    Where the fused pass takes few tokens through the last layer, that of the layer before it may be more, without what
    the last one had kept.
    """
    kept = _kept(size, fused=fused)
    values = kept.passing_widths * size.hidden + kept.passing_ffn_widths * size.ffn
    if fused and supervised < MOST_WANTED:
        values = max(supervised * values, values - _last_layer(size, supervised))
    return round(tokens * values * (2 if precision == "bf16-mixed" else 4))


def _last_layer(size: Size, supervised: float) -> float:
    """Values per token that the last layer of the fused pass keeps: behind attention of tokens alone that predict."""
    kept = _kept(size, fused=True)
    behind = 2 * size.hidden + kept.ffn_widths * size.ffn
    all_of_it = kept.widths * size.hidden + kept.ffn_widths * size.ffn
    return all_of_it if supervised >= MOST_WANTED else all_of_it - (1.0 - supervised) * behind


def update_bytes(size: Size, recipe: Recipe) -> int:
    """Bytes of an update's working copies beside weights, gradients and moments; AdamW's kernel has none.

    Muon computes on all matrices of one shape at once: momentum with a look ahead, stacked, normalised, and on the way
    two more and the squares of the smaller side (:func:`hone.train.muon.orthogonalise`).
    """
    if recipe.optimizer != "muon":
        return 0
    trained = size.trained(recipe.freeze)
    shapes = Counter(shape for name, shape in trained.items() if size.is_hidden_matrix(name))
    return max((4 * many * _orthogonalised(*shape) for shape, many in shapes.items()), default=0)


def _orthogonalised(rows: int, columns: int) -> int:
    """Values that are there at once while one matrix is made orthogonal."""
    side, values = min(rows, columns), rows * columns
    if max(rows, columns) < 2 * side:
        return 5 * values + 2 * side * side
    return max(3 * values + 6 * side * side, 4 * values + 3 * side * side)


def coming_and_going(
    forward_backward: float,
    update: float,
    gradients: float,
    *,
    accumulated: bool = False,
    on_cpu: bool = True,
    piece: float = 0.0,
    matrix: float = 0.0,
) -> float:
    """Bytes on top of what is held between updates, gradients included, at the moment where a step takes most.

    That moment is the start of the backward pass, where most gradients are still to come and nothing of the forward
    pass is freed; or its end, where they have come and lie beside what was freed; or the update. A GPU's allocator is
    asked for what is in use, and has no holes.

    Args:
        forward_backward: bytes that are kept and made by the pass.
        update: bytes of the update's working copies.
        gradients: bytes that are held and not there yet when the backward pass begins.
        accumulated: whether a step has several micro-batches.
        on_cpu: whether the C library's heap holds it.
        piece: of ``forward_backward``, bytes of the fused head's logits: one block, which has no holes.
        matrix: bytes of the output matrix of a fused pass.
    """
    late = 0.0 if accumulated else gradients
    if not on_cpu:
        return max(forward_backward - late, update)
    of_pass, of_update = UPDATE_SHARES
    beside = of_pass * forward_backward + of_update * update if update else 0.0
    holes, matrices = (ACCUMULATED_HOLES, ACCUMULATED_OUTPUT_MATRICES) if accumulated else (HOLES, OUTPUT_MATRICES)
    start = holes * (forward_backward - piece) + piece + matrices * matrix - late + UPDATE_LEFT * update
    return max(start, forward_backward, beside) + SMALL_THINGS


def _kept(size: Size, *, fused: bool) -> Kept:
    return size.fused if fused and size.fused is not None else size.kept
