"""Build the voice example (``src/hone/examples/voice``) from the files of the Snips NLU corpus.

    python tools/make_voice.py FOLDER_WITH_SNIPS_JSON [--out src/hone/examples/voice]

``FOLDER_WITH_SNIPS_JSON`` holds ``train_<Intent>_full.json`` and ``validate_<Intent>.json``. Running it twice
gives the same bytes: files in sorted order, rows in the order of their file, gzip without a time or a name.
Only the standard library is used. The last line is one JSON document with the counts.

What is done to a row: the spans of the sentence are joined, the white space around the sentence and around
each value is stripped, and a slot name that occurs more than once becomes a list in the order of the sentence.
Nothing is corrected, dropped or re-ordered; the known defects are listed in the example's README.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

Slots = dict[str, str | list[str]]
SPLITS = {"train": "train_*_full.json", "test": "validate_*.json"}


class Row(TypedDict):
    """One line of the example: what was said, and the answer in two parts."""

    text: str
    intent: str
    slots: Slots


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """The text of one source file and how many CESU-8 surrogate pairs were joined to read it."""

    text: str
    surrogate_pairs: int


def decode(raw: bytes) -> Decoded:
    """Decode UTF-8 in which a character beyond U+FFFF may be written as CESU-8.

    CESU-8 writes such a character as a UTF-16 surrogate pair of three bytes each, which strict UTF-8 forbids. The
    pairs are joined into the one character they stand for; a surrogate without its partner is an error.

    Raises:
        UnicodeDecodeError: when the bytes are neither UTF-8 nor CESU-8.
    """
    lenient = raw.decode("utf-8", "surrogatepass")
    surrogates = sum("\ud800" <= character <= "\udfff" for character in lenient)
    return Decoded(text=lenient.encode("utf-16", "surrogatepass").decode("utf-16"), surrogate_pairs=surrogates // 2)


def convert(intent: str, spans: list[dict[str, str]]) -> Row:
    """One source row (the spans of a sentence, some with an ``entity``) as a line of the example."""
    slots: Slots = {}
    for span in spans:
        name = span.get("entity")
        if name is None:
            continue
        value = span["text"].strip()
        before = slots.get(name)
        if before is None:
            slots[name] = value
        else:
            slots[name] = [*before, value] if isinstance(before, list) else [before, value]
    return {"text": "".join(span["text"] for span in spans).strip(), "intent": intent, "slots": slots}


def read_split(source: Path, pattern: str, notes: list[str]) -> Iterator[Row]:
    """Rows of all files of ``source`` that match ``pattern``, sorted by file name; says what was decoded."""
    files = sorted(source.glob(pattern))
    if not files:
        sys.exit(f"{source}: no file matches {pattern}; give the folder of the Snips NLU JSON files")
    for file in files:
        decoded = decode(file.read_bytes())
        if decoded.surrogate_pairs:
            notes.append(f"{file.name}: {decoded.surrogate_pairs} CESU-8 surrogate pair(s) joined")
        ((intent, rows),) = json.loads(decoded.text).items()
        for row in rows:
            yield convert(intent, row["data"])


def compress(rows: list[Row]) -> bytes:
    """JSON Lines, gzipped with no time and no name in the header, so that equal rows give equal bytes."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as stream:
        stream.write(lines.encode("utf-8"))
    return buffer.getvalue()


def main() -> None:
    """Write ``train.jsonl.gz`` and ``test.jsonl.gz``; print what was done and the counts."""
    parser = argparse.ArgumentParser(description="Build the voice example from the Snips NLU corpus.")
    parser.add_argument("source", type=Path, help="folder with the Snips JSON files")
    parser.add_argument("--out", type=Path, default=Path("src/hone/examples/voice"), help="folder to write")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    counts: dict[str, object] = {}
    notes: list[str] = []
    for split, pattern in SPLITS.items():
        rows = list(read_split(arguments.source, pattern, notes))
        data = compress(rows)
        (arguments.out / f"{split}.jsonl.gz").write_bytes(data)
        counts[split] = {
            "rows": len(rows),
            "bytes": len(data),
            "rows_with_a_repeated_slot": sum(any(isinstance(v, list) for v in row["slots"].values()) for row in rows),
            "rows_without_slots": sum(not row["slots"] for row in rows),
            "intents": dict(Counter(row["intent"] for row in rows)),
        }
    for note in notes:
        print(note)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
