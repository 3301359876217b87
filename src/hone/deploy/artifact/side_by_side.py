"""Artifacts measured again, side by side: what ``hone bench`` shows and draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.data.looking.markup import note, section, table, tag, text
from hone.data.looking.skeleton import whole_page
from hone.data.task_file import load_task
from hone.deploy.artifact.card import write_card
from hone.deploy.artifact.folder import artifact_folder, name_of
from hone.deploy.certificate.document import read_certificate, told_score, told_status, write_certificate
from hone.deploy.certificate.frontier import Candidate, candidate_of, frontier_svg
from hone.deploy.certificate.page import style
from hone.deploy.certificate.recertify import Recertified, recertify
from hone.deploy.certificate.witness import Size, Witness
from hone.errors import HoneError
from hone.task.load import folder_around
from hone.task.metrics import METRICS
from hone.wording import counted

Say = Callable[[str], None]
COLUMNS = ("artifact", "weights", "MB", "RAM MB", "load ms", "first ms", "ms/token", "KLD", "score", "status")
NUMBERS = tuple(range(2, 8))
"""Columns that hold numbers alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One artifact after it was measured again, or the reason why it could not be."""

    path: Path
    found: Recertified | None
    problem: str = ""
    unwritten: str = ""
    """Why the certificate that was measured could not be written; empty: it was, or was not to be."""

    @property
    def name(self) -> str:
        """What the artifact is called."""
        return name_of(self.path)

    @property
    def holds(self) -> bool:
        """It was measured and everything holds."""
        return self.found is not None and not self.found.failures

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        if self.found is None:
            return {"artifact": str(self.path), "problem": self.problem}
        changes, failures = list(self.found.changes), list(self.found.failures)
        plain = {"artifact": str(self.path), "changes": changes, "failures": failures}
        return {**plain, "unwritten": self.unwritten or None, "certificate": self.found.certificate}


def measure_again(
    path: Path, *, write: bool, original: Callable[[Path, Size], Witness] | None = None, say: Say = print
) -> Measured:
    """Measure an artifact again; with ``write`` its certificate and card are written anew.

    ``original`` finds what it is compared with anew, and raises a sentence where there is nothing; ``say`` takes it.
    """
    witness, why_not = None, ""
    try:
        if original is not None:
            size: Size = read_certificate(path)["size"]
            try:
                witness = original(path, size)
            except HoneError as error:
                why_not = str(error)
                say(f"not compared with its original: {why_not}")
        found = recertify(path, witness=witness, why_not=why_not)
    except HoneError as error:
        return Measured(path=path, found=None, problem=str(error))
    return Measured(path=path, found=found, unwritten=_write(path, found) if write else "")


def _write(path: Path, found: Recertified) -> str:
    """Write certificate and card anew; why that could not be, where so: what was measured is not lost by it."""
    try:
        write_certificate(path, found.certificate)
        if (folder := artifact_folder(path)) is not None:
            write_card(folder)
    except (HoneError, OSError) as error:
        return str(error)
    return ""


def names_of(measured: Sequence[Measured]) -> list[str]:
    """What each is called; with as many folders of its path as tell it from another one of the same name."""
    names = [one.name for one in measured]
    above = [(artifact_folder(one.path) or one.path).resolve().parents for one in measured]
    for deeper in range(max(map(len, above), default=0)):
        same = {name for name in names if names.count(name) > 1}
        names = [
            f"{up[deeper].name}/{name}" if name in same and deeper < len(up) - 1 else name
            for name, up in zip(names, above, strict=True)
        ]
    return names


def rows_of(measured: Sequence[Measured]) -> list[tuple[str, ...]]:
    """A line of texts for each artifact that was measured; see :data:`COLUMNS`."""
    named = zip(names_of(measured), measured, strict=True)
    return [_row(name, one.found.certificate) for name, one in named if one.found is not None]


def _row(name: str, certificate: Mapping[str, Any]) -> tuple[str, ...]:
    figures, parity = certificate["measured"], certificate["parity"]
    shown = [_short(figures[key]) for key in ("size_mb", "ram_mb", "load_ms", "first_token_ms", "ms_per_token")]
    divergence = "" if parity is None else _short(parity["kld_mean"])
    return (name, certificate["weights"], *shown, divergence, told_score(certificate), told_status(certificate))


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def page_of_all(measured: Sequence[Measured]) -> str:
    """The page: the frontier of score against size and time with the budget as a box, the table, what has changed."""
    named = list(zip(names_of(measured), measured, strict=True))
    known = [(name, one, one.found) for name, one in named if one.found is not None]
    title = known[0][0] if len(known) == 1 else f"{counted(len(known), 'artifact')}, measured again"
    head = tag("header", tag("p", "hone bench", class_="tool") + tag("h1", text(title)))
    rows = [[text(cell) for cell in row] for row in rows_of(measured)]
    said = [f"{name}: {line}" for name, _, found in known for line in found.changes]
    said += [f"{name}: does not hold any more: {line}" for name, _, found in known for line in found.failures]
    said += [f"{name}: not measured: {one.problem}" for name, one in named if one.found is None]
    listed = tag("ul", "".join(tag("li", text(line)) for line in said)) if said else note("nothing of note")
    parts = [
        head,
        _frontier([(name, one.path, found.certificate) for name, one, found in known]),
        section("table", "Side by side", "", table(COLUMNS, rows, right=NUMBERS, class_="measured")),
        section("changes", "Since their certificates", "", listed),
    ]
    return whole_page("hone bench", f'<main class="wide">{"".join(parts)}</main>', style=style())


def _frontier(known: Sequence[tuple[str, Path, Mapping[str, Any]]]) -> str:
    """One chart a metric: scores of different metrics do not stand on one axis."""
    charts = []
    for metric in dict.fromkeys(item["score"]["name"] for _, _, item in known if item["score"]):
        chosen = [one for one in known if one[2]["score"] and one[2]["score"]["name"] == metric]
        points: list[Candidate] = [found for name, _, item in chosen if (found := candidate_of(name, item)) is not None]
        # A limit that only a device of another class could tell of is none for times of this machine.
        limits = {one["name"]: one["limit"] for one in chosen[0][2]["budget"] if one["within"] is not None}
        known_metric = METRICS.get(metric)
        charts.append(
            frontier_svg(
                points,
                metric=metric,
                higher_is_better=known_metric is None or known_metric.higher_is_better,
                target=next(filter(None, (_target(path, metric) for _, path, _ in chosen)), None),
                size_mb=limits.get("size_mb"),
                ms_per_token=limits.get("ms_per_token"),
            )
        )
    inside = "".join(charts) or note("No artifact was scored on a task, so there is no frontier to draw.")
    return section("frontier", "Score against size and time", "", inside)


def _target(artifact: Path, metric: str) -> float | None:
    """The target of the task in whose folder an artifact lies; None without one, and for another metric."""
    folder = folder_around(artifact)
    try:
        task = None if folder is None else load_task(folder)
    except HoneError:
        return None  # the score is shown all the same, and what is wrong with the task is said where it is used
    return task.target if task is not None and task.metric == metric else None
