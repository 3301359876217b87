"""Seconds to export a 15M model to GGUF and to ONNX with quick certificates, beyond imports.

    python benchmarks/deploy/export_time.py [--size 15m] [--rounds 3] [--context 256]

One process imports everything that an export needs; then each round exports and certifies both, into a new folder, from
a model folder on disk. What a fresh process of an artifact imports counts. Goal: under 60 s together.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from models import model_folder, table, voice_rows, write_figures

FORMATS = ("q8_0", "int8")
GOAL_S = 60.0
EXAMPLES = 400


def main() -> None:
    """Import, then time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="15m")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--context", type=int, default=256)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = model_folder(arguments.size, Path(folder))
        started = time.perf_counter()
        import_all()
        imports = time.perf_counter() - started
        rounds = [one_round(model, Path(folder) / str(turn), arguments.context) for turn in range(arguments.rounds)]
    together = statistics.median(sum(one.values()) for one in rounds)
    rows = [[name, f"{statistics.median(one[name] for one in rounds):.1f}"] for name in rounds[0]]
    table(["part", "seconds"], [["imports, not counted", f"{imports:.1f}"], *rows, ["together", f"{together:.1f}"]])
    print(f"under {GOAL_S:.0f} s: {'holds' if together < GOAL_S else 'missed'}")
    write_figures(
        "deploy-export-time", {"goal_s": GOAL_S, "imports_s": imports, "rounds": rounds, "together_s": together}
    )


def import_all() -> None:
    """What an export imports in this process."""
    import transformers.models.qwen3.modeling_qwen3  # noqa: F401

    import hone.deploy.artifact.making
    import hone.deploy.gguf.writing
    import hone.deploy.onnx.writing
    import hone.evaluate.torch_generate  # noqa: F401


def one_round(model: Path, out: Path, context: int) -> dict[str, float]:
    """Seconds by part: opening the module, and each artifact with its certificate."""
    from hone.data.tokenizer import TextTokenizer
    from hone.deploy.artifact.making import export_certified
    from hone.deploy.certificate.original import original_of
    from hone.deploy.certificate.witness import Witness
    from hone.model.folder import ModelFolder
    from hone.task.spec import Device

    started = time.perf_counter()
    folder = ModelFolder(model, TextTokenizer)
    module, renderer = folder.load(), folder.renderer()
    rows = [{"text": row["text"], "answer": row["intent"]} for row in voice_rows(EXAMPLES)]
    examples = [renderer.example(f"dev:{number}", row) for number, row in enumerate(rows)]
    texts = [row["text"] for row in rows]
    seconds = {"model opened": time.perf_counter() - started}
    witness = Witness(renderer=renderer, examples=examples, original=original_of(module), texts=texts)
    for weights in FORMATS:
        started = time.perf_counter()
        certificate: Any = export_certified(model, out / weights, weights, Device(context=context), witness)
        seconds[f"{weights}, {certificate.status}"] = time.perf_counter() - started
    return seconds


if __name__ == "__main__":
    main()
