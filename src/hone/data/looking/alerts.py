"""What is wrong, ranked by how much it matters, each with what acts on it.

An alert weighs as much as the share of rows that it strikes times how bad it is for a row to be struck.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hone.data.looking.figures import LookOptions
from hone.data.looking.markup import file_name
from hone.data.looking.sampling import at_most, repeats, share
from hone.data.presets import OPTIONAL

Alert = dict[str, Any]

SEVERITY = {
    "canary": 1000.0,
    "contaminated": 60.0,
    "secrets": 50.0,
    "bad-rows": 40.0,
    "one-split": 30.0,
    "alike": 25.0,
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
"""How bad it is for one row to be struck, in comparison. Test text in train spoils a score, so few rows weigh much; a
secret cannot be taken back from a model; a repeated row costs time and tilts the balance a little."""

_ESTIMATED = {"duplicate": repeats, "near-duplicate": repeats, "conflict": repeats, "suspect": at_most}
"""What a sample sees too few or too many of."""
_SECRETS = ("key", "token", "secret", "card", "iban", "ssn", "national", "password")
_MISSING = 0.2
_MOST = 0.5
_IMBALANCE = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """What alerts are made from."""

    document: Mapping[str, Any]
    n: int
    options: LookOptions

    def rule(self, name: str, wish: str = "true") -> dict[str, str]:
        """What acts on rows that a rule removes: a look at them where it is applied, else the lines that add it."""
        if any(step["rule"] == name for step in self.document["waterfall"]["steps"]):
            return {"command": self.dropped(name), "why": f"The rule {name} of this preset removes them."}
        preview = {"command": self.dropped(name)} if name in OPTIONAL else {}
        return {"yaml": f"clean: {{rules: {{{name}: {wish}}}}}", **preview}

    def dropped(self, rule: str) -> str:
        """The command that pages through what a rule removes."""
        return shlex.join([*self.options.command, "--dropped", rule])


def alerts(document: Mapping[str, Any], options: LookOptions) -> list[Alert]:
    """The alerts of a report, the weightiest first.

    Returns:
        ``name``, ``title`` (a sentence with numbers), ``rows`` struck, their ``share`` with ``low`` and ``high``,
        ``weight`` (share times severity), ``yaml`` and ``command``: the lines of ``hone.yaml`` and the command that act
        on it ("" where there is none), ``why``, and the ``section`` of the report that shows it.
    """
    look = _Look(document=document, n=max(1, int(document["rows"])), options=options)
    found = [alert for source in _SOURCES for alert in source(look)]
    for alert in found:
        alert |= {"share": alert["rows"] / look.n, **_interval(alert, look)}
        alert["weight"] = round(SEVERITY[alert["name"]] * alert["share"], 6)
    return sorted(found, key=lambda alert: (-alert["weight"], alert["name"]))


def _interval(alert: Alert, look: _Look) -> dict[str, float]:
    """Ends of the interval of the share of rows struck."""
    of = look.options.of
    found = _ESTIMATED.get(alert["name"], share)(alert["rows"], look.n, of)
    return {"low": found.low, "high": found.high}


def _alert(
    name: str, rows: int, title: str, section: str, *, yaml: str = "", command: str = "", why: str = ""
) -> Alert:
    about = {"name": name, "title": title, "rows": int(rows), "section": section}
    return {**about, "yaml": yaml, "command": command, "why": why}


def _reading(look: _Look) -> Iterator[Alert]:
    if bad := look.document["bad"]["rows"]:
        why = "They were left out; without --bad-rows drop each kind of fault is told with its file, line and field."
        command = shlex.join(word for word in look.options.command if word not in ("--bad-rows", "drop"))
        yield _alert("bad-rows", bad, f"{_rows(bad)} could not be read", "reading", command=command, why=why)
    empty = round(look.document["profile"]["empty.share"]["value"] * look.n)
    if empty:
        act = look.rule("empty")
        yield _alert("empty", empty, f"{_rows(empty, 'holds no text', 'hold no text')}", "lengths", **act)


def _contamination(look: _Look) -> Iterator[Alert]:
    found = look.document["contamination"]
    if found is None:
        return
    missed = [canary for canary in found["canaries"] if not canary.get("found")]
    if missed:
        title = f"the search for test text missed {len(missed)} of {len(found['canaries'])} planted texts"
        yield _alert("canary", look.n, title, "contamination", why="Do not trust its figures: they prove nothing.")
    if found["rows"]:
        whole = f", {found['whole']:,} of them whole" if found["whole"] else ""
        held = _rows(found["rows"], "holds", "hold")
        title = f"{held} text of {file_name(look.options.test) or 'the test'}{whole}"
        # The rule over whole rows is in every preset; it does not reach rows that hold a part of the test.
        applied = any(step["rule"] == "equals-test-row" for step in look.document["waterfall"]["steps"])
        name = "equals-test-row" if applied and found["whole"] == found["rows"] else "contaminated"
        act = look.rule(name)
        act["why"] = "A score on rows that were trained on says nothing. " + act.get("why", "")
        yield _alert("contaminated", found["rows"], title, "contamination", **act)


def _duplicates(look: _Look) -> Iterator[Alert]:
    exact, near = look.document["duplicates"]["exact"], look.document["duplicates"]["near"]
    if exact and exact["removed"]:
        held = _rows(exact["removed"], "repeats", "repeat")
        title = f"{held} an earlier one (case and punctuation aside), in groups of up to {exact['largest']:,}"
        act = look.rule("duplicate")
        yield _alert("duplicate", exact["removed"], title, "duplicates-exact", **act)
    if near and near["removed"]:
        title = f"{_rows(near['removed'], 'nearly repeats', 'nearly repeat')} another one"
        act = look.rule("near-duplicate")
        yield _alert("near-duplicate", near["removed"], title, "duplicates-near", **act)


def _labels(look: _Look) -> Iterator[Alert]:
    found = look.document["labels"]
    if found is None:
        return
    for split in found["one_split"]:
        count = len(split["labels"])
        title = f"{count:,} {'label is' if count == 1 else 'labels are'} in {split['split']} only"
        why = "No model learns a label that train does not have: add rows of it to train, or take it out there."
        if split["split"] == "train":
            why = "No score says anything about a label that is in train alone."
        yield _alert("one-split", round(look.n * count / found["distinct"]), title, "labels", why=why)
    if found["alike"]:
        rows = sum(min(label["rows"] for label in group) for group in found["alike"])
        title = f"labels that differ by case or spaces alone: {len(found['alike'])} groups"
        why = "To a model they are different labels. Write them one way in the source."
        yield _alert("alike", max(1, rows), title, "labels-alike", why=why)
    for name, key, title in (
        ("conflict", "conflicts", "a text that another row has under another label"),
        ("suspect", "suspect", "a label that a quick model finds unlikely"),
    ):
        rows = found[key]["rows"] if found[key] else 0
        if rows:
            edit = ["hone", "data", "edit", "ROW", f"{look.options.label_column}=LABEL"]
            act = {"command": shlex.join([*edit, *([look.options.folder] if look.options.folder else [])])}
            act |= {"yaml": look.rule(f"label-{name}").get("yaml", "")}
            act["why"] = f"Read them first; hone ablate label-{name} says whether leaving them out helps."
            if not look.options.folder:
                act["why"] += " A label is corrected in a task folder, where the edit is recorded; hone init makes one."
            yield _alert(name, rows, f"{_rows(rows, 'has', 'have')} {title}", f"labels-{key}", **act)
    if found["imbalance"] >= _IMBALANCE and found["distinct"] > 1:
        title = f"the most frequent label has {found['imbalance']:,.0f} times the rows of the rarest"
        why = "Accuracy then says little about rare labels."
        yield _alert("imbalance", look.n, title, "labels-balance", yaml="metric: macro_f1", why=why)


def _inside(look: _Look) -> Iterator[Alert]:
    pii, toxic, phrases = (look.document[key] for key in ("pii", "toxicity", "disclaimers"))
    for kind in pii["kinds"] if pii else ():
        name = "secrets" if any(part in kind["kind"] for part in _SECRETS) else "personal"
        title = f"{_rows(kind['rows'], 'holds', 'hold')} personal data of kind {kind['kind']}"
        yaml = f"clean: {{transforms: [{{redact: {{kinds: [{kind['kind']}]}}}}]}}"
        yield _alert(name, kind["rows"], title, "personal", yaml=yaml)
    if phrases and phrases["rows"]:
        title = f"{_rows(phrases['rows'], 'speaks', 'speak')} as an assistant about itself"
        act = look.rule("disclaimer")
        yield _alert("disclaimer", phrases["rows"], title, "disclaimers", **act)
    if toxic and toxic["rows"]:
        title = f"{_rows(toxic['rows'], 'holds', 'hold')} a word of the list of unwanted words"
        act = look.rule("toxic-words")
        act.setdefault(
            "why", "A list is no judge: look at the rows first; hone ablate toxic-words says whether it helps."
        )
        yield _alert("toxic", toxic["rows"], title, "toxicity", **act)


def _composition(look: _Look) -> Iterator[Alert]:
    for kind, name, column in (("languages", "language", "language.code"), ("scripts", "script", "script.main")):
        found = look.document[kind]
        values = found["values"] if found else []
        if len(values) > 1 and values[0]["share"]["value"] > _MOST:
            # The language of a text too short to tell is a guess, and a guess is no alert.
            others = sum(value["rows"] for value in values[1:]) - (found["unsure"]["rows"] if "unsure" in found else 0)
            if others > 0:
                named = ", ".join(value["value"] for value in values[1:5])
                title = f"{_rows(others, 'is', 'are')} in another {name} than {values[0]['value']} ({named})"
                wish = f"{{column: {column}, one_of: [{values[0]['value']}]}}"
                yield _alert(name, others, title, kind, **look.rule(f"one-{name}", wish))
    lines = look.document["repeated"]["lines"]
    if lines:
        most = max(line["share"]["value"] for line in lines)
        count = f"{len(lines)} or more lines stand" if len(lines) > 1 else "a line stands"
        title = f"{count} in several rows, the most frequent in {most:.1%} of them"
        measured = "boilerplate.lines.mean" in look.document["profile"]
        act = look.rule("boilerplate", "{column: boilerplate.lines, max: 0.5}") if measured else {}
        yield _alert("boilerplate", round(most * look.n), title, "repeated", **act)


def _columns(look: _Look) -> Iterator[Alert]:
    columns = look.document["fields"]["columns"]
    for column in columns:
        part = column["missing_share"]["value"]
        if part >= _MISSING:
            title = f'the column "{column["name"]}" is missing in {part:.0%} of the rows'
            why = "A row that lacks a column of the task's templates cannot be used; hone check counts such rows."
            command = shlex.join(["hone", "check", look.options.folder]) if look.options.folder else ""
            yield _alert("missing", round(part * look.n), title, "fields", command=command, why=why)
    constant = [column["name"] for column in columns if column["constant"]]
    if constant:
        shown = ", ".join(f'"{name}"' for name in constant[:5])
        title = f"{len(constant)} column{'s' if len(constant) > 1 else ''} with one value in all rows: {shown}"
        yield _alert("constant", look.n, title, "fields", why="It tells rows nothing apart.")


def _removal(look: _Look) -> Iterator[Alert]:
    """Rules that remove a large part: of rows as a whole, or of one source."""
    for step in look.document["waterfall"]["steps"]:
        if step["fails"] > _MOST * look.n:
            title = f"the rule {step['rule']} alone would remove {step['fails'] / look.n:.0%} of the rows"
            yaml = f"clean: {{rules: {{{step['rule']}: false}}}}"
            why = "So large a part is seldom bad: look at the rows nearest to its threshold."
            yield _alert("removed", step["fails"], title, f"rule-{step['rule']}", yaml=yaml, why=why)
    sources = look.document["waterfall"]["sources"]
    for source in sources if len(sources) > 1 else []:
        lost = source["rows"] - source["kept"]
        if source["rows"] >= 20 and lost > _MOST * source["rows"]:
            most = max(source["fails"], key=lambda name: source["fails"][name])
            title = f"the source {source['source']} loses {lost / source['rows']:.0%} of its {source['rows']:,} rows"
            why = f"Mostly to the rule {most} ({source['fails'][most]:,} rows)."
            yield _alert("removed", lost, title, "waterfall", command=look.dropped(most), why=why)


def _rows(count: int, one: str = "", many: str = "") -> str:
    words = (f"{count:,} row", one) if count == 1 else (f"{count:,} rows", many)
    return " ".join(word for word in words if word)


_SOURCES = (_reading, _contamination, _duplicates, _labels, _inside, _composition, _columns, _removal)
