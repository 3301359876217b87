"""Whether what was decided about a model's matrices beforehand can be written; what cannot is refused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hone.deploy.weights import Codes, Prepared

CODE_RANGES = {4: (-8, 7), 8: (-127, 127)}
"""Smallest and largest code by bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    """What a file format can hold of it."""

    target: str
    """Its name, for sentences."""
    kinds: Collection[str]
    coded: Mapping[int, str]
    """Bits of ready codes, and the kind that holds them as they are."""
    blocks: Callable[[int], bool]
    """Whether codes with a scale to so many weights can be packed."""
    blocks_said: str


def preparation_problems(prepared: Prepared, shapes: Mapping[str, Sequence[int]], store: Store) -> list[str]:
    """Sentences on entries that cannot be honoured.

    Args:
        prepared: see :class:`hone.deploy.weights.Prepared`.
        shapes: of the tensors that are written.
        store: the format.
    """
    named = {*prepared.kinds, *prepared.importance, *prepared.codes}
    matrices = {name: tuple(shape) for name, shape in shapes.items() if len(shape) == 2}
    problems = [f"prepared: {name} is no matrix of this model" for name in sorted(named - matrices.keys())]
    problems += [
        f'prepared: {name} as "{kind}"; {store.target} stores {", ".join(store.kinds)}'
        for name, kind in prepared.kinds.items()
        if kind not in store.kinds
    ]
    for name, codes in prepared.codes.items():
        if prepared.kinds.get(name, store.coded.get(codes.bits)) != store.coded.get(codes.bits):
            problems.append(
                f"prepared: {name} has codes of {codes.bits} bits and shall be stored as {prepared.kinds[name]}"
            )
        if name in matrices:
            problems += [f"prepared: {name} has {fault}" for fault in _code_faults(codes, matrices[name], store)]
    for name, values in prepared.importance.items():
        columns = matrices[name][-1] if name in matrices else len(values)
        if values.shape != (columns,):
            problems.append(f"prepared: importance of {name} has shape {values.shape}; expected ({columns},)")
        elif not np.isfinite(values).all() or float(values.min(initial=0)) < 0:
            problems.append(f"prepared: importance of {name} holds values that are negative or not finite")
    return problems


def _code_faults(codes: Codes, shape: tuple[int, ...], store: Store) -> list[str]:
    """What keeps codes from being packed as they are, as the ends of sentences."""
    rows, columns = shape
    if codes.bits not in store.coded:
        return [f"codes of {codes.bits} bits; {store.target} has {' and '.join(map(str, store.coded))}"]
    if not store.blocks(codes.block) or columns % codes.block:
        return [f"codes in blocks of {codes.block}; rows of {columns} take {store.blocks_said} that divide them"]
    faults = []
    if codes.codes.shape != shape:
        faults.append(f"codes {codes.codes.shape}; the tensor is {shape}")
    if codes.scales.shape != (rows, columns // codes.block):
        faults.append(f"scales {codes.scales.shape}; expected {(rows, columns // codes.block)}")
    elif not np.isfinite(codes.scales).all():
        faults.append("scales that are not finite")
    low, high = int(codes.codes.min(initial=0)), int(codes.codes.max(initial=0))
    least, most = CODE_RANGES[codes.bits]
    if low < least or high > most:
        faults.append(f"codes {low} to {high}; {codes.bits} bits go {least} to {most}")
    return faults
