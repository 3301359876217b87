"""How a data version was made: which section, edits and steps; and which earlier version is taken again (undo)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.data.ledger import Ledger
from hone.data.patch_record import Patch
from hone.data.patches import Patches
from hone.data.rows import Row
from hone.data.version_record import SourceRecord, Version, load_version
from hone.data.versions import find_version, head, save_version, stored_columns
from hone.errors import FailedError, InputError
from hone.files import content_hash, file_hash
from hone.task.spec import Clean, Task
from hone.wording import counted

if TYPE_CHECKING:
    from hone.data.judged import Judged, Opened
    from hone.data.prepare import DataVersion
    from hone.data.rules import Rule
    from hone.data.sources import Loaded
    from hone.data.transforms.base import Transform

_LICENCE = ("licence", "license")


@dataclass(frozen=True, kw_only=True, slots=True)
class Making:
    """Plain values on how a version was made; see :class:`hone.data.versions.Version`.

    ``again``: the earlier version whose cleaning was taken (``clean.version``), or empty; it is no part of the id.
    """

    clean: Mapping[str, Any]
    transforms: tuple[Mapping[str, Any], ...]
    signals: Mapping[str, Any]
    rules: tuple[Mapping[str, Any], ...]
    patches: Mapping[str, Any]
    sources: tuple[SourceRecord, ...]
    again: str = ""

    def version_id(self, data: str, ledger: Ledger) -> str:
        """Id of the version: the content's hash, a dash, and 6 hex digits over how it was made.

        Args:
            data: hash of the content, which does not depend on how it came about.
            ledger: of the rows that were not kept.
        """
        how = {name: value for name, value in asdict(self).items() if name != "again"}
        return f"{data}-{content_hash([how, ledger.digest], 6)}"

    @classmethod
    def of(cls, opened: Opened, judged: Judged) -> Making:
        """Gather the record from what was carried out."""
        section, changing = opened.section, opened.changing
        return cls(
            clean=section.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
            transforms=steps_of(changing.transforms, changing.changed),
            signals=judged.measured.signals,
            rules=rules_of(judged.plan.rules, judged.decisions.counts()),
            patches=opened.patches.record(),
            sources=_sources(opened.loaded),
            again=opened.patches.version,
        )


def chosen_section(task: Task, folder: Path) -> tuple[Clean, Patches]:
    """The cleaning of a task: its own, or with ``clean.version`` that of the version which it names.

    Raises:
        InputError: no such version; other keys beside ``version``, which would have no effect.
    """
    section = task.clean
    if section.version is None:
        return section, Patches.load(folder)
    beside = sorted(section.model_fields_set - {"version"})
    if beside:
        raise InputError(
            f"clean: version {section.version} brings its own section, so {', '.join(beside)} would have no effect; "
            "remove these keys, or remove version"
        )
    version = find_version(folder, section.version)
    try:
        section = Clean.model_validate(version.clean)
    except ValueError as error:
        raise InputError(f"the section of data version {version.id} is none that this hone knows: {error}") from None
    return section, Patches.of_version(folder, version.id, version.patches["edits"])


def undone_edits(folder: Path, version: Version) -> list[Patch]:
    """The edits of a folder that a version was made without: those made since, and those undone."""
    known = [digest for _, digest in version.patches["edits"]]
    undone = []
    for patch in Patches.load(folder).all:
        if patch.digest in known:
            known.remove(patch.digest)
        else:
            undone.append(patch)
    return undone


def record(folder: Path, data: DataVersion, say: Callable[[str], None] | None = None) -> Version:
    """Write a data version to ``versions/`` of the task folder; ``say`` is told when dev is not the one before."""
    before = head(folder)
    rows = ((split, row) for split in ("train", "dev", "ood") for row in getattr(data, split))
    version = keep(folder, data.id, data.making, data.counts, rows, data.ledger)
    if say is not None and before and (sentence := dev_sentence(folder, before, version.id)):
        say(sentence)
    return version


def dev_sentence(folder: Path, first: str, second: str) -> str:
    """How the dev rows of a version differ from those of an earlier one; empty where they have the same content."""
    if first == second:
        return ""
    try:
        old, new = dev_contents(folder, first), dev_contents(folder, second)
    except FailedError as error:
        return f"whether dev is that of version {first} cannot be told: {error}"
    out, fresh = (old - new).total(), (new - old).total()
    if not out and not fresh:
        return ""
    return (
        f"dev differs from version {first}: {counted(out, 'row')} out, {fresh:,} in; scores of the two are measured "
        "on different rows"
    )


def dev_contents(folder: Path, version_id: str) -> Counter[str]:
    """How often each content is among the dev rows of a version, whatever the rows' ids."""
    stored = stored_columns(folder, version_id, ("split", "digest"))
    return Counter(digest for split, digest in stored if split == "dev")


def keep(
    folder: Path,
    data: str,
    making: Making,
    counts: Mapping[str, int],
    rows: Iterable[tuple[str, Row]],
    ledger: Ledger,
    also: Callable[[Path], None] | None = None,
) -> Version:
    """Write a version unless the same one is there, and make it the head.

    Its parent is the version that was the head, or the one whose cleaning was taken again.

    Args:
        folder: that holds ``versions/``.
        data: hash of the content.
        making: how it was made.
        counts: every number said.
        rows: kept rows with their splits, in order.
        ledger: of the rows that were not kept.
        also: writes further files into the version's folder.
    """
    version_id, parent = making.version_id(data, ledger), making.again or head(folder)
    if making.again == version_id:
        parent = find_version(folder, version_id).parent
    version = Version(
        id=version_id,
        data=data,
        parent=parent if parent != version_id else "",
        made=datetime.now(UTC).isoformat(timespec="milliseconds"),
        counts=counts,
        clean=making.clean,
        transforms=making.transforms,
        signals=making.signals,
        rules=making.rules,
        patches=making.patches,
        sources=making.sources,
    )
    return load_version(save_version(folder, version, rows, ledger, also))


class SourceTally:
    """Rows and licences of sources, counted as their rows pass; a row's source is its id without the line number."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self._licences: dict[str, Counter[str]] = {}

    def add(self, source: str, fields: Mapping[str, Any]) -> None:
        """Count a row; its licence is what a column of that name says."""
        self.rows[source] += 1
        licence = next((str(fields[name]) for name in _LICENCE if fields.get(name)), None)
        if licence is not None:
            self._licences.setdefault(source, Counter())[licence] += 1

    def record(self, source: str, split: str, sha256: str) -> SourceRecord:
        """The record of a source, with what was counted of it."""
        licences = dict(self._licences.get(source, {}))
        return SourceRecord(name=source, split=split, sha256=sha256, rows=self.rows[source], licences=licences)


def steps_of(transforms: Iterable[Transform], changed: Mapping[str, int]) -> tuple[Mapping[str, Any], ...]:
    """Transforms as a version records them; ``changed``: rows that each changed."""
    return tuple(
        {"name": one.name, "version": one.version, **one.params, "changed": changed.get(one.name, 0)}
        for one in transforms
    )


def rules_of(rules: Iterable[Rule], counts: Mapping[str, Mapping[str, int]]) -> tuple[Mapping[str, Any], ...]:
    """Rules as a version records them; ``counts``: rows that fail each, and that fail no other."""
    return tuple(
        {"name": rule.name, "keeps": rule.sentence(), "source": rule.source, **counts[rule.name]} for rule in rules
    )


def _sources(loaded: Loaded) -> tuple[SourceRecord, ...]:
    """Each file with its hash, rows and licences; a table or hub id by its name alone. The test's rows are not kept."""
    records = []
    for split, found in loaded.found.items():
        rows: Iterable[Row] = getattr(loaded, split) if split != "test" else ()
        tally = SourceTally()
        for row in rows:
            tally.add(row.id.rpartition(":")[0], row.fields)
        files = {loaded.prefixes[split] + file.name: file.path for file in found.files if file.path is not None}
        for name in dict.fromkeys([*files, *tally.rows]):
            path = files.get(name)
            there = isinstance(path, Path) and path.is_file()
            records.append(tally.record(name, split, file_hash(path) if path is not None and there else ""))
    return tuple(records)
