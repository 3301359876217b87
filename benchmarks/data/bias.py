"""Bias figures on real text: which swaps people made, what corpora say of groups, and how fast both are counted.

    python benchmarks/data/bias.py --data FOLDER [--out FILE]

FOLDER holds ``crows_pairs/crows_pairs_anonymized.csv`` (Nangia et al. 2020: 1,508 pairs that people wrote, each naming
two groups), ``english_novels/*.txt.gz`` (nineteenth and early twentieth century, when "gay" meant merry and "queer"
strange: a list knows no century) and ``hate_offensive/labeled_data.csv`` (0 hate, 1 offence, 2 neither).

The share of pairs whose swap the shipped list makes is a check of the list, not of anybody's bias: many pairs of
CrowS-Pairs change a name, a place or a whole phrase.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hone.data.associations import bias_summary
from hone.data.counterfactuals import counterfactuals
from hone.data.rows import fold
from hone.data.signals.bias import Bias
from hone.data.table import TextRow, batches
from hone.files import write_json
from hone.task.scores import wilson

NOVELS = 20
PARAGRAPH_CHARS = 200


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    found: dict[str, Any] = {"swaps": _swaps(options.data)}
    tweets = _rows(options.data / "hate_offensive/labeled_data.csv")
    found["tweets"] = _summary("tweets", [row["tweet"] for row in tweets], [row["class"] for row in tweets])
    found["novels"] = _summary(f"paragraphs of {NOVELS} novels", _paragraphs(options.data))
    if options.out:
        write_json(options.out, found)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _paragraphs(data: Path) -> list[str]:
    found = []
    for path in sorted((data / "english_novels").glob("*.txt.gz"))[:NOVELS]:
        with gzip.open(path, "rt", encoding="utf-8-sig") as file:
            found += [part for part in file.read().split("\n\n") if len(part) >= PARAGRAPH_CHARS]
    return found


def _swaps(data: Path) -> dict[str, Any]:
    """For each type of bias: pairs, those that name a listed group, those that are swapped as people did."""
    pairs, named, same = Counter[str](), Counter[str](), Counter[str]()
    for row in _rows(data / "crows_pairs/crows_pairs_anonymized.csv"):
        kind = row["bias_type"]
        here = [fold(text) for _, text in counterfactuals(row["sent_more"])]
        there = [fold(text) for _, text in counterfactuals(row["sent_less"])]
        pairs[kind] += 1
        named[kind] += bool(here)
        same[kind] += fold(row["sent_less"]) in here or fold(row["sent_more"]) in there
    print(
        "## Pairs of CrowS-Pairs\n\n| type | pairs | name a listed group | swapped as people did |\n|---|---|---|---|"
    )
    for kind, n in pairs.most_common():
        low, high = wilson(same[kind], n)
        print(f"| {kind} | {n} | {named[kind]} | {same[kind]} ({same[kind] / n:.0%}, {low:.0%} to {high:.0%}) |")
    print()
    return {kind: {"pairs": n, "named": named[kind], "same": same[kind]} for kind, n in pairs.items()}


def _summary(title: str, texts: Sequence[str], labels: Sequence[str] | None = None) -> dict[str, Any]:
    table = list(
        batches(
            TextRow(
                row=str(n),
                source="",
                split="train",
                text=text,
                input=text,
                answer=None,
                label=labels[n] if labels else None,
                fields="{}",
            )
            for n, text in enumerate(texts)
        )
    )
    chars = sum(map(len, texts)) / 1e6
    begin = time.process_time()
    for batch in table:
        Bias().columns(batch)
    middle = time.process_time()
    summary = bias_summary(table)
    signal, counted = chars / (middle - begin), chars / (time.process_time() - middle)
    print(f"## {title}: {len(texts):,} rows, {chars:.1f} million characters\n")
    print(f"per CPU-second: signal {signal:.1f}, summary {counted:.1f} million characters\n")
    _print(summary)
    return {**summary, "mchars_per_cpu_second": {"signal": round(signal, 1), "summary": round(counted, 1)}}


def _print(summary: dict[str, Any]) -> None:
    print("| group | class | mentions | in company | others | in company | log odds | 95 % |\n|" + "---|" * 8)
    for entry in summary["associations"]:
        if entry["low"] > 0 or entry["high"] < 0:
            cells = [entry[key] for key in ("group", "class", "mentions", "count", "other_mentions", "other_count")]
            interval = f"{entry['low']:+.2f} to {entry['high']:+.2f}"
            print("| " + " | ".join([*map(str, cells), f"{entry['log_odds']:+.2f}", interval]) + " |")
    words = ", ".join(f"{entry['group']} {entry['word']} {entry['log_odds']:+.2f}" for entry in summary["words"])
    print(f"\nSingle words, of {summary['words_compared']:,} compared (Bonferroni): {words or 'none'}\n")
    rates = [r for r in summary["labels"]["rates"] if r["named"]["low"] > r["others"]["high"]]
    for rate in rates:
        named, others = rate["named"], rate["others"]
        share = f"{named['share']:.1%} [{named['low']:.1%}, {named['high']:.1%}] of {named['n']:,}"
        print(f"- label {rate['label']}: {share} rows that name {rate['group']}, {others['share']:.1%} of the others")
    if rates:
        print()


if __name__ == "__main__":
    main()
