"""Reading bare files, without a task: several sources, bad rows kept in sight, a sample by hash."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hone.data.formats import converted
from hone.data.ingest import SplitRow
from hone.data.read import Found, Progress, find, read
from hone.data.readers.addresses import without_secrets
from hone.data.rows import Bad, told
from hone.data.split import position
from hone.data.view import View, view_of_rows
from hone.errors import InputError, nearest
from hone.files import file_hash
from hone.wording import counted

SHOWN = 3
SPLIT = "train"
"""What rows of bare files are taken for: rules that are for training rows apply to them."""
_PEEK_ROWS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """A source as it was named, what it stands for, and what stands before its row ids."""

    name: str
    found: Found
    prefix: str


class BareFiles:
    """Rows of several sources, one after the other. ``counts`` rows by source, ``bad`` those that cannot be used."""

    def __init__(
        self,
        files: Sequence[str],
        base: Path,
        say: Callable[[str], None],
        on_bytes: Callable[[int, int], None] | None = None,
        *,
        hides_values: bool = False,
    ) -> None:
        """``say`` takes what was recognised, left out, and noted while reading.

        ``on_bytes`` takes the bytes read and to read, as they lie in storage, after each block. With ``hides_values``
        the values of bad rows are neither kept nor said, only which rows they are and what was expected.

        Raises:
            InputError: a source that is not there, or a file that two of them name.
        """
        self.files = tuple(files)
        self.counts: Counter[str] = Counter()
        self.bad: list[Bad] = []
        self._base, self._say, self._on_bytes, self._hides_values = base, say, on_bytes, hides_values
        self._sources = _opened(files, base)
        self._lacks_columns = False
        self.doubtful: set[str] = set()
        """Names of columns that may be values of a row, where these are hidden; it grows while rows are read."""

    def rows(self) -> Iterator[SplitRow]:
        """Good rows, in order; field schemas are converted, which is said."""
        progress = Progress(self._on_bytes, hides_values=self._hides_values)
        progress.doubtful = self.doubtful
        for source in self._sources:
            if left := source.found.left_out:
                more = f" and {len(left) - SHOWN:,} more" if len(left) > SHOWN else ""
                self._say(f"{source.name}: left out: {', '.join(left[:SHOWN])}{more}")
            for row in converted(read(source.found, self._base, source.prefix, progress), self._say):
                self.counts[row.id.rpartition(":")[0]] += 1
                if isinstance(row, Bad):
                    self.bad.append(row.without_value() if self._hides_values else row)
                else:
                    yield SPLIT, row
        for line in progress.said():
            self._say(line)

    def seen(self, view: View, rows: Iterable[SplitRow]) -> Iterator[SplitRow]:
        """Rows that have the columns which a view needs; the others are bad. A lacking answer or label is said."""
        lacking: Counter[tuple[str, str]] = Counter()
        for split, row in rows:
            bad = view.lacking(row)
            if bad is not None:
                self._lacks_columns = True
                self.bad.append(bad.without_value() if self._hides_values else bad)
                continue
            for column in view.takes:
                if column not in row.fields:
                    lacking[row.id.rpartition(":")[0], column] += 1
            yield split, row
        for (source, column), count in lacking.items():
            of = self.counts[source]
            name = "a column whose name cannot be shown" if column in self.doubtful else f'the column "{column}"'
            self._say(f"{source}: {count:,} of {counted(of, 'row')} lack {name}, which counts as empty there")

    def problems(self) -> list[str]:
        """One sentence for each kind of fault and source, with the count and the first three rows."""
        groups: dict[tuple[str, str, str], list[Bad]] = {}
        for bad in self.bad:
            groups.setdefault((bad.id.rpartition(":")[0], bad.field, bad.expected), []).append(bad)
        problems = []
        for (source, field, expected), group in groups.items():
            shown = told(group[:SHOWN])
            more = f"; and {len(group) - SHOWN:,} more" if len(group) > SHOWN else ""
            where = f'field "{field}": ' if field else ""
            count = f"{len(group):,} bad of {counted(self.counts[source], 'row')}"
            problems.append(f"{source}: {count}: {where}expected {expected}; {shown}{more}")
        return problems

    def check(self) -> None:
        """Refuse what was read when rows of it cannot be used.

        Raises:
            InputError: with the sentences of :meth:`problems`.
        """
        if problems := self.problems():
            other = "; --text COLUMN takes another column" if self._lacks_columns else ""
            raise InputError([*problems, f"with --bad-rows drop such rows are left out and counted{other}"])

    def is_whole(self, bad_rows: str) -> bool:
        """Whether every row could be used. With ``error`` anything else is refused, see :meth:`check`."""
        if bad_rows == "error":
            self.check()
        return not self.bad

    def settle(self, bad_rows: str) -> None:
        """Once all is read: refuse bad rows, or with ``drop`` say what is left out.

        Raises:
            InputError: see :meth:`check`.
        """
        if not self.is_whole(bad_rows):
            for problem in self.problems():
                self._say(f"bad rows left out: {problem}")

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each local file, by what its row ids begin with."""
        local = ((one.prefix + file.name, file.path) for one in self._sources for file in one.found.files)
        return {name: file_hash(path) for name, path in local if path is not None}

    @property
    def left_out(self) -> list[str]:
        """Files of the sources that are not read, as they are said to be left out."""
        return [name for one in self._sources for name in one.found.left_out]

    @property
    def is_hashed(self) -> bool:
        """Whether the hashes stand for all that is read: every source is a local file or folder of them."""
        return not any(one.found.is_elsewhere or one.found.saved is not None for one in self._sources)


def viewed(
    file: str, reading: BareFiles, say: Callable[[str], None], view: View | None = None
) -> tuple[View, Iterator[SplitRow]]:
    """Rows to hold training rows against, and the view that they are seen through.

    That is ``view``, or where no row has its columns (or none is given) what their own columns suggest, which is said.

    Raises:
        InputError: no rows; neither the view's columns nor another that holds text.
    """
    rows = reading.rows()
    first = list(itertools.islice(rows, _PEEK_ROWS))
    if not first:
        reading.check()
        raise InputError(f"{file}: no rows; expected at least one to hold training rows against")
    if view is not None and any(view.lacking(row) is None for _, row in first):
        return view, reading.seen(view, itertools.chain(first, rows))
    own = view_of_rows([row for _, row in first], alone=True, unsaid=frozenset(reading.doubtful))
    if view is not None:
        names = list(dict.fromkeys(name for _, row in first for name in row.fields))
        missing = [name for name in view.needs if name not in names] or list(view.needs or view.text_columns)
        listed = "" if not view.unsaid.isdisjoint(missing) else f" {', '.join(missing)}"
        lacks = f"{file}: lacks the column{'s' if len(missing) > 1 else ''}{listed} of the training rows"
        if own.input is None:
            said = [name for name in names if name not in reading.doubtful] if listed else []
            raise InputError(
                f"{lacks}, and no column of it holds text{f'; {nearest(missing[0], said)}' if said else ''}"
            )
        say(f"{lacks}, so it is seen by its own columns: {own.sentence}")
    else:
        say(f"{file}: {own.sentence}")
    return own, reading.seen(own, itertools.chain(first, rows))


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


def _opened(files: Sequence[str], base: Path) -> tuple[_Source, ...]:
    """What each source stands for, with prefixes that keep row ids unique; a file named twice is refused."""
    sources: list[_Source] = []
    problems: list[str] = []
    owner: dict[str, int] = {}
    taken: set[str] = set()
    for number, file in enumerate(files, 1):
        try:
            found = find(file, base)
        except InputError as error:
            problems += error.problems
            continue
        whole = found.hub or f"{found.saved and found.saved.resolve()}:{found.split}"
        twice = [place for place in found.places or (whole,) if owner.setdefault(place, number) != number]
        if twice:
            other = files[owner[twice[0]] - 1]
            more = f" (and {len(twice) - 1:,} more files)" if len(twice) > 1 else ""
            problems.append(
                f"{without_secrets(twice[0])}{more} is named twice, by {without_secrets(other)} and by "
                f"{without_secrets(file)}; name each file once"
            )
        prefix = _prefix(found, number, base, taken)
        taken |= {prefix + name for name in found.names}
        sources.append(_Source(name=without_secrets(file), found=found, prefix=prefix))
    if problems:
        raise InputError(problems)
    return tuple(sources)


def _prefix(found: Found, number: int, base: Path, taken: set[str]) -> str:
    """Nothing, or where an earlier source has a file of the same name the folder, or failing that a number."""
    if found.names.isdisjoint(taken):
        return ""
    others = map(str, itertools.count(number))
    words = others if found.is_elsewhere or not found.files else itertools.chain([_folder_of(found, base)], others)
    return next(f"{word}/" for word in words if taken.isdisjoint(f"{word}/{name}" for name in found.names))


def _folder_of(found: Found, base: Path) -> str:
    """The folder that the names of local files are relative to, itself relative to ``base`` where it is below it."""
    file = found.files[0]
    depth = len(Path(file.name).parts)
    folder = (file.path or Path(file.name)).parents[depth - 1]
    return (folder.relative_to(base) if folder.is_relative_to(base) else folder).as_posix()
