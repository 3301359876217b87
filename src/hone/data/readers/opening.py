"""Opening data files: where they lie, compression by suffix, bounded blocks, and whole lines with their position."""

from __future__ import annotations

import codecs
import gzip
import itertools
import lzma
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

from hone.data.readers.addresses import without_secrets
from hone.data.readers.contents import COMPRESSED, HEAD_BYTES, check_content, kind_of_content
from hone.data.readers.packed import unpacked
from hone.data.readers.progress import Progress
from hone.data.readers.stores import open_in_store
from hone.errors import InputError

BLOCK_BYTES = 1 << 20
LONGEST_ROW_BYTES = 64 << 20
"""A row is held whole while it is parsed; a longer one is refused, so that a missing quote cannot fill the memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFile:
    """One file of a source.

    ``name`` stands in row ids; ``path`` is where it lies on this machine, or None with an ``address`` in a store;
    ``part`` is the table or key that the source names after a colon; ``size`` in bytes, 0 where it is not known.
    """

    name: str
    path: Path | None = None
    address: str = field(default="", repr=False)  # it may hold a secret
    part: str = ""
    size: int = 0

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else without_secrets(self.address)

    @property
    def stored_name(self) -> str:
        """The name under which the file lies in storage; the one in row ids may be another."""
        return self.path.name if self.path is not None else self.name

    @property
    def compression(self) -> str:
        """The suffix of the compression, or nothing."""
        suffix = Path(self.stored_name).suffix.lower()
        return suffix if suffix in COMPRESSED else ""


class _Metered:
    """A handle that tells a progress how far the file below has been read."""

    def __init__(self, handle: Any, below: Any, progress: Progress) -> None:
        self._handle, self._below, self._progress = handle, below, progress

    def read(self, size: int = -1) -> bytes:
        data = self._handle.read(size)
        self._progress.at(self._below.tell())
        return cast("bytes", data)


@contextmanager
def open_stored(file: DataFile) -> Iterator[BufferedReader]:
    """Open a file as it is stored, and hold its first bytes against its name.

    Raises:
        InputError: when it cannot be opened or read, is empty, or is something else than its name says.
    """
    try:
        with file.path.open("rb") if file.path is not None else open_in_store(file.address) as handle:
            check_content(str(file), file.stored_name, handle.peek(HEAD_BYTES)[:HEAD_BYTES])
            yield handle
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from None


@contextmanager
def open_binary(file: DataFile, progress: Progress) -> Iterator[IO[bytes]]:
    """Open a file for reading, decompressed when its suffix says so.

    Raises:
        InputError: as :func:`open_stored`, and when its compressed data is damaged or cut off.
    """
    with open_stored(file) as stored:
        try:
            with unpacked(stored, file.compression) as handle:
                yield cast("IO[bytes]", _Metered(handle, stored, progress))
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
            raise InputError(_damaged(file, error)) from None
        except OSError as error:
            if not file.compression or error.errno is not None:
                raise
            raise InputError(_damaged(file, error)) from None
        progress.end_file(file.size)


def _damaged(file: DataFile, error: Exception) -> str:
    return f"{file}: the compressed data is damaged or cut off ({error}); fetch the file again"


@contextmanager
def on_disk(file: DataFile) -> Iterator[Path]:
    """The file as a path that can be read at any position; what is compressed or in a store is unpacked for the time.

    Raises:
        InputError: as :func:`open_binary`.
    """
    if file.path is not None and not file.compression:
        with open_stored(file):
            yield file.path
        return
    with tempfile.NamedTemporaryFile(prefix="hone-", suffix=Path(file.stored_name).suffix) as copy:
        with open_binary(file, Progress()) as handle:
            shutil.copyfileobj(handle, copy, BLOCK_BYTES)
        copy.flush()
        yield Path(copy.name)


def blocks(file: DataFile, progress: Progress) -> Iterator[bytes]:
    """The decompressed bytes of a file, 1 MiB at a time."""
    with open_binary(file, progress) as handle:
        block = handle.read(BLOCK_BYTES)
        if file.compression:
            _check_unpacked(file, block[:HEAD_BYTES])
        while block:
            yield block
            block = handle.read(BLOCK_BYTES)


def _check_unpacked(file: DataFile, head: bytes) -> None:
    kind = kind_of_content(head)
    if kind is not None and kind[1] and kind[1][0] in COMPRESSED:
        raise InputError(f"{file}: is compressed twice, unpacked it holds {kind[0]}; unpack it once")
    check_content(str(file), Path(file.stored_name).stem, head)


def line_blocks(file: DataFile, progress: Progress, cut_bytes: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """Whole lines, about 1 MiB of them: (1-based number of the first, its byte offset, bytes).

    Lines longer than ``cut_bytes`` are cut between two characters; 0 cuts none.

    Raises:
        InputError: as :func:`open_binary`; for a line longer than :data:`LONGEST_ROW_BYTES`.
    """
    number, offset, held, size = 1, 0, list[bytes](), 0
    for block in itertools.chain(blocks(file, progress), (b"",)):
        start = mark_bytes(block) if offset == size == 0 else 0
        offset += start
        held.append(block[start:])
        size += len(held[-1])
        cut = held[-1].rfind(b"\n") + 1
        if cut:
            cut += size - len(held[-1])
        elif not block or (cut_bytes and size > cut_bytes):
            cut = _between_characters(b"".join(held)) if block else size
        elif size > LONGEST_ROW_BYTES:
            longest = f"{LONGEST_ROW_BYTES >> 20} MiB"
            raise InputError(f"{file}:{number}: a line of more than {longest}; expected one row per line")
        if cut:
            joined = b"".join(held)
            yield number, offset, joined[:cut]
            number += joined.count(b"\n", 0, cut)
            offset += cut
            held, size = [joined[cut:]], size - cut


def mark_bytes(block: bytes) -> int:
    """Length of the UTF-8 byte-order mark that a file begins with, 0 or 3."""
    return len(codecs.BOM_UTF8) if block.startswith(codecs.BOM_UTF8) else 0


def _between_characters(data: bytes) -> int:
    """The last position at which a UTF-8 character may begin: at the last lead byte, or behind plain ASCII."""
    for at in range(len(data) - 1, max(len(data) - 5, -1), -1):
        if data[at] >= 0xC0:
            return at
        if data[at] < 0x80:
            return at + 1
    return len(data)
