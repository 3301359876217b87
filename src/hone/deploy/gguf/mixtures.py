"""Which tensor of a model is stored how in a GGUF file: known from names and shapes, before anything is written.

The mixtures Q4_K_M and Q5_K_M follow llama.cpp (``llama_tensor_get_type`` and ``use_more_bits`` in its quantizer): the
matrices of values and the second of the feed-forward have Q6_K in a half of the layers, and so has the output
matrix, which is the embedding where it is tied.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hone.deploy.weights import Codes, Prepared
from hone.errors import nearest

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
CODED = {4: "q4_0", 8: "q8_0"}
"""Bits of ready codes, and the kind that stores them as they are."""

_LAYER = re.compile(r"\.layers?\.(\d+)\.")
_MORE_BITS = ("self_attn.v_proj.weight", "mlp.down_proj.weight", "attention.self.value.weight")
_SECOND_OF_FEED_FORWARD = re.compile(r"\.layer\.\d+\.output\.dense\.weight$")
_OUTPUTS = ("lm_head.weight", "embed_tokens.weight", "word_embeddings.weight")
"""The output matrix, or the embedding that takes its place; the first that is there."""
_IN_32_BITS = ("position_embeddings.weight", "token_type_embeddings.weight", "classifier.weight")
"""Small tables that llama.cpp adds as they are, and the last matrix of a head, which decides by itself."""


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
        if len(shape) != 2 or name.endswith(_IN_32_BITS):
            kinds[name] = "f32"
        else:
            kinds[name] = more if name == output or _has_more_bits(name, layers) else usual
    return kinds


def stored_kinds(shapes: Mapping[str, Sequence[int]], weights: str, prepared: Prepared) -> dict[str, str]:
    """:func:`matrix_kinds` with what was prepared: codes say their bits, an entry its own kind."""
    coded = {name: CODED.get(codes.bits, f"{codes.bits} bits") for name, codes in prepared.codes.items()}
    return {**matrix_kinds(shapes, weights), **coded, **prepared.kinds}


def prepared_problems(shapes: Mapping[str, Sequence[int]], weights: str, prepared: Prepared) -> list[str]:
    """Sentences on what was prepared and cannot be honoured."""
    problems = []
    kinds = stored_kinds(shapes, weights, prepared)
    for part in ("kinds", "importance", "codes"):
        for name in getattr(prepared, part):
            if len(shapes.get(name, ())) != 2:
                problems.append(f"{part} of {name} were prepared, and no matrix of that name is stored")
            elif name.endswith(_IN_32_BITS) and part != "importance":
                problems.append(f"{part} of {name} were prepared; it always stays in 32 bits")
    for name, kind in prepared.kinds.items():
        if kind not in KIND_BITS:
            problems.append(f'{name}: kind "{kind}" is not known to GGUF; {nearest(kind, list(KIND_BITS))}')
    for name, codes in prepared.codes.items():
        if name in shapes:
            problems += _code_problems(name, shapes[name], kinds[name], codes)
    for name, importance in prepared.importance.items():
        columns = shapes[name][-1] if name in shapes else 0
        if columns and importance.shape != (columns,):
            problems.append(f"{name}: importance has the shape {importance.shape}, its rows have {columns} weights")
        elif columns and not (importance >= 0).all():
            problems.append(f"{name}: importance must be numbers from 0 up, and some are negative or not numbers")
    return problems


def _code_problems(name: str, shape: Sequence[int], kind: str, codes: Codes) -> list[str]:
    """Sentences on ready codes that a block of 32 does not hold as they are."""
    if codes.bits not in CODED or codes.block != 32:
        return [
            f"{name}: codes of {codes.bits} bits in blocks of {codes.block}; GGUF packs 4 or 8 bits in blocks of 32"
        ]
    problems = []
    if kind != CODED[codes.bits]:
        problems.append(f"{name}: its codes of {codes.bits} bits are {CODED[codes.bits]}, and its kind says {kind}")
    wanted = (tuple(shape), (shape[0], shape[-1] // 32))
    if (codes.codes.shape, codes.scales.shape) != wanted:
        problems.append(
            f"{name}: codes {codes.codes.shape} with scales {codes.scales.shape}; {wanted[0]}, {wanted[1]} are needed"
        )
    low, high = (-8, 7) if codes.bits == 4 else (-127, 127)
    if codes.codes.size and not low <= int(codes.codes.min()) <= int(codes.codes.max()) <= high:
        problems.append(
            f"{name}: codes from {codes.codes.min()} to {codes.codes.max()}; {codes.bits} bits are {low} to {high}"
        )
    return problems


def _has_more_bits(name: str, layers: int) -> bool:
    """llama.cpp's ``use_more_bits`` for the two matrices of a layer that it concerns."""
    found = _LAYER.search(name)
    if found is None or not (name.endswith(_MORE_BITS) or _SECOND_OF_FEED_FORWARD.search(name)):
        return False
    layer, eighth = int(found[1]), layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
