"""Matrices of a model folder inside an ONNX graph, each stored in its kind: fp32, fp16, int8 or int4 of some group.

fp16 is a way of storing: ONNX Runtime's CPU has no half-precision matrix product, so each matrix is cast to 32 bits
once, when the session is made. int8 and int4 are computed as they are, by ``MatMulNBits`` with accuracy level 4: the
input of a product is rounded to 8 bits by blocks, as llama.cpp does it. Scales are stored in 16 bits and cast as fp16.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hone.deploy.onnx.graph import CONTRIB, Graph
from hone.deploy.onnx.kinds import CODED_AS
from hone.deploy.onnx.rounding import HALF_LARGEST, packed, round_to_blocks
from hone.deploy.tensors import Tensors
from hone.deploy.weights import Codes, Prepared
from hone.errors import InputError

ACCURACY_LEVEL = 4
"""Of ``MatMulNBits``: 4 rounds inputs to 8 bits; 1 keeps 32 and is several times slower on CPUs."""
_FLOAT32 = 1


class Matrices:
    """Adds products with matrices, lookups of rows, and vectors to a graph.

    Args:
        graph: where to.
        tensors: the model folder's.
        kinds: of each matrix that is used, see :func:`hone.deploy.onnx.kinds.matrix_kinds`.
        prepared: codes and importance, checked by the writer.
    """

    def __init__(self, graph: Graph, tensors: Tensors, kinds: Mapping[str, str], prepared: Prepared) -> None:
        self._graph, self._tensors, self._kinds, self._prepared = graph, tensors, kinds, prepared
        self._looked_up: set[str] = set()

    def vector(self, name: str) -> str:
        """A vector, always in 32 bits."""
        return self._graph.constant(name, self._tensors.read(name))

    def lookup(self, ids: str, name: str) -> str:
        """(..., columns): the rows of a matrix at ``ids``."""
        self._looked_up.add(name)
        if self._kinds[name] in CODED_AS:
            codes = self._codes(name)
            stored = self._graph.constant(f"{name}.codes", packed(codes))
            return self._graph.add(
                "GatherBlockQuantized",
                [stored, ids, self._scales(name, codes)],
                domain=CONTRIB,
                bits=codes.bits,
                block_size=codes.block,
                gather_axis=0,
                quantize_axis=1,
            )
        # Few rows are cast, not the matrix: it stays in 16 bits where nothing else needs it.
        rows = self._graph.add("Gather", [self._floats(name, transposed=False), ids])
        return self._widened(rows) if self._kinds[name] == "fp16" else rows

    def linear(self, x: str, name: str, bias: str | None = None) -> str:
        """(..., rows): the product of ``x`` (..., columns) with a matrix (rows, columns), plus a bias vector."""
        if self._kinds[name] in CODED_AS:
            return self._blocks_product(x, name, bias)
        if name in self._looked_up:
            # The embedding again: the same constant, read along its rows.
            matrix = self._widened_once(name, transposed=False)
            product = self._graph.add("FusedMatMul", [x, matrix], domain=CONTRIB, transA=0, transB=1, alpha=1.0)
        else:
            product = self._graph.add("MatMul", [x, self._widened_once(name, transposed=True)])
        return product if bias is None else self._graph.add("Add", [product, self.vector(bias)])

    def _blocks_product(self, x: str, name: str, bias: str | None) -> str:
        codes = self._codes(name)
        rows, columns = codes.codes.shape
        shape = (rows, columns // codes.block, codes.block * codes.bits // 8)
        if name in self._looked_up:
            flat = self._graph.constant(f"{name}.codes", packed(codes))
            stored = self._graph.add("Reshape", [flat, self._graph.whole(*shape)])
        else:
            stored = self._graph.constant(f"{name}.codes", packed(codes).reshape(shape))
        inputs = [x, stored, self._scales(name, codes)]
        return self._graph.add(
            "MatMulNBits",
            inputs if bias is None else [*inputs, "", "", self.vector(bias)],
            domain=CONTRIB,
            K=columns,
            N=rows,
            bits=codes.bits,
            block_size=codes.block,
            accuracy_level=ACCURACY_LEVEL,
        )

    def _codes(self, name: str) -> Codes:
        given = self._prepared.codes.get(name)
        if given is not None:
            return given
        bits, group = CODED_AS[self._kinds[name]]
        return round_to_blocks(name, self._tensors.read(name), bits, self._prepared.importance.get(name), group)

    def _scales(self, name: str, codes: Codes) -> str:
        return self._widened(self._graph.constant(f"{name}.scales", codes.scales.astype(np.float16)))

    def _floats(self, name: str, *, transposed: bool) -> str:
        values = self._tensors.read(name)
        stored: NDArray[np.floating] = as_half(name, values) if self._kinds[name] == "fp16" else values
        return self._graph.constant(name, stored.T if transposed else stored)

    def _widened_once(self, name: str, *, transposed: bool) -> str:
        stored = self._floats(name, transposed=transposed)
        return self._widened(stored) if self._kinds[name] == "fp16" else stored

    def _widened(self, value: str) -> str:
        return self._graph.add("Cast", [value], to=_FLOAT32)


def as_half(name: str, values: NDArray[np.float32]) -> NDArray[np.float16]:
    """A tensor in 16 bits.

    Raises:
        InputError: when values do not fit, with the tensor's name.
    """
    over = np.abs(values) > HALF_LARGEST
    if over.any():
        raise InputError(
            f"tensor {name}: {int(over.sum()):,} values, up to {np.abs(values).max():.4g}, are over the "
            f"{HALF_LARGEST:,.0f} that 16 bits hold and would become infinite; use fp32 or int8"
        )
    return values.astype(np.float16)
