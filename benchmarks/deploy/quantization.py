"""One table over weight formats and ways of rounding: size, time, divergence, score, for a voice model over seeds.

    python benchmarks/deploy/quantization.py [--seeds 0,1,2] [--steps 1600] [--aware-steps 300] [--base scratch:1m]
                                             [--rows 700] [--folder FOLDER]

For each seed a voice model is trained in floats, rounded in every way, and trained on the grid of Q4_0 behind it as a
short second stage. Divergence is that of the model in floats over the answers of dev, teacher forced, in nats; the
score is field F1 on dev with the very weights that an artifact has; size is that of the model file (GGUF has the
tokenizer in it), and a token's time is that of its runtime, in a fresh process of one thread. Laws: at 4 bits
calibrated rounding diverges less than plain, and training less than both, on every seed; training loses at most 1 point
of field F1 in the median; its file takes at most 0.6 of Q8_0's.

With ``--folder`` everything is kept there: runs are gone on with and finished ones found again, and so is each way's
row of figures, as long as its settings and the rounding's own source are what they were.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import ROOT, VOICE, table, write_figures

WAYS = (
    ("f16", "none"),
    ("q8_0", "none"),
    ("q5_0", "none"),
    ("q5_0", "importance"),
    ("q4_0", "none"),
    ("q4_0", "importance"),
    ("q4_0", "gptq"),
    ("apart", "gptq"),
    ("mixed", "gptq"),
    ("int4", "gptq"),
    ("int4-g16", "gptq"),
)
"""``apart`` is Q4_0 with the embedding in Q8_0, ``mixed`` Q4_0 with larger kinds by layer."""
MIXED_SHARE = 0.75
"""Budget of the mixture, of Q8_0's bytes."""
MOST_LOSS, MOST_SIZE = 0.01, 0.6
PROMPT_TOKENS, NEW_TOKENS, REPEATS = 32, 48, 5
Figures = dict[str, float]


@dataclass(frozen=True)
class Voice:
    """A model that was trained in floats, with what it is judged by."""

    folder: Path
    parts: Any
    module: Any
    model: Path
    rows: int
    """Dev rows that are scored."""


class Kept:
    """Figures that were computed already, in one file of a seed's folder."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path, self._settings = path, {**settings, "rounding": rounding_source()}
        self._known: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}

    def get(self, way: str, compute: Callable[[], Figures], **more: Any) -> Figures:
        """The figures of a way, computed where they are not known for these settings."""
        settings, known = {**self._settings, **more}, self._known.get(way)
        if known is None or known["settings"] != settings:
            begin = time.perf_counter()
            known = self._known[way] = {"settings": settings, "figures": compute()}
            self._path.write_text(json.dumps(self._known, indent=1))
            print(f"  {way}: {time.perf_counter() - begin:.0f} s", flush=True)
        return dict(known["figures"])


def main() -> None:
    """Every seed, then the table and the laws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated (default 0,1,2)")
    parser.add_argument("--steps", type=int, default=1600, help="of the model in floats (default 1600)")
    parser.add_argument("--aware-steps", type=int, default=300, help="of the second stage (default 300)")
    parser.add_argument("--base", default="scratch:1m", help="what the model starts from (default scratch:1m)")
    parser.add_argument("--rows", type=int, default=700, help="dev rows that each way is scored on (default 700)")
    parser.add_argument("--folder", type=Path, help="where task folders and figures are made and kept")
    arguments = parser.parse_args()
    found: dict[int, dict[str, Figures]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        parent = arguments.folder or Path(scratch)
        for seed in map(int, arguments.seeds.split(",")):
            found[seed] = of_seed(parent / f"seed-{seed}", seed, arguments)
            show(found[seed], f"seed {seed}")
    ways = next(iter(found.values()))
    middle = {
        way: {key: statistics.median(one[way][key] for one in found.values()) for key in ways[way]} for way in ways
    }
    show(middle, "medians")
    show_seeds(found)
    laws = judged(found)
    print("\n".join(f"{name}: {'holds' if held else 'missed'}" for name, held in laws.items()))
    settings = {key: value for key, value in vars(arguments).items() if key != "folder"}
    write_figures("quantization", {**settings, "seeds": found, "medians": middle, "laws": laws})


def of_seed(folder: Path, seed: int, arguments: argparse.Namespace) -> dict[str, Figures]:
    """Figures of every way of one seed."""
    voice = trained(folder, seed, arguments)
    kept = Kept(folder / "figures.json", {key: getattr(arguments, key) for key in ("steps", "base", "rows")})
    found = {"f32 none": kept.get("f32 none", lambda: in_floats(voice))}
    for weights, how in WAYS:
        found[f"{weights} {how}"] = kept.get(
            f"{weights} {how}", lambda weights=weights, how=how: rounded(voice, weights, how)
        )
    steps = arguments.aware_steps
    found["q4_0 aware"] = kept.get("q4_0 aware", lambda: aware(voice, seed, steps), aware_steps=steps)
    return found


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
    module = ModelFolder(model, TextTokenizer).load()
    return Voice(folder=folder, parts=parts, module=module, model=model, rows=arguments.rows)


def in_floats(voice: Voice) -> Figures:
    """Figures of the model as it was trained."""
    return {**as_file(voice, voice.model, "f32", None), "seconds": 0, "divergence": 0, "score": score(voice, {})}


def rounded(voice: Voice, weights: str, how: str) -> Figures:
    """Figures of one way of rounding."""
    from hone.deploy.decoders import EMBEDDING
    from hone.deploy.quantization.offered import offers
    from hone.deploy.weights import Prepared

    bench, begin = voice.parts.bench, time.perf_counter()
    if weights == "f16":
        seconds, values, prepared = 0.0, in_halves(voice), None
        name = weights
    else:
        kinds = mixture(voice) if weights == "mixed" else {EMBEDDING: "q8_0"} if weights == "apart" else {}
        name = "q4_0" if weights in ("mixed", "apart") else weights
        (offer,) = offers(voice.module, name, bench.train, bench.dev, hows=(how,), kinds=kinds)
        seconds = time.perf_counter() - begin
        prepared = Prepared(kinds=kinds, codes=offer.codes, importance=offer.importance, how=how)
        values = values_in(voice, name, prepared)
    return {
        **as_file(voice, voice.model, name, prepared),
        "seconds": seconds,
        "divergence": divergence_of(voice, values),
        "score": score(voice, values),
    }


def mixture(voice: Voice) -> Mapping[str, str]:
    """Kinds by matrix of the best mixture of Q4_0 within the budget."""
    from hone.deploy.quantization.calibration import places
    from hone.deploy.quantization.mixed import mixed_kinds
    from hone.deploy.weights import stored_bytes, weight_format

    shapes = {name: tuple(voice.module.get_parameter(name).shape) for name in places(voice.module)}
    budget = int(MIXED_SHARE * stored_bytes(shapes, weight_format("q8_0")))
    return mixed_kinds(voice.module, "q4_0", voice.parts.bench.train, budget)[0].kinds


def values_in(voice: Voice, weights: str, prepared: Any) -> dict[str, Any]:
    """What each matrix says once it is written."""
    from hone.deploy.quantization.calibration import places
    from hone.deploy.quantization.grids import values_of
    from hone.deploy.quantization.offered import as_written
    from hone.deploy.quantization.sequence import matrix_of

    coded = {name: values_of(codes) for name, codes in prepared.codes.items()}
    left = {name: prepared.kinds.get(name, weights) for name in places(voice.module) if name not in coded}
    return coded | {
        name: as_written(matrix_of(voice.module, name), kind, prepared.importance.get(name))
        for name, kind in left.items()
    }


def in_halves(voice: Voice) -> dict[str, Any]:
    """Matrices as float16 says them."""
    import numpy as np

    from hone.deploy.quantization.calibration import places
    from hone.deploy.quantization.sequence import matrix_of

    matrices = {name: matrix_of(voice.module, name) for name in places(voice.module)}
    return {name: values.astype(np.float16).astype(np.float32) for name, values in matrices.items()}


def aware(voice: Voice, seed: int, steps: int) -> Figures:
    """Figures of the second stage: trained on the grid of Q4_0, from the model in floats."""
    import hone
    from hone.data.tokenizer import TextTokenizer
    from hone.deploy.quantization.offered import prepare
    from hone.deploy.quantization.sequence import matrix_of
    from hone.model.folder import ModelFolder

    recipe = voice.parts.recipe.child(
        aware="q4_0", steps=steps, warmup_steps=max(1, steps // 20), eval_every=steps, seed=seed
    )
    report = hone.attempt(voice.folder, recipe, name="aware", say=print)
    model = Path(report.model)
    module = ModelFolder(model, TextTokenizer).load()
    values = {name: matrix_of(module, name) for name, _ in module.named_parameters()}
    return {
        **as_file(voice, model, "q4_0", prepare(model, "q4_0", ())),
        "seconds": sum(report.seconds_by_part.values()),  # of the run, also where it is found again
        "divergence": divergence_of(voice, values),
        "score": score(voice, values),
    }


def as_file(voice: Voice, model: Path, weights: str, prepared: Any) -> Figures:
    """Megabytes of the model file, and milliseconds of a token in a fresh process of one thread."""
    from hone.deploy.process import FreshProcess
    from hone.deploy.runtime import runtime
    from hone.deploy.weights import weight_format

    prompt = [int(one) for one in voice.parts.bench.dev[0].ids[:PROMPT_TOKENS]]
    with tempfile.TemporaryDirectory() as folder:
        chosen = runtime(weight_format(weights).runtime)
        out = Path(folder) / "model.gguf" if chosen.suffix == ".gguf" else Path(folder)
        file = chosen.export(model, weights, out, prepared)
        with FreshProcess(file, threads=1, context=voice.parts.recipe.context) as process:
            measured = process.measure(prompt, new_tokens=NEW_TOKENS, repeats=REPEATS)
        return {"size_mb": file.stat().st_size / 1e6, "token_ms": float(measured["ms_per_token"])}


def score(voice: Voice, values: Mapping[str, Any]) -> float:
    """Field F1 on dev of the model in floats with other values in it."""
    from hone.deploy.quantization.sequence import carrying

    with carrying(voice.module, values):
        judged_rows = voice.parts.bench.data.dev[: voice.rows]
        return float(voice.parts.score(voice.module, judged_rows).score.mean)


def divergence_of(voice: Voice, values: Mapping[str, Any]) -> float:
    """Mean divergence of the model in floats when it carries other values, as the ways of rounding are measured."""
    from hone.deploy.quantization.calibration import batches_of
    from hone.deploy.quantization.offered import JUDGED_ROWS, divergence, original_logits

    batches = batches_of(voice.parts.bench.dev, JUDGED_ROWS)
    return divergence(original_logits(voice.module, batches), voice.module, batches, values)[0]


def rounding_source() -> str:
    """A hash of what rounds and writes: figures of another one are computed anew."""
    from hone.files import content_hash

    deploy = ROOT / "src" / "hone" / "deploy"
    return content_hash(
        [path.read_text() for part in ("quantization", "gguf", "onnx") for path in sorted((deploy / part).glob("*.py"))]
    )


def calibrated(one: Mapping[str, Figures]) -> float:
    """The least divergence of the calibrated ways at 4 bits."""
    return min(one[f"q4_0 {how}"]["divergence"] for how in ("importance", "gptq"))


def lost(one: Mapping[str, Figures]) -> float:
    """Field F1 that training for 4 bits loses."""
    return one["f32 none"]["score"] - one["q4_0 aware"]["score"]


def size_ratio(one: Mapping[str, Figures]) -> float:
    """The trained file's size over Q8_0's."""
    return one["q4_0 aware"]["size_mb"] / one["q8_0 none"]["size_mb"]


def judged(found: Mapping[int, Mapping[str, Figures]]) -> dict[str, bool]:
    """The laws."""
    seeds = list(found.values())
    plain, aware_ = ([one[f"q4_0 {how}"]["divergence"] for one in seeds] for how in ("none", "aware"))
    least = [calibrated(one) for one in seeds]
    return {
        "calibrated diverges less than plain on every seed": all(a < b for a, b in zip(least, plain, strict=True)),
        "trained diverges less than both on every seed": all(
            a < min(b, c) for a, b, c in zip(aware_, least, plain, strict=True)
        ),
        f"trained loses at most {MOST_LOSS:.0%} of field F1 in the median": (
            statistics.median(map(lost, seeds)) <= MOST_LOSS
        ),
        f"trained is at most {MOST_SIZE} of Q8_0's size": max(map(size_ratio, seeds)) <= MOST_SIZE,
    }


def show(ways: Mapping[str, Figures], title: str) -> None:
    """One table over the ways."""
    print(title)
    rows = [
        [
            way,
            f"{one['size_mb']:.3f}",
            f"{one['token_ms']:.3f}",
            f"{one['seconds']:.1f}",
            f"{one['divergence']:.3g}",
            f"{one['score']:.4f}",
        ]
        for way, one in ways.items()
    ]
    table(["format and way", "MB", "ms/token", "seconds to make", "nats", "field F1"], rows)


def show_seeds(found: Mapping[int, Mapping[str, Figures]]) -> None:
    """What the laws are judged by, seed by seed."""
    print("at 4 bits, seed by seed")
    rows = [
        [
            str(seed),
            *(f"{value:.3g}" for value in (one["q4_0 none"]["divergence"], calibrated(one))),
            f"{one['q4_0 aware']['divergence']:.3g}",
            f"{one['f32 none']['score']:.4f}",
            f"{one['q4_0 aware']['score']:.4f}",
            f"{100 * lost(one):.2f}",
            f"{size_ratio(one):.3f}",
        ]
        for seed, one in found.items()
    ]
    head = ["seed", "nats plain", "calibrated", "trained", "F1 floats", "F1 trained", "points lost", "size over Q8_0"]
    table(head, rows)


if __name__ == "__main__":
    main()
