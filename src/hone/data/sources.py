"""Reading a task's splits: every row checked, every problem of every source gathered, the test only summarised."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.data.changing import Changing
from hone.data.checking import Checker, input_columns, output_columns
from hone.data.cleaning import compares
from hone.data.formats import converted
from hone.data.ledger import BAD, Entry, Reason
from hone.data.read import Found, find, read
from hone.data.readers.addresses import without_secrets
from hone.data.readers.progress import Progress
from hone.data.rows import Bad, Row, fingerprint
from hone.data.sealed import Digest, SealedTest
from hone.errors import InputError, nearest
from hone.files import atomic_write, content_hash
from hone.task.render import labels_in, task_prompt, task_reference
from hone.task.spec import Clean, Task
from hone.wording import counted

if TYPE_CHECKING:
    from hone.data.fingerprints import Fingerprints

SHOWN = 3
SPLITS = ("train", "dev", "test", "ood")


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """The checked rows of a task.

    ``test`` is None where the task names no test; ``test_rows`` maps each fingerprint of the test to the id of its
    first row, ``test_counts`` to its number of rows; ``prefixes`` stand before the ids of a split; ``found`` is what
    each split was read from; ``bad`` the rows that ``data.bad_rows: drop`` left out.
    """

    train: tuple[Row, ...]
    dev: tuple[Row, ...]
    ood: tuple[Row, ...]
    test: SealedTest | None
    test_rows: Mapping[str, str]
    test_counts: Mapping[str, int]
    prefixes: Mapping[str, str]
    found: Mapping[str, Found]
    bad: tuple[Entry, ...]


class Summary:
    """What stays of test rows that pass by: fingerprints, labels, count, digest."""

    def __init__(self, task: Task) -> None:
        self.rows: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.n = 0
        self._task = task
        self._labels: set[str] = set()
        self._digest = Digest()

    def add(self, row: Row, key: str | None = None) -> None:
        """Take one row in; ``key`` is its fingerprint where that is known."""
        key = key or fingerprint(task_prompt(self._task, row.fields))
        self.rows.setdefault(key, row.id)
        self.counts[key] += 1
        self.n += 1
        self._digest.add(row)
        if self._task.kind in ("classify", "multi-label", "tag"):
            self._labels.update(labels_in(self._task.kind, task_reference(self._task, row.fields)))

    def seal(
        self, source: str, base: Path, prefix: str, changing: Changing, only: frozenset[str] | None = None
    ) -> SealedTest:
        """The sealed split of the rows taken in; ``changing`` is what happens to them when they are read again."""
        return SealedTest(
            source=source,
            base=base,
            n=self.n,
            fingerprints=frozenset(self.rows),
            labels=tuple(sorted(self._labels)),
            digest=self._digest.hex(),
            prefix=prefix,
            only=only,
            changing=changing,
            columns=(*input_columns(self._task), *output_columns(self._task)),
        )


def load(
    task: Task,
    folder: Path,
    say: Callable[[str], None],
    changing: Changing | None = None,
    on_bytes: Callable[[int, int], None] | None = None,
) -> Loaded:
    """Read train, dev and ood, and pass over test; ``changing`` is what happens to rows on the way.

    ``on_bytes`` takes the bytes of a split that are read, and all of them, as they lie in storage. No value of a bad
    row of the test is said or kept.

    Raises:
        InputError: all problems of all sources at once.
    """
    named = _named(task)
    found, problems = _find_all(named, folder)
    prefixes = prefixes_of(found)
    rows: dict[str, list[Row]] = {split: [] for split in SPLITS}
    test, kept_of_test = Summary(task), set[str]()
    changing = changing or Changing()
    bad: list[Entry] = []

    def take(split: str, row: Row) -> None:
        if split == "test":
            test.add(row)
            kept_of_test.add(row.id)
        else:
            rows[split].append(row)

    for split in found:
        progress = Progress(on_bytes, hides_values=changing.hides_values or split == "test")
        stream = read(named[split], folder, prefixes[split], progress)
        more, left_out = _pass(task, split, stream, changing, take, progress, _files(found[split]), say)
        problems += more
        bad += left_out
    if problems:
        raise InputError(problems)
    only = frozenset(kept_of_test) if any(entry.source == "test" for entry in bad) else None
    return Loaded(
        train=tuple(rows["train"]),
        dev=tuple(rows["dev"]),
        ood=tuple(rows["ood"]),
        test=test.seal(named["test"], folder, prefixes["test"], changing.unedited(), only) if "test" in found else None,
        test_rows=test.rows,
        test_counts=test.counts,
        prefixes=prefixes,
        found=found,
        bad=tuple(bad),
    )


def _pass(
    task: Task,
    split: str,
    stream: Iterator[Row | Bad],
    changing: Changing,
    take: Callable[[str, Row], None],
    progress: Progress,
    files: str,
    say: Callable[[str], None],
) -> tuple[list[str], list[Entry]]:
    """Hand each good row of a split to ``take``; what is wrong, and the rows that ``data.bad_rows`` leaves out."""
    dropped: dict[str, list[Reason]] = {}
    drop = task.data.bad_rows == "drop"
    shown = without_secrets(str(getattr(task.data, split)))
    on_bad, hides = _into(dropped) if drop else None, progress.hides_values
    checker = Checker(task, f"data.{split} ({shown})", on_bad, hides_values=hides, doubtful=progress.doubtful)
    try:
        for row in checker.good(changing.over(split, converted(stream, _of(split, say), wanted=checker.columns))):
            take(split, row)
    except InputError as error:
        return [*checker.problems(), *error.problems], []
    say(f"{split}: {counted(checker.rows, 'row')} read from {shown}{files}")
    for line in progress.said():
        say(f"{split}: {line}")
    if checker.rows == len(dropped):
        why = "; ".join(("expected at least one", *progress.said()))
        empty = f"data.{split} ({shown}): holds no rows{' that can be used' if dropped else ''}; {why}"
        return [*checker.problems(), empty], []
    if not drop:
        return checker.problems(), []
    if dropped:
        say(f"{split}: {counted(len(dropped), 'bad row')} left out: {'; '.join(checker.problems())}")
    return [], [Entry(row=row_id, source=split, reasons=tuple(reasons)) for row_id, reasons in dropped.items()]


def _into(dropped: dict[str, list[Reason]]) -> Callable[[Bad], None]:
    def add(bad: Bad) -> None:
        where = f'field "{bad.field}": ' if bad.field else ""
        dropped.setdefault(bad.id, []).append(Reason(BAD, f"{where}expected {bad.expected}, found {bad.found}"))

    return add


def fingerprints(
    task: Task, section: Clean, loaded: Loaded, folder: Path, cache: Path, say: Callable[[str], None]
) -> Fingerprints | None:
    """N-grams of the test split and of benchmark files, where a rule asks for them; None otherwise."""
    if not compares(section, task.kind):
        return None
    from hone.data.benchmarks import task_fingerprints

    return task_fingerprints(task, section.against, loaded.test, folder, cache, say)


def _of(split: str, say: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: say(f"{split}: {line}")


def _named(task: Task) -> dict[str, str]:
    sources = {split: getattr(task.data, split) for split in SPLITS}
    return {split: source for split, source in sources.items() if isinstance(source, str)}


def _find_all(named: Mapping[str, str], folder: Path) -> tuple[dict[str, Found], list[str]]:
    found: dict[str, Found] = {}
    problems: list[str] = []
    owner: dict[str, str] = {}
    for split, source in named.items():
        try:
            found[split] = find(source, folder)
        except InputError as error:
            problems += [f"data.{split}: {problem}" for problem in error.problems]
            continue
        for place in found[split].places:
            other = owner.setdefault(place, split)
            if other != split:
                shown = without_secrets(place)
                problems.append(
                    f"data.{split}: {shown} is also read as data.{other}; each split needs files of its own"
                )
    return found, problems


def prefixes_of(found: Mapping[str, Found]) -> dict[str, str]:
    """Nothing, or ``<split>/`` where an earlier split has a file of the same name: ids stay unique."""
    seen: set[str] = set()
    prefixes = {}
    for split, source in found.items():
        names = source.names
        prefixes[split] = f"{split}/" if names & seen else ""
        seen |= names
    return prefixes


def _files(found: Found) -> str:
    many = f" ({len(found.files)} files)" if len(found.files) > 1 else ""
    left = f"; left out: {', '.join(found.left_out[:5])}" if found.left_out else ""
    return many + left


def with_python_rows(task: Task, cache: Path, rows: Mapping[str, Iterable[Mapping[str, Any]]]) -> Task:
    """The task with splits handed in as Python rows, which are written to the cache as JSON Lines.

    Raises:
        InputError: for an unknown split, and for rows that JSON cannot hold.
    """
    unknown = [split for split in rows if split not in SPLITS]
    if unknown:
        raise InputError([f'rows for "{split}" have no place; {nearest(split, SPLITS)}' for split in unknown])
    if not rows:
        return task
    problems: list[str] = []
    lines = {split: _json_lines(split, source, problems) for split, source in rows.items()}
    if problems:
        raise InputError(problems)
    place = cache / f"rows-{content_hash(lines)}"
    paths = {split: str(atomic_write(place / f"{split}.jsonl", text).resolve()) for split, text in lines.items()}
    return task.model_copy(update={"data": task.data.model_copy(update=paths)})


def _json_lines(split: str, source: Iterable[Any], problems: list[str]) -> str:
    lines = []
    for number, fields in enumerate(source, 1):
        try:
            line = json.dumps(dict(fields), ensure_ascii=False, allow_nan=False)
            line.encode("utf-8")
        except (TypeError, ValueError) as error:
            problems.append(f"{split} row {number:,}: expected a dict of JSON values, found {error}")
            continue
        lines.append(line + "\n")
    return "".join(lines)
