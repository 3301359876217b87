"""What the text signals cost and say: rates by group, languages of short texts, splitters, disclaimers.

    python benchmarks/data/signals.py --data FOLDER [--documents 10000] [--chars 2000] [--out FILE]

FOLDER holds ``techdocs/techdocs.jsonl.gz``, ``english_novels/*.txt.gz``, ``cc_web_raw/*.jsonl``,
``banking77/train.csv`` and ``hh_rlhf_harmless_test/*.jsonl.gz``; what is missing is left out and said. Times are CPU
seconds of this process, the best of three, one thread (set OMP_NUM_THREADS=1), tables and model loaded before.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hone.data.presets import preset
from hone.data.rules import decide
from hone.data.signals.boilerplate import Boilerplate
from hone.data.signals.c4 import C4
from hone.data.signals.disclaimer import Disclaimer
from hone.data.signals.fineweb import FineWeb
from hone.data.signals.language import Language, identify
from hone.data.signals.length import Length
from hone.data.signals.quality import Quality
from hone.data.signals.repetition import Repetition
from hone.data.signals.scanned import ScannedSignal, measured
from hone.data.signals.script import Script
from hone.data.signals.top import top_ngrams
from hone.data.table import TextRow, text_batch
from hone.files import write_json

GROUPS: tuple[ScannedSignal, ...] = (
    Length(), Script(), Quality(), C4(), FineWeb(), Repetition(), Disclaimer(),
)  # fmt: skip
LETTERS = ((1, 20), (20, 40), (40, 60), (60, 100), (100, 200), (200, 512))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--chars", type=int, default=2000)
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    documents = list(_documents(options.data, options.documents, options.chars))
    found: dict[str, Any] = {"rates": _rates(documents, options.data)}
    found["languages"] = _languages(options.data)
    found["splitters"] = _splitters(options.data)
    found["disclaimers"] = _disclaimers(options.data)
    if options.out:
        write_json(options.out, found)


def _rates(documents: list[str], data: Path) -> dict[str, Any]:
    """CPU seconds of each group alone, of all from one scan, and of the signals that read by themselves."""
    batch = _batch(documents)
    megabytes = sum(len(text.encode()) for text in documents) / 1e6
    measured(GROUPS, batch.slice(0, 10))
    identify(documents[:2])
    works: dict[str, Callable[[], Any]] = {f"{signal.name} alone": _columns(signal, batch) for signal in GROUPS}
    works["all seven, one scan"] = lambda: measured(GROUPS, batch)
    works["language"] = _columns(Language(), batch)
    works["boilerplate, sketch"] = lambda: Boilerplate().sketch(batch)
    works["top 5-grams of the corpus"] = lambda: top_ngrams(lambda: [batch])
    print(f"\n{len(documents)} texts, {megabytes:.1f} MB")
    print(f"{'signals':<28}{'CPU s':>8}{'docs/CPU-s':>12}{'MB/CPU-s':>10}")
    found: dict[str, Any] = {"documents": len(documents), "megabytes": megabytes}
    for name, work in works.items():
        seconds = min(_cpu(work) for _ in range(3))
        print(f"{name:<28}{seconds:>8.2f}{len(documents) / seconds:>12,.0f}{megabytes / seconds:>10.1f}")
        found[name] = seconds
    path = data / "banking77" / "train.csv"
    if path.exists():
        with path.open(encoding="utf-8", newline="") as lines:
            short = _batch([row[0] for row in csv.reader(lines)][1:1001])
        found["1000 short rows"] = min(_cpu(lambda: measured(GROUPS, short)) for _ in range(3))
        print(f"{'1,000 short rows':<28}{found['1000 short rows']:>8.3f}")
    return found


def _languages(data: Path) -> list[dict[str, Any]]:
    """How often English is named English, by the letters of the text: prose, requests, and pages full of code."""
    sets = {"requests": _requests(data), "prose": _novels(data, 3000, 300), "techdocs": _pages(data, 300)}
    found = []
    print(f"\n{'English texts':<12}{'letters':>10}{'texts':>8}{'named en':>10}{'sure, wrong':>12}")
    for name, lines in sets.items():
        texts = [text[:size] for text in lines for size in (25, 50, 80, 120, 200, 500)]
        if not texts:
            print(f"{name:<12} not there")
            continue
        codes, sure = identify(texts)
        letters = np.array([sum(map(str.isalpha, text)) for text in texts])
        for low, high in LETTERS:
            chosen = (letters >= low) & (letters < high)
            if chosen.sum() < 50:
                continue
            right = float(np.mean(codes[chosen] == "en"))
            wrong = float(np.mean((codes[chosen] != "en") & (sure[chosen] >= 0.65)))
            print(f"{name:<12}{f'{low}-{high}':>10}{chosen.sum():>8}{right:>10.4f}{wrong:>12.4f}")
            found.append({"texts": name, "letters": [low, high], "n": int(chosen.sum()), "en": right, "wrong": wrong})
    return found


def _splitters(data: Path) -> list[dict[str, Any]]:
    """How many documents pass the Gopher rules, and for how many the splitter changes the decision."""
    sets = {"web pages": list(_web(data)), "techdocs": list(_pages(data, 2000))}
    rules = [rule for rule in preset("web").rules if rule.name.startswith("gopher")]
    found = []
    print(f"\n{'texts':<12}{'rules':<14}{'n':>6}{'words':>8}{'blanks':>8}{'agree':>8}   (share that passes)")
    for name, texts in sets.items():
        batch = _batch(texts)
        for kind, make in (("quality", Quality), ("repetition", Repetition)):
            own = [rule for rule in rules if rule.column.startswith(kind)]
            kept = []
            for splitter in ("unicode-words", "whitespace"):
                columns = make(splitter=splitter).columns(batch)
                table = pa.Table.from_batches([columns]).append_column(
                    "split", pa.chunked_array([batch.column("split")])
                )
                kept.append(decide(table, own).keep)
            agree = float(np.mean(kept[0] == kept[1]))
            shares = [float(np.mean(keep)) for keep in kept]
            print(f"{name:<12}{kind:<14}{len(texts):>6}{shares[0]:>8.3f}{shares[1]:>8.3f}{agree:>8.3f}")
            found.append({"texts": name, "rules": kind, "n": len(texts), "pass": shares, "agree": agree})
    return found


def _disclaimers(data: Path) -> dict[str, Any]:
    """Texts with a disclaimer: none should be in novels; an assistant's transcripts have some."""
    transcripts = [
        json.loads(line)["rejected"]
        for path in sorted((data / "hh_rlhf_harmless_test").glob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()
    ]
    sets = {"novels": _novels(data, 20_000, 2000), "web pages": list(_web(data)), "transcripts": transcripts}
    found: dict[str, Any] = {}
    print(f"\n{'texts':<12}{'n':>7}{'with one':>10}   phrases")
    for name, texts in sets.items():
        if not texts:
            print(f"{name:<12} not there")
            continue
        columns = Disclaimer().columns(_batch(texts))
        counts, spans = columns.column(0).to_pylist(), columns.column(1).to_pylist()
        phrases = sorted(
            {text[span["start"] : span["end"]].lower() for text, own in zip(texts, spans, strict=True) for span in own}
        )
        print(f"{name:<12}{len(texts):>7}{sum(map(bool, counts)):>10}   {phrases[:6]}")
        found[name] = {"n": len(texts), "with": sum(map(bool, counts))}
    return found


def _documents(data: Path, count: int, chars: int) -> Iterator[str]:
    """Documentation first, then novels, cut at exactly so many characters."""
    yield from _pages(data, chars)[:count]
    yield from _novels(data, max(count - len(_pages(data, chars)), 0), chars)


def _pages(data: Path, chars: int) -> list[str]:
    path = data / "techdocs" / "techdocs.jsonl.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    return [text[at : at + chars] for text in texts for at in range(0, len(text) - chars, chars)]


def _novels(data: Path, count: int, chars: int) -> list[str]:
    found: list[str] = []
    for path in sorted((data / "english_novels").glob("*.txt.gz")):
        text = gzip.decompress(path.read_bytes()).decode(errors="replace")
        found += [text[at : at + chars] for at in range(20 * chars, len(text) - chars, chars)]
        if len(found) >= count:
            break
    return found[:count]


def _web(data: Path) -> Iterator[str]:
    for path in sorted((data / "cc_web_raw").glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                text = json.loads(line).get("text")
                if text:
                    yield text


def _requests(data: Path) -> list[str]:
    path = data / "banking77" / "train.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return [row[0] for row in csv.reader(lines)][1:3001]


def _columns(signal: Any, batch: pa.RecordBatch) -> Callable[[], Any]:
    return lambda: signal.columns(batch)


def _batch(texts: Sequence[str]) -> pa.RecordBatch:
    return text_batch(
        [
            TextRow(row=str(n), source="s", split="train", text=text, input=text, answer=None, label=None, fields="{}")
            for n, text in enumerate(texts)
        ]
    )


def _cpu(work: Callable[[], Any]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
