"""Whether what was decided about a model's matrices beforehand can be written; what cannot is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hone.deploy.weights import USUAL_GROUP, Codes, Prepared

CODE_RANGES = {4: (-8, 7), 8: (-127, 127)}
"""Smallest and largest code by bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    """What a file format can hold of it."""

    target: str
    """Its name, for sentences."""
    kinds: Collection[str]
    coded: Mapping[tuple[int, int], str]
    """Bits of ready codes with the weights that share a scale, and the kind that holds them as they are."""

    def kind_of(self, codes: Codes) -> str | None:
        """The kind that holds codes as they are; None where none does."""
        return self.coded.get((codes.bits, codes.block))

    def said(self, part: int) -> str:
        """The bits (0) or the weights that share a scale (1) that there are."""
        return " and ".join(map(str, sorted({known[part] for known in self.coded})))


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
        kind = store.kind_of(codes)
        if kind is not None and prepared.kinds.get(name, kind) != kind:
            problems.append(
                f"prepared: {name} has codes of {codes.bits} bits and shall be stored as {prepared.kinds[name]}"
                + ("" if codes.block == USUAL_GROUP else f"; they share a scale by {codes.block}")
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
    if not any(codes.bits == bits for bits, _ in store.coded):
        return [f"codes of {codes.bits} bits; {store.target} has {store.said(0)}"]
    if store.kind_of(codes) is None:
        return [f"codes in blocks of {codes.block}; {store.target} has blocks of {store.said(1)}"]
    if columns % codes.block:
        return [f"codes in blocks of {codes.block}, which do not divide its rows of {columns}"]
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
