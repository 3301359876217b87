"""An ONNX graph under construction: nodes in order, constants by name, inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONTRIB = "com.microsoft"
"""Domain of ONNX Runtime's own operators: in all its builds, the browser's too."""
OPSET, CONTRIB_OPSET, IR_VERSION = 21, 1, 10

Dims = Sequence[int | str]


class Graph:
    """Nodes are added in the order of computation; a value is known by its name alone."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._made = 0

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str] = (),
        *,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Add a node and return the name of its first output; an input "" is one left out."""
        from onnx import helper

        self._made += 1
        names = list(outputs) or [f"{kind.lower()}_{self._made}"]
        node = helper.make_node(kind, list(inputs), names, name=f"{kind}_{self._made}", domain=domain, **attributes)
        self._nodes.append(node)
        return names[0]

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant under this name, once; its type is the array's."""
        from onnx import numpy_helper

        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(values, order="C"), name)
        return name

    def whole(self, *values: int) -> str:
        """A constant list of int64."""
        return self.constant("int64_" + "_".join(map(str, values)).replace("-", "minus"), np.array(values, np.int64))

    def input(self, name: str, kind: str, dims: Dims, default: NDArray[Any] | None = None) -> str:
        """Declare an input; one with a default may be left out by whoever runs the graph."""
        self._inputs.append(_value(name, kind, dims))
        return name if default is None else self.constant(name, default)

    def output(self, name: str, kind: str, dims: Dims) -> str:
        """Declare a value as an output."""
        self._outputs.append(_value(name, kind, dims))
        return name

    def model(self, metadata: Mapping[str, str]) -> Any:
        """The ``onnx.ModelProto``."""
        from onnx import helper

        graph = helper.make_graph(
            self._nodes, "hone", self._inputs, self._outputs, initializer=list(self._constants.values())
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, CONTRIB_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="hone")
        helper.set_model_props(model, dict(metadata))
        return model


def _value(name: str, kind: str, dims: Dims) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.DataType.Value(kind), list(dims))
