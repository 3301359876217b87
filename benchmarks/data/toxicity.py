"""False positives of the toxicity figures per identity term, on rows that are not toxic.

    python benchmarks/data/toxicity.py --data FOLDER [--out FILE]

FOLDER holds ``techdocs/techdocs.jsonl.gz``, ``banking77/train.csv`` and ``hate_offensive/labeled_data.csv`` (Davidson
et al. 2017). Rows are documentation paragraphs, banking questions, tweets whose annotators saw neither hate nor
offence, and, because these name few groups, harmless sentences about every term of the groups (as in
Dixon et al., AIES 2018). The word list is applied to all of them. The classifier is fitted on
half of the tweets by the hash of their folded text; its threshold is chosen on a quarter, and its figures are of the
last quarter and of the other corpora.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hone.data.groups import probe_sentences, rates_by_group, read_groups
from hone.data.signals.toxicity import Toxicity
from hone.data.table import TextRow, batches
from hone.data.toxic_model import TEST, fit_toxic, open_toxic, part_of
from hone.files import write_json
from hone.task.scores import wilson

TOXIC = ("0", "1")
FEWEST = 5
"""Groups that fewer rows name are counted in the total alone: one row of two is no rate."""
PARAGRAPH_CHARS = 200


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    parser.add_argument("--terms", action="store_true", help="per term and not per group")
    options = parser.parse_args()
    tweets = list(csv.DictReader((options.data / "hate_offensive/labeled_data.csv").open(encoding="utf-8", newline="")))
    texts, labels = [row["tweet"] for row in tweets], [row["class"] for row in tweets]
    neutral = [text for text, label in zip(texts, labels, strict=True) if label not in TOXIC]
    corpora = {
        "techdocs": _paragraphs(options.data),
        "banking77": _banking(options.data),
        "sentences": probe_sentences(read_groups()),
    }
    found: dict[str, Any] = {"lists": {}, "classifier": {}}
    print("## By word list\n")
    for name, rows in {**corpora, "hate_offensive, neutral": neutral}.items():
        for kind in ("words", "ambiguous"):
            flags = _struck_by_list(rows, kind)
            found["lists"][f"{name}/{kind}"] = _table(f"{name}, toxicity.{kind}", rows, flags, terms=options.terms)
    struck = _struck_by_list([text for text, label in zip(texts, labels, strict=True) if label in TOXIC], "words")
    print(f"Of {len(struck):,} toxic tweets {sum(struck):,} hold a strong word ({sum(struck) / len(struck):.1%}).\n")
    print("## By a classifier fitted on tweets\n")
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        about = fit_toxic(texts, labels, TOXIC, Path(folder) / "model", held_out=0.5, say=print)
        print(f"fitted and measured in {time.process_time() - begin:.1f} CPU seconds\n")
        model = open_toxic(Path(folder) / "model")
        held = [text for text, part in zip(neutral, part_of(neutral, 0.5), strict=True) if part == TEST]
        for name, rows in {**corpora, "hate_offensive, neutral, held out": held}.items():
            flags = list(model.scores(rows) >= model.threshold)
            found["classifier"][name] = _table(name, rows, flags, terms=options.terms)
    found["model"] = about
    if options.out:
        write_json(options.out, found)


def _paragraphs(data: Path) -> list[str]:
    """Paragraphs, because whole pages name many groups at once."""
    with gzip.open(data / "techdocs/techdocs.jsonl.gz", "rt", encoding="utf-8") as lines:
        pages = [json.loads(line)["text"] for line in lines]
    return [part for page in pages for part in page.split("\n\n") if len(part) >= PARAGRAPH_CHARS]


def _banking(data: Path) -> list[str]:
    with (data / "banking77/train.csv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def _struck_by_list(texts: Sequence[str], kind: str) -> list[bool]:
    signal = Toxicity()
    rows = (
        TextRow(row=str(n), source="", split="train", text=text, input=text, answer=None, label=None, fields="{}")
        for n, text in enumerate(texts)
    )
    columns = (signal.columns(batch).column(f"toxicity.{kind}").to_pylist() for batch in batches(rows))
    return [count > 0 for column in columns for count in column]


def _table(title: str, texts: Sequence[str], flags: Sequence[bool], *, terms: bool) -> list[dict[str, Any]]:
    n, count = len(texts), sum(map(bool, flags))
    low, high = wilson(count, n)
    print(f"{title}: {count:,} of {n:,} rows, {count / n:.2%} [{low:.2%}, {high:.2%}]\n")
    rates = [rate for rate in rates_by_group(texts, flags, read_groups(), terms=terms) if rate.n >= FEWEST]
    if rates:
        print("| axis | group | term | rows | struck | share | 95 % |\n|---|---|---|---|---|---|---|")
    for rate in rates:
        interval = f"{rate.low:.2%} to {rate.high:.2%}"
        cells = (rate.axis, rate.group, rate.term, f"{rate.n:,}", f"{rate.count:,}", f"{rate.share:.2%}", interval)
        print(f"| {' | '.join(cells)} |")
    print()
    return [rate.to_json() for rate in rates]


if __name__ == "__main__":
    main()
