"""Fingerprints of test rows and benchmarks: hashes of word n-grams, so that training rows can be held against them.

Nothing of a text is kept but 64-bit hashes of its folded words (lower case, punctuation dropped). Reading a test is
recorded first (law 9). Among the rows stand planted ones, made-up passages that no text holds: whoever searches with
these fingerprints can prove that the search finds something.

Legend: R test rows, P pairs of a hash and a row that holds it.

Source of n and of the bound on common n-grams: Brown et al. 2020 (arXiv:2005.14165, appendix C) removes 13-grams that
match at most 10 training documents. Here the bound counts test rows instead, different ones: a template of the
benchmark is common there, while a test row that was copied into the training rows eleven times must still be found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hone.data.kernels.codepoints import pieces
from hone.data.kernels.folding import folded
from hone.data.kernels.words import Bools, Hashes, Ints, Words, ngrams, split_words
from hone.errors import FailedError, InputError
from hone.files import atomic_write

FORMAT = "hone fingerprints, version 1"
HEADER = "hone.fingerprints"
PLANTED = "planted"
"""The name under which the planted passages stand."""
SHORTEST = 4
"""A test row of fewer words is found only where a training row equals it, never inside a longer one."""
_CHUNK_ROWS = 5_000
_SYLLABLES = (
    "ba",
    "cho",
    "dri",
    "fe",
    "glu",
    "ho",
    "jin",
    "ka",
    "lo",
    "mur",
    "ni",
    "pra",
    "quo",
    "ri",
    "sto",
    "tel",
    "vu",
)


def canaries(seed: int = 0, sizes: Sequence[int] = (4, 9, 20, 60)) -> tuple[str, ...]:
    """Passages of made-up words to plant, one of each size. Each word is six syllables long, so no text holds it."""
    random = np.random.default_rng(seed)
    return tuple(
        " ".join("".join(_SYLLABLES[i] for i in random.integers(len(_SYLLABLES), size=6)) for _ in range(size))
        for size in sizes
    )


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Hashes (P,) ascending, and the test row (P,) that holds each; a hash stands once for each of its rows."""

    hashes: Hashes
    row: np.ndarray[Any, np.dtype[np.int32]]
    _seen: Bools = field(init=False, repr=False)

    def __post_init__(self) -> None:
        bits = max(10, min(26, (16 * len(self.hashes)).bit_length()))
        seen = np.zeros(1 << bits, np.bool_)
        seen[self.hashes >> np.uint64(64 - bits)] = True
        object.__setattr__(self, "_seen", seen)

    def holds(self, values: Hashes) -> Bools:
        """Which of some hashes are here. A bitmap over their first bits spares most of them the search."""
        bits = len(self._seen).bit_length() - 1
        answer: Bools = self._seen[values >> np.uint64(64 - bits)]
        if len(self.hashes):
            likely = np.flatnonzero(answer)
            at = np.minimum(np.searchsorted(self.hashes, values[likely]), len(self.hashes) - 1)
            answer[likely] = self.hashes[at] == values[likely]
        return answer

    def rows(self, values: Hashes) -> tuple[Ints, Ints]:
        """Every (index of the value, test row) pair of some hashes."""
        low, high = (np.searchsorted(self.hashes, values, side=side) for side in ("left", "right"))
        count = high - low
        at = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(count.sum())
        return np.repeat(np.arange(len(values)), count), self.row[at].astype(np.int64)


def whole_hashes(texts: Sequence[str]) -> tuple[Hashes, Bools]:
    """(N,) a hash of each text after folding (:func:`hone.data.rows.fold`), and whether it has one: not if empty."""
    keys = folded(texts)
    digests = b"".join(hashlib.blake2b(key, digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, np.uint64).copy(), np.array([bool(key) for key in keys], np.bool_)


def scanned(texts: Sequence[str]) -> Iterator[tuple[Words, Sequence[str], int]]:
    """The folded words of texts piece by piece, with the texts of the piece and the index of the first of them."""
    for piece in pieces(texts):
        yield split_words(piece), texts[piece.first : piece.first + len(piece.start) - 1], piece.first


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fingerprints:
    """What training rows are held against.

    ``names`` of the tests, :data:`PLANTED` last; ``owner`` (R,) the test of each row; ``n`` lengths of n-grams in
    words, descending; ``whole``: hashes of whole rows, input alone and with the answer; ``grams``: for each length
    its table; lengths under the least ``n`` hold short rows as a whole; ``common``: how many n-grams of each length
    were left out.
    """

    names: tuple[str, ...]
    owner: Ints
    n: tuple[int, ...]
    max_matches: int
    whole: Table
    grams: Mapping[int, Table]
    common: Mapping[int, int]
    digest: str = field(init=False)
    """32 hex digits over everything: the cache key of what is measured with these fingerprints."""

    def __post_init__(self) -> None:
        digest = hashlib.blake2b(self._about().encode(), digest_size=16)
        for name, array in self._arrays().items():
            digest.update(f"{name}:{len(array)};".encode() + np.ascontiguousarray(array).tobytes())
        object.__setattr__(self, "digest", digest.hexdigest())

    @classmethod
    def of(
        cls,
        tests: Mapping[str, Iterable[tuple[str, str]]],
        record: Callable[[str], None],
        n: tuple[int, ...] = (13, 8),
        max_matches: int = 10,
    ) -> Fingerprints:
        """Fingerprints of tests.

        Args:
            tests: name to rows, each ``(input, text)``: the prompt alone, and all text with the answer. Rows are taken
                one chunk at a time and not kept.
            record: called with a reason before the first row of a test is taken; when it raises, none is.
            n: lengths of n-grams in words.
            max_matches: an n-gram that more different test rows hold is a template of the test and left out.

        Raises:
            InputError: for lengths that cannot be, a reserved name, or a test without rows.
        """
        n = tuple(sorted(set(n), reverse=True))
        problems = [f"n-grams of {size} words were asked for; expected at least 2" for size in n if size < 2]
        if not n:
            problems.append("no length of n-grams was given; expected for example (13, 8)")
        if max_matches < 1:
            problems.append(f"max_matches is {max_matches}; expected at least 1")
        if PLANTED in tests:
            problems.append(f'a test is named "{PLANTED}"; that name is kept for planted passages, give it another')
        gathered = _Gathered(n)
        for number, (name, pairs) in enumerate(tests.items() if not problems else ()):
            record(f"fingerprints of {name}: n-grams of {' and '.join(map(str, n))} words, no text is kept")
            before = len(gathered.owner)
            gathered.add(pairs, number)
            if len(gathered.owner) == before:
                problems.append(f"{name}: holds no rows; expected at least one to hold training rows against")
        if problems:
            raise InputError(problems)
        gathered.add([(text, text) for text in canaries()], len(tests))
        return gathered.fingerprints((*tests, PLANTED), max_matches)

    def rows_of(self, name: str) -> int:
        """How many rows a test has."""
        return int((self.owner == self.names.index(name)).sum())

    def save(self, path: Path) -> Path:
        """Write one safetensors file; what is not an array stands in its header as JSON.

        Raises:
            FailedError: when the disk refuses.
        """
        from safetensors.numpy import save

        return atomic_write(path, save(self._arrays(), metadata={HEADER: self._about()}))

    @classmethod
    def open(cls, path: Path) -> Fingerprints:
        """Saved fingerprints.

        Raises:
            InputError: when the file is missing or holds something else.
            FailedError: when it is not whole.
        """
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            raise InputError(f"{path}: no such file; expected saved fingerprints (Fingerprints.save writes them)")
        try:
            with safe_open(path, framework="numpy") as file:
                about = json.loads((file.metadata() or {}).get(HEADER, "{}"))
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        except SafetensorError as error:
            raise FailedError(f"{path}: not a whole safetensors file ({error}); make the fingerprints again") from error
        if about.get("format") != FORMAT:
            raise InputError(f'{path}: holds other arrays; expected "{FORMAT}" (Fingerprints.save writes it)')
        sizes = sorted(int(name.split(".")[1]) for name in arrays if name.endswith(".hash") and name[0] == "g")
        return cls(
            names=tuple(about["names"]),
            owner=arrays["owner"],
            n=tuple(about["n"]),
            max_matches=about["max_matches"],
            whole=Table(arrays["whole.hash"], arrays["whole.row"]),
            grams={size: Table(arrays[f"grams.{size}.hash"], arrays[f"grams.{size}.row"]) for size in sizes},
            common={int(size): count for size, count in about["common"].items()},
        )

    def _about(self) -> str:
        about = {"format": FORMAT, "names": self.names, "n": self.n, "max_matches": self.max_matches}
        return json.dumps({**about, "common": dict(self.common)}, ensure_ascii=False)

    def _arrays(self) -> dict[str, Any]:
        tables = {"whole": self.whole} | {f"grams.{size}": table for size, table in sorted(self.grams.items())}
        arrays = {f"{name}.hash": table.hashes for name, table in tables.items()}
        return {"owner": self.owner} | arrays | {f"{name}.row": table.row for name, table in tables.items()}


class _Gathered:
    """Hashes of test rows while they pass by."""

    def __init__(self, n: tuple[int, ...]) -> None:
        self.n = n
        self.owner: list[int] = []
        self._whole: list[tuple[Hashes, Ints]] = []
        self._grams: dict[int, list[tuple[Hashes, Ints]]] = {
            size: [] for size in (*n, *range(SHORTEST, min(n, default=0)))
        }

    def add(self, pairs: Iterable[tuple[str, str]], owner: int) -> None:
        """Take the rows of one test in."""
        rows = iter(pairs)
        while chunk := list(islice(rows, _CHUNK_ROWS)):
            first = len(self.owner)
            self.owner += [owner] * len(chunk)
            self._add([text for _, text in chunk], first)
            self._add([given if given != text else "" for given, text in chunk], first)

    def _add(self, texts: Sequence[str], first: int) -> None:
        for words, own, begin in scanned(texts):
            hashes, some = whole_hashes(own)
            self._whole.append((hashes[some], np.flatnonzero(some) + begin + first))
            count = np.diff(words.first)
            for size, found in self._grams.items():
                grams, word = ngrams(words, size)
                text = words.text[word]
                fits = slice(None) if size in self.n else count[text] == size
                found.append((grams[fits], text[fits] + begin + first))

    def fingerprints(self, names: tuple[str, ...], max_matches: int) -> Fingerprints:
        """Everything that was taken in, as tables."""
        whole = _table(self._whole)
        # Rows with the same text count as one place: a test that repeats a row must not hide it.
        content = np.zeros(len(self.owner), np.int64)
        content[whole.row[::-1]] = np.unique(whole.hashes, return_inverse=True)[1][::-1]
        grams, common = {}, {}
        for size, found in self._grams.items():
            table = _table(found)
            if size in self.n:
                table, common[size] = _without_common(table, content, max_matches)
            if len(table.hashes):
                grams[size] = table
        owner = np.array(self.owner, np.int64)
        return Fingerprints(
            names=names, owner=owner, n=self.n, max_matches=max_matches, whole=whole, grams=grams, common=common
        )


def _table(found: Sequence[tuple[Hashes, Ints]]) -> Table:
    """Pairs ascending by hash and row, each once."""
    hashes = np.concatenate([np.zeros(0, np.uint64), *(hashes for hashes, _ in found)])
    row = np.concatenate([np.zeros(0, np.int64), *(row for _, row in found)])
    order = np.lexsort((row, hashes))
    hashes, row = hashes[order], row[order]
    fresh = np.ones(len(row), np.bool_)
    fresh[1:] = (hashes[1:] != hashes[:-1]) | (row[1:] != row[:-1])
    return Table(hashes[fresh], row[fresh].astype(np.int32))


def _without_common(table: Table, content: Ints, max_matches: int) -> tuple[Table, int]:
    """The table without hashes that more than ``max_matches`` different rows hold, and how many those were."""
    gram = np.unique(table.hashes, return_inverse=True)[1]
    # With counts, which nobody needs, np.unique sorts; without it hashes, which is fifty times slower (numpy 2.3).
    pairs, _ = np.unique(gram * (len(content) + 1) + content[table.row], return_counts=True)
    places = np.bincount(pairs // (len(content) + 1)) if len(pairs) else np.zeros(0, np.int64)
    kept = places[gram] <= max_matches
    return Table(table.hashes[kept], table.row[kept]), int((places > max_matches).sum())
