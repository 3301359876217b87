"""What is wrong, ranked by how much it matters, each with what acts on it.

An alert weighs as much as the share of rows that it strikes times how bad it is for a row to be struck.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hone.data.looking.figures import LookOptions

Document = Mapping[str, Any]
Alert = dict[str, Any]

SEVERITY = {
    "canary": 1000.0,
    "bad-rows": 40.0,
    "contaminated": 60.0,
    "secrets": 50.0,
    "one-split": 30.0,
    "conflict": 20.0,
    "suspect": 12.0,
    "disclaimer": 12.0,
    "empty": 10.0,
    "personal": 10.0,
    "duplicate": 6.0,
    "near-duplicate": 5.0,
    "missing": 3.0,
    "removed": 3.0,
    "boilerplate": 2.0,
    "toxic": 2.0,
    "language": 2.0,
    "script": 2.0,
    "imbalance": 0.5,
    "constant": 0.1,
}
"""How bad it is for one row to be struck, in comparison. Test text in train spoils a score, so few rows weigh much;
a secret cannot be taken back from a model; a repeated row costs time and tilts the balance a little."""

_SECRETS = ("key", "token", "card", "iban", "ssn", "national_id", "password")
_MISSING = 0.2
_DOMINANT = 0.5
_IMBALANCE = 10.0


def alerts(document: Document, options: LookOptions) -> list[Alert]:
    """The alerts of a report, the weightiest first.

    Returns:
        ``name``, ``title`` (a sentence with numbers), ``rows`` struck and their ``share``, ``weight`` (share times severity),
        ``act``: the command or the lines of ``hone.yaml`` that act on it, and ``section`` of the report.
    """
    n = max(1, int(document["rows"]))
    found = [alert for source in _SOURCES for alert in source(document, n, options)]
    for alert in found:
        alert["share"] = alert["rows"] / n
        alert["weight"] = round(SEVERITY[alert["name"]] * alert["share"], 6)
    return sorted(found, key=lambda alert: (-alert["weight"], alert["name"]))


def _alert(
    name: str, rows: int, title: str, section: str, *, yaml: str = "", command: str = "", why: str = ""
) -> Alert:
    return {
        "name": name, "title": title, "rows": int(rows), "section": section, "yaml": yaml, "command": command, "why": why
    }  # fmt: skip


def _reading(document: Document, n: int, options: LookOptions) -> Iterator[Alert]:
    if bad := document["bad"]["rows"]:
        title = f"{bad:,} rows could not be read"
        why = "Each is named in the report with what was expected and found."
        yield _alert("bad-rows", bad, title, "reading", command="hone clean --bad-rows drop", why=why)
    empty = round(document["profile"]["empty.share"]["value"] * n)
    if empty:
        yield _alert("empty", empty, f"{_rows(empty)} hold no text", "lengths", yaml="clean: {preset: task}")


def _contamination(document: Document, n: int, options: LookOptions) -> Iterator[Alert]:
    found = document["contamination"]
    if found is None:
        return
    missed = [canary for canary in found["canaries"] if not canary.get("found")]
    if missed:
        title = f"the search for test text missed {len(missed)} of {len(found['canaries'])} planted texts"
        yield _alert("canary", n, title, "contamination", why="Do not trust the figure below: it proves nothing.")
    if found["rows"]:
        whole = f", {found['whole']:,} of them whole" if found["whole"] else ""
        title = f"{_rows(found['rows'])} hold text of {options.test or 'the test'}{whole}"
        why = "A score on rows that were trained on says nothing. The rule over whole rows is part of every preset."
        yaml = "clean: {rules: {contaminated: {column: contamination.ngrams, max: 0}}}"
        yield _alert("contaminated", found["rows"], title, "contamination", yaml=yaml, why=why)


def _duplicates(document: Document, n: int, options: LookOptions) -> Iterator[Alert]:
    exact, near = document["duplicates"]["exact"], document["duplicates"]["near"]
    if exact and exact["removed"] > exact["empty"]:
        real = exact["removed"] - exact["empty"]
        title = (
            f"{_rows(real)} repeat an earlier one (case and punctuation aside), in groups of up to {exact['largest']:,}"
        )
        yield _alert("duplicate", real, title, "duplicates", yaml="clean: {preset: task}")
    if near and near["removed"]:
        title = f"{_rows(near['removed'])} nearly repeat another one"
        yaml = "clean: {rules: {near-duplicate: {column: near.survivor, absent: true}}}"
        yield _alert("near-duplicate", near["removed"], title, "duplicates", yaml=yaml)


def _labels(document: Document, n: int, options: LookOptions) -> Iterator[Alert]:
    found = document["labels"]
    if found is None:
        return
    for split in found["one_split"]:
        count = len(split["labels"])
        title = f"{count:,} labels are in {split['split']} only"
        why = "No model learns a label that train does not have." if split["split"] != "train" else ""
        yield _alert("one-split", round(n * count / found["distinct"]), title, "labels", why=why)
    for name, key, title in (
        ("conflict", "conflicts", "{} have a text that another row has under another label"),
        ("suspect", "suspect", "{} have a label that a quick model finds unlikely"),
    ):
        rows = found[key]["rows"] if found[key] else 0
        if rows:
            yield _alert(name, rows, title.format(_rows(rows)), "labels", command="hone data edit ROW --label LABEL")
    if found["imbalance"] >= _IMBALANCE and found["distinct"] > 1:
        rare = found["balance"][-1]["rows"]
        title = f"the most frequent label has {found['imbalance']:,.0f} times the rows of the rarest ({rare:,})"
        yield _alert("imbalance", n, title, "labels", yaml="metric: macro_f1")


def _inside(document: Document, n: int, options: LookOptions) -> Iterator[Alert]:
    pii, toxic, phrases = document["pii"], document["toxicity"], document["disclaimers"]
    if pii and pii["rows"]:
        for kind in pii["kinds"]:
            secret = any(part in kind["kind"] for part in _SECRETS)
            title = f"{_rows(kind['rows'])} hold personal data of kind {kind['kind']}"
            yaml = f"clean: {{transforms: [{{redact: {{kinds: [{kind['kind']}]}}}}]}}"
            yield _alert("secrets" if secret else "personal", kind["rows"], title, "personal", yaml=yaml)
    if phrases and phrases["rows"]:
        title = f"{_rows(phrases['rows'])} speak as an assistant about itself"
        yaml = "clean: {rules: {disclaimer: {column: disclaimer.count, max: 0}}}"
        yield _alert("disclaimer", phrases["rows"], title, "disclaimers", yaml=yaml)
    if toxic and toxic["rows"]:
        title = f"{_rows(toxic['rows'])} hold a word of the list of unwanted words"
        why = "A list is not a judge: look at the rows before you drop them."
        yaml = "clean: {rules: {unwanted-words: {column: toxicity.words, max: 0}}}"
        yield _alert("toxic", toxic["rows"], title, "toxicity", yaml=yaml, why=why)


def _composition(document: Document, n: int, options: LookOptions) -> Iterator[Alert]:
    for kind, section, column in (("languages", "language", "language.code"), ("scripts", "script", "script.main")):
        found = document[kind]
        values = found["values"] if found else []
        if len(values) > 1 and values[0]["share"]["value"] > _DOMINANT:
            # Of rows too short to tell, a language is a guess, and a guess is no alert.
            others = sum(value["rows"] for value in values[1:])
            unsure = found["unsure"]["rows"] if "unsure" in found else 0
            if others > unsure:
                named = ", ".join(value["value"] for value in values[1:5])
                title = f"{_rows(others)} are in another {section} than {values[0]['value']} ({named})"
                yaml = f"clean: {{rules: {{{section}: {{column: {column}, one_of: [{values[0]['value']}]}}}}}}"
                yield _alert(section, others, title, "languages", yaml=yaml)
    lines = document["repeated"]["lines"]
    if lines:
        most = max(lines, key=lambda line: line["rows"])
        rows = round(most["share"]["value"] * n)
        title = f"{len(lines):,} lines stand in several rows, the most frequent in {most['share']['value']:.1%} of them"
        yield _alert("boilerplate", rows, title, "repeated", yaml="clean: {transforms: [boilerplate]}")


def _columns(document: Document, n: int, options: LookOptions) -> Iterator[Alert]:
    columns = document["fields"]["columns"]
    for column in columns:
        part = column["missing_share"]["value"]
        if part >= _MISSING:
            title = f'the column "{column["name"]}" is missing in {part:.0%} of the rows'
            yield _alert("missing", round(part * n), title, "fields")
    constant = [column["name"] for column in columns if column["constant"]]
    if constant:
        shown = ", ".join(f'"{name}"' for name in constant[:5])
        title = f"{len(constant)} column{'s' if len(constant) > 1 else ''} with one value in all rows: {shown}"
        yield _alert("constant", n, title, "fields", why="It says nothing about a row.")


def _removal(document: Document, n: int, options: LookOptions) -> Iterator[Alert]:
    """Rules that remove a large part: of rows as a whole, or of one source."""
    for step in document["waterfall"]["steps"]:
        if step["fails"] > _DOMINANT * n:
            title = f"the rule {step['rule']} alone would remove {step['fails'] / n:.0%} of the rows"
            yaml = f"clean: {{rules: {{{step['rule']}: false}}}}"
            why = "So large a part is seldom bad: look at the rows nearest to its threshold."
            yield _alert("removed", step["fails"], title, f"rule-{step['rule']}", yaml=yaml, why=why)
    sources = document["waterfall"]["sources"]
    for source in sources if len(sources) > 1 else []:
        lost = source["rows"] - source["kept"]
        if source["rows"] >= 20 and lost > _DOMINANT * source["rows"]:
            most = max(source["fails"], key=lambda name: source["fails"][name])
            title = f"the source {source['source']} loses {lost / source['rows']:.0%} of its {source['rows']:,} rows"
            why = f"Mostly to the rule {most} ({source['fails'][most]:,} rows)."
            yield _alert("removed", lost, title, "waterfall", command=f"hone look --dropped {most}", why=why)


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


_SOURCES = (
    _reading, _contamination, _duplicates, _labels, _inside, _composition, _columns, _removal
)  # fmt: skip
