r"""Near duplicates on the planted corpus: hone beside rensa and datasketch, in one run.

    python benchmarks/data/near_duplicates.py --corpus FOLDER [--blocks 3] [--only hone,rensa]

``--corpus`` is what ``benchmarks/data/corpus.py`` wrote. Each contender is a process of its own that parses the texts,
imports what it needs (both told apart) and then does the whole job: shingles, sketches, candidates, verification, and
who is removed for whom. They take turns, ``--blocks`` times; figures are medians in CPU-seconds of the job, and of the
whole process. Contenders:

- ``hone``: the signal ``near`` at 0.75, words by white space as the others see them
- ``hone-default``: the same with the default splitter, unicode-words, judged by similarities of such words
- ``rensa``: ``' '.join`` of 5-grams in a set, RMinHash 128, LSH of 16 bands, verified on the sketch at 0.75
- ``datasketch``: the same sets, MinHash 128, ``MinHashLSH(threshold=0.75)``, verified on the sketch at 0.75

A planted pair is found when not both of it survive. A removal is right when the exact Jaccard similarity of the removed
document with the one it was removed for, counted here on sets of strings, is at least 0.75.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from corpus import WORDS, grams, jaccard

THRESHOLD = 0.75
MARGIN = 0.05
BANDS = ((0.5, 0.6), (0.6, 0.7), (0.7, 0.75), (0.75, 0.8), (0.8, 0.9), (0.9, 1.0), (1.0, 1.01))
WORDS_OF = {"hone": "whitespace", "hone-default": "unicode-words", "rensa": "whitespace", "datasketch": "whitespace"}
PERMUTATIONS = 128
_HONE = ("pyarrow", "hone.data.signals.near", "hone.data.table")
IMPORTS = {"hone": _HONE, "hone-default": _HONE, "rensa": ("rensa",), "datasketch": ("datasketch",)}
"""What each contender imports before its clock starts; the figures of the whole process hold it."""

Removed = dict[int, int]
"""Position of a removed document to the position of the one it was removed for."""


# ---------------------------------------------------------------------------------------------- contenders


def with_hone(texts: Sequence[str], splitter: str) -> Removed:
    """The signal, as hone runs it: batches, sketches, columns."""
    import pyarrow as pa

    from hone.data.signals.near import Near
    from hone.data.table import TextRow, batches

    rows = (
        TextRow(row=str(at), source="", split="train", text=text, input=text, answer=None, label=None, fields="{}")
        for at, text in enumerate(texts)
    )
    signal = Near(threshold=THRESHOLD, splitter=splitter)
    sketches, names = [], []
    for batch in batches(rows):
        sketches.append(signal.sketch(batch))
        names.append(batch.column("row"))
    table = pa.Table.from_batches(sketches).append_column("row", pa.chunked_array(names))
    survivors = signal.columns(table).column("near.survivor").to_pylist()
    return {at: int(survivor) for at, survivor in enumerate(survivors) if survivor is not None}


def with_rensa(texts: Sequence[str]) -> Removed:
    """The usual way in Python, with rensa's own sketches, buckets and similarity."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=16)

    def sketched(members: set[str]) -> Any:
        sketch = RMinHash(num_perm=PERMUTATIONS, seed=42)
        sketch.update(list(members))
        return sketch

    return _one_by_one(texts, sketched, index)


def with_datasketch(texts: Sequence[str]) -> Removed:
    """The same with datasketch, which chooses its own bands for the threshold."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)

    def sketched(members: set[str]) -> Any:
        sketch = MinHash(num_perm=PERMUTATIONS)
        sketch.update_batch([member.encode() for member in members])
        return sketch

    return _one_by_one(texts, sketched, index)


def _one_by_one(texts: Sequence[str], sketched: Callable[[set[str]], Any], index: Any) -> Removed:
    removed: Removed = {}
    sketches: dict[int, Any] = {}
    for at, text in enumerate(texts):
        words = text.lower().split()
        sketch = sketched({" ".join(words[k : k + 5]) for k in range(max(1, len(words) - 4))})
        found = next((other for other in index.query(sketch) if sketch.jaccard(sketches[other]) >= THRESHOLD), None)
        if found is None:
            index.insert(at, sketch)
            sketches[at] = sketch
        else:
            removed[at] = found
    return removed


CONTENDERS: dict[str, Callable[[Sequence[str]], Removed]] = {
    "hone": lambda texts: with_hone(texts, "whitespace"),
    "hone-default": lambda texts: with_hone(texts, "unicode-words"),
    "rensa": with_rensa,
    "datasketch": with_datasketch,
}


def contend(name: str, path: Path) -> None:
    """Be one contender: parse, do the job, print times and who was removed for whom."""
    begin = time.process_time()
    with path.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    parsed = time.process_time()
    for module in IMPORTS[name]:
        import_module(module)
    imported = time.process_time()
    wall = time.monotonic()
    removed = CONTENDERS[name](texts)
    job = {
        "parse_cpu_s": parsed - begin,
        "import_cpu_s": imported - parsed,
        "job_cpu_s": time.process_time() - imported,
        "job_wall_s": time.monotonic() - wall,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "removed": [[at, kept] for at, kept in removed.items()],
    }
    print(json.dumps(job))


def run(name: str, path: Path) -> dict[str, Any]:
    """One block: a contender in a fresh process, with the CPU time of all of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, __file__, "--contender", name, "--corpus", str(path.parent)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(output.splitlines()[-1]), "process_cpu_s": whole}


# ---------------------------------------------------------------------------------------------- judging


def judge(documents: Sequence[dict[str, Any]], removed: Removed, words: str) -> dict[str, Any]:
    """Recall by band and over the threshold, and the precision of what was removed."""
    position = {document["id"]: at for at, document in enumerate(documents)}
    pairs = [
        (position[document["of"]], at, document["jaccard"][words])
        for at, document in enumerate(documents)
        if document["of"] is not None
    ]

    def recall(low: float, high: float) -> dict[str, Any]:
        chosen = [(one, two) for one, two, similarity in pairs if low <= similarity < high]
        found = sum(one in removed or two in removed for one, two in chosen)
        return {"pairs": len(chosen), "recall": found / len(chosen) if chosen else None}

    split = WORDS[words]

    def similarity(one: int, two: int) -> float:
        return jaccard(grams(split(documents[one]["text"])), grams(split(documents[two]["text"])))

    right = sum(similarity(at, kept) >= THRESHOLD for at, kept in removed.items())
    return {
        "bands": {f"{low:g}-{min(high, 1):g}" if low < 1 else "1": recall(low, high) for low, high in BANDS},
        "over": recall(THRESHOLD + MARGIN, 2),
        "removed": len(removed),
        "precision": right / len(removed) if removed else None,
        "removed_for_a_removed_one": sum(kept in removed for kept in removed.values()),
    }


def main() -> None:
    """Run all contenders by turns and print the tables."""
    parser = argparse.ArgumentParser(description="Near duplicates beside rensa and datasketch.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder that corpus.py wrote")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders, separated by commas")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    path = given.corpus / "documents.jsonl"
    if given.contender:
        contend(given.contender, path)
        return
    names = given.only.split(",")
    blocks: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for block in range(given.blocks):
        for name in names if block % 2 == 0 else reversed(names):
            blocks[name].append(run(name, path))
            print(f"block {block + 1}, {name}: {blocks[name][-1]['job_cpu_s']:.2f} CPU-seconds", flush=True)
    with path.open(encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    report(documents, json.loads((given.corpus / "corpus.json").read_text(encoding="utf-8")), blocks)


def report(documents: Sequence[dict[str, Any]], about: dict[str, Any], blocks: dict[str, list[dict[str, Any]]]) -> None:
    """Print the tables, and one JSON document as the last line."""
    figures: dict[str, Any] = {}
    for name, runs in blocks.items():
        middle = {
            key: statistics.median(run[key] for run in runs)
            for key in ("parse_cpu_s", "job_cpu_s", "job_wall_s", "process_cpu_s", "peak_rss_mb", "import_cpu_s")
        }
        figures[name] = {
            "docs_per_cpu_s": len(documents) / middle["job_cpu_s"],
            "mb_per_cpu_s": about["megabytes"] / middle["job_cpu_s"],
            "process_docs_per_cpu_s": len(documents) / middle["process_cpu_s"],
            **middle,
            **judge(documents, dict(map(tuple, runs[0]["removed"])), WORDS_OF[name]),
        }
    print(
        f"\n{about['documents']:,} documents, {about['megabytes']:.1f} MB, mean {about['mean_chars']:,.0f} characters, "
        f"{about['copies']:,} planted copies; threshold {THRESHOLD}\n"
    )
    print("| contender | docs / CPU-s | MB / CPU-s | job CPU-s | parse CPU-s | process CPU-s | docs / process CPU-s "
          "| peak MB | removed | precision | recall, J >= 0.8 |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, one in figures.items():
        print(
            f"| {name} | {one['docs_per_cpu_s']:,.0f} | {one['mb_per_cpu_s']:.1f} | {one['job_cpu_s']:.2f} "
            f"| {one['parse_cpu_s']:.2f} | {one['process_cpu_s']:.2f} | {one['process_docs_per_cpu_s']:,.0f} "
            f"| {one['peak_rss_mb']:,.0f} | {one['removed']:,} | {one['precision']:.4f} | {one['over']['recall']:.4f} |"
        )
    bands = list(next(iter(figures.values()))["bands"])
    print("\n| recall by true Jaccard | " + " | ".join(bands) + " |\n|---" * 1 + "|---" * len(bands) + "|")
    for name, one in figures.items():
        shown = [f"{band['recall']:.3f} ({band['pairs']})" for band in one["bands"].values() if band["pairs"]]
        print(f"| {name} | " + " | ".join(shown) + " |")
    print(json.dumps({"corpus": about, "threshold": THRESHOLD, "contenders": figures}))


if __name__ == "__main__":
    main()
