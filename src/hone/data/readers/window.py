"""The part of a file that a parser looks at: grown while a value is not whole, dropped once it is read."""

from __future__ import annotations

from hone.data.readers.opening import BLOCK_BYTES, DataFile, blocks, mark_bytes
from hone.data.readers.progress import Progress
from hone.errors import InputError

SPACE = b" \t\r\n"


class Window:
    """``data`` begins at byte ``offset`` of the decompressed file, on line ``line``; ``ended``: nothing follows it."""

    def __init__(self, file: DataFile, progress: Progress, step_bytes: int = BLOCK_BYTES) -> None:
        """Begin to read; ``step_bytes`` is how much is held at least, and what each :meth:`drop` has to move."""
        self.file = file
        self.data = b""
        self.line, self.offset, self.ended = 1, 0, False
        whole = blocks(file, progress)
        self._source = (block[at : at + step_bytes] for block in whole for at in range(0, len(block), step_bytes))
        self.grow()
        self.drop(mark_bytes(self.data))

    def grow(self) -> bool:
        """Read about as much again as is held, so that a long value is tried a logarithmic number of times."""
        parts, size, held = [self.data], 0, len(self.data)
        while size <= held and (block := next(self._source, b"")):
            parts.append(block)
            size += len(block)
        self.data = b"".join(parts)
        self.ended = size == 0
        return size > 0

    def drop(self, length: int) -> None:
        """Go on behind the first ``length`` bytes."""
        self.line += self.data.count(b"\n", 0, length)
        self.offset += length
        self.data = self.data[length:]

    def peek(self) -> bytes:
        """The next byte that is no white space, after dropping what stands before it; nothing at the end."""
        while True:
            rest = self.data.lstrip(SPACE)
            self.drop(len(self.data) - len(rest))
            if rest or not self.grow():
                return self.data[:1]

    def fault(self, expected: str, at: int = 0) -> InputError:
        """The error at a place of the window, behind which nothing can be read."""
        line = self.line + self.data.count(b"\n", 0, at)
        near = self.data[at : at + 20].decode("utf-8", "replace")
        found = f'"{near}"' if near else "the end of the file"
        where = f"at byte {self.offset + at:,}; the rest of the file cannot be read"
        return InputError(f"{self.file}:{line}: expected {expected}, found {found} {where}")
