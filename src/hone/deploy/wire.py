"""Messages between a process and the fresh one that runs an artifact: one JSON line, then raw float32 arrays."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def send(stream: BinaryIO, value: Any, arrays: Sequence[Array] = ()) -> None:
    """Write one message. ``value`` is plain JSON; ``arrays`` follow as little-endian float32."""
    head = {"value": value, "shapes": [list(array.shape) for array in arrays]}
    stream.write(json.dumps(head, ensure_ascii=True).encode() + b"\n")
    stream.writelines(np.ascontiguousarray(array, dtype="<f4").tobytes() for array in arrays)
    stream.flush()


def receive(read_line: Callable[[], bytes], read: Callable[[int], bytes]) -> tuple[Any, list[Array]]:
    """Read one message.

    Raises:
        EOFError: when the other side is gone.
    """
    line = read_line()
    if not line.endswith(b"\n"):
        raise EOFError
    head = json.loads(line)
    arrays = []
    for shape in head["shapes"]:
        size = int(np.prod(shape, dtype=np.int64)) * 4
        data = read(size)
        if len(data) != size:
            raise EOFError
        arrays.append(np.frombuffer(data, dtype="<f4").reshape(shape))
    return head["value"], arrays
