"""A certificate as it is kept: beside its artifact, as JSON for programs and as a page for people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hone.deploy.artifact.folder import CERTIFICATE, PAGE, artifact_folder, model_file
from hone.deploy.certificate.floats import BesideFloats
from hone.deploy.certificate.gates import Gate
from hone.deploy.certificate.likeness import Likeness
from hone.deploy.certificate.parity import Parity
from hone.deploy.certificate.reach import Reach
from hone.deploy.certificate.scoring import Comparison
from hone.deploy.certificate.timing import Times
from hone.deploy.certificate.witness import Size
from hone.deploy.measure import Figure, Measured, all_within
from hone.deploy.weights import Bounds
from hone.errors import FailedError
from hone.evaluate.scoring import Evaluation
from hone.files import atomic_write, file_hash, read_json, write_json
from hone.lab.record import now
from hone.wording import counted

Status = Literal["certified", "contract-checked", "converted"]
FORMAT = 2
SUFFIX = ".certificate.json"
"""Of the certificate of a model file that stands alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """What is known about one artifact."""

    status: Status
    failures: tuple[str, ...]
    """Why it is only ``converted``: the sentences of the gates that do not hold; empty otherwise."""
    size: Size
    kind: Literal["decoder", "encoder"]
    artifact: str
    """Name of the model file."""
    artifact_hash: str
    """SHA-256 of the model file, which is checked whenever an artifact's folder is opened."""
    weights: str
    prepared: str
    """How the weights were prepared for their format; empty: plain rounding."""
    runtime: str
    runtime_name: str
    machine: str
    versions: Mapping[str, str]
    modules_in_process: int
    training_modules: tuple[str, ...]
    """Modules of the training side found in the artifact's process; none for a certified one."""
    ids_checked: int
    examples_checked: int
    measured: Measured
    times: Times
    budget: tuple[Figure, ...]
    device: Mapping[str, Any]
    parity: Parity | None
    """Of probabilities; None where the model gives none, or there was no original."""
    bounds: Bounds
    gates: tuple[Gate, ...]
    reach: Reach | None = None
    """The context that was measured, and how long the texts were; None in certificates of before."""
    likeness: Likeness | None = None
    """Of vectors, where the model gives these."""
    compared: Comparison | None = None
    """The task's score of artifact and original on the same rows."""
    floats: BesideFloats | None = None
    """Of a model that was trained for its grid: against the one in floats that it began from."""
    score: Mapping[str, Any] | None = None
    """The task's score of this artifact on dev."""
    notes: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    made: str = field(default_factory=now)
    """UTC."""
    evaluation: Evaluation | None = field(default=None, repr=False, compare=False)
    """The artifact's whole evaluation on the rows of ``compared``; not written."""

    @property
    def within_budget(self) -> bool | None:
        """Every budgeted figure keeps its limit; None where no limit is set, or where it is not known of one."""
        return all_within(self.budget)

    def over_budget(self) -> list[str]:
        """A sentence for each figure that is known to be over its limit."""
        return [
            f"{figure.name} {figure.measured:.3g} is over the budget of {figure.limit:g}"
            for figure in self.budget
            if figure.limit is not None and figure.within is False
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they are written beside the artifact; numbers that are not finite become null."""
        plain = asdict(replace(self, evaluation=None))
        del plain["evaluation"]
        plain["format"] = FORMAT
        plain["budget"] = [figure.to_json() for figure in self.budget]
        plain["within_budget"] = self.within_budget
        plain["times"] = self.times.to_json()
        plain["parity"] = None if self.parity is None else self.parity.to_json()
        plain["compared"] = None if self.compared is None else self.compared.to_json()
        plain["floats"] = None if self.floats is None else self.floats.to_json()
        return dict(_finite(plain))

    def write(self, artifact: Path) -> Path:
        """Write it beside the artifact, and the page as well; the path of the JSON."""
        return write_certificate(artifact, self.to_json())


def told_status(document: Mapping[str, Any]) -> str:
    """The status of a certificate's plain values in words; a quick one says so."""
    return f"{document['status']} (quick)" if document["size"] == "quick" else str(document["status"])


def told_score(document: Mapping[str, Any]) -> str:
    """The score of a certificate's plain values with its rows, and the original's on the same ones; empty without one.

    A quick certificate scores few rows: its figure beside another of more rows would look like a loss.
    """
    score, compared = document["score"], document["compared"]
    if score is None:
        return ""
    told = f"{score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}] on {counted(score['n'], 'row')}"
    return told if compared is None else f"{told}, the original {compared['original']['mean']:.3f}"


def minute(made: str) -> str:
    """A moment to the minute, as people read it."""
    return f"{made[:16].replace('T', ' ')} UTC"


def compared_before(document: Mapping[str, Any]) -> str:
    """When and by which version an artifact was certified that is only contract-checked now; empty for others."""
    at = document.get("compared_at")
    if document["status"] != "contract-checked" or not was_compared(document) or not at:
        return ""
    return f"it was certified {minute(at['made'])} by {at['runtime']} and has not been compared since"


def was_compared(document: Mapping[str, Any]) -> bool:
    """Whether a certificate holds a comparison with the original, of probabilities or of vectors."""
    return document["parity"] is not None or document.get("likeness") is not None


def told_likeness(document: Mapping[str, Any]) -> str:
    """How like the original's an artifact's vectors are, in a line; empty where it gives none."""
    found = document.get("likeness")
    if found is None:
        return ""
    if found["cosine_mean"] is None:
        return "its vectors are not finite"
    return (
        f"cosine to the original's vectors {found['cosine_mean']:.6f} on average, {found['cosine_least']:.6f} at "
        f"least, over {counted(found['texts'], 'text')}; the same nearest text for {found['same_nearest_or_tie']:.1%}"
    )


def certificate_path(artifact: Path) -> Path:
    """Where an artifact's certificate lies: in its folder, or beside a model file that stands alone."""
    folder = artifact_folder(artifact)
    return artifact.with_name(artifact.name + SUFFIX) if folder is None else folder / CERTIFICATE


def page_path(artifact: Path) -> Path:
    """Where the page of an artifact's certificate lies."""
    folder = artifact_folder(artifact)
    return certificate_path(artifact).with_suffix(".html") if folder is None else folder / PAGE


def write_certificate(artifact: Path, document: Mapping[str, Any]) -> Path:
    """Write a certificate's plain values and its page beside an artifact; the path of the JSON."""
    from hone.deploy.certificate.page import page_of

    name = (
        artifact.stem
        if artifact_folder(artifact) is None
        else (artifact if artifact.is_dir() else artifact.parent).name
    )
    atomic_write(page_path(artifact), page_of(document, name))
    return write_json(certificate_path(artifact), document)


def read_certificate(artifact: Path) -> dict[str, Any]:
    """The certificate of an artifact as plain values.

    Raises:
        FailedError: when there is none, or it belongs to another file.
    """
    path = certificate_path(artifact)
    if not path.is_file():
        raise FailedError(f"{artifact} has no certificate ({path.name}); make one with: hone export")
    found: dict[str, Any] = read_json(path)
    file = model_file(artifact)
    if found.get("artifact_hash") != file_hash(file):
        raise FailedError(f"{path} belongs to another file than {file.name}; its hash differs")
    return found


def _finite(value: Any) -> Any:
    """Plain values that JSON has words for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
