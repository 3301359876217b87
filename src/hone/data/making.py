"""How a data version was made: which section, edits and steps; and which earlier version is taken again (undo)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.data.patches import Patches
from hone.data.rows import Row
from hone.data.versions import SourceRecord, Version, find_version, head, save_version
from hone.errors import InputError
from hone.files import file_hash
from hone.task.spec import Clean, Task

if TYPE_CHECKING:
    from hone.data.judged import Judged, Opened
    from hone.data.prepare import DataVersion
    from hone.data.sources import Loaded

_LICENCE = ("licence", "license")


@dataclass(frozen=True, kw_only=True, slots=True)
class Making:
    """Plain values on how a version was made; see :class:`hone.data.versions.Version`."""

    clean: Mapping[str, Any]
    transforms: tuple[Mapping[str, Any], ...]
    signals: Mapping[str, Any]
    rules: tuple[Mapping[str, Any], ...]
    patches: Mapping[str, Any]
    sources: tuple[SourceRecord, ...]

    @classmethod
    def of(cls, opened: Opened, judged: Judged) -> Making:
        """Gather the record from what was carried out."""
        counts, section, changing = judged.decisions.counts(), opened.section, opened.changing
        return cls(
            clean=section.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
            transforms=tuple(
                {"name": one.name, "version": one.version, **one.params, "changed": changing.changed[one.name]}
                for one in changing.transforms
            ),
            signals=judged.measured.signals,
            rules=tuple(
                {"name": rule.name, "keeps": rule.sentence(), "source": rule.source, **counts[rule.name]}
                for rule in judged.plan.rules
            ),
            patches={"count": len(changing.patches.all), "digest": changing.patches.digest},
            sources=_sources(opened.loaded),
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
    return Clean.model_validate(version.clean), Patches.load(folder, int(version.patches["count"]))


def record(folder: Path, data: DataVersion) -> Version:
    """Write a data version to ``versions/`` of the task folder, with the version before it as parent."""
    before = head(folder)
    version = Version(
        id=data.id,
        parent=before if before != data.id else "",
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        counts=data.counts,
        clean=data.making.clean,
        transforms=data.making.transforms,
        signals=data.making.signals,
        rules=data.making.rules,
        patches=data.making.patches,
        sources=data.making.sources,
    )
    rows = ((split, row) for split in ("train", "dev", "ood") for row in getattr(data, split))
    save_version(folder, version, rows, data.ledger)
    return find_version(folder, data.id)


def _sources(loaded: Loaded) -> tuple[SourceRecord, ...]:
    """Each file with its hash, rows and licences; a table or hub id by its name alone. The test's rows are not kept."""
    records = []
    for split, found in loaded.found.items():
        rows: Iterable[Row] = getattr(loaded, split) if split != "test" else ()
        licences: dict[str, Counter[str]] = {}
        counts: Counter[str] = Counter()
        for row in rows:
            source = row.id.rpartition(":")[0]
            counts[source] += 1
            licence = next((str(row.fields[name]) for name in _LICENCE if row.fields.get(name)), None)
            if licence is not None:
                licences.setdefault(source, Counter())[licence] += 1
        files = {loaded.prefixes[split] + file.name: file.path for file in found.files if file.path is not None}
        for name in dict.fromkeys([*files, *counts]):
            path = files.get(name)
            records.append(
                SourceRecord(
                    name=name,
                    split=split,
                    sha256=file_hash(path) if isinstance(path, Path) and path.is_file() else "",
                    rows=counts[name],
                    licences=dict(licences.get(name, {})),
                )
            )
    return tuple(records)
