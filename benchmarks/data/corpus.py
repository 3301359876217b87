r"""The planted corpus: documents without natural near-duplicates, and copies whose true similarity is known.

    python benchmarks/data/corpus.py --data FOLDER --out FOLDER [--documents 20000] [--seed 0]

``--data`` holds ``english_novels/*.txt.gz``, ``techdocs/techdocs.jsonl.gz`` and ``cc_web_raw/*.jsonl``. Texts are cut
at paragraph ends to a mean of about 2,000 characters. A document whose Jaccard similarity with an earlier one is 0.4 or
more is left out: counted exactly, on an inverted index of all word 5-grams, by code of its own. Then a tenth of the
documents is planted again as exact copies, and a fifth as near copies with 0.3 to 6 % of the words substituted, deleted
or inserted, so that their similarities spread evenly over 0.5 to 1. Written: ``documents.jsonl`` (id, source, text, of,
jaccard) in a random order, and ``corpus.json`` (what it is made of).

Similarities are given for two ways to see words, both in lower case: ``whitespace`` (``str.split``) and
``unicode-words`` (runs of letters, marks, digits and connectors; a Han, Hiragana or Katakana sign is one by itself), by
the ``regex`` package.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import regex

N = 5
NATURAL = 0.4
EXACT_SHARE, NEAR_SHARE = 0.1, 0.2
LEAST, MOST = 900, 2800
SHORTEST_WORDS = 40

_ALONE = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_UNICODE_WORDS = regex.compile(rf"(?V1){_ALONE}\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}\p{{Pc}}]--{_ALONE}]+")

WORDS: dict[str, Callable[[str], list[str]]] = {
    "whitespace": lambda text: text.lower().split(),
    "unicode-words": lambda text: _UNICODE_WORDS.findall(text.lower()),
}


def grams(words: Sequence[str]) -> set[str]:
    """The set of word 5-grams; all words where there are fewer."""
    return {" ".join(words[at : at + N]) for at in range(max(1, len(words) - N + 1))} if words else set()


def jaccard(left: set[str], right: set[str]) -> float:
    """Shared members over all members."""
    both = len(left & right)
    return both / (len(left) + len(right) - both)


def similarities(left: str, right: str) -> dict[str, float]:
    """The similarity of two texts for each way to see words."""
    return {name: jaccard(grams(split(left)), grams(split(right))) for name, split in WORDS.items()}


# ---------------------------------------------------------------------------------------------- texts


def texts_in(folder: Path) -> Iterator[tuple[str, str]]:
    """Source and whole text, of all that the corpus is made of."""
    for path in sorted((folder / "cc_web_raw").glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield f"web/{path.stem}", json.loads(line).get("text") or ""
    with gzip.open(folder / "techdocs" / "techdocs.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            yield f"techdocs/{record['repo']}", record["text"]
    for path in sorted((folder / "english_novels").glob("*.txt.gz")):
        yield f"novels/{path.name.partition('.')[0]}", gzip.decompress(path.read_bytes()).decode("utf-8-sig", "replace")


def cut(text: str, draw: random.Random) -> Iterator[str]:
    """Pieces that end where a paragraph ends."""
    blank = "\n\n" if "\n\n" in text else "\n"
    held: list[str] = []
    size, target = 0, draw.randint(LEAST, MOST)
    for paragraph in text.replace("\r\n", "\n").split(blank):
        if not paragraph.strip():
            continue
        held.append(paragraph.strip("\n"))
        size += len(paragraph) + len(blank)
        if size >= target:
            yield blank.join(held)
            held, size, target = [], 0, draw.randint(LEAST, MOST)
    if held:
        yield blank.join(held)


# ---------------------------------------------------------------------------------------------- natural duplicates


def without_natural(texts: Sequence[str], split: Callable[[str], list[str]], limit: float) -> list[int]:
    """Positions of texts whose similarity with every earlier one kept is below ``limit``."""
    ids, first = _gram_ids([grams(split(text)) for text in texts])
    sizes = np.diff(first)
    owner = np.repeat(np.arange(len(texts)), sizes)
    counts = np.bincount(ids)
    shared = counts[ids] > 1
    order = np.lexsort((owner[shared], ids[shared]))
    postings, of = owner[shared][order], ids[shared][order]
    begin = np.searchsorted(of, np.arange(len(counts) + 1))
    kept: list[int] = []
    is_kept = np.zeros(len(texts), bool)
    for at in range(len(texts)):
        mine = ids[first[at] : first[at + 1]]
        mine = mine[counts[mine] > 1]
        lists = [postings[begin[gram] : begin[gram + 1]] for gram in mine.tolist()]
        both = np.bincount(np.concatenate(lists), minlength=at + 1)[:at] if lists else np.zeros(at, np.int64)
        others = np.flatnonzero((both > 0) & is_kept[:at])
        similar = both[others] / (sizes[others] + sizes[at] - both[others])
        if not len(similar) or similar.max() < limit:
            kept.append(at)
            is_kept[at] = True
    return kept


def _gram_ids(sets: Sequence[set[str]]) -> tuple[Any, Any]:
    """A number for each different gram: (S,) numbers, and (texts + 1,) where each text's begin."""
    hashes = [
        np.frombuffer(b"".join(hashlib.blake2b(gram.encode(), digest_size=8).digest() for gram in one), np.uint64)
        for one in sets
    ]
    first = np.concatenate([[0], np.cumsum([len(one) for one in hashes])])
    return np.unique(np.concatenate(hashes), return_inverse=True)[1], first


# ---------------------------------------------------------------------------------------------- plants


def share_for(similarity: float) -> float:
    """The share of words to edit for a similarity to aim at: each edit costs about five 5-grams on both sides."""
    return min(0.06, max(0.003, (1 - similarity) / (1 + similarity) / N))


def edited(text: str, share: float, vocabulary: Sequence[str], draw: random.Random) -> str:
    """Substitute, delete or insert a share of the words; the white space between the others stays as it is."""
    parts = re.split(r"(\s+)", text)
    places = [at for at, part in enumerate(parts) if at % 2 == 0 and part]
    for at in draw.sample(places, max(1, round(share * len(places)))):
        kind = draw.choice(("substitute", "delete", "insert"))
        if kind == "substitute":
            parts[at] = draw.choice(vocabulary)
        elif kind == "insert":
            parts[at] += " " + draw.choice(vocabulary)
        else:
            parts[at] = ""
    return "".join(parts)


def plant(documents: list[dict[str, Any]], draw: random.Random) -> list[dict[str, Any]]:
    """Copies of documents, each of another one: exact ones, and near ones with their true similarities."""
    chosen = draw.sample(documents, round((EXACT_SHARE + NEAR_SHARE) * len(documents)))
    num_exact = round(EXACT_SHARE * len(documents))
    vocabulary = [draw.choice(document["text"].split()) for document in draw.choices(documents, k=20_000)]
    copies = []
    for index, original in enumerate(chosen):
        text = original["text"]
        if index >= num_exact:
            text = edited(text, share_for(draw.uniform(0.5, 1.0)), vocabulary, draw)
        copies.append(
            {
                "id": f"{original['id']}+",
                "source": original["source"],
                "text": text,
                "of": original["id"],
                "jaccard": similarities(original["text"], text),
            }
        )
    return copies


def make(data: Path, count: int, seed: int, say: Callable[[str], None]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Documents in a random order, and what they are made of."""
    draw = random.Random(seed)
    pieces = [(source, piece) for source, text in texts_in(data) for piece in cut(text, draw)]
    pieces = [(source, piece) for source, piece in pieces if len(piece.split()) >= SHORTEST_WORDS]
    # All web pages and documentation, and novels for the rest; a tenth more than asked for, for what is left out.
    others = [piece for piece in pieces if not piece[0].startswith("novels/")]
    novels = [piece for piece in pieces if piece[0].startswith("novels/")]
    taken = others + draw.sample(novels, min(len(novels), max(0, count - len(others)) + count // 10))
    say(f"{len(pieces):,} pieces of {SHORTEST_WORDS} words or more, {len(taken):,} taken")
    left_out = {}
    for name, split in WORDS.items():
        kept = without_natural([text for _, text in taken], split, NATURAL)
        left_out[name] = len(taken) - len(kept)
        say(f"{left_out[name]:,} natural near-duplicates of {NATURAL} or more left out ({name})")
        taken = [taken[at] for at in kept]
    if len(taken) < count:
        sys.exit(f"{len(taken):,} documents are left, {count:,} were asked for: give a smaller --documents")
    documents: list[dict[str, Any]] = [
        {"id": f"d{at}", "source": source, "text": text, "of": None, "jaccard": None}
        for at, (source, text) in enumerate(draw.sample(taken, count))
    ]
    copies = plant(documents, draw)
    documents += copies
    draw.shuffle(documents)
    chars = [len(document["text"]) for document in documents]
    about = {
        "documents": len(documents),
        "originals": count,
        "copies": len(copies),
        "seed": seed,
        "mean_chars": sum(chars) / len(chars),
        "megabytes": sum(len(document["text"].encode()) for document in documents) / 1e6,
        "natural_left_out": left_out,
        "sources": {
            kind: sum(document["source"].startswith(kind) for document in documents)
            for kind in ("novels", "techdocs", "web")
        },
    }
    return documents, about


def main() -> None:
    """Make the corpus and write it."""
    parser = argparse.ArgumentParser(description="Make the planted corpus of near duplicates.")
    parser.add_argument("--data", type=Path, required=True, help="folder with english_novels, techdocs and cc_web_raw")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--documents", type=int, default=20_000, help="documents before copies are planted")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    begin = time.process_time()
    documents, about = make(given.data, given.documents, given.seed, print)
    content = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents).encode()
    about["sha256"] = hashlib.sha256(content).hexdigest()
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "documents.jsonl").write_bytes(content)
    (given.out / "corpus.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    print(f"{json.dumps(about)}\nmade in {time.process_time() - begin:.0f} CPU-seconds: {given.out}")


if __name__ == "__main__":
    main()
