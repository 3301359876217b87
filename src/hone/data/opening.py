"""Opening data files: compression by suffix, lines with their byte position, and UTF-8 that is checked."""

from __future__ import annotations

import bz2
import codecs
import gzip
import itertools
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from hone.data.rows import Bad
from hone.errors import InputError

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_BLOCK_BYTES = 1 << 20
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def plain_suffix(name: str) -> str:
    """The suffix that names the format, compression aside: ``.jsonl`` for ``rows.jsonl.gz``."""
    path = Path(name)
    return Path(path.stem).suffix.lower() if path.suffix.lower() in COMPRESSED else path.suffix.lower()


@contextmanager
def open_binary(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, decompressed when its suffix says so.

    Raises:
        InputError: when it cannot be opened, or its compressed data is damaged or cut off.
    """
    try:
        with _opener(path.suffix.lower())(path) as handle:
            yield handle
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: the compressed data is damaged or cut off ({error}); fetch the file again") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _opener(suffix: str) -> Callable[[Path], IO[bytes]]:
    if suffix == ".zst":
        return _open_zst
    by_suffix = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    return cast("Callable[[Path], IO[bytes]]", by_suffix.get(suffix, _open_plain))


def _open_plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _open_zst(path: Path) -> IO[bytes]:
    import pyarrow

    return cast("IO[bytes]", pyarrow.CompressedInputStream(pyarrow.OSFile(str(path), "rb"), "zstd"))


def blocks(path: Path) -> Iterator[bytes]:
    """The decompressed bytes of a file, 1 MiB at a time."""
    with open_binary(path) as handle:
        while block := handle.read(_BLOCK_BYTES):
            yield block


def lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Each line as (1-based number, byte offset in the decompressed file, bytes with the line end).

    A UTF-8 byte-order mark is left out.

    Raises:
        InputError: for a file in UTF-16, and as :func:`open_binary`.
    """
    source = blocks(path)
    rest = next(source, b"")
    if rest.startswith(_UTF16):
        raise InputError(f"{path}: this is UTF-16 text (byte-order mark at byte 0); save it as UTF-8")
    mark = len(codecs.BOM_UTF8) if rest.startswith(codecs.BOM_UTF8) else 0
    number, offset, rest = 0, mark, rest[mark:]
    for block in itertools.chain([b""], source):
        whole = (rest + block).split(b"\n")
        rest = whole.pop()
        for line in whole:
            number += 1
            yield number, offset, line + b"\n"
            offset += len(line) + 1
    if rest:
        yield number + 1, offset, rest


def decode(raw: bytes, offset: int, row_id: str) -> str | Bad:
    """The text of bytes that start at ``offset`` of the file, or what is wrong with them and at which byte."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return Bad(row_id, "", "UTF-8 text", utf8_fault(error, offset))


def utf8_fault(error: UnicodeDecodeError, offset: int) -> str:
    """What stands in place of UTF-8, with its byte position in the (decompressed) file, counted from 0."""
    at = error.start
    byte, after = error.object[at], error.object[at + 1 : at + 2]
    reason = error.reason
    if byte == 0xED and after >= b"\xa0":
        reason = "half of a surrogate pair, as CESU-8 writes it"
    return f"byte 0x{byte:02x} at byte {offset + at:,} of the file ({reason})"
