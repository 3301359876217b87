"""The report as one JSON document, made of columns, rules and decisions; texts are read for samples only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hone.data.looking import composition, findings
from hone.data.looking.acting import Acting
from hone.data.looking.alerts import alerts
from hone.data.looking.duplicates import duplicates
from hone.data.looking.fields import fields
from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.labelled import labels
from hone.data.looking.pages import html_rows
from hone.data.looking.profile import empty_rows, profile
from hone.data.looking.removal import rule_pages, waterfall
from hone.data.looking.repeated import repeated
from hone.data.looking.samples import Samples, searched_and_masked
from hone.data.looking.sampling import distinct
from hone.data.looking.searched import searched
from hone.data.looking.spoken_of import bias
from hone.data.measure import Measured, OnProgress
from hone.data.rules import Decisions, Rule
from hone.wording import counted

SCHEMA = "hone.look/1"
"""Raised when a key of the document changes its meaning."""


def build(
    measured: Measured,
    rules: Sequence[Rule],
    decisions: Decisions,
    options: LookOptions | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """The document of a look.

    Args:
        measured: texts and signal columns; parts of the report whose columns are missing are None.
        rules: in the order in which the waterfall applies them.
        decisions: of these rules on these columns.
        options: what it is about and how much it may show.
        on_progress: told the stage ``report``, and how many of its parts are made.

    Returns:
        JSON values alone. ``profile`` holds every figure by name with its interval; ``alerts`` what is wrong, the worst
        first; the other keys are the parts of the page.
    """
    options = options or LookOptions()
    figures = Figures(measured.columns)
    samples = Samples(measured.store, figures, options.sensitive)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "title": options.title,
        "rows": figures.n,
        "of": options.of,
        "seed": options.seed,
        "sensitive": options.sensitive,
        "preset": options.preset,
        "folder": options.folder,
        "files": list(options.files),
        "test": options.test,
        "signals": {name: dict(params) for name, params in measured.signals.items()},
        "changed": dict(options.changed),
        "notes": list(options.notes),
        "bad": _bad(options),
    }
    parts = _parts(measured, rules, decisions, options, figures, samples)
    for done, (name, make) in enumerate(parts.items(), 1):
        document[name] = make()
        if on_progress is not None:
            on_progress("report", done, len(parts))
    samples.fill()
    document["headline"] = _headline(document, figures, options)
    acting = Acting(columns=measured.columns, rules=tuple(rules), decisions=decisions, options=options)
    document["alerts"] = alerts(document, options, acting)
    return document


def _parts(
    measured: Measured,
    rules: Sequence[Rule],
    decisions: Decisions,
    options: LookOptions,
    figures: Figures,
    samples: Samples,
) -> dict[str, Callable[[], Any]]:
    """What makes each part of the document, in the order of the page."""
    rows = searched(measured.store, figures, options)
    return {
        "profile": lambda: profile(figures, decisions, options, rules),
        "waterfall": lambda: waterfall(figures, rules, decisions, options),
        "rules": lambda: rule_pages(figures, rules, decisions, samples, options),
        "duplicates": lambda: {kind: duplicates(kind, figures, samples, options) for kind in ("exact", "near")},
        "contamination": lambda: findings.contamination(figures, samples, options),
        "labels": lambda: labels(figures, samples, options),
        "languages": lambda: composition.languages(figures, options),
        "scripts": lambda: composition.scripts(figures, options),
        "lengths": lambda: composition.lengths(figures, samples, options),
        "repeated": lambda: repeated(rows, figures, options),
        "html": lambda: html_rows(rows, figures, samples, options),
        "pii": lambda: findings.personal(figures, samples, options),
        "toxicity": lambda: findings.toxicity(figures, samples, options),
        "bias": lambda: bias(figures, rows, options),
        "disclaimers": lambda: findings.disclaimers(figures, samples, options),
        "fields": lambda: fields(measured.store, figures, options),
    }


def _bad(options: LookOptions) -> dict[str, Any]:
    """Rows that could not be read; what was found in their place is text too."""
    shown = [
        {"row": row, "expected": expected, "found": None if options.sensitive else searched_and_masked(found)}
        for row, expected, found in options.bad[: options.listed]
    ]
    return {"rows": len(options.bad), "first": shown}


def _headline(document: dict[str, Any], figures: Figures, options: LookOptions) -> list[dict[str, Any]]:
    """The few figures that a person reads first: name, value, and a note."""
    known = document["profile"]
    sampled = " in the sample" if document["of"] else ""
    rows = {**known["rows"], "unit": "count", "note": f"{figures.n:,}{sampled}" if sampled else ""}
    found = [{"name": "rows", **rows}]
    for name, key in (("characters", "length.chars.total"), ("words", "length.words.total")):
        if key in known:
            found.append({"name": name, **known[key], "unit": "count", "note": ""})
    for name, key in (("exact duplicates", "duplicates.exact.share"), ("near duplicates", "duplicates.near.share")):
        if key in known:
            count = round((known[key]["value"] or 0) * figures.n)
            found.append({"name": name, **known[key], "unit": "share", "note": counted(count, "row")})
    empty = int(np.sum(empty_rows(figures)))
    found.append({"name": "empty", **known["empty.share"], "unit": "share", "note": counted(empty, "row")})
    if document["languages"] and document["languages"]["values"]:
        first = document["languages"]["values"][0]
        several, short = document["languages"]["distinct"] - 1, document["languages"]["unmeasured"]
        notes = [f"and {several} more"] if several else []
        note = ", ".join([*notes, f"{counted(short, 'row')} too short to tell"] if short else notes)
        found.append({"name": f"language {first['value']}", **first["share"], "unit": "share", "note": note})
    if document["labels"]:
        evenness = f"evenness {document['labels']['evenness']:.2f}{sampled}"
        found.append(_values("labels", document["labels"]["distinct"], figures, options, evenness))
    found.append(_values("sources", len(figures.counts("source")), figures, options, _licence(document)))
    kept = document["waterfall"]["kept_share"]
    note = counted(document["waterfall"]["kept"], "row") + (
        f", preset {document['preset']}" if document["preset"] else ""
    )
    found.append({"name": "kept by the rules", **kept, "unit": "share", "note": note})
    return found


def _values(name: str, count: int, figures: Figures, options: LookOptions, note: str) -> dict[str, Any]:
    """How many different values there are."""
    return {"name": name, **distinct(count, figures.n, options.of).to_json(), "unit": "count", "note": note}


def _licence(document: dict[str, Any]) -> str:
    licences = document["fields"]["licences"]
    if licences is None:
        return "no licence column"
    values = [value["value"] for value in licences["values"]]
    return ", ".join(values[:3]) if values else f"{licences['distinct']} licences"
