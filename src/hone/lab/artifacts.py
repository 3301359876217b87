"""Artifacts: what was exported from which run and checkpoint, with the content hash that proves it is still that.

``artifacts/artifacts.jsonl`` is the truth, one line per export, never rewritten. A later line for the same path
replaces the earlier one in lists; both stay in the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hone.errors import InputError
from hone.files import PART_PREFIX, file_hash, read_json
from hone.lab import jsonl
from hone.lab.record import now

CERTIFICATE, PAGE, CARD = "certificate.json", "certificate.html", "README.md"
SAID_OF_IT = (CERTIFICATE, PAGE, CARD)
"""Files of an artifact's folder that are written anew when it is measured again: no part of what it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """One exported model for one runtime."""

    id: str
    """First 12 hex digits of the content hash."""
    path: str
    """Relative to the task folder where it lies inside, else absolute."""
    content_hash: str
    """SHA-256 in hex of the file, or of all files of a folder with their names."""
    size_bytes: int
    run: int
    checkpoint: str = ""
    """Name of the checkpoint it came from, for example ``step-000800``; empty: the run's model folder."""
    status: str = "converted"
    """``certified``, ``contract-checked`` or ``converted``, as its certificate says."""
    certificate: dict[str, Any] = field(default_factory=dict)
    recorded: str = ""
    """UTC, ISO 8601, to the second."""
    again: bool = False
    """Measured again and not exported: it keeps its place in lists."""


def certificate_of(path: Path) -> Path:
    """Where the certificate of an artifact's folder lies, or that of a file that stands alone."""
    return path / CERTIFICATE if path.is_dir() else path.with_name(f"{path.name}.{CERTIFICATE}")


def record(
    ledger: Path,
    root: Path,
    path: Path,
    *,
    run: int,
    checkpoint: str,
    certificate: Mapping[str, Any],
    again: bool = False,
) -> Artifact:
    """Hash an artifact and append it to the ledger; see :meth:`hone.lab.lab.Lab.record_artifact`.

    Without a certificate in hand ``certificate.json`` of its folder is taken, or beside a file that stands alone
    ``<artifact>.certificate.json``, where there is one.

    Raises:
        InputError: when there is no such file or folder.
    """
    if not path.exists():
        raise InputError(f"no artifact at {path}; export it first")
    beside = certificate_of(path)
    words = dict(certificate) or (read_json(beside) if beside.exists() else {})
    digest, size_bytes = measure(path)
    artifact = Artifact(
        id=digest[:12],
        path=_relative(path, root),
        content_hash=digest,
        size_bytes=size_bytes,
        run=run,
        checkpoint=checkpoint,
        status=str(words.get("status", "converted")),
        certificate=words,
        recorded=now(),
        again=again,
    )
    jsonl.append(ledger, asdict(artifact), sync=True)
    return artifact


def read(ledger: Path) -> tuple[list[Artifact], tuple[str, ...]]:
    """Artifacts in the order of recording, the last line of each path only, and sentences on torn lines."""
    lines = jsonl.read(ledger)
    by_path: dict[str, Artifact] = {}
    for row in lines.rows:
        if not row.get("again"):
            by_path.pop(row["path"], None)
        by_path[row["path"]] = Artifact(**row)
    return list(by_path.values()), lines.torn


def measure(path: Path) -> tuple[str, int]:
    """SHA-256 in hex and bytes of a file, or of a folder: over the sorted names and hashes of its files.

    What is said of an artifact (:data:`SAID_OF_IT`) is left out.
    """
    if path.is_file():
        return file_hash(path), path.stat().st_size
    digest, size_bytes = hashlib.sha256(), 0
    whole = [entry for entry in path.rglob("*") if entry.is_file() and not entry.name.startswith(PART_PREFIX)]
    for file in sorted(whole):
        if file.parent == path and file.name in SAID_OF_IT:
            continue
        digest.update(f"{file.relative_to(path).as_posix()}\0{file_hash(file)}\n".encode())
        size_bytes += file.stat().st_size
    return digest.hexdigest(), size_bytes


def changed(artifact: Artifact, root: Path) -> str:
    """A sentence when the file on disk is not the one that was recorded (missing, or other bytes); else empty."""
    path = root / artifact.path
    if not path.exists():
        return f"{artifact.path} is gone; its record says {artifact.size_bytes:,} bytes from run {artifact.run}"
    digest, size_bytes = measure(path)
    if digest == artifact.content_hash:
        return ""
    return (
        f"{artifact.path} was changed after it was recorded: {size_bytes:,} bytes with hash {digest[:12]}, "
        f"recorded {artifact.size_bytes:,} with {artifact.id}; its certificate no longer holds"
    )


def _relative(path: Path, root: Path) -> str:
    full = path.resolve()
    return full.relative_to(root.resolve()).as_posix() if full.is_relative_to(root.resolve()) else str(full)
