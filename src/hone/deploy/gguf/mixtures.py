"""Which tensor of a model is stored how in a GGUF file: known from names and shapes, before anything is written.

The mixtures Q4_K_M and Q5_K_M follow llama.cpp (``llama_tensor_get_type`` and ``use_more_bits`` in its quantizer): the
matrices of values and the second of the feed-forward have Q6_K in a half of the layers, and so has the output
matrix, which is the embedding where it is tied.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hone.deploy.preparing import Store, preparation_problems
from hone.deploy.weights import KEPT_IN_FLOATS, Prepared

KIND_BITS = {
    "f32": 32.0,
    "f16": 16.0,
    "q8_0": 8.5,
    "q6_k": 6.5625,
    "q5_k": 5.5,
    "q5_0": 5.5,
    "q4_k": 4.5,
    "q4_0": 4.5,
}
"""Bits per weight by kind, scales included."""
KIND_BLOCK = {"f32": 1, "f16": 1, "q8_0": 32, "q6_k": 256, "q5_k": 256, "q5_0": 32, "q4_k": 256, "q4_0": 32}
"""Weights that share a scale (or a super-block): a row's length must divide by it."""
MIXTURES = {"q5_k_m": ("q5_k", "q6_k"), "q4_k_m": ("q4_k", "q6_k")}
"""Format: the kind of most matrices, and of those with more bits."""
CODED = {(4, 32): "q4_0", (8, 32): "q8_0"}
"""Bits of ready codes and weights that share a scale, and the kind that stores them as they are."""
STORE = Store(target="GGUF", kinds=KIND_BITS, coded=CODED)

_LAYER = re.compile(r"\.layers?\.(\d+)\.")
_MORE_BITS = ("self_attn.v_proj.weight", "mlp.down_proj.weight", "attention.self.value.weight")
_SECOND_OF_FEED_FORWARD = re.compile(r"\.layer\.\d+\.output\.dense\.weight$")
_OUTPUTS = ("lm_head.weight", "embed_tokens.weight", "word_embeddings.weight")
"""The output matrix, or the embedding that takes its place; the first that is there."""


def matrix_kinds(shapes: Mapping[str, Sequence[int]], weights: str) -> dict[str, str]:
    """Kind of each tensor of a model folder in this format, by the folder's names; vectors stay in 32 bits.

    Args:
        shapes: of all tensors.
        weights: a format of GGUF.
    """
    usual, more = MIXTURES.get(weights, (weights, weights))
    layers = 1 + max((int(found[1]) for name in shapes if (found := _LAYER.search(name))), default=-1)
    output = next((name for end in _OUTPUTS for name in shapes if name.endswith(end)), "")
    kinds = {}
    for name, shape in shapes.items():
        if len(shape) != 2 or name.endswith(KEPT_IN_FLOATS):
            kinds[name] = "f32"
        else:
            kinds[name] = more if name == output or _has_more_bits(name, layers) else usual
    return kinds


def stored_kinds(shapes: Mapping[str, Sequence[int]], weights: str, prepared: Prepared) -> dict[str, str]:
    """:func:`matrix_kinds` with what was prepared: codes say their own kind, and so does an entry."""
    coded = {name: CODED[codes.bits, codes.block] for name, codes in prepared.codes.items()}
    return {**matrix_kinds(shapes, weights), **coded, **prepared.kinds}


def prepared_problems(shapes: Mapping[str, Sequence[int]], prepared: Prepared) -> list[str]:
    """Sentences on what was prepared and cannot be honoured."""
    kept = [name for name in {**prepared.kinds, **prepared.codes} if name.endswith(KEPT_IN_FLOATS)]
    return [
        *preparation_problems(prepared, shapes, STORE),
        *(f"prepared: {name} stays in 32 bits in every format" for name in kept),
    ]


def _has_more_bits(name: str, layers: int) -> bool:
    """llama.cpp's ``use_more_bits`` for the two matrices of a layer that it concerns."""
    found = _LAYER.search(name)
    if found is None or not (name.endswith(_MORE_BITS) or _SECOND_OF_FEED_FORWARD.search(name)):
        return False
    layer, eighth = int(found[1]), layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
