"""The bytes of a web archive one after the other, and where they go on behind a damaged gzip member."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from hone.data.readers.opening import BLOCK_BYTES, DataFile, blocks, open_stored
from hone.data.readers.progress import Progress

_GZIP_MAGIC = b"\x1f\x8b\x08"
_GZIP = 16 + zlib.MAX_WBITS
_FED_BYTES = 1 << 15
_BETWEEN = b"\r\n"


class GapError(Exception):
    """Bytes are missing here; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class WarcBytes:
    """Reads forward: up to a mark, a number of bytes, or to the next record behind damage.

    ``offset`` is the position in the decompressed file. Every reading raises :class:`GapError` where bytes are missing.
    """

    def __init__(self, file: DataFile, progress: Progress) -> None:
        self.offset = 0
        self._parts = _members(file, progress) if file.compression == ".gz" else blocks(file, progress)
        self._held = b""
        self._at = 0
        self._gap = ""
        self._ended = False

    def _more(self) -> bool:
        """Hold one part more; False at the end of the file or before a gap."""
        if self._ended or self._gap:
            return False
        part = next(self._parts, b"")
        if isinstance(part, str):
            self._gap = part
            return False
        self._ended = not part
        self._held, self._at = self._held[self._at :] + part, 0
        return bool(part)

    def _forward(self, size: int) -> None:
        self._at += size
        self.offset += size

    def _missing(self) -> GapError:
        return GapError(self._gap or f"the end of the file at byte {self.offset:,}")

    def at_record(self) -> bool:
        """Whether there is anything left but line ends."""
        while True:
            while self._at < len(self._held) and self._held[self._at] in _BETWEEN:
                self._forward(1)
            if self._at < len(self._held) or self._gap:
                return True
            if not self._more() and not self._gap:
                return False

    def until(self, mark: bytes, longest: int) -> bytes | None:
        """The bytes before a mark, which is passed; None when it does not come within ``longest`` bytes."""
        while (found := self._held.find(mark, self._at)) < 0:
            if len(self._held) - self._at > longest:
                return None
            if not self._more():
                raise self._missing()
        taken = self._held[self._at : found]
        self._forward(len(taken) + len(mark))
        return taken

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        if len(self._held) - self._at < size:
            parts, missing = [self._held[self._at :]], size - (len(self._held) - self._at)
            self._forward(len(parts[0]))
            while missing > 0:
                if not self._more():
                    raise self._missing()
                parts.append(self._held[self._at : self._at + missing])
                self._forward(len(parts[-1]))
                missing -= len(parts[-1])
            return b"".join(parts)
        taken = self._held[self._at : self._at + size]
        self._forward(size)
        return taken

    def skip(self, size: int) -> None:
        """Go behind the next ``size`` bytes without holding them."""
        while size > 0:
            step = min(size, max(len(self._held) - self._at, 0))
            self._forward(step)
            size -= step
            if size and not self._more():
                raise self._missing()

    def ends_record(self) -> bool:
        """Whether a record ends here: two line ends follow, or what writers get wrong, other line ends and a record."""
        while len(self._held) - self._at < 16 and self._more():
            pass
        rest = self._held[self._at : self._at + 16]
        return rest.startswith(b"\r\n\r\n") or b"WARC/".startswith(rest.lstrip(_BETWEEN)[:5])

    def seek_record(self) -> None:
        """Go to the next line that begins a record, or behind a gap."""
        if self._gap:
            self._gap, self._held, self._at = "", b"", 0
            return
        while (found := self._held.find(b"\nWARC/1.", self._at)) < 0:
            self._forward(max(len(self._held) - self._at - 8, 0))
            if not self._more():
                if not self._gap:
                    self._forward(len(self._held) - self._at)
                self._held, self._at, self._gap = b"", 0, ""
                return
        self._forward(found + 1 - self._at)


def _members(file: DataFile, progress: Progress) -> Iterator[bytes | str]:
    """The decompressed bytes of gzip members in their order, and a sentence in place of each one that is damaged."""
    with open_stored(file) as stored:
        member, has_begun = zlib.decompressobj(_GZIP), False
        data, at, behind, seeking = b"", 0, 0, False
        while True:
            if seeking:
                # What could be the first bytes of the mark stays for the next block.
                found = data.find(_GZIP_MAGIC, at)
                at, seeking = (max(at, len(data) - len(_GZIP_MAGIC) + 1), True) if found < 0 else (found, False)
            if seeking or at >= len(data):
                block = stored.read(BLOCK_BYTES)
                if not block:
                    break
                behind += at
                data, at = data[at:] + block, 0
                progress.at(behind + len(data))
                continue
            fed = data[at : at + _FED_BYTES]
            try:
                plain = member.decompress(fed)
            except zlib.error as error:
                yield f"gzip data damaged near byte {behind + at:,} of the compressed file ({error})"
                member, has_begun, at, seeking = zlib.decompressobj(_GZIP), False, at + 1, True
                continue
            at += len(fed) - len(member.unused_data)
            has_begun = not member.eof
            if plain:
                yield plain
            if member.eof:
                member = zlib.decompressobj(_GZIP)
    progress.end_file(file.size)
    if has_begun:
        yield "gzip data that is cut off at the end of the file"
