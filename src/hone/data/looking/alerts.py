"""What is wrong, ranked by how much it matters, each with what acts on it.

An alert weighs as much as the share of rows that it strikes times how bad it is for a row to be struck.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hone.data.limits import LIMIT
from hone.data.looking.acting import Acting
from hone.data.looking.figures import LookOptions
from hone.data.looking.markup import file_name, percent
from hone.data.looking.sampling import Estimate, at_most, repeats, share, told_rows
from hone.data.pii.find import KINDS
from hone.wording import counted

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
    "refusal": 6.0,
    "near-duplicate": 5.0,
    "html": 4.0,
    "missing": 3.0,
    "removed": 3.0,
    "boilerplate": 2.0,
    "toxic": 2.0,
    "language": 2.0,
    "script": 2.0,
    "imbalance": 0.5,
    "tags": 0.5,
    "constant": 0.1,
}
"""How bad it is for one row to be struck, in comparison. Test text in train spoils a score, so few rows weigh much; a
secret cannot be taken back from a model; a repeated row costs time and tilts the balance a little."""

READ_FIRST = ("conflict", "suspect", "toxic", "refusal")
"""Alerts on rows that a person has to judge before a rule may remove them."""
_ESTIMATED = {"duplicate": repeats, "near-duplicate": repeats, "conflict": repeats, "suspect": at_most}
"""What a sample sees too few or too many of."""
_SECRETS = ("key", "token", "secret", "card", "iban", "ssn", "national", "password")
_MISSING = 0.2
_MOST = 0.5
_IMBALANCE = 10.0
BAD = "bad-rows"
"""What ``--dropped`` calls rows that could not be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """What alerts are made from."""

    document: Mapping[str, Any]
    n: int
    options: LookOptions
    acting: Acting

    def rows(self, name: str, count: int, one: str = "", many: str = "") -> str:
        """Rows that an alert strikes, and a verb: of a sample as an estimate of all rows."""
        told, is_one = told_rows(count, self.n, self.options.of, _ESTIMATED.get(name, share))
        return " ".join(word for word in (told, one if is_one else many) if word)

    def part(self, found: Mapping[str, float]) -> str:
        """A share in words, with its interval where it is an estimate."""
        told = percent(found["value"])
        exact = found["low"] == found["high"]
        return told if exact else f"{told} ({percent(found['low'])} to {percent(found['high'])})"


def alerts(document: Mapping[str, Any], options: LookOptions, acting: Acting) -> list[Alert]:
    """The alerts of a report, the weightiest first.

    Args:
        document: the other parts of the report.
        options: what it is about.
        acting: the measured rows, on which every change is tried that an alert proposes.

    Returns:
        ``name``, ``title`` (a sentence with numbers), ``rows`` struck of those looked at, their ``share`` with ``low``
        and ``high``, ``weight`` (share times severity); ``yaml``, lines for ``hone.yaml``, their ``place`` there, or
        for bare files ``apply``, a command; the ``effect`` of either in words and ``removes``, the rows looked at that
        would leave (None where no rule is proposed);
        ``command`` ("" where there is none), ``why``, and the ``section`` of the report that shows it.
    """
    look = _Look(document=document, n=max(1, int(document["rows"])), options=options, acting=acting)
    found = [alert for source in _SOURCES for alert in source(look)]
    for alert in found:
        alert.update(_interval(alert, look))
        alert["weight"] = round(SEVERITY[alert["name"]] * alert["share"], 6)
    return sorted(found, key=lambda alert: (-alert["weight"], alert["name"]))


def _interval(alert: Alert, look: _Look) -> dict[str, float]:
    """The share of rows struck, with the ends of its interval."""
    if "of" in alert:
        found = alert.pop("of")
        return {"share": found["value"], "low": found["low"], "high": found["high"]}
    part = _ESTIMATED.get(alert["name"], share)(alert["rows"], look.n, look.options.of)
    return {"share": part.value, "low": part.low, "high": part.high}


def _alert(name: str, rows: int, title: str, section: str, **act: Any) -> Alert:
    """An alert; ``act`` is what :class:`Acting` says, and ``of`` its share where that is known otherwise."""
    about = {"name": name, "title": title, "rows": int(rows), "section": section}
    none = {"yaml": "", "place": "", "apply": "", "effect": "", "removes": None, "command": "", "why": ""}
    return {**about, **none, **act}


def _reading(look: _Look) -> Iterator[Alert]:
    if bad := look.document["bad"]["rows"]:
        why = "They were left out; without --bad-rows drop each kind of fault is told with its file, line and field."
        command = look.acting.dropped(BAD)
        # All rows are read, also where a sample of them is looked at.
        part = min(1.0, bad / (look.options.of or look.n))
        of = Estimate(value=part, low=part, high=part, n=look.n).to_json()
        title = f"{counted(bad, 'row')} could not be read"
        yield _alert("bad-rows", bad, title, "reading", command=command, why=why, of=of)
    empty = round((look.document["profile"]["empty.share"]["value"] or 0) * look.n)
    if empty:
        nothing = " or ".join(look.acting.lacks()) or "no text"
        title = look.rows("empty", empty, f"holds {nothing}", f"hold {nothing}")
        yield _alert("empty", empty, title, "lengths", **look.acting.rule("empty"))


def _contamination(look: _Look) -> Iterator[Alert]:
    found = look.document["contamination"]
    if found is None:
        return
    missed = [canary for canary in found["canaries"] if not canary.get("found")]
    if missed:
        title = f"the search for test text missed {len(missed)} of {len(found['canaries'])} planted texts"
        why = "Do not trust its figures: they prove nothing."
        of = Estimate(value=1.0, low=1.0, high=1.0, n=look.n).to_json()
        yield _alert("canary", look.n, title, "contamination", why=why, of=of)
    if found["rows"]:
        sampled = " in the sample" if look.options.of else ""
        part = "all" if found["whole"] == found["rows"] else f"{found['whole']:,}"
        whole = f", {part} of them whole{sampled}" if found["whole"] and found["rows"] > 1 else ""
        held = look.rows("contaminated", found["rows"], "holds", "hold")
        title = f"{held} text of {file_name(look.options.test) or 'the test'}{whole}"
        # The rule over whole rows is in every preset; it does not reach rows that hold a part of the test.
        applied = any(step["rule"] == "equals-test-row" for step in look.document["waterfall"]["steps"])
        name = "equals-test-row" if applied and found["whole"] == found["rows"] else "contaminated"
        act = look.acting.rule(name)
        act["why"] = "A score on rows that were trained on says nothing. " + act.get("why", "")
        yield _alert("contaminated", found["rows"], title, "contamination", **act)


def _duplicates(look: _Look) -> Iterator[Alert]:
    exact, near = look.document["duplicates"]["exact"], look.document["duplicates"]["near"]
    if exact and exact["removed"]:
        held = look.rows("duplicate", exact["removed"], "repeats", "repeat")
        groups = f"in groups of up to {exact['largest']:,}{' in the sample' if look.options.of else ''}"
        title = f"{held} an earlier one (case and punctuation aside), {groups}"
        yield _alert("duplicate", exact["removed"], title, "duplicates-exact", **look.acting.rule("duplicate"))
    if near and near["removed"]:
        held = look.rows("near-duplicate", near["removed"], "nearly repeats", "nearly repeat")
        act = look.acting.rule("near-duplicate")
        if near["removed"] < look.acting.fails("near-duplicate"):
            act["why"] = f"{act['why']} Among them are those that say exactly the same.".strip()
        yield _alert("near-duplicate", near["removed"], f"{held} another one", "duplicates-near", **act)


def _labels(look: _Look) -> Iterator[Alert]:
    found = look.document["labels"]
    if found is None:
        return
    for split in found["one_split"]:
        count = len(split["labels"])
        seen = " of the sample" if look.options.of and split["split"] != "test" else ""
        title = f"{counted(count, 'label')} {'is' if count == 1 else 'are'} in {split['split']}{seen} only"
        why = "No model learns a label that train does not have: add rows of it to train, or take it out there."
        if split["split"] == "train":
            why = "No score says anything about a label that is in train alone."
        elif look.options.of:
            why = "A sample lacks rare labels; a look at all rows says which are missing indeed. " + why
        yield _alert("one-split", round(look.n * count / found["distinct"]), title, "labels", why=why)
    if found["alike"]:
        rows = sum(min(label["rows"] for label in group) for group in found["alike"])
        title = f"labels that differ by case or spaces alone: {counted(len(found['alike']), 'group')}"
        why = "To a model they are different labels. Write them one way in the source."
        yield _alert("alike", max(1, rows), title, "labels-alike", why=why)
    yield from _wrong_labels(look, found)
    # The low end: a sample holds some rare labels once or never, and all labels of it are compared with the rarest.
    at_least = found["imbalance_at_least"]
    if at_least >= _IMBALANCE and found["distinct"] > 1:
        least = "at least " if look.options.of else ""
        title = f"the most frequent label has {least}{at_least:,.0f} times the rows of the rarest"
        why = "Accuracy then says little about rare labels."
        if look.options.cleaning:
            why += " In a task metric: macro_f1 measures all labels alike."
        of = Estimate(value=1.0, low=1.0, high=1.0, n=look.n).to_json()
        yield _alert("imbalance", look.n, title, "labels-balance", of=of, why=why, **look.acting.metric("macro_f1"))


def _wrong_labels(look: _Look, found: Mapping[str, Any]) -> Iterator[Alert]:
    """Texts with two labels, and labels that look wrong."""
    for name, key, title in (
        ("conflict", "conflicts", "a text that another row has under another label"),
        ("suspect", "suspect", "a label that a quick model finds unlikely"),
    ):
        rows = found[key]["rows"] if found[key] else 0
        if not rows:
            continue
        act = look.acting.rule(f"label-{name}")
        folder = look.options.folder
        edit = shlex.join(
            ["hone", "data", "edit", "ROW", f"{look.options.label_column}=LABEL", *filter(None, [folder])]
        )
        said = [f"Read them first: {edit} corrects one, hone ablate label-{name} says whether leaving them out helps."]
        said += [] if folder else ["Both need a task folder; hone init makes one."]
        act["why"] = " ".join([*said, act.get("why", "")]).strip()
        yield _alert(name, rows, f"{look.rows(name, rows, 'has', 'have')} {title}", f"labels-{key}", **act)


def _inside(look: _Look) -> Iterator[Alert]:
    pii, toxic, phrases = (look.document[key] for key in ("pii", "toxicity", "disclaimers"))
    yield from _personal(look, pii) if pii else ()
    if phrases and phrases["rows"]:
        title = f"{look.rows('disclaimer', phrases['rows'], 'speaks', 'speak')} as an assistant about itself"
        yield _alert("disclaimer", phrases["rows"], title, "disclaimers", **look.acting.rule("disclaimer"))
    if phrases and phrases["refusals"]:
        act = look.acting.rule("refusal")
        act.setdefault("why", "A refusal may be the answer that the task teaches: look at the rows first.")
        title = f"{look.rows('refusal', phrases['refusals'], 'refuses', 'refuse')} what was asked"
        yield _alert("refusal", phrases["refusals"], title, "disclaimers", **act)
    if toxic and toxic["rows"]:
        title = f"{look.rows('toxic', toxic['rows'], 'holds', 'hold')} a word of the list of unwanted words"
        act = look.acting.rule("toxic-words")
        act.setdefault(
            "why", "A list is no judge: look at the rows first; hone ablate toxic-words says whether it helps."
        )
        yield _alert("toxic", toxic["rows"], title, "toxicity", **act)


def _personal(look: _Look, pii: Mapping[str, Any]) -> Iterator[Alert]:
    """What tells of a person, and what opens an account; one transform redacts both."""
    kinds = [kind["kind"] for kind in pii["kinds"]]
    known = [kind for kind in kinds if kind in KINDS]
    secrets = [kind for kind in kinds if any(part in kind for part in _SECRETS)]
    about = {"secrets": ("secrets", secrets), "personal": ("personal data", [k for k in kinds if k not in secrets])}
    for name, (what, of_these) in about.items():
        rows = look.acting.holding([f"pii.{kind}" for kind in of_these])
        if rows:
            counts = {kind["kind"]: kind["rows"] for kind in pii["kinds"]}
            several = len(of_these) > 1
            told = ", ".join(f"{kind} {counts[kind]:,}" if several else kind for kind in of_these)
            title = f"{look.rows(name, rows, 'holds', 'hold')} {what}: {told}"
            act = look.acting.transform("redact", {"kinds": known}, pii["rows"]) if known else {}
            yield _alert(name, rows, title, "personal", **act)


def _composition(look: _Look) -> Iterator[Alert]:
    for kind, name, column in (("languages", "language", "language.code"), ("scripts", "script", "script.main")):
        found = look.document[kind]
        values = found["values"] if found else []
        if len(values) > 1 and values[0]["share"]["value"] > _MOST:
            # The language of a text too short to tell is a guess, and a guess is no alert.
            others = sum(value["rows"] for value in values[1:]) - (found["unsure"]["rows"] if "unsure" in found else 0)
            if others > 0:
                named = ", ".join(value["value"] for value in values[1:5])
                held = look.rows(name, others, "is", "are")
                title = f"{held} in another {name} than {values[0]['value']} ({named})"
                wish = {"column": column, "one_of": [values[0]["value"]]}
                yield _alert(name, others, title, kind, **look.acting.rule(f"one-{name}", wish))
    lines = look.document["repeated"]["lines"]
    if lines:
        most = max((line["share"] for line in lines), key=lambda part: part["value"])
        count = f"{len(lines)} or more lines stand" if len(lines) > 1 else "a line stands"
        title = f"{count} in several rows, the most frequent in {look.part(most)} of them"
        act = look.acting.rule("boilerplate", {"column": "boilerplate.lines", "max": 0.5})
        yield _alert("boilerplate", round(most["value"] * look.n), title, "repeated", of=most, **act)
    yield from _pages(look)


def _pages(look: _Look) -> Iterator[Alert]:
    """Rows that are the source of a page."""
    found = look.document["html"]
    if not found["rows"]:
        return
    rows = round(found["share"]["value"] * look.n)
    kinds = [counted(found[key], *what) for key, what in _HTML.items() if found[key]]
    held = counted(found["rows"], "row holds", "rows hold")
    if found["searched"] < look.n or look.options.of:
        held = f"{found['rows']:,} of {counted(found['searched'], 'row')} searched hold"
    title = f"{held} HTML: {', '.join(kinds)}"
    taken = round((found["pages"] + found["fragments"]) / found["searched"] * look.n)
    if not taken:
        why = "The transform html takes whole pages and fragments; tags inside a text it leaves alone."
        yield _alert("tags", rows, title, "html", of=found["share"], why=why)
        return
    act = look.acting.transform("html", {"fragments": True} if found["fragments"] else {}, taken)
    if not look.options.folder and look.options.preset != "web":
        act["why"] = "The preset web turns whole pages into their main text, and its rules are made for pages."
        act["command"] = shlex.join([*look.options.command, "--preset", "web"])
    yield _alert("html", rows, title, "html", of=found["share"], **act)


def _columns(look: _Look) -> Iterator[Alert]:
    columns = look.document["fields"]["columns"]
    for column in columns:
        part = column["missing_share"]
        if part["value"] >= _MISSING:
            title = f'the column "{column["name"]}" is missing in {look.part(part)} of the rows'
            why = "A row that lacks a column of the task's templates cannot be used; hone check counts such rows."
            command = shlex.join(["hone", "check", look.options.folder]) if look.options.folder else ""
            rows = round(part["value"] * look.n)
            yield _alert("missing", rows, title, "fields", command=command, why=why, of=part)
    constant = [column["name"] for column in columns if column["constant"]]
    if constant:
        shown = ", ".join(f'"{name}"' for name in constant[:5])
        where = "all rows looked at" if look.options.of else "all rows"
        title = f"{counted(len(constant), 'column')} with one value in {where}: {shown}"
        of = Estimate(value=1.0, low=1.0, high=1.0, n=look.n).to_json()
        yield _alert("constant", look.n, title, "fields", why="Such a column tells no row from another.", of=of)


def _removal(look: _Look) -> Iterator[Alert]:
    """Rules that remove a large part: of rows as a whole, or of one source."""
    for step in look.document["waterfall"]["steps"]:
        # What a person has asked for by number or by hand is no surprise.
        if step["fails"] > _MOST * look.n and step["rule"] not in _ASKED_FOR:
            title = f"the rule {step['rule']} alone would remove {look.part(step['share'])} of the rows"
            act = look.acting.without(step["rule"])
            yield _alert("removed", step["fails"], title, f"rule-{step['rule']}", **act)
    sources = look.document["waterfall"]["sources"]
    seen = " in the sample" if look.options.of else ""
    for source in sources if len(sources) > 1 else []:
        lost = source["rows"] - source["kept"]
        if source["rows"] >= 20 and lost > _MOST * source["rows"]:
            most = max(source["fails"], key=lambda name: source["fails"][name])
            part = percent(lost / source["rows"])
            title = f"the source {source['source']} loses {part} of its {counted(source['rows'], 'row')}{seen}"
            why = f"Mostly to the rule {most} ({counted(source['fails'][most], 'row')}{seen})."
            yield _alert("removed", lost, title, "waterfall", command=look.acting.dropped(most), why=why)


_ASKED_FOR = (LIMIT, "by-hand")
_HTML = {
    "pages": ("whole page",),
    "fragments": ("fragment",),
    "tagged": ("text with three tags or more", "texts with three tags or more"),
}
_SOURCES = (_reading, _contamination, _duplicates, _labels, _inside, _composition, _columns, _removal)
