"""Training rows against their tests: facts, what plain phrases match, a proof by planted passages, and the speed.

    python benchmarks/data/contamination.py --data FOLDER [--out FILE]

FOLDER holds ``banking77/{train,test}.csv``, ``snips_nlu/``, ``gsm8k/{train,test}.jsonl`` and
``techdocs/techdocs.jsonl.gz``. Known from elsewhere: 25 test rows of banking77 and 18 of Snips equal a training row
after folding. The speed is that of the signal alone, on documentation pages, against the tests of the three tasks and
against a benchmark as large as the pages themselves (every other page).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from hone.data.decontamination import Overlap, overlaps, prove
from hone.data.fingerprints import Fingerprints
from hone.data.signals.contamination import Contamination
from hone.data.table import TextRow, batches
from hone.files import write_json

Pair = tuple[str, str]
KNOWN = {"banking77": 25, "snips_nlu": 18}


def main() -> None:
    """Print the tables.

    Raises:
        SystemExit: when a known fact is missed, or a planted passage is not found.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    data = parser.parse_args().data
    out = parser.parse_args().out
    tasks = {"banking77": _banking(data), "snips_nlu": _snips(data), "gsm8k": _gsm8k(data)}
    print(
        "| task | train | test | test rows equal | share 13 words | share 8 words | short row inside | planted found |"
    )
    print("|---|---|---|---|---|---|---|---|")
    found: dict[str, Any] = {}
    wrong = []
    for name, (train, test) in tasks.items():
        signal = _signal({name: test})
        overlap = _overlap(signal, train)
        proof = prove(signal, [text for _, text in train])
        sharing = overlap.test_rows_sharing
        print(
            f"| {name} | {len(train):,} | {len(test):,} | {overlap.test_rows_equal} | {sharing['13-gram']} | "
            f"{sharing['8-gram']} | {sharing['whole']} | {proof.sentence()} |"
        )
        found[name] = {"equal": overlap.test_rows_equal, "sharing": sharing, "training_rows": overlap.rows}
        if not proof.ok or KNOWN.get(name, overlap.test_rows_equal) != overlap.test_rows_equal:
            wrong.append(f"{name}: {overlap.test_rows_equal} equal, {proof.sentence()}")
    with gzip.open(data / "techdocs/techdocs.jsonl.gz", "rt", encoding="utf-8") as lines:
        pages = [json.loads(line)["text"] for line in lines]
    found["speed"] = {
        "three tests": _speed(_signal({name: test for name, (_, test) in tasks.items()}), pages),
        "every other page": _speed(_signal({"pages": [(page, page) for page in pages[::2]]}), pages[1::2]),
    }
    if out:
        write_json(out, found)
    if wrong:
        raise SystemExit("; ".join(wrong))


def _signal(tests: Mapping[str, Sequence[Pair]]) -> Contamination:
    return Contamination(fingerprints=Fingerprints.of(tests, lambda reason: None))


def _table(train: Sequence[Pair]) -> Iterator[pa.RecordBatch]:
    return batches(
        TextRow(
            row=f"train:{i}",
            source="train",
            split="train",
            text=text,
            input=given,
            answer=None,
            label=None,
            fields="{}",
        )
        for i, (given, text) in enumerate(train)
    )


def _overlap(signal: Contamination, train: Sequence[Pair]) -> Overlap:
    rows = pa.Table.from_batches(_table(train))
    columns = pa.Table.from_batches([signal.columns(batch) for batch in _table(train)])
    for name in ("row", "split"):
        columns = columns.append_column(name, rows[name])
    (overlap,) = overlaps(signal, columns, lambda at: rows.take(pa.array(at)).combine_chunks().to_batches()[0])
    return overlap


def _speed(signal: Contamination, pages: Sequence[str]) -> dict[str, float]:
    laid = list(_table([(page, page) for page in pages]))
    megabytes = sum(len(page.encode()) for page in pages) / 1e6
    begin = time.process_time()
    for batch in laid:
        signal.columns(batch)
    seconds = time.process_time() - begin
    grams = sum(len(table.hashes) for table in signal.fingerprints.grams.values())
    rate = megabytes / seconds
    print(f"\n{megabytes:.1f} MB against {grams:,} n-grams: {seconds:.2f} CPU-s, {rate:.1f} MB per CPU-second")
    return {"megabytes": megabytes, "cpu_s": seconds, "ngrams": grams}


def _banking(data: Path) -> tuple[list[Pair], list[Pair]]:
    def rows(split: str) -> list[Pair]:
        with (data / "banking77" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            return [(row["text"], row["text"]) for row in csv.DictReader(file)]

    return rows("train"), rows("test")


def _snips(data: Path) -> tuple[list[Pair], list[Pair]]:
    def rows(pattern: str) -> list[Pair]:
        found = []
        for path in sorted((data / "snips_nlu").glob(pattern)):
            # One file holds a character beyond U+FFFF as two surrogates.
            text = path.read_bytes().decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16")
            for request in next(iter(json.loads(text).values())):
                found.append("".join(span["text"] for span in request["data"]))
        return [(text, text) for text in found]

    return rows("train_*_full.json"), rows("validate_*.json")


def _gsm8k(data: Path) -> tuple[list[Pair], list[Pair]]:
    def rows(split: str) -> list[Pair]:
        lines = (data / "gsm8k" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        return [(row["question"], f"{row['question']}\n{row['answer']}") for row in map(json.loads, lines)]

    return rows("train"), rows("test")


if __name__ == "__main__":
    main()
