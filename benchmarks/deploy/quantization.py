"""One table over weight formats and ways of rounding: size, time, divergence, score, for a voice model over seeds.

    python benchmarks/deploy/quantization.py [--seeds 0,1,2] [--steps 1600] [--aware-steps 300] [--base scratch:1m]
                                             [--folder FOLDER]

For each seed a voice model is trained in floats, rounded in every way, and trained on the grid of Q4_0 behind it as a
short second stage. Divergence is that of the model in floats over the answers of dev, teacher forced, in nats; the
score is field F1 on dev with the very weights that an artifact would have; size is that of the matrices and vectors in
GGUF. Laws: at 4 bits calibrated rounding diverges less than plain, and training less than both, on every seed; training
loses at most 1 point of field F1; its file takes at most 0.6 of Q8_0's. Folders are kept under ``--folder`` when it is
given, so that a stopped series goes on where it was.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import VOICE, table, write_figures

WAYS = (
    ("f16", "none"),
    ("q8_0", "none"),
    ("q4_0", "none"),
    ("q4_0", "importance"),
    ("q4_0", "gptq"),
    ("mixed", "gptq"),
)
TRAINED = ("q4_0", "aware")
MIXED_SHARE = 0.75
"""Budget of the mixture, of Q8_0's bytes."""
JUDGED = 700
MOST_LOSS, MOST_SIZE = 0.01, 0.6
Figures = dict[str, float]


@dataclass(frozen=True)
class Voice:
    """A model that was trained in floats, with what it is judged by."""

    folder: Path
    parts: Any
    module: Any
    model: Path


def main() -> None:
    """Every seed, then the table and the laws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated (default 0,1,2)")
    parser.add_argument("--steps", type=int, default=1600, help="of the model in floats (default 1600)")
    parser.add_argument("--aware-steps", type=int, default=300, help="of the second stage (default 300)")
    parser.add_argument("--base", default="scratch:1m", help="what the model starts from (default scratch:1m)")
    parser.add_argument("--folder", type=Path, help="where the task folders are made and kept")
    arguments = parser.parse_args()
    found: dict[int, dict[str, Figures]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        parent = arguments.folder or Path(scratch)
        for seed in map(int, arguments.seeds.split(",")):
            voice = trained(parent / f"seed-{seed}", seed, arguments)
            found[seed] = {**rounded(voice), "q4_0 aware": aware(voice, seed, arguments)}
            show(found[seed], f"seed {seed}")
    middle = {
        way: {
            key: statistics.median(one[way][key] for one in found.values()) for key in next(iter(found.values()))[way]
        }
        for way in next(iter(found.values()))
    }
    show(middle, "medians")
    laws = {name: bool(held) for name, held in judged(found).items()}
    print("\n".join(f"{name}: {'holds' if held else 'missed'}" for name, held in laws.items()))
    settings = {key: value for key, value in vars(arguments).items() if key != "folder"}
    write_figures("quantization", {**settings, "seeds": found, "medians": middle, "laws": laws})


def trained(folder: Path, seed: int, arguments: argparse.Namespace) -> Voice:
    """The model in floats; a finished run is found again."""
    import shutil

    import hone
    from hone.data.tokenizer import TextTokenizer
    from hone.model.folder import ModelFolder
    from hone.own_loops import training_parts

    if not (folder / "hone.yaml").exists():
        shutil.copytree(VOICE, folder)
    changes = {"base": arguments.base, "steps": arguments.steps, "seed": seed}
    recipe = training_parts(folder, changes, say=lambda line: None).recipe
    report = hone.attempt(folder, recipe, name="floats", say=print)
    model = Path(report.model)
    parts = training_parts(folder, {**changes, "base": str(model), "layout": recipe.layout}, say=lambda line: None)
    return Voice(folder=folder, parts=parts, module=ModelFolder(model, TextTokenizer).load(), model=model)


def rounded(voice: Voice) -> dict[str, Figures]:
    """Figures of every way of rounding."""
    from hone.deploy.quantization.calibration import places
    from hone.deploy.quantization.grids import values_of
    from hone.deploy.quantization.mixed import mixed_kinds
    from hone.deploy.quantization.offered import offers
    from hone.deploy.quantization.sequence import carrying

    bench = voice.parts.bench
    shapes = {name: tuple(param.shape) for name, param in voice.module.named_parameters()}
    found = {}
    for weights, how in WAYS:
        begin, kinds = time.perf_counter(), None
        if weights == "mixed":
            budget = int(MIXED_SHARE * size_bytes({name: shapes[name] for name in places(voice.module)}, "q8_0", {}))
            kinds = mixed_kinds(voice.module, "q4_0", bench.train, budget)[0].kinds
        name = "q4_0" if weights == "mixed" else weights
        if weights == "f16":
            values, divergence = in_halves(voice), None
        else:
            (offer,) = offers(voice.module, name, bench.train, bench.dev, hows=(how,), kinds=kinds)
            values, divergence = {key: values_of(one) for key, one in offer.codes.items()}, offer.kld_mean
        seconds = time.perf_counter() - begin
        with carrying(voice.module, values):
            score = voice.parts.score(voice.module, bench.data.dev[:JUDGED]).score.mean
        found[f"{weights} {how}"] = {
            "size_mb": size_bytes(shapes, name, kinds or {}) / 1e6,
            "seconds": seconds,
            "divergence": divergence_of(voice, values) if divergence is None else divergence,
            "score": score,
        }
    plain = voice.parts.score(voice.module, bench.data.dev[:JUDGED]).score.mean
    return {
        "f32 none": {"size_mb": size_bytes(shapes, "f32", {}) / 1e6, "seconds": 0, "divergence": 0, "score": plain},
        **found,
    }


def aware(voice: Voice, seed: int, arguments: argparse.Namespace) -> Figures:
    """Figures of the second stage: trained on the grid of Q4_0, from the model in floats."""
    import hone
    from hone.data.tokenizer import TextTokenizer
    from hone.model.folder import ModelFolder

    steps = arguments.aware_steps
    recipe = voice.parts.recipe.child(
        aware="q4_0", steps=steps, warmup_steps=max(1, steps // 20), eval_every=steps, seed=seed
    )
    begin = time.perf_counter()
    report = hone.attempt(voice.folder, recipe, name="aware", say=print)
    seconds = time.perf_counter() - begin
    from hone.deploy.quantization.calibration import places
    from hone.deploy.quantization.sequence import matrix_of

    module = ModelFolder(Path(report.model), TextTokenizer).load()
    values = {name: matrix_of(module, name) for name, param in module.named_parameters()}
    shapes = {name: tuple(value.shape) for name, value in values.items()}
    assert set(places(module)) <= set(values)
    return {
        "size_mb": size_bytes(shapes, "q4_0", {}) / 1e6,
        "seconds": seconds,
        "divergence": divergence_of(voice, values),
        "score": voice.parts.score(module, voice.parts.bench.data.dev[:JUDGED]).score.mean,
    }


def in_halves(voice: Voice) -> dict[str, Any]:
    """Matrices as float16 says them."""
    import numpy as np

    from hone.deploy.quantization.calibration import places
    from hone.deploy.quantization.sequence import matrix_of

    matrices = {name: matrix_of(voice.module, name) for name in places(voice.module)}
    return {name: values.astype(np.float16).astype(np.float32) for name, values in matrices.items()}


def divergence_of(voice: Voice, values: Mapping[str, Any]) -> float:
    """Mean divergence of the model in floats when it carries other values, as the ways of rounding are measured."""
    from hone.deploy.quantization.calibration import batches_of
    from hone.deploy.quantization.offered import JUDGED_ROWS, divergence, original_logits

    batches = batches_of(voice.parts.bench.dev, JUDGED_ROWS)
    return divergence(original_logits(voice.module, batches), voice.module, batches, values)[0]


def size_bytes(shapes: Mapping[str, tuple[int, ...]], weights: str, kinds: Mapping[str, str]) -> int:
    """Bytes of tensors, scales included; vectors in 32 bits."""
    from hone.deploy.weights import stored_bytes, weight_format

    return sum(stored_bytes({name: shape}, weight_format(kinds.get(name, weights))) for name, shape in shapes.items())


def judged(found: Mapping[int, Mapping[str, Figures]]) -> dict[str, bool]:
    """The laws."""
    seeds = list(found.values())
    calibrated = [min(one[f"q4_0 {how}"]["divergence"] for how in ("importance", "gptq")) for one in seeds]
    lost = statistics.median(one["f32 none"]["score"] - one["q4_0 aware"]["score"] for one in seeds)
    sizes = [one["q4_0 aware"]["size_mb"] / one["q8_0 none"]["size_mb"] for one in seeds]
    return {
        "calibrated diverges less than plain on every seed": all(
            value < one["q4_0 none"]["divergence"] for value, one in zip(calibrated, seeds, strict=True)
        ),
        "trained diverges less than both on every seed": all(
            one["q4_0 aware"]["divergence"] < value for value, one in zip(calibrated, seeds, strict=True)
        ),
        f"trained loses at most {MOST_LOSS:.0%} of field F1 in the median": lost <= MOST_LOSS,
        f"trained is at most {MOST_SIZE} of Q8_0's size": max(sizes) <= MOST_SIZE,
    }


def show(ways: Mapping[str, Figures], title: str) -> None:
    """One table."""
    print(title)
    rows = [
        [way, f"{one['size_mb']:.2f}", f"{one['seconds']:.1f}", f"{one['divergence']:.2g}", f"{one['score']:.4f}"]
        for way, one in ways.items()
    ]
    table(["format and way", "MB", "seconds", "nats", "field F1"], rows)


if __name__ == "__main__":
    main()
