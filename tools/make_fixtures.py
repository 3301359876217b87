"""Cut the small real data sets of ``tests/data`` out of the whole ones. Running it twice gives the same bytes.

    python tools/make_fixtures.py --banking FOLDER --shakespeare FILE --llamafactory FOLDER

``--banking`` holds banking77's ``train.csv`` and ``test.csv``, ``--shakespeare`` is tinyshakespeare's ``input.txt``,
``--llamafactory`` holds the demonstration files of LLaMA-Factory; the voice rows come out of the example that ships
with the package. Defects of the originals that tests rely on are kept.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests" / "data"
VOICE = ROOT / "src" / "hone" / "examples" / "voice"
BANKING_LABELS = (
    "activate_my_card", "age_limit", "card_arrival", "card_linking",
    "exchange_rate", "lost_or_stolen_card", "terminate_account", "top_up_failed",
)  # fmt: skip

FORMATS = ("alpaca_en_demo", "dpo_en_demo", "kto_en_demo", "glaive_toolcall_en_demo")


def fold(text: str) -> str:
    """Lower case, every run of non-word characters one space: what the project calls equal."""
    return re.sub(r"\W+", " ", text.lower()).strip()


def per_group(rows: Iterable[dict[str, Any]], key: str, count: int) -> list[dict[str, Any]]:
    """The first ``count`` rows of each value of ``key``, dealt in turn so that every prefix is balanced."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if len(groups[row[key]]) < count:
            groups[row[key]].append(row)
    return [group[i] for i in range(count) for group in groups.values() if i < len(group)]


def cut_voice() -> dict[str, int]:
    """40 training and 8 test rows per intent, and the rows whose defects tests look for."""
    whole = {split: list(_jsonl(VOICE / f"{split}.jsonl.gz")) for split in ("train", "test")}
    train, test = (per_group(whole[split], "intent", count) for split, count in (("train", 40), ("test", 8)))
    folded_train = {fold(row["text"]): row for row in whole["train"]}
    repeats = [row for row in whole["train"] if any(isinstance(v, list) for v in row["slots"].values())]
    beyond = [row for row in whole["train"] if any(ord(c) > 0xFFFF for c in row["text"])]
    leaked = [row for row in whole["test"] if fold(row["text"]) in folded_train][:2]
    train += [
        *repeats[:4],
        *beyond,
        *_conflicting(whole["train"]),
        *(folded_train[fold(row["text"])] for row in leaked),
    ]
    train.append(dict(train[0], text=train[0]["text"].upper()))
    test += [row for row in leaked if row not in test]
    for split, rows in (("train", train), ("test", test)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (FIXTURES / "voice" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return {"train": len(train), "test": len(test)}


def cut_banking(source: Path) -> dict[str, int]:
    """40 training and 10 test rows of each of eight labels, as CSV."""
    counts = {}
    for split, count in (("train", 40), ("test", 10)):
        with (source / f"{split}.csv").open(encoding="utf-8", newline="") as handle:
            rows = per_group((r for r in csv.DictReader(handle) if r["category"] in BANKING_LABELS), "category", count)
        _write_csv(FIXTURES / "banking" / f"{split}.csv", ("text", "category"), rows)
        counts[split] = len(rows)
    return counts


def cut_shakespeare(source: Path) -> dict[str, int]:
    """The first 60,000 characters and the 10,000 after them, each ended at a blank line between speeches."""
    text = source.read_text(encoding="utf-8")
    first = text.index("\n\n", 60_000) + 2
    second = text.index("\n\n", first + 10_000) + 2
    for name, part in (("train", text[:first]), ("test", text[first:second])):
        (FIXTURES / "shakespeare" / f"{name}.txt").write_text(part, encoding="utf-8")
    return {"train": first, "test": second - first}


def cut_formats(source: Path) -> dict[str, int]:
    """The six shortest different rows of each demonstration file; of the tool calls those with a call."""
    counts = {}
    for name in FORMATS:
        rows = json.loads((source / f"{name}.json").read_text(encoding="utf-8"))
        if "toolcall" in name:
            rows = [row for row in rows if any(turn["from"] == "function_call" for turn in row["conversations"])]
        different = {json.dumps(row): row for row in rows}
        kept = [different[text] for text in sorted(different, key=lambda text: (len(text), text))[:6]]
        text = json.dumps(kept, ensure_ascii=False, indent=1) + "\n"
        (FIXTURES / "formats" / f"{name}.json").write_text(text, encoding="utf-8")
        counts[name] = len(kept)
    return counts


def _jsonl(path: Path) -> Iterable[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        yield from map(json.loads, handle)


def _conflicting(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first two rows with equal folded texts and different answers."""
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        before = first.setdefault(fold(row["text"]), row)
        if (before["intent"], before["slots"]) != (row["intent"], row["slots"]):
            return [before, row]
    return []


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Write the cuts; the last line is one JSON document with the counts."""
    parser = argparse.ArgumentParser(description="Cut the data of tests/data.")
    parser.add_argument("--banking", type=Path, required=True, help="folder with banking77's train.csv and test.csv")
    parser.add_argument("--shakespeare", type=Path, required=True, help="tinyshakespeare's input.txt")
    parser.add_argument("--llamafactory", type=Path, required=True, help="folder with LLaMA-Factory's demo files")
    arguments = parser.parse_args()
    for name in ("voice", "banking", "shakespeare", "formats"):
        (FIXTURES / name).mkdir(parents=True, exist_ok=True)
    counts = {
        "voice": cut_voice(),
        "banking": cut_banking(arguments.banking),
        "shakespeare": cut_shakespeare(arguments.shakespeare),
        "formats": cut_formats(arguments.llamafactory),
    }
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
