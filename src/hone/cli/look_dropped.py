"""``hone look --dropped RULE``: the rows that a rule removes, each beside what proves it; and rows that are bad."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hone.cli.look_sensitive import proof_without_text
from hone.cli.look_survey import Looked
from hone.data.ledger import BAD, OVERLONG, UNKNOWN_LABEL
from hone.data.limits import LIMIT
from hone.data.looking.duplicates import compared
from hone.data.looking.figures import Figures
from hone.data.looking.removal import marks_of
from hone.data.looking.samples import excerpt, masked
from hone.data.rules import Rule, evidence
from hone.errors import InputError, nearest
from hone.wording import counted

BAD_ROWS = ("bad-rows", "bad-row", BAD)
"""What people and ledgers call rows that could not be used."""
_IN_LEDGER = "; versions/ID/ledger.jsonl lists such rows, and hone data lineage ROW tells of one"
_LATER = {
    LIMIT: "no limit is set; clean: {limits: {FILE: ROWS}} in hone.yaml sets one",
    OVERLONG: f"rows that are too long are left out when a tokenizer has counted their tokens{_IN_LEDGER}",
    UNKNOWN_LABEL: f"labels that train does not have are found when rows are split{_IN_LEDGER}",
}
"""Reasons of a ledger that no rule of a look has, and where such rows are."""
SHOWN_CHARS = 1_200
PAGE = 200
"""Rows whose texts are read together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """A removed row.

    ``text``: all of it, or the part around the evidence; None where none may be shown. ``marks``: where in it the
    evidence is. ``left_out``: characters before and after. ``also``: other rules that it fails. ``survivor``: the row
    that it repeats. Of a rule over labels ``label``, the label that a model ``suggested``, and the ``probability`` that
    it gives the label; ``others`` that rows of the same text have.
    """

    row: str
    text: str | None
    marks: tuple[tuple[int, int], ...] = ()
    left_out: tuple[int, int] = (0, 0)
    evidence: str
    also: tuple[str, ...]
    survivor: str | None = None
    survivor_text: str | None = None
    label: str | None = None
    suggested: str | None = None
    probability: float | None = None
    others: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {name: getattr(self, name) for name in self.__slots__}


def show_dropped(args: argparse.Namespace, looked: Looked) -> int:
    """Page through the rows on a terminal, list them elsewhere; the exit status."""
    survey = looked.survey
    if args.dropped in BAD_ROWS:
        return _show_bad(args, looked)
    rule = _rule(survey.plan.rules, args.dropped)
    positions = np.flatnonzero(survey.decisions.failed[rule.name])
    rows = dropped(looked, rule, positions, sensitive=args.sensitive)
    sampled = f" in a sample of {survey.num_rows:,}" if survey.sampled else ""
    head = f"{rule.name} removes {len(positions):,} of {counted(survey.columns.num_rows, 'row')}{sampled}"
    head += f": those where {rule.removal()} ({rule.source})"
    if args.json:
        told = {"rule": rule.name, "keeps": rule.sentence(), "rows": len(positions)}
        print(json.dumps({**told, "dropped": [row.to_json() for row in rows]}, ensure_ascii=False))
        return 0
    print(head)
    if sys.stdout.isatty() and sys.stdin.isatty() and len(positions) > 1:
        _page(list(positions), looked, rule, args.sensitive)
        return 0
    for number, row in enumerate(rows, 1):
        print(f"\n{number:,} of {len(positions):,}")
        print(shown(row, colour=sys.stdout.isatty()))
    return 0


def dropped(looked: Looked, rule: Rule, positions: Sequence[int] | Any, *, sensitive: bool) -> Iterator[Dropped]:
    """Rows at some positions with their evidence; texts are read a page at a time."""
    survey = looked.survey
    figures = Figures(survey.columns)
    places = _places(figures, rule)
    for start in range(0, len(positions), PAGE):
        page = [int(at) for at in positions[start : start + PAGE]]
        others = {at: places.get(figures.word(rule.column, at) or "") for at in page} if places else {}
        texts = {} if sensitive else _texts(looked, figures, [*page, *(at for at in others.values() if at is not None)])
        for at in page:
            other = others.get(at)
            failed = (name for name, mask in survey.decisions.failed.items() if mask[at] and name != rule.name)
            cut = _cut(texts.get(at), rule, figures, at, whole=other is not None)
            yield Dropped(
                row=figures.word("row", at) or str(at),
                text=cut["text"],
                marks=tuple((start, end) for start, end, _ in cut["marks"]),
                left_out=(cut["before"], cut["after"]),
                evidence=(proof_without_text if sensitive else evidence)(rule, survey.columns, at),
                also=tuple(failed),
                survivor=figures.word(rule.column, at) if places else None,
                survivor_text=None if other is None else texts.get(other),
                **({} if sensitive or rule.signal != "labels" else _labels(figures, at)),
            )


def _labels(figures: Figures, at: int) -> dict[str, Any]:
    """What is known of a row's label."""
    probability = figures.numbers("labels.probability")[at]
    others = figures.table.column("labels.others")[at].as_py() if figures.has("labels.others") else None
    return {
        "label": figures.word("label", at),
        "suggested": figures.word("labels.suggested", at),
        "probability": None if np.isnan(probability) else float(probability),
        "others": tuple(others if isinstance(others, list) else [others] if others is not None else ()),
    }


def _cut(text: str | None, rule: Rule, figures: Figures, at: int, *, whole: bool) -> dict[str, Any]:
    """The part of a text that is shown: where the evidence is; all of it beside the row that it repeats."""
    if text is None:
        return {"text": None, "marks": [], "before": 0, "after": 0}
    return excerpt(text, marks_of(rule, figures, at), len(text) + 1 if whole else SHOWN_CHARS)


def shown(row: Dropped, *, colour: bool) -> str:
    """A row for a terminal."""
    lines = [_styled(row.row, "1", colour) + (f"  also fails {', '.join(row.also)}" if row.also else "")]
    lines.append(f"  {_plain(row.evidence if row.label is None else _label_line(row))}")
    if row.survivor_text is not None and row.text is not None:
        lines += [f"  kept instead: {row.survivor}", *_side_by_side(row, colour)]
    elif row.text is not None:
        lines.append(_with_marks(row, colour))
    return "\n".join(lines)


def _label_line(row: Dropped) -> str:
    """The given label, and what speaks against it."""
    odds = "" if row.probability is None else f" (probability {row.probability:.3g})"
    against = [f"suggested: {row.suggested}"] if row.suggested is not None and not row.others else []
    against += [f"the same text elsewhere: {', '.join(row.others)}"] if row.others else []
    return "; ".join([f"label: {row.label}{odds}", *against])


def _show_bad(args: argparse.Namespace, looked: Looked) -> int:
    """List the rows that could not be used; their text is what was found instead of what was expected."""
    bad = looked.survey.bad
    rows = [
        {"row": one.id, "field": one.field, "expected": one.expected, "found": None if args.sensitive else one.found}
        for one in bad
    ]
    if args.json:
        print(json.dumps({"rule": args.dropped, "rows": len(rows), "dropped": rows}, ensure_ascii=False))
        return 0
    print(f"{counted(len(rows), 'bad row')} left out when reading, before any rule" if rows else "no row is bad")
    for one in rows:
        field = f'field "{one["field"]}": ' if one["field"] else ""
        found = "" if one["found"] is None else f", found {one['found']}"
        told = f"{field}expected {one['expected']}{found}"
        print(f"{one['row']}\n  {_plain(told)}")
    return 0


def _with_marks(row: Dropped, colour: bool) -> str:
    """The text with its evidence in ``[[...]]`` or in another colour, and what was left out."""
    text, at = row.text or "", 0
    parts: list[str] = []
    for start, end in row.marks:
        if start >= at:
            marked = _plain(text[start:end])
            parts += [_plain(text[at:start]), _styled(marked, "30;43", colour) if colour else f"[[{marked}]]"]
            at = end
    told = "".join([*parts, _plain(text[at:])])
    before, after = row.left_out
    head = f"... {before:,} characters before ...\n" if before else ""
    return _indented(f"{head}{told}" + (f"\n... {after:,} characters after ..." if after else ""))


def _side_by_side(row: Dropped, colour: bool) -> list[str]:
    """The survivor's text, and how the removed one differs: ``[-only there-]`` and ``{+only here+}``."""
    found = compared(_plain(row.survivor_text or ""), _plain(row.text or ""))
    if not found["only_survivor"] and not found["only_row"]:
        text = _plain(row.text or "")
        more = f" ... ({len(text) - SHOWN_CHARS:,} characters more)" if len(text) > SHOWN_CHARS else ""
        return ["  every word is the same:", _indented(text[:SHOWN_CHARS] + more)]
    marks = {"removed": ("[-", "-]", "33"), "added": ("{+", "+}", "36"), "gap": ("... ", " ...", "2")}
    words = []
    for kind, text in found["pieces"]:
        open_, close, style = marks.get(kind, ("", "", ""))
        words.append(_styled(f"{open_}{text}{close}", style, colour and bool(style)))
    more = "" if found["whole"] else " ... (longer than what is compared)"
    return [f"    {line}" for line in (" ".join(words) + more).splitlines()]


def _page(positions: list[int], looked: Looked, rule: Rule, sensitive: bool) -> None:
    """One row at a time: Enter or n for the next, p for the one before, a number to go to, q to end."""
    at = 0
    while True:
        row = next(dropped(looked, rule, positions[at : at + 1], sensitive=sensitive))
        print(f"\n{at + 1:,} of {len(positions):,}\n{shown(row, colour=True)}\n")
        try:
            word = input("next [Enter], p(revious), a number, q(uit): ").strip().lower()
        except EOFError:
            return
        if word in ("q", "quit"):
            return
        if word.isdigit():
            at = int(word) - 1
        else:
            at += -1 if word.startswith("p") else 1
        if at >= len(positions):
            return
        at = max(0, at)


def _rule(rules: Sequence[Rule], name: str) -> Rule:
    found = next((rule for rule in rules if rule.name == name), None)
    if found is None and name in _LATER:
        raise InputError(f"--dropped {name}: {_LATER[name]}")
    if found is None:
        raise InputError(f"--dropped {name}: no rule has this name; {nearest(name, [rule.name for rule in rules])}")
    return found


def _places(figures: Figures, rule: Rule) -> dict[str, int]:
    """Where survivors stand, for rules over repeats; empty for every other rule."""
    if not (rule.absent and rule.column.endswith(".survivor")):
        return {}
    wanted = set(figures.words(rule.column))
    return {name: at for at, name in enumerate(figures.words("row")) if name is not None and name in wanted}


def _texts(looked: Looked, figures: Figures, positions: Sequence[int]) -> dict[int, str]:
    batch = looked.survey.measured.store.take(positions)
    found = zip(positions, batch.column("text").to_pylist(), strict=True)
    return {at: masked(text or "", figures.spans("pii.spans", at)) for at, text in found}


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()) or "    (no text)"


def _plain(text: str) -> str:
    """Text without control sequences, which a terminal would carry out."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _styled(text: str, style: str, colour: bool) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if colour else text
