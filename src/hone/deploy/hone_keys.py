"""What hone stores inside an artifact of any runtime, as texts: the same keys, whatever the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.deploy.artifact.describing import base_name
from hone.deploy.weights import Prepared
from hone.errors import InputError
from hone.files import file_hash, read_json
from hone.task.soft_prompt import soft_prompt_of

FORMAT = 1
_FROM_MODEL_FOLDER = ("renderer", "examples", "hashes", "base", "labels", "task", "kind", "recipe")


def hone_keys(folder: Path, weights: str) -> dict[str, str]:
    """``hone.*`` keys of an artifact made of a model folder; without a ``hone.json`` only hashes and format.

    Args:
        folder: the model folder.
        weights: name of the weight format.
    """
    keys = {
        "hone.format": str(FORMAT),
        "hone.weights": weights,
        "hone.tokenizer_hash": file_hash(folder / "tokenizer.json", 16),
        "hone.config_hash": file_hash(folder / "config.json", 16),
    }
    described = folder / "hone.json"
    if described.is_file():
        hone = read_json(described)
        if isinstance(base := hone.get("base"), str):
            hone["base"] = base_name(base)  # the file is passed on: folders of this machine are no one else's
        keys |= {f"hone.{key}": as_text(hone[key]) for key in _FROM_MODEL_FOLDER if key in hone}
    return keys


def soft_prompt_in(folder: Path, vocab_size: int) -> tuple[int, ...]:
    """The ids of a model folder's soft prompt; none where it has none, or no ``hone.json``.

    Raises:
        InputError: when they are not the last rows of the vocabulary: hone writes no others.
    """
    described = folder / "hone.json"
    ids = soft_prompt_of(read_json(described).get("renderer")) if described.is_file() else ()
    if ids != tuple(range(vocab_size - len(ids), vocab_size)):
        raise InputError(f"{described} has a soft prompt of the ids {list(ids)[:3]}, ...: not the last of {vocab_size}")
    return ids


def prepared_keys(usual: Mapping[str, str], kinds: Mapping[str, str], prepared: Prepared) -> dict[str, str]:
    """How the matrices were prepared, and which are stored otherwise (``kinds``) than the format says (``usual``)."""
    keys = {}
    if prepared.how:
        keys = {"hone.prepared": prepared.how, "hone.prepared_rows": str(prepared.rows)}
    if other := {name: kind for name, kind in kinds.items() if kind != usual[name]}:
        keys["hone.kinds"] = as_text(other)
    return keys


def as_text(value: Any) -> str:
    """A text as it is, anything else as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
