"""Test text in train, labels to check, personal data, unwanted words, groups, an assistant's phrases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hone.data.looking.charts import bars, shares
from hone.data.looking.markup import (
    chip,
    estimate,
    file_name,
    fold,
    note,
    number,
    percent,
    rows,
    sample,
    samples,
    section,
    several,
    sub,
    table,
    tag,
    text,
)

Json = Mapping[str, Any]


def contamination(document: Json) -> str:
    """The training rows that hold text of the test, with what they share; never a test row."""
    found = document["contamination"]
    if found is None:
        return ""
    against = file_name(document["test"]) or "the test"
    lead = (
        f"Rows that share runs of words with {against}. Only these are shown; the test is read as fingerprints alone."
    )
    parts = [_canaries(found["canaries"])]
    title = "Test text in these rows"
    if not found["rows"] and not found["hints"]:
        return section("contamination", title, lead, *parts, tag("p", "No row shares text with it.", class_="hidden"))
    told = f"{rows(found['rows'])} ({estimate(found['share'])}) share 13 words or more, or all of a test row: "
    told += f"{found['whole']:,} are whole."
    parts.append(tag("p", told))
    if found["hints"]:
        parts.append(note(f"{rows(found['hints'])} share a shorter run alone: a hint, for ready phrases are nobody's."))
    parts.append(_tests(found["tests"]))
    if len(found["against"]) > 1:
        total = found["rows"] + found["hints"]
        parts.append(bars([(name, count, percent(count / total)) for name, count in found["against"]]))
    parts.append(several([_shared(row) for row in found["samples"]]))
    return section("contamination", title, lead, *parts)


def _tests(found: list[Json]) -> str:
    """How much of each test is in the rows."""
    body = [
        [
            text(file_name(test["test"])),
            f"{test['rows']:,}",
            f"{test['equal']:,}",
            *(f"{count:,}" for count in test["sharing"].values()),
        ]
        for test in found
    ]
    if not body:
        return ""
    named = {"whole": "all of a short row", "8-gram": "an 8-gram"}
    kinds = [f"share {named.get(kind, f'a {kind}')}" for kind in found[0]["sharing"]]
    heads = ["test", "its rows", "equal a row here", *kinds]
    return table(heads, body, right=tuple(range(1, len(heads))), class_="compact")


def _shared(row: Json) -> str:
    how = "whole" if row["whole"] else f"{percent(row['share'])} of its words" if row["share"] is not None else ""
    return sample(row, (chip(how) if how else "") + (chip("hint") if row["hint"] else ""))


def _canaries(found: list[Json]) -> str:
    if not found:
        return ""
    missed = [canary for canary in found if not canary.get("found")]
    lengths = ", ".join(
        f"{canary.get('words')} words {'found' if canary.get('found') else 'MISSED'}" for canary in found
    )
    state = "Self-test failed" if missed else "Self-test passed"
    return tag(
        "p",
        f"{chip(state, 'chip bad' if missed else 'chip good')} texts planted as if of the test: {text(lengths)}.",
    )


def labels(document: Json) -> str:
    """Labels to check, conflicts, labels of one split, balance."""
    found = document["labels"]
    if found is None:
        return ""
    evenness = f"evenness {found['evenness']:.2f} (1: all labels equally frequent)"
    lead = f"{found['distinct']:,} labels on {rows(found['rows'])}; {evenness}."
    parts = []
    if found["unlabelled"]:
        parts.append(note(f"{rows(found['unlabelled'])} have no label."))
    if found["alike"]:
        groups = [" / ".join(f"{label['label']} ({label['rows']:,})" for label in group) for group in found["alike"]]
        alike = tag("p", "".join(map(chip, groups)))
        parts.append(sub("Different by case or spaces alone", alike, anchor="labels-alike"))
    for split in found["one_split"]:
        named = "".join(chip(str(label)) for label in split["labels"][:60])
        parts.append(sub(f"Only in {split['split']}: {len(split['labels']):,}", tag("p", named)))
    parts += [_suspect(found["suspect"]), _conflicts(found["conflicts"])]
    balance = bars(shares(found["balance"], "label"))
    more = found["distinct"] - len(found["balance"])
    rest = note(f"and {more:,} rarer labels") if more else ""
    few = len(found["balance"]) <= 20
    told = note(f"The most frequent has {number(found['imbalance'])} times the rows of the rarest{_of_all(document)}.")
    shown = balance if few else fold(f"{len(found['balance'])} labels", balance)
    parts.append(sub("Balance", told, shown, rest, anchor="labels-balance"))
    return section("labels", "Labels", lead, *parts)


def _of_all(document: Json) -> str:
    """What a sample says about the balance of all rows: the rarest labels are hardly in it."""
    if not document["of"]:
        return ""
    least = document["labels"]["imbalance_at_least"]
    return " in the sample" + (f"; in all rows at least {number(least)} times" if least > 1 else "")


def _suspect(found: Json | None) -> str:
    if not found or not found["rows"]:
        return ""
    told = note(
        "A quick model that had not seen the row finds its label unlikely. Some are right: it is a list to read, the "
        "least likely first."
    )
    shown = several(
        [
            sample(
                row, _label("given", row["given"]) + _label("suggested", row["suggested"]) + _odds(row["probability"])
            )
            for row in found["samples"]
        ]
    )
    more = found["rows"] - len(found["samples"])
    rest = note(f"and {more:,} more") if more else ""
    return sub(f"To check: {rows(found['rows'])}", told, shown, rest, anchor="labels-suspect")


def _conflicts(found: Json | None) -> str:
    if not found or not found["rows"]:
        return ""
    shown = several(
        [
            sample(row, _label("here", row["given"]) + "".join(_label("elsewhere", name) for name in row["others"]))
            for row in found["samples"]
        ]
    )
    more = found["rows"] - len(found["samples"])
    rest = note(f"and {more:,} more") if more else ""
    return sub(f"The same text, other labels: {rows(found['rows'])}", shown, rest, anchor="labels-conflicts")


def _label(where: str, name: str | None) -> str:
    return tag("span", f"{where} {tag('b', text(name))}", class_="value")


def _odds(probability: float | None) -> str:
    return "" if probability is None else tag("span", f"probability of the given {probability:.3f}", class_="size")


def personal(document: Json) -> str:
    """Personal data by kind, masked."""
    found = document["pii"]
    if found is None:
        return ""
    lead = "Finds are masked here: of each only the first letter or digit and the punctuation are left."
    if not found["rows"]:
        return section("personal", "Personal data", lead, tag("p", "none found", class_="hidden"))
    parts = [tag("p", f"{rows(found['rows'])} ({estimate(found['share'])}) hold some.")]
    body = [
        [text(kind["kind"]), f"{kind['rows']:,}", estimate(kind["share"]), estimate(kind["finds"], "count")]
        for kind in found["kinds"]
    ]
    parts.append(table(["kind", "rows", "share of rows", "finds"], body, right=(1, 2, 3), class_="compact"))
    parts += [fold(f"{text(kind['kind'])}: rows", samples(kind["samples"])) for kind in found["kinds"]]
    return section("personal", "Personal data", lead, *parts)


def disclaimers(document: Json) -> str:
    """Rows in which an assistant speaks of itself, or refuses."""
    found = document["disclaimers"]
    if found is None or not found["rows"] + found["refusals"]:
        return ""
    lead = (
        f"{rows(found['rows'])} hold a phrase in which an assistant speaks of being one, {found['refusals']:,} refuse."
    )
    return section("disclaimers", "An assistant's phrases", lead, samples(found["samples"]))
