"""Reading bare files, without a task: several sources, bad rows kept in sight, a sample by hash."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from hone.data.formats import converted
from hone.data.ingest import SplitRow
from hone.data.read import Progress, find, read
from hone.data.rows import Bad
from hone.data.split import position
from hone.errors import InputError
from hone.files import file_hash

SHOWN = 3
SPLIT = "train"
"""What rows of bare files are taken for: rules that are for training rows apply to them."""


class BareFiles:
    """Rows of several sources, one after the other. ``counts`` rows by source, ``bad`` those that cannot be used."""

    def __init__(
        self,
        files: Sequence[str],
        base: Path,
        say: Callable[[str], None],
        on_bytes: Callable[[int, int], None] | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        """``say`` takes what was recognised, ``note`` what was noted while reading (without it ``say`` does).

        ``on_bytes`` takes the bytes read and to read, as they lie in storage, after each block.
        """
        self.files = tuple(files)
        self.counts: Counter[str] = Counter()
        self.bad: list[Bad] = []
        self._base, self._say, self._on_bytes, self._note = base, say, on_bytes, note or say
        self._prefixes = _prefixes(files)

    def rows(self) -> Iterator[SplitRow]:
        """Good rows, in order; field schemas are converted, which is said."""
        progress = Progress(self._on_bytes)
        for file in self.files:
            for row in converted(read(file, self._base, self._prefixes[file], progress), self._say):
                self.counts[row.id.rpartition(":")[0]] += 1
                if isinstance(row, Bad):
                    self.bad.append(row)
                else:
                    yield SPLIT, row
        for line in progress.said():
            self._note(line)

    def check(self) -> None:
        """Refuse what was read when rows of it cannot be used.

        Raises:
            InputError: one sentence for each kind of fault and source, with the count and the first three rows.
        """
        groups: dict[tuple[str, str, str], list[Bad]] = {}
        for bad in self.bad:
            groups.setdefault((bad.id.rpartition(":")[0], bad.field, bad.expected), []).append(bad)
        problems = []
        for (source, field, expected), group in groups.items():
            shown = "; ".join(f"{bad.id} has {bad.found}" for bad in group[:SHOWN])
            more = f"; and {len(group) - SHOWN:,} more" if len(group) > SHOWN else ""
            where = f'field "{field}": ' if field else ""
            count = f"{len(group):,} bad of {self.counts[source]:,} rows"
            problems.append(f"{source}: {count}: {where}expected {expected}; {shown}{more}")
        if problems:
            raise InputError([*problems, "with --bad-rows drop such rows are left out and counted"])

    def is_whole(self, bad_rows: str) -> bool:
        """Whether every row could be used. With ``error`` anything else is refused, see :meth:`check`."""
        if bad_rows == "error":
            self.check()
        return not self.bad

    @cached_property
    def hashes(self) -> dict[str, str] | None:
        """SHA-256 of each file by its name, or None when a source is no local file."""
        found = [find(file, self._base) for file in self.files]
        if any(one.is_elsewhere or one.saved is not None for one in found):
            return None
        return {str(path): file_hash(path) for one in found for path in one.paths}


def sampled(rows: Iterable[SplitRow], size: int, seed: int) -> tuple[list[SplitRow], int]:
    """``size`` rows by the hash of their ids, in order, and how many there were. One pass; memory for the sample."""
    heap: list[tuple[float, int, SplitRow]] = []
    total = 0
    for total, (split, row) in enumerate(rows, 1):
        key = -position(row.id, f"sample-{seed}")
        if len(heap) < size:
            heapq.heappush(heap, (key, total, (split, row)))
        elif key > heap[0][0]:
            heapq.heapreplace(heap, (key, total, (split, row)))
    return [row for _, _, row in sorted(heap, key=lambda held: held[1])], total


def _prefixes(files: Sequence[str]) -> dict[str, str]:
    """Nothing, or what tells a source from an earlier one of the same file name."""
    prefixes: dict[str, str] = {}
    seen: set[str] = set()
    for file in files:
        name = Path(file).name
        prefixes[file] = f"{Path(file).parent.as_posix()}/" if name in seen else ""
        seen.add(name)
    return prefixes
