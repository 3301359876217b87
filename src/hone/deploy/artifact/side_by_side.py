"""Artifacts measured again, side by side: what ``hone bench`` shows and draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.data.looking.markup import note, section, table, tag, text
from hone.data.looking.skeleton import whole_page
from hone.deploy.artifact.card import write_card
from hone.deploy.artifact.folder import artifact_folder, name_of
from hone.deploy.certificate.document import read_certificate, told_score, told_status
from hone.deploy.certificate.frontier import Candidate, candidate_of, frontier_svg
from hone.deploy.certificate.page import style
from hone.deploy.certificate.recertify import Recertified, recertify
from hone.deploy.certificate.witness import Size, Witness
from hone.errors import HoneError
from hone.task.metrics import METRICS

Say = Callable[[str], None]
COLUMNS = ("artifact", "weights", "MB", "RAM MB", "load ms", "first ms", "ms/token", "KLD", "score", "status")


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One artifact after it was measured again, or the reason why it could not be."""

    path: Path
    found: Recertified | None
    problem: str = ""

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
        certificate = self.found.certificate
        return {"artifact": str(self.path), "changes": changes, "failures": failures, "certificate": certificate}


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
        found = recertify(path, witness=witness, why_not=why_not, write=write)
        folder = artifact_folder(path)
        if write and folder is not None:
            write_card(folder)
    except HoneError as error:
        return Measured(path=path, found=None, problem=str(error))
    return Measured(path=path, found=found)


def rows_of(measured: Sequence[Measured]) -> list[tuple[str, ...]]:
    """A line of texts for each artifact that was measured; see :data:`COLUMNS`."""
    return [_row(one.name, one.found.certificate) for one in measured if one.found is not None]


def _row(name: str, certificate: Mapping[str, Any]) -> tuple[str, ...]:
    figures, parity = certificate["measured"], certificate["parity"]
    shown = [_short(figures[key]) for key in ("size_mb", "ram_mb", "load_ms", "first_token_ms", "ms_per_token")]
    divergence = "" if parity is None else _short(parity["kld_mean"])
    return (name, certificate["weights"], *shown, divergence, told_score(certificate), told_status(certificate))


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def page_of_all(measured: Sequence[Measured]) -> str:
    """The page: the frontier of score against size and time with the budget as a box, the table, what has changed."""
    known = [one for one in measured if one.found is not None]
    documents = [one.found.certificate for one in known if one.found is not None]
    head = tag("header", tag("p", "hone bench", class_="tool") + tag("h1", text(", ".join(one.name for one in known))))
    parts = [head, _frontier(known, documents)]
    parts.append(
        section("table", "Side by side", "", table(COLUMNS, [[text(cell) for cell in row] for row in rows_of(known)]))
    )
    said = [f"{one.name}: {line}" for one in known if one.found is not None for line in one.found.changes]
    said += [f"{one.name}: does not hold any more: {line}" for one in known if one.found for line in one.found.failures]
    said += [f"{one.name}: not measured: {one.problem}" for one in measured if one.found is None]
    listed = "".join(tag("li", text(line)) for line in said)
    parts.append(
        section("changes", "Since their certificates", "", tag("ul", listed) if said else note("nothing of note"))
    )
    return whole_page("hone bench", f"<main>{''.join(parts)}</main>", style=style())


def _frontier(known: Sequence[Measured], documents: Sequence[Mapping[str, Any]]) -> str:
    """One chart a metric: scores of different metrics do not stand on one axis."""
    charts = []
    for metric in dict.fromkeys(item["score"]["name"] for item in documents if item["score"]):
        chosen = [
            (one, item)
            for one, item in zip(known, documents, strict=True)
            if item["score"] and item["score"]["name"] == metric
        ]
        points: list[Candidate] = [found for one, item in chosen if (found := candidate_of(one.name, item)) is not None]
        limits = {figure["name"]: figure["limit"] for figure in chosen[0][1]["budget"]}
        known_metric = METRICS.get(metric)
        charts.append(
            frontier_svg(
                points,
                metric=metric,
                higher_is_better=known_metric is None or known_metric.higher_is_better,
                size_mb=limits.get("size_mb"),
                ms_per_token=limits.get("ms_per_token"),
            )
        )
    inside = "".join(charts) or note("no artifact was scored on a task, so there is no frontier to draw")
    return section("frontier", "Score against size and time", "", inside)
