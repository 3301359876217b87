"""Which parts of a task fail: scores per field, per label and per group of rows, those that cost most first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from hone.task.overlap import pairs

MOST_GROUPS = 20
SMALLEST_GROUP = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """One part of the rows or of the answers.

    ``kind`` is ``field`` (a path of the object), ``label`` (a class) or ``group`` (the rows whose field has one
    value); ``f1`` is F1 of its pairs or labels; ``n`` counts gold pairs, or rows of the label; ``errors`` counts
    what is missing and what is too much, the order of slices; ``note`` says what it is mistaken for.
    """

    name: str
    kind: str
    f1: float
    n: int
    errors: int
    note: str = ""

    def line(self) -> str:
        """One line for people."""
        text = f"{self.kind} {self.name}: F1 {self.f1:.2f} on {self.n:,}, {self.errors:,} errors"
        return f"{text}; {self.note}" if self.note else text


@dataclass(slots=True)
class _Tally:
    hits: int = 0
    claimed: int = 0
    wanted: int = 0

    def add(self, hits: int, claimed: int, wanted: int) -> None:
        self.hits, self.claimed, self.wanted = self.hits + hits, self.claimed + claimed, self.wanted + wanted

    def slice(self, name: str, kind: str, note: str = "") -> Slice:
        below = self.claimed + self.wanted
        f1 = 2 * self.hits / below if below else 1.0
        return Slice(name=name, kind=kind, f1=round(f1, 4), n=self.wanted, errors=below - 2 * self.hits, note=note)


def slices_of(kind: str, predictions: Sequence[Any], references: Sequence[Any]) -> tuple[Slice, ...]:
    """The slices of scored answers, most errors first; none for kinds whose answers have no parts."""
    if kind == "classify":
        found = _labels(predictions, references)
    elif kind in ("multi-label", "tag"):
        found = _parts(predictions, references)
    elif kind == "extract":
        found = [*_fields(predictions, references), *_groups(predictions, references)]
    else:
        found = []
    return tuple(sorted(found, key=lambda part: (-part.errors, part.f1, part.name)))


def _labels(predictions: Sequence[Any], references: Sequence[Any]) -> list[Slice]:
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    mistaken: dict[str, Counter[str]] = defaultdict(Counter)
    for prediction, reference in zip(predictions, references, strict=True):
        tallies[reference].add(int(prediction == reference), 0, 1)
        if prediction is not None:
            tallies[prediction].add(0, 1, 0)
        if prediction != reference:
            mistaken[reference][str(prediction)] += 1
    notes = {
        label: f"taken for {other} {times}x" for label in mistaken for other, times in mistaken[label].most_common(1)
    }
    return [tally.slice(label, "label", notes.get(label, "")) for label, tally in tallies.items()]


def _parts(predictions: Sequence[Any], references: Sequence[Any]) -> list[Slice]:
    """Rows with several labels, or entities: by label, or by the entity's type."""
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    for prediction, reference in zip(predictions, references, strict=True):
        claimed, wanted = (Counter(map(_part, answer or ())) for answer in (prediction, reference))
        for counter, place in ((claimed & wanted, 0), (claimed, 1), (wanted, 2)):
            for part, times in counter.items():
                tallies[part[-1]].add(*(times if place == index else 0 for index in range(3)))
    return [tally.slice(name, "label") for name, tally in tallies.items()]


def _part(item: Any) -> tuple[Any, ...]:
    return (item,) if isinstance(item, str) else (item["start"], item["end"], item["type"])


def _fields(predictions: Sequence[Any], references: Sequence[Any]) -> list[Slice]:
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    for prediction, reference in zip(predictions, references, strict=True):
        claimed, wanted = pairs(prediction), pairs(reference)
        for counter, place in ((claimed & wanted, 0), (claimed, 1), (wanted, 2)):
            for (path, _), times in counter.items():
                tallies[".".join(path)].add(*(times if place == index else 0 for index in range(3)))
    return [tally.slice(name, "field") for name, tally in tallies.items()]


def _groups(predictions: Sequence[Any], references: Sequence[Any]) -> list[Slice]:
    """Rows by the gold value of each top-level field that has few values, such as the intent of a request."""
    found = []
    for name in _grouping_fields(references):
        tallies: dict[Hashable, _Tally] = defaultdict(_Tally)
        for prediction, reference in zip(predictions, references, strict=True):
            claimed, wanted = pairs(prediction), pairs(reference)
            tallies[reference[name]].add((claimed & wanted).total(), claimed.total(), wanted.total())
        found += [tally.slice(f"{name}={value}", "group") for value, tally in tallies.items()]
    return found


def _grouping_fields(references: Sequence[Any]) -> list[str]:
    names = [name for name, value in references[0].items() if isinstance(value, str | bool | int)] if references else []
    chosen = []
    for name in names:
        values = [reference.get(name) for reference in references]
        if not all(isinstance(value, str | bool | int) for value in values):
            continue
        distinct = len(set(values))
        if 1 < distinct <= MOST_GROUPS and len(values) >= SMALLEST_GROUP * distinct:
            chosen.append(name)
    return chosen
