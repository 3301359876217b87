"""Weights of a model folder as float32 arrays, without torch: safetensors files read by their header.

Format: 8 bytes of header length, a JSON header ``{name: {dtype, shape, data_offsets}}``, then the data
(https://github.com/huggingface/safetensors). numpy has no bfloat16, so it is widened here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hone.errors import FailedError, InputError
from hone.files import read_json

_DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


@dataclass(frozen=True, slots=True)
class _Place:
    file: Path
    start: int
    stop: int
    dtype: str
    shape: tuple[int, ...]


class Tensors:
    """The tensors of a model folder by name, read one at a time.

    Raises:
        InputError: when the folder has no safetensors weights.
        FailedError: when a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._places = {name: place for file in _files(folder) for name, place in _header(file).items()}
        self.shapes: dict[str, tuple[int, ...]] = {name: place.shape for name, place in self._places.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def read(self, name: str) -> NDArray[np.float32]:
        """One tensor as float32.

        Raises:
            FailedError: for a type that is not floating point, or non-finite values.
        """
        place = self._places[name]
        if place.dtype not in _DTYPES:
            raise FailedError(f"{place.file}: tensor {name} is {place.dtype}; expected {', '.join(sorted(_DTYPES))}")
        with place.file.open("rb") as handle:
            handle.seek(place.start)
            raw = np.frombuffer(handle.read(place.stop - place.start), dtype=_DTYPES[place.dtype]).reshape(place.shape)
        wide = (raw.astype(np.uint32) << 16).view(np.float32) if place.dtype == "BF16" else raw.astype(np.float32)
        values: NDArray[np.float32] = wide
        broken = int((~np.isfinite(values)).sum())
        if broken:
            raise FailedError(f"{place.file}: tensor {name} has {broken:,} values that are not finite")
        return values


def _files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return [folder / name for name in sorted(set(read_json(index)["weight_map"].values()))]
    single = folder / "model.safetensors"
    if not single.is_file():
        raise InputError(f"{folder}: no model.safetensors (weights as safetensors are needed; pickles are refused)")
    return [single]


def _header(file: Path) -> dict[str, _Place]:
    try:
        with file.open("rb") as handle:
            size = int.from_bytes(handle.read(8), "little")
            header = json.loads(handle.read(size))
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        raise FailedError(f"{file}: not a whole safetensors file ({error})") from error
    start, whole = 8 + size, file.stat().st_size
    places = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        low, high = entry["data_offsets"]
        if start + high > whole:
            raise FailedError(f"{file}: tensor {name} ends at byte {start + high:,} of {whole:,}; the file is cut off")
        places[name] = _Place(file, start + low, start + high, entry["dtype"], tuple(entry["shape"]))
    return places
