"""The sealed test split (law 9): its rows are not kept; what is kept cannot be trained on or looked at.

Fingerprints, labels and the count are free. The rows themselves are read again from the source, and only
after the reading has been recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hone.data.changing import Changing
from hone.data.formats import converted
from hone.data.read import read
from hone.data.readers.addresses import without_secrets
from hone.data.readers.progress import Progress
from hone.data.rows import Row, canonical
from hone.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedTest:
    """What may be known of the test split without scoring on it.

    ``fingerprints`` of the folded prompts; ``labels`` sorted (classify); ``n`` rows; ``digest`` over the rows'
    content; ``source`` as the task names it, relative to ``base``; ``only``: ids of its rows where the split was
    hashed out of train, or bad rows of it were dropped, else None; ``changing``: what happens to rows when they are
    read; ``columns``: those that the task names, by which :func:`hone.data.formats.converted` knows whether to convert.
    """

    source: str
    base: Path
    n: int
    fingerprints: frozenset[str]
    labels: tuple[str, ...]
    digest: str
    prefix: str = ""
    only: frozenset[str] | None = None
    changing: Changing = field(default_factory=Changing, compare=False, repr=False)
    columns: tuple[str, ...] = ()

    def read(self, record: Callable[[str], None], reason: str) -> tuple[Row, ...]:
        """The test rows, in the order of the file.

        Args:
            record: called with ``reason`` before anything is read; when it raises, nothing is read.
            reason: why the test is read, for the lab.

        Raises:
            InputError: when the source no longer holds the rows that were sealed.
        """
        record(reason)
        rows = tuple(self._stream())
        digest = Digest()
        for row in rows:
            digest.add(row)
        if digest.hex() != self.digest:
            raise InputError(
                f"{without_secrets(self.source)}: the test rows have changed since they were sealed ({self.n:,} rows "
                f"with digest {self.digest[:12]} then, {len(rows):,} with {digest.hex()[:12]} now); "
                "put the file back, or prepare the data again: earlier scores do not belong to this test"
            )
        return rows

    def _stream(self) -> Iterator[Row]:
        split = "test" if self.only is None else "train"
        stream = read(self.source, self.base, self.prefix, Progress(hides_values=True))
        rows = converted(stream, lambda line: None, wanted=self.columns)
        for row in self.changing.over(split, rows):
            if isinstance(row, Row) and (self.only is None or row.id in self.only):
                yield row


class Digest:
    """SHA-256 over rows that are handed in one by one and not kept."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, row: Row) -> None:
        """Take one row in."""
        self._hash.update(canonical([row.id, row.fields]).encode("utf-8", "surrogatepass") + b"\n")

    def hex(self) -> str:
        """64 hex digits over all rows so far."""
        return self._hash.hexdigest()
