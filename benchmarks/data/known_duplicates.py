"""Exact duplicates in data whose figures are known, and how fast they are found.

    python benchmarks/data/known_duplicates.py --data FOLDER [--corpus FOLDER]

``--data`` holds ``banking77``, ``sst2``, ``hate_offensive``, ``snips_nlu`` and ``cc_web_raw``. Known are the repeats of
the pinned folding counted naively: there all texts that fold to nothing are the same. hone says nothing about empty
texts and compares ``(`` and ``)`` as they stand, so its figure is lower by the repeats of nothing. With ``--corpus``
(what ``corpus.py`` wrote) the speed on documents of 2,000 characters too.

Then the same files as ``hone look`` reads them, without a task: how many rows repeat a text, how many of these repeat
its answer too and are duplicates, and how many are in the test.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from hone.data.kernels.folding import folded
from hone.data.signals.exact import Exact
from hone.data.survey import Wishes, survey_files
from hone.data.table import TextRow, batches
from hone.task.spec import Clean


class Known(NamedTuple):
    """A file, how its texts are read, its empty rows, and its repeats counted naively."""

    name: str
    path: str
    read: Callable[[Path], list[str]]
    empty: int | None
    naive: int | None


def csv_texts(path: Path) -> list[str]:
    """The column ``text``."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def tsv_texts(path: Path) -> list[str]:
    """The first column of a file with a head line, without quoting."""
    return [line.split("\t")[0] for line in path.read_text(encoding="utf-8").split("\n")[1:] if line]


def jsonl_texts(path: Path) -> list[str]:
    """The field ``text``."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line).get("text") or "" for line in lines]


KNOWN = (
    Known("banking77 train", "banking77/train.csv", csv_texts, 0, 31),
    Known("sst2 train", "sst2/train.tsv", tsv_texts, 0, 7_122),
    Known("web pages", "cc_web_raw/CC-MAIN-20190717-00140.jsonl", jsonl_texts, 27, 35),
)


class Look(NamedTuple):
    """Bare files, the columns that are named, their test, and what is known of them.

    ``repeats`` of a text, ``duplicates`` with the same answer, ``in_test``: training rows that equal a test row.
    """

    files: str
    test: str
    text: str
    label: str
    repeats: int
    duplicates: int
    in_test: int


LOOKS = (
    Look("banking77/train.csv", "banking77/test.csv", "", "", 31, 30, 25),
    Look("sst2/train.tsv", "sst2/test.tsv", "", "", 7_122, 6_994, 5),
    Look("hate_offensive/labeled_data.csv", "", "tweet", "class", 46, 42, 0),
    Look("snips_nlu/train_*_full.json", "snips_nlu/validate_*.json", "", "", 251, 246, 20),
)


def looked(look: Look, folder: Path) -> tuple[int, int, int]:
    """Repeats, duplicates and rows of the test, as ``hone look`` measures them."""
    wishes = Wishes(text=look.text, label=look.label, test=look.test)
    with tempfile.TemporaryDirectory() as cache:
        survey = survey_files(
            [look.files], folder, Clean(), Path(cache), lambda line: None, wishes=wishes, looking=False
        )
        columns = survey.measured.columns
        repeats = sum(filter(None, columns.column("exact.repeats").to_pylist()))
        given = [columns.num_rows - columns.column(name).null_count for name in ("exact.survivor", "leak.test")]
    return repeats, given[0], given[1]


def found(texts: Sequence[str]) -> tuple[int, int, float]:
    """Empty rows, duplicates, and documents per CPU-second of the signal (the text table apart)."""
    rows = [
        TextRow(row=str(at), source="", split="train", text=text, input=text, answer=None, label=None, fields="{}")
        for at, text in enumerate(texts)
    ]
    held = list(batches(rows))
    signal = Exact()
    begin = time.process_time()
    sketches = pa.Table.from_batches([signal.sketch(batch) for batch in held])
    names = pa.chunked_array([batch.column("row") for batch in held])
    columns = signal.columns(sketches.append_column("row", names))
    speed = len(texts) / (time.process_time() - begin)
    return columns.column("exact.size").null_count, len(texts) - columns.column("exact.survivor").null_count, speed


def counted(texts: Sequence[str]) -> tuple[int, int, int]:
    """By the formula and a set: empty rows, repeats, and how many of these are repeats of nothing."""
    keys = [re.sub(r"\W+", " ", text.lower()).strip() for text in texts]
    nothing = [text.strip() for text, key in zip(texts, keys, strict=True) if not key]
    signs = [text for text in nothing if text]
    apart = max(0, len(nothing) - 1) - (len(signs) - len(set(signs)))
    return len(nothing) - len(signs), len(keys) - len(set(keys)), apart


def main() -> None:
    """Print the table; exit status 1 when a figure is not the known one."""
    parser = argparse.ArgumentParser(description="Exact duplicates whose figures are known.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, help="folder that corpus.py wrote")
    given = parser.parse_args()
    files = [(known, given.data / known.path) for known in KNOWN]
    if given.corpus:
        files.append((Known("planted corpus", "", jsonl_texts, None, None), given.corpus / "documents.jsonl"))
    found(["warm", "up"])  # tables of characters are made once
    wrong = False
    print("| data | rows | empty | repeats, naively | known | of nothing | duplicates | docs / CPU-s | MB / CPU-s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for known, path in files:
        texts = known.read(path)
        empty, duplicates, speed = found(texts)
        empty_again, naive, apart = counted(texts)
        known_naive = naive if known.naive is None else known.naive
        wrong |= empty != empty_again or naive != known_naive or duplicates != naive - apart
        wrong |= known.empty is not None and empty != known.empty
        megabytes = sum(len(text.encode()) for text in texts) / 1e6
        print(
            f"| {known.name} | {len(texts):,} | {empty} | {naive:,} | {known.naive or 'not known'} | {apart} "
            f"| {duplicates:,} | {speed:,.0f} | {speed * megabytes / len(texts):.0f} |"
        )
    train = set(folded(csv_texts(given.data / "banking77" / "train.csv")))
    test_rows = sum(text in train for text in folded(csv_texts(given.data / "banking77" / "test.csv")))
    wrong |= test_rows != 25
    print(f"banking77: {test_rows} test rows equal a training row after folding (known: 25)")
    print("| bare files | repeats of a text | with its answer | equal a test row |")
    print("|---|---|---|---|")
    for look in LOOKS:
        figures = looked(look, given.data)
        wrong |= figures != (look.repeats, look.duplicates, look.in_test)
        print(f"| {look.files} | {' | '.join(f'{figure:,}' for figure in figures)} |")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
