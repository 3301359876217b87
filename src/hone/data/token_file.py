"""Examples on disk: one safetensors file, ids end to end with offsets, checked by a digest when it is opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hone.data.ledger import Entry, Reason
from hone.files import atomic_write
from hone.task.render import Example, labels_of

_NO_LABEL = -1
Stored = tuple[tuple[Example, ...], tuple[Entry, ...]]


def save(path: Path, examples: Sequence[Example], entries: Sequence[Entry]) -> None:
    """Write examples and the entries of rows left out, whole or not at all."""
    from safetensors.numpy import save as to_bytes

    arrays = {
        "ids": _joined([example.ids for example in examples], np.int32),
        "supervised": _joined([example.supervised for example in examples], np.bool_),
        "lengths": np.array([len(example.ids) for example in examples], dtype=np.int64),
        "prompt_lens": np.array([example.prompt_len for example in examples], dtype=np.int64),
        "labels": np.array([_NO_LABEL if e.label is None else e.label for e in examples], dtype=np.int64),
    }
    if examples and examples[0].targets is not None:
        arrays["targets"] = _joined([e.targets for e in examples], np.int32)
    if examples and examples[0].labels is not None:
        arrays["several"] = np.stack([labels_of(e) for e in examples]).astype(np.float32)
    books = json.dumps({"rows": [example.row for example in examples], "entries": [asdict(entry) for entry in entries]})
    # As an array: with a second key in the metadata the file's bytes would not be the same every time.
    arrays["digest"] = np.frombuffer(_digest(arrays, books), dtype=np.uint8)
    atomic_write(path, to_bytes(arrays, metadata={"books": books}))


def load(path: Path, say: Callable[[str], None]) -> Stored | None:
    """The content of a file, or None when there is none; a damaged file is said and counts as none."""
    if not path.exists():
        return None
    try:
        arrays, metadata = _open(path)
        books = metadata["books"]
        if arrays.pop("digest").tobytes() != _digest(arrays, books):
            raise ValueError("its digest does not match")
        return _examples(arrays, json.loads(books))
    except Exception as error:  # whatever a damaged file does, the rows are still there to be rendered again
        say(f"the cached tokens {path} are damaged ({error}); they are made again")
        return None


def _open(path: Path) -> tuple[dict[str, Any], Mapping[str, str]]:
    from safetensors import safe_open

    with safe_open(str(path), framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118 (not a mapping)


def _examples(arrays: Mapping[str, Any], books: Mapping[str, Any]) -> Stored:
    ends = np.cumsum(arrays["lengths"]).tolist()
    columns = zip(
        ends, arrays["lengths"].tolist(), arrays["prompt_lens"].tolist(), arrays["labels"].tolist(), strict=True
    )
    targets, several = arrays.get("targets"), arrays.get("several")
    examples = tuple(
        Example(
            ids=arrays["ids"][end - length : end],
            supervised=arrays["supervised"][end - length : end],
            prompt_len=prompt_len,
            label=None if label == _NO_LABEL else label,
            row=row,
            targets=None if targets is None else targets[end - length : end],
            labels=None if several is None else several[index],
        )
        for index, (row, (end, length, prompt_len, label)) in enumerate(zip(books["rows"], columns, strict=True))
    )
    return examples, tuple(_entry(record) for record in books["entries"])


def _entry(record: Mapping[str, Any]) -> Entry:
    reasons = tuple(Reason(**reason) for reason in record["reasons"])
    return Entry(row=record["row"], source=record["source"], reasons=reasons, text=record["text"])


def _joined(parts: Sequence[Any], dtype: Any) -> Any:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.zeros(0, dtype=dtype)


def _digest(arrays: Mapping[str, Any], books: str) -> bytes:
    digest = hashlib.sha256(books.encode("utf-8"))
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.digest()
