"""What the shipped defaults keep of whole task data sets, beside what the web preset would keep.

    python benchmarks/data/presets.py --data FOLDER [--out FILE]

FOLDER holds ``banking77`` (train.csv, test.csv) and ``gsm8k`` (train.jsonl, test.jsonl); Snips is the voice example
that ships with hone. Non-duplicate rows are counted here, by code of their own: different texts after folding. Those
that also stand in the test are told apart, because training on them is what no default may allow.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from hone.data.prepare import prepare
from hone.data.survey import Wishes, survey_files
from hone.files import write_json
from hone.task.spec import Clean, Task

TASKS: dict[str, dict[str, Any]] = {
    "snips": {
        "kind": "extract",
        "data": {"train": "train.jsonl.gz", "test": "test.jsonl.gz"},
        "input": "{text}",
        "output": {"intent": "{intent}", "slots": "{slots}"},
    },
    "banking77": {
        "kind": "classify",
        "data": {"train": "train.csv", "test": "test.csv"},
        "input": "{text}",
        "output": "{category}",
    },
    "gsm8k": {
        "kind": "generate",
        "data": {"train": "train.jsonl", "test": "test.jsonl"},
        "input": "{question}",
        "output": "{answer}",
    },
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    found = {}
    heads = ("data", "kind", "read", "different texts", "of them in the test", "kept", "share", "reasons", "web keeps")
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for name in TASKS:
        with tempfile.TemporaryDirectory() as scratch:
            found[name] = one = _measured(name, options.data, Path(scratch))
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in one["reasons"].items())
        numbers = [f"{one[key]:,}" for key in ("read", "different", "in_test", "kept")]
        shares = [f"{one['share']:.2%}", reasons, f"{one['web_share']:.1%}"]
        print("| " + " | ".join([name, TASKS[name]["kind"], *numbers, *shares]) + " |")
    if options.out:
        write_json(options.out, found)


def _measured(name: str, data: Path, scratch: Path) -> dict[str, Any]:
    source = Path(str(resources.files("hone") / "examples" / "voice")) if name == "snips" else data / name
    spec = TASKS[name]
    for file in spec["data"].values():
        shutil.copy(source / file, scratch / file)
    column = spec["input"].strip("{}")
    train, test = ({_fold(row[column]) for row in _rows(scratch / spec["data"][split])} for split in ("train", "test"))
    version = prepare(
        Task.model_validate({"task": name, "target": 0.5, **spec}), scratch, scratch / "cache", lambda _: None
    )
    kept = {_fold(str(row.fields[column])) for row in (*version.train, *version.dev)}
    web = survey_files(
        [spec["data"]["train"]],
        scratch,
        Clean(preset="web"),
        scratch / "web",
        lambda _: None,
        wishes=Wishes(text=column),
        looking=False,
    )
    return {
        "read": sum(1 for _ in _rows(scratch / spec["data"]["train"])),
        "different": len(train),
        "in_test": len(train & test),
        "kept": len(kept),
        "share": len(kept) / len(train),
        "reasons": version.ledger.counts(),
        "web_share": float(web.decisions.keep.mean()),
    }


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
        return
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _fold(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


if __name__ == "__main__":
    main()
