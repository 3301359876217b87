"""Compressed files unpacked while they are read: every stream of a file, and an error where one is damaged."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from typing import IO, Any

_FED_BYTES = 1 << 16
_BUFFER_BYTES = 1 << 18


def unpacked(stored: IO[bytes], suffix: str) -> Any:
    """A handle on what the file holds: compressed by ``suffix``, or with no such suffix as it is.

    Reading it raises EOFError, OSError without a number, ``zlib.error`` or ``lzma.LZMAError`` where data is damaged.
    """
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=stored)
    if suffix == ".bz2":
        return io.BufferedReader(_Streams(stored, bz2.BZ2Decompressor), _BUFFER_BYTES)
    if suffix == ".xz":
        return io.BufferedReader(_Streams(stored, lzma.LZMADecompressor), _BUFFER_BYTES)
    if suffix == ".zst":
        import pyarrow

        return pyarrow.CompressedInputStream(pyarrow.PythonFile(stored, "r"), "zstd")
    return stored


class _Streams(io.RawIOBase):
    """Compressed streams one after the other, as ``cat`` and parallel compressors write them.

    The handles of :mod:`bz2` and :mod:`lzma` take whatever follows a whole stream for the end of the file, so that with
    a damaged second stream half of the rows would be missing without a word. Zeros are padding.
    """

    def __init__(self, stored: IO[bytes], make: Any) -> None:
        self._stored, self._make = stored, make
        self._stream = make()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        out = b""
        while not out:
            fed = b""
            if self._stream.eof:
                fed = self._next_stream()
                if not fed:
                    return 0
                self._stream = self._make()
            elif self._stream.needs_input:
                fed = self._stored.read(_FED_BYTES)
                if not fed:
                    raise EOFError("it ends inside a stream")
            out = self._stream.decompress(fed, len(buffer))
        buffer[: len(out)] = out
        return len(out)

    def _next_stream(self) -> bytes:
        """The bytes with which the next stream begins; none at the end of the file."""
        data = self._stream.unused_data.lstrip(b"\0")
        while not data and (block := self._stored.read(_FED_BYTES)):
            data = block.lstrip(b"\0")
        return bytes(data)
