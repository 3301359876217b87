"""Models that the scripts beside this one measure: presets with random weights and a tokenizer of real requests."""

from __future__ import annotations

import gzip
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from measure import VOICE, ratio_with_interval, write_result  # noqa: E402  (the folder above is no package)

__all__ = ["ROOT", "model_folder", "ratio_with_interval", "table", "voice_rows", "write_figures"]
TRAINED_ON = 6_000
"""Requests that the tokenizer is trained on."""


def voice_rows(count: int) -> list[dict[str, Any]]:
    """Rows of the voice task's training file."""
    with gzip.open(VOICE / "train.jsonl.gz", "rt", encoding="utf-8") as handle:
        return [json.loads(line) for line in itertools.islice(handle, count)]


def model_folder(name: str, folder: Path) -> Path:
    """A preset as a model folder, Qwen3-shaped as hone makes it; the same bytes each time."""
    from hone.deploy.probing import random_folder
    from hone.model.presets import preset

    texts = [" " + row["text"] + " " + json.dumps(row) for row in voice_rows(TRAINED_ON)]
    return random_folder(replace(preset(name), arch="qwen3"), folder / name, texts=texts)


def write_figures(name: str, figures: dict[str, Any]) -> None:
    """Write ``results/deploy-NAME.json``, with the versions of every runtime."""
    from hone.deploy.runtime import runtimes

    known = {runtime: found.version() for runtime, found in runtimes().items()}
    write_result(f"deploy-{name}", {"runtimes": known, **figures})


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    from hone.cli.tables import aligned

    print("\n".join(aligned(head, rows)))
