"""Whether what was decided about a model's matrices beforehand can be written to ONNX; what cannot is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hone.deploy.onnx.kinds import KIND_BITS
from hone.deploy.onnx.rounding import code_problems
from hone.deploy.weights import Prepared


def preparation_problems(prepared: Prepared, shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Sentences on entries that cannot be honoured.

    Args:
        prepared: see :class:`hone.deploy.weights.Prepared`.
        shapes: of the tensors that are written.
    """
    named = {*prepared.kinds, *prepared.importance, *prepared.codes}
    matrices = {name: tuple(shape) for name, shape in shapes.items() if len(shape) == 2}
    problems = [f"prepared: {name} is no matrix of this model" for name in sorted(named - matrices.keys())]
    problems += [
        f'prepared: {name} as "{kind}"; ONNX stores {", ".join(KIND_BITS)}'
        for name, kind in prepared.kinds.items()
        if kind not in KIND_BITS
    ]
    problems += [
        f"prepared: {name} has codes of {codes.bits} bits and shall be stored as {prepared.kinds[name]}"
        for name, codes in prepared.codes.items()
        if prepared.kinds.get(name, f"int{codes.bits}") != f"int{codes.bits}"
    ]
    if problems:
        return problems
    for name, codes in prepared.codes.items():
        problems += [f"prepared: {problem}" for problem in code_problems(name, codes, matrices[name])]
    return problems + _importance_problems(prepared, matrices)


def _importance_problems(prepared: Prepared, matrices: Mapping[str, tuple[int, ...]]) -> list[str]:
    # Importance of a matrix that is not rounded to blocks is honoured by itself: nothing there is to be weighed.
    problems = []
    for name, values in prepared.importance.items():
        columns = matrices[name][-1]
        if values.shape != (columns,):
            problems.append(f"prepared: importance of {name} has shape {values.shape}; expected ({columns},)")
        elif not np.isfinite(values).all() or float(values.min()) < 0:
            problems.append(f"prepared: importance of {name} holds values that are negative or not finite")
    return problems
