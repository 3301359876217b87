"""Which schema real files are recognised as, how many of their rows convert, and how fast.

    .venv/bin/python benchmarks/data/formats.py --data FOLDER

FOLDER holds the data sets by name; those that are missing are left out and said. Each has an expectation: the schema,
and the rows that must be bad because their file really is wrong there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from hone.data.formats import converted, recognise
from hone.data.formats.recognition import SAMPLE
from hone.data.read import read
from hone.data.rows import Bad, Row, canonical
from hone.data.view import view_of_rows

EXPECTED = {
    "llamafactory_demo/alpaca_en_demo.json": ("alpaca", 0),
    "llamafactory_demo/identity.json": ("alpaca", 0),
    "llamafactory_demo/dpo_en_demo.json": ("preference pairs (DPO)", 0),
    "llamafactory_demo/kto_en_demo.json": ("verdicts (KTO) on OpenAI messages", 0),
    "llamafactory_demo/glaive_toolcall_en_demo.json": ("ShareGPT with tools", 0),
    # Five pairs whose conversations part before their last turn.
    "hh_rlhf_harmless_test/test.jsonl.gz": ("preference transcripts", 5),
    **{
        f"snips_nlu/train_{intent}_full.json": ("sentences in pieces (Snips)", 0)
        for intent in (
            "AddToPlaylist",
            "BookRestaurant",
            "GetWeather",
            "PlayMusic",
            "RateBook",
            "SearchCreativeWork",
            "SearchScreeningEvent",
        )
    },
    "gsm8k/train.jsonl": ("", 0),
    "banking77/train.csv": ("", 0),
    "sst2/train.tsv": ("", 0),
    "techdocs/techdocs.jsonl.gz": ("", 0),
    "tinystories_2mb/tinystories_sample.txt": ("", 0),
}
ROWS = {"tinystories_2mb/tinystories_sample.txt": 2_317}
"""Rows of a file, where a wrong cut would give another number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one file became; seconds are of this process's CPU, without reading."""

    file: str
    schema: str
    rows: int
    bad: int
    megabytes: float
    convert_s: float
    view_s: float
    as_expected: bool


def outcome(folder: Path, file: str) -> Outcome:
    """Convert a file and lay its rows out."""
    rows = list(read(file, folder))
    found = recognise([row.fields for row in rows[:SAMPLE] if isinstance(row, Row)])
    start = time.process_time()
    made = list(converted(iter(rows), lambda line: None))
    convert_s = time.process_time() - start
    good = [row for row in made if isinstance(row, Row)]
    view = view_of_rows(good[:2000])
    start = time.process_time()
    for row in good:
        view.row(row, file, "train")
    view_s = time.process_time() - start
    schema, bad = "" if found is None else found.name, sum(isinstance(row, Bad) for row in made)
    return Outcome(
        file=file,
        schema=schema,
        rows=len(rows),
        bad=bad,
        megabytes=sum(len(canonical(row.fields)) for row in rows if isinstance(row, Row)) / 1e6,
        convert_s=convert_s,
        view_s=view_s,
        as_expected=(schema, bad) == EXPECTED[file] and len(rows) == ROWS.get(file, len(rows)),
    )


def main() -> int:
    """Print the table; exit 1 when a file is not as expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    folder = parser.parse_args().data
    missing = [file for file in EXPECTED if not (folder / file).is_file()]
    if missing:
        print(f"not there: {', '.join(missing)}", file=sys.stderr)
    found = [outcome(folder, file) for file in EXPECTED if file not in missing]
    print(f"{'file':<48}{'schema':<36}{'rows':>8}{'bad':>5}{'MB':>7}{'convert s':>11}{'view s':>8}")
    for item in found:
        mark = "" if item.as_expected else f"  expected {EXPECTED[item.file]}"
        figures = f"{item.rows:>8,}{item.bad:>5}{item.megabytes:>7.1f}{item.convert_s:>11.3f}{item.view_s:>8.3f}"
        print(f"{item.file:<48}{item.schema or '-':<36}{figures}{mark}")
    print(json.dumps([asdict(item) for item in found]))
    return int(not all(item.as_expected for item in found))


if __name__ == "__main__":
    raise SystemExit(main())
