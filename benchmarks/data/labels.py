"""The quick linear classifier on three tasks, and how many shuffled labels the labels signal finds.

    python benchmarks/data/labels.py --data FOLDER [--out FILE]

FOLDER holds ``banking77/{train,test}.csv``, ``snips_nlu/`` and ``hate_offensive/labeled_data.csv``. Known floors
(TF-IDF of words and characters with a linear SVM): banking77 accuracy 0.912, Snips intent 0.986, tweets macro-F1
0.727 (the last on another split: here a fifth of the rows is held out). Labels are shuffled among the chosen rows, so
a few keep theirs; precision counts real errors of banking77, of which it has some, as false.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hone.data.linear import fit
from hone.data.signals.labels import Labels
from hone.data.table import TextRow, batches
from hone.files import write_json

SEEDS = (0, 1, 2)
Rows = tuple[list[str], list[str]]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    banking = _banking(options.data, "train")
    tasks = {
        "banking77": (banking, _banking(options.data, "test")),
        "snips_nlu": (_snips(options.data, "train_*_full.json"), _snips(options.data, "validate_*.json")),
        "hate_offensive": _tweets(options.data),
    }
    found: dict[str, Any] = {"classifier": {}, "shuffled": {}}
    print("| task | rows | labels | accuracy | macro-F1 | fit, CPU-s | predict, CPU-s |\n|---|---|---|---|---|---|---|")
    for name, (train, test) in tasks.items():
        found["classifier"][name] = _classified(name, train, test)
    print("\n| rows | shuffled | changed | suspect | precision | recall | suggestion right | CPU-s |")
    print("|---|---|---|---|---|---|---|---|")
    for count, share in ((len(banking[0]), 0.0), (len(banking[0]), 0.05), (len(banking[0]), 0.3), (1_000, 0.05)):
        found["shuffled"][f"{count} rows, {share}"] = [_shuffled(banking, count, share, seed) for seed in SEEDS]
    if options.out:
        write_json(options.out, found)


def _classified(name: str, train: Rows, test: Rows) -> dict[str, float]:
    begin = time.process_time()
    model = fit(*train, seed=0)
    middle = time.process_time()
    told = np.array(model.labels)[model.probabilities(test[0]).argmax(axis=1)]
    end = time.process_time()
    right = np.array(test[1])
    f1 = [
        2 * ((told == label) & (right == label)).sum() / max(1, (told == label).sum() + (right == label).sum())
        for label in model.labels
    ]
    figures = {
        "accuracy": float((told == right).mean()),
        "macro_f1": float(np.mean(f1)),
        "fit_cpu_s": middle - begin,
        "predict_cpu_s": end - middle,
    }
    values = " | ".join(f"{value:.3f}" for value in figures.values())
    print(f"| {name} | {len(train[0]):,} | {len(model.labels)} | {values} |")
    return figures


def _shuffled(rows: Rows, count: int, share: float, seed: int) -> dict[str, float]:
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(rows[0]))[:count]
    texts, right = [rows[0][i] for i in chosen], np.array(rows[1], object)[chosen]
    given = right.copy()
    moved = random.permutation(count)[: int(share * count)]
    given[moved] = given[random.permutation(moved)]
    begin = time.process_time()
    columns = _measured(texts, given.tolist())
    seconds = time.process_time() - begin
    suspect = np.array(columns["labels.suspect"].fill_null(False).to_pylist(), np.bool_)
    suggested = np.array(columns["labels.suggested"].to_pylist(), object)
    changed = given != right
    hit = suspect & changed
    figures = {
        "changed": int(changed.sum()),
        "suspect": int(suspect.sum()),
        "precision": float(hit.sum() / max(1, suspect.sum())),
        "recall": float(hit.sum() / max(1, changed.sum())),
        "suggestion_right": float((suggested == right)[hit].mean()) if hit.any() else 0.0,
        "cpu_s": seconds,
    }
    shares = " | ".join(f"{figures[name]:.3f}" for name in ("precision", "recall", "suggestion_right"))
    print(f"| {count:,} | {share:.0%} | {changed.sum():,} | {suspect.sum():,} | {shares} | {seconds:.2f} |")
    return figures


def _measured(texts: Sequence[str], labels: Sequence[str]) -> pa.Table:
    signal = Labels()
    rows = (
        TextRow(row=str(i), source="", split="train", text=text, input=text, answer=label, label=label, fields="{}")
        for i, (text, label) in enumerate(zip(texts, labels, strict=True))
    )
    return signal.columns(pa.Table.from_batches([signal.sketch(batch) for batch in batches(rows)]))


def _banking(data: Path, split: str) -> Rows:
    with (data / "banking77" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def _snips(data: Path, pattern: str) -> Rows:
    texts, labels = [], []
    for path in sorted((data / "snips_nlu").glob(pattern)):
        # One file holds a character beyond U+FFFF as two surrogates.
        text = path.read_bytes().decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16")
        for intent, requests in json.loads(text).items():
            texts += ["".join(span["text"] for span in request["data"]) for request in requests]
            labels += [intent] * len(requests)
    return texts, labels


def _tweets(data: Path) -> tuple[Rows, Rows]:
    with (data / "hate_offensive/labeled_data.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["tweet"], row["class"]) for row in csv.DictReader(file)]
    order = np.random.default_rng(0).permutation(len(rows))
    cut = len(rows) // 5

    def side(chosen: Sequence[int]) -> Rows:
        return [rows[i][0] for i in chosen], [rows[i][1] for i in chosen]

    return side(order[cut:].tolist()), side(order[:cut].tolist())


if __name__ == "__main__":
    main()
