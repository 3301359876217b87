"""Boilerplate: lines that many rows of one source share, such as menus, licences and cookie notices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hone.data.kernels.codepoints import Piece, pieces
from hone.data.kernels.frequent import frequent, places
from hone.data.kernels.lines import split_lines
from hone.data.kernels.scan import group_sums, share
from hone.data.kernels.words import Hashes, Ints, mixed, span_hashes
from hone.data.table import texts
from hone.errors import InputError

KEYS, CHARS, TOTAL = "boilerplate.keys", "boilerplate.chars", "boilerplate.total"


@dataclass(frozen=True, kw_only=True)
class Boilerplate:
    """``boilerplate.lines`` (float32): the share of a text's characters that stand in lines which many rows share.

    Lines are compared exactly, but for white space at their ends, within one source. Characters are those of lines;
    null for a text without any. A row that is there many times makes all its lines look like boilerplate: look at
    ``exact.size`` first.

    Args:
        min_rows: rows of the source that must hold the line, this one included.
        min_chars: shorter lines ("}", "Yes.") are never boilerplate.
    """

    name: ClassVar[str] = "boilerplate"
    version: ClassVar[str] = "1"
    min_rows: int = 10
    min_chars: int = 12

    def __post_init__(self) -> None:
        if self.min_rows < 2 or self.min_chars < 1:
            raise InputError(
                "boilerplate: min_rows must be 2 or more and min_chars 1 or more, "
                f"given {self.min_rows} and {self.min_chars}"
            )

    @property
    def params(self) -> Mapping[str, Any]:
        """Both limits."""
        return asdict(self)

    def sketch(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """For each row the distinct lines that are long enough, as hashes with their source, and their characters."""
        keys: list[Hashes] = [np.zeros(0, np.uint64)]
        chars: list[Ints] = [np.zeros(0, np.int64)]
        counts, totals = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        sources = source_hashes(rows)
        for piece in pieces(texts(rows)) if rows.num_rows else ():
            key, size, text, total = self._lines(piece, sources)
            keys.append(key)
            chars.append(size)
            counts.append(np.bincount(text, minlength=len(piece.start) - 1))
            totals.append(total)
        offsets = np.zeros(rows.num_rows + 1, np.int32)
        np.cumsum(np.concatenate(counts), out=offsets[1:])
        flat = (pa.array(np.concatenate(keys)), pa.array(np.concatenate(chars).astype(np.int32)))
        lists = [pa.ListArray.from_arrays(pa.array(offsets), values) for values in flat]
        total = pa.array(np.concatenate(totals).astype(np.int32))
        return pa.RecordBatch.from_arrays([*lists, total], names=[KEYS, CHARS, TOTAL])

    def _lines(self, piece: Piece, sources: Hashes) -> tuple[Hashes, Ints, Ints, Ints]:
        """Distinct lines of each text: key, characters of all its copies there, text; and characters of all lines."""
        lines = split_lines(piece)
        size = lines.end - lines.start
        total = group_sums(size, lines.first)
        long = np.flatnonzero(size >= self.min_chars)
        text = lines.text[long]
        key = line_keys(piece, lines.start[long], lines.end[long], sources[piece.first + text])
        order = np.lexsort((key, text))
        key, text, size = key[order], text[order], size[long][order]
        opens = np.ones(len(key), np.bool_)
        opens[1:] = (key[1:] != key[:-1]) | (text[1:] != text[:-1])
        first = np.flatnonzero(opens)
        sizes = np.add.reduceat(size, first) if len(first) else size
        return key[first], sizes, text[first], total

    def columns(self, sketches: pa.Table) -> pa.Table:
        """Column ``boilerplate.lines`` over all rows.

        Memory: 32 MB, and 16 bytes for each line that is shared often enough.
        """
        shared, _ = frequent(lambda: all_keys(sketches), self.min_rows)
        found = [np.zeros(0)]
        for batch in sketches.select([KEYS, CHARS, TOTAL]).to_batches():
            keys, chars, total = batch.columns
            _, known = places(flat(keys), shared)
            sums = group_sums(np.where(known, flat(chars), 0), offsets(keys))
            found.append(share(sums, total.to_numpy(zero_copy_only=False)))
        values = pa.array(np.concatenate(found).astype(np.float32), from_pandas=True)
        return pa.table({"boilerplate.lines": values})


def source_hashes(rows: pa.RecordBatch) -> Hashes:
    """(N,) a hash of each row's source."""
    column = rows.column("source").fill_null("").dictionary_encode()
    (piece,) = pieces(column.dictionary.to_pylist() or [""], chars=1 << 30)
    hashes: Any = span_hashes(piece.codes, piece.start[:-1], piece.start[1:])
    found: Hashes = hashes[np.asarray(column.indices)]
    return found


def line_keys(piece: Piece, start: Ints, end: Ints, sources: Hashes) -> Hashes:
    """(L,) hash of each line together with its source."""
    return mixed(span_hashes(piece.codes, start, end) + sources * np.uint64(0xD6E8FEB86659FD93))


def all_keys(sketches: pa.Table) -> Iterator[Hashes]:
    """The line keys of all rows, chunk by chunk."""
    for chunk in sketches.column(KEYS).chunks:
        yield flat(chunk)


def flat(lists: Any) -> Any:
    """The values of an Arrow list array, one after the other."""
    return lists.flatten().to_numpy(zero_copy_only=False)


def offsets(lists: Any) -> Ints:
    """(N + 1,) where each list begins in :func:`flat`."""
    begin: Any = np.asarray(lists.offsets, np.int64)
    found: Ints = begin - begin[0]
    return found
