"""What `hone look` costs from the command line to the page: 1,000 short rows, and 10,000 rows of 2,000 characters.

    python benchmarks/data/look.py --data FOLDER [--out FILE]

FOLDER holds ``banking77`` (train.csv, test.csv) and ``english_novels`` (compressed). Each look runs in a process of its
own, imports included: cold (nothing measured before), then warm (everything measured is found again). Wall time and CPU
time are told apart, because a busy machine lengthens only the first.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hone.files import write_json

CHARS = 2_000
SKIPPED = 5_000
"""Characters at the beginning of a novel: titles and contents."""
FORBIDDEN = ("torch", "transformers", "pandas")
CODE = (
    "import sys; from hone.cli import main; status = main(sys.argv[1:]); "
    f"print(*[name for name in {FORBIDDEN!r} if name in sys.modules], file=sys.stderr); sys.exit(status)"
)


def main() -> None:
    """Run every look and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, path, words in _cases(args.data, Path(folder)):
            out = Path(folder) / name
            for state in ("cold", "warm"):
                found.append({"rows": name, "state": state, **_look([str(path), *words, "--out", str(out)], out)})
                print(_line(found[-1]), flush=True)
    if args.out:
        write_json(args.out, {"cores": os.cpu_count(), "looks": found})


def _cases(data: Path, folder: Path) -> Iterator[tuple[str, Path, list[str]]]:
    short = folder / "short.csv"
    lines = (data / "banking77" / "train.csv").read_text(encoding="utf-8").splitlines()
    short.write_text("\n".join(lines[:1001]) + "\n", encoding="utf-8")
    yield "1000-short", short, []
    yield "1000-short-with-test", short, ["--test", str(data / "banking77" / "test.csv")]
    long = folder / "long.jsonl"
    with long.open("w", encoding="utf-8") as handle:
        handle.writelines(json.dumps({"text": text}) + "\n" for text in _passages(data / "english_novels", 10_000))
    yield "10000-long", long, []
    yield "10000-long-web", long, ["--preset", "web"]


def _passages(folder: Path, count: int) -> list[str]:
    passages = []
    for path in sorted(folder.glob("*.gz")):
        text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")[SKIPPED:]
        passages += [text[at : at + CHARS] for at in range(0, len(text) - CHARS, CHARS)]
    return random.Random(0).sample(passages, count)


def _look(words: list[str], out: Path) -> dict[str, Any]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    command = [sys.executable, "-c", CODE, "look", *words, "--quiet"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    wall = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    page = next(out.glob("*.html"))
    return {
        "wall_s": round(wall, 2),
        "cpu_s": round(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, 2),
        "page_bytes": page.stat().st_size,
        "heavy_modules": done.stderr.splitlines()[-1].split() if done.stderr.strip() else [],
    }


def _line(found: dict[str, Any]) -> str:
    heavy = ", ".join(found["heavy_modules"]) or "none"
    return (
        f"{found['rows']:<22} {found['state']:<5} {found['wall_s']:>6.2f} s wall {found['cpu_s']:>6.2f} s CPU "
        f"{found['page_bytes'] / 1e3:>6.0f} kB page, heavy modules: {heavy}"
    )


if __name__ == "__main__":
    main()
