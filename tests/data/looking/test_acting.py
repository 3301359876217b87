"""What an alert proposes can be pasted into a task, loads there, and does to the rows what the alert says."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from hone.data.looking.acting import Acting, section_text
from hone.data.looking.figures import LookOptions
from hone.data.looking.of_survey import document_of
from hone.data.looking.task_survey import survey_task
from hone.data.making import chosen_section
from hone.data.presets import OPTIONAL
from hone.data.rules import decide
from hone.data.survey import Survey, Wishes, survey_files
from hone.task.load import load_task
from hone.task.spec import Clean, RuleWish

SECTIONS = (
    "clean: {preset: task}",
    "clean:\n  preset: none\n  rules: {duplicate: {column: exact.survivor, absent: true}, gopher-words: {min: 1}}",
    "clean:\n  transforms: [whitespace, {redact: {kinds: [ip]}}]\n  signals: {near: {threshold: 0.7}}\n",
    "clean: {preset: web, rules: {c4-sentences: false, gopher-words: {min: 2}}}",
)
MENU = "\n".join(f"a line of the menu with number {at} in it" for at in range(6))


def _texts() -> list[str]:
    """Sixty rows, and of each thing that hone proposes something against a few."""
    subjects = ("rent", "milk", "trains", "taxes", "music", "snow")
    plain = [
        f"The {subjects[at % 6]} of week {at} is something that we have to talk about with the others, and then "
        f"{subjects[(at // 6) % 6]} in the evening of day {at * 7}."
        for at in range(48)
    ]
    return [
        *plain,
        plain[0].upper(),
        plain[1] + " Soon.",
        "Write to jane.roe@example.org about it, and call +49 30 901820 in the evening, please.",
        "As an AI language model, I cannot go to the shop and buy the milk that you have asked for today.",
        "This fucking thing has not worked since the day on which I bought it in the shop.",
        "Это предложение написано по-русски, и в нём достаточно букв, чтобы узнать язык.",
        "<div><p>Nothing here is text before its tags are gone from it.</p></div>",
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"text": text, "label": f"l{at % 3}"} for at, text in enumerate(_texts())]
    rows.append({"text": rows[0]["text"], "label": "l2"})
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    shared = " ".join(rows[5]["text"].split()[:15])
    (tmp_path / "test.jsonl").write_text(json.dumps({"text": f"Hear: {shared}", "label": "l0"}) + "\n")
    return tmp_path


def _survey(folder: Path, clean: str) -> Survey:
    head = "task: pasted\nkind: classify\ndata: {train: train.jsonl, test: test.jsonl}\n"
    (folder / "hone.yaml").write_text(
        head + 'input: "{text}"\noutput: "{label}"\nmetric: accuracy\n' + clean + "\ntarget: 0.5\n", encoding="utf-8"
    )
    return survey_task(load_task(folder), folder, folder / ".hone", lambda line: None)


def _options(folder: Path) -> LookOptions:
    task = load_task(folder)
    section = chosen_section(task, folder)[0]
    return LookOptions(
        folder=str(folder),
        command=("hone", "look", str(folder)),
        section=section,
        written=frozenset({"clean", "metric"}),
        metric=task.metric,
        test="test",
    )


@pytest.mark.parametrize("clean", SECTIONS)
def test_every_proposed_section_loads_where_it_is_pasted_and_does_what_is_said(folder: Path, clean: str) -> None:
    before = _survey(folder, clean)
    alerts = document_of(before, _options(folder))["alerts"]
    proposed = [alert for alert in alerts if alert["yaml"].startswith("clean:")]
    assert len(proposed) >= 3
    old = Clean.model_validate(yaml.safe_load(clean)["clean"])
    for alert in proposed:
        assert alert["place"] == f"in {folder / 'hone.yaml'}, instead of its clean section"
        after = _survey(folder, alert["yaml"])
        new = load_task(folder).clean
        assert (new.preset, new.signals) == (old.preset, old.signals)
        assert new.rules.items() >= {name: wish for name, wish in old.rules.items() if wish is not False}.items()
        lost = int(before.decisions.keep.sum()) - int(after.decisions.keep.sum())
        if alert["removes"] is not None:
            assert lost == alert["removes"] != 0, alert["title"]
            assert f"{abs(lost):,} row" in alert["effect"]
        else:
            changed = alert["effect"].removeprefix("rewrites ").split()[0]
            name = "redact" if alert["name"] == "personal" else "html"
            assert after.changed[name] >= int(changed) > 0


def test_redaction_keeps_the_transforms_that_are_there_and_takes_every_kind_found(folder: Path) -> None:
    survey = _survey(folder, SECTIONS[2])
    alerts = document_of(survey, _options(folder))["alerts"]
    personal = [alert for alert in alerts if alert["name"] == "personal"]
    assert [alert["rows"] for alert in personal] == [1], "one row holds both"
    assert "email 1" in personal[0]["title"]
    assert "phone 1" in personal[0]["title"]
    transforms = yaml.safe_load(personal[0]["yaml"])["clean"]["transforms"]
    assert transforms[0] == "whitespace"
    assert set(transforms[1]["redact"]["kinds"]) == {"ip", "email", "phone"}
    after = _survey(folder, personal[0]["yaml"])
    assert after.columns.column("pii.count").to_pylist() == [0] * after.columns.num_rows


def test_a_rule_that_would_remove_nothing_is_not_proposed(tmp_path: Path) -> None:
    """The lines of the menu stand in every row, but in no row they are half of it."""
    rows = [{"text": f"{MENU}\n{f'word{at} ' * 90}"} for at in range(30)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    survey = survey_files([str(path)], tmp_path, Clean(), tmp_path / ".hone", lambda line: None)
    alert = next(one for one in document_of(survey, LookOptions())["alerts"] if one["name"] == "boilerplate")
    assert (alert["yaml"], alert["removes"]) == ("", None)
    assert "would remove no row" in alert["why"]


def test_a_rule_that_removes_most_rows_says_so(tmp_path: Path) -> None:
    rows = [{"text": f"{MENU}\nword{at}" if at < 20 else f"another text, number {at}"} for at in range(30)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    survey = survey_files([str(path)], tmp_path, Clean(), tmp_path / ".hone", lambda line: None)
    alert = next(one for one in document_of(survey, LookOptions())["alerts"] if one["name"] == "boilerplate")
    assert alert["removes"] == 20
    assert "66.7 % of all, so look at them first" in alert["effect"]


def test_a_rule_that_a_person_left_out_is_not_proposed_again(folder: Path) -> None:
    survey = _survey(folder, "clean: {rules: {near-duplicate: false}}")
    alert = next(one for one in document_of(survey, _options(folder))["alerts"] if one["name"] == "near-duplicate")
    assert alert["yaml"] == ""


def test_figures_of_a_sample_are_estimates_of_all_rows_and_commands_take_the_same_sample(tmp_path: Path) -> None:
    """A tenth of 2,000 rows hold an address; two labels are equally frequent, and forty have 25 rows each."""
    rows = [
        {
            "text": f"request {at} about " + (f"jane{at}@example.org" if at % 10 == 0 else f"thing {at % 97}"),
            "label": f"rare {at // 25}" if at < 1000 else f"often {at % 2}",
        }
        for at in range(2000)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    survey = survey_files(
        [str(path)], tmp_path, Clean(), tmp_path / ".hone", lambda line: None, wishes=Wishes(sample=200)
    )
    command = ("hone", "look", "rows.jsonl", "--sample", "200")
    document = document_of(survey, LookOptions(command=command))
    alerts = {alert["name"]: alert for alert in document["alerts"]}
    told = re.match(r"about ([\d,]+) rows \((\d+) to (\d+)\) hold", alerts["personal"]["title"])
    assert told is not None
    assert int(told[2]) <= 200 <= int(told[3])
    for alert in document["alerts"]:
        assert "--dropped" not in alert["command"] or "--sample 200" in alert["command"]
    # The rarest label of the sample has one row or two and the most frequent fifty, which is not what all rows have.
    assert document["labels"]["imbalance"] >= 20
    assert document["labels"]["imbalance_at_least"] <= 500 / 25
    assert "imbalance" not in alerts or "at least" in alerts["imbalance"]["title"]


@pytest.mark.parametrize(
    "wish", [{"a: b": {"column": "own:x.y", "min": 0.5}}, {"x": {"column": "y.z", "one_of": ["#"]}}]
)
def test_a_section_of_any_length_is_read_back_as_it_was(wish: dict[str, Any]) -> None:
    for times in (1, 9):
        section = {
            "preset": "task",
            "rules": {f"{name}{at}": rule for at in range(times) for name, rule in wish.items()},
        }
        assert yaml.safe_load(section_text(section)) == {"clean": section}


def test_pages_are_told_from_texts_about_tags(tmp_path: Path) -> None:
    rows = [
        "<!doctype html><html><body><p>one</p></body></html>",
        " <html lang=en><head></head><body>two</body></html>",
        "<p>three</p>",
        "four <b>has</b> tags <i>inside</i>",
        "five says `<p>` and ```html\n<div><p></p></div>\n```",
        "six: a < b and c > d",
        "seven",
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in rows), encoding="utf-8")
    survey = survey_files([str(path)], tmp_path, Clean(), tmp_path / ".hone", lambda line: None)
    document = document_of(survey, LookOptions(command=("hone", "look", "rows.jsonl")))
    found = document["html"]
    assert [found[key] for key in ("pages", "fragments", "tagged", "rows", "searched")] == [2, 1, 1, 4, 7]
    alert = next(one for one in document["alerts"] if one["name"] == "html")
    assert alert["command"] == "hone look rows.jsonl --preset web"
    assert yaml.safe_load(alert["yaml"])["clean"]["transforms"] == [{"html": {"fragments": True}}]
    assert alert["effect"] == "rewrites 3 rows"
    path.write_text(json.dumps({"text": rows[3]}) + "\n", encoding="utf-8")
    survey = survey_files([str(path)], tmp_path, Clean(), tmp_path / ".hone", lambda line: None)
    alert = next(one for one in document_of(survey, LookOptions())["alerts"] if one["section"] == "html")
    assert (alert["name"], alert["yaml"]) == ("tags", ""), "Markdown may hold tags; the transform takes pages"


def test_a_preset_for_pages_leaves_no_pages_to_tell_of(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "<html><body><p>one</p></body></html>"}) + "\n")
    survey = survey_files([str(path)], tmp_path, Clean(preset="web"), tmp_path / ".hone", lambda line: None)
    assert document_of(survey, LookOptions())["html"]["rows"] == 0


def test_what_a_person_asked_for_or_what_guards_the_score_is_not_proposed_to_be_left_out(folder: Path) -> None:
    """A limit takes most rows; in the second task most rows are of the test."""
    survey = _survey(folder, 'clean: {limits: {"*": 5}}')
    assert int(survey.decisions.keep.sum()) == 5
    assert not [alert for alert in document_of(survey, _options(folder))["alerts"] if "source-limit" in alert["title"]]
    shutil.copy(folder / "train.jsonl", folder / "test.jsonl")
    with (folder / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "one that the test does not have", "label": "l0"}\n')
    survey = _survey(folder, "clean: {preset: task}")
    alert = next(one for one in document_of(survey, _options(folder))["alerts"] if one["name"] == "removed")
    assert alert["title"].startswith("the rule equals-test-row alone would remove")
    assert (alert["yaml"], alert["removes"]) == ("", None)


@pytest.mark.parametrize(
    "name",
    [
        "empty",
        "duplicate",
        "near-duplicate",
        "equals-test-row",
        "equals-dev-row",
        "equals-benchmark-row",
        "contaminated",
        "personal-data",
    ],
)
@pytest.mark.parametrize("cleaning", [(), ("hone", "clean", "x.jsonl", "--out", "clean")])
def test_no_alert_proposes_to_switch_a_protection_off(name: str, cleaning: tuple[str, ...]) -> None:
    """Nearly all rows fail the rule, and a look at them is all that is proposed."""
    rule = OPTIONAL[name]
    fails = np.arange(20) > 0
    values = [str(at) if bad else None for at, bad in enumerate(fails)] if rule.absent else [int(bad) for bad in fails]
    columns = pa.table({"row": [str(at) for at in range(20)], rule.column: values})
    decisions = decide(columns, (rule,))
    assert int(decisions.failed[name].sum()) == 19
    options = LookOptions(command=("hone", "look", "x.jsonl"), cleaning=cleaning)
    act = Acting(columns=columns, rules=(rule,), decisions=decisions, options=options).without(name)
    assert act["command"] == f"hone look x.jsonl --dropped {name}"
    assert not {"yaml", "apply", "effect", "removes"} & set(act)
    assert "off" not in act["why"]


def test_a_rule_of_ones_own_is_left_out_by_not_naming_it(folder: Path) -> None:
    """Off is said of rules that hone has; a section or command that says it of another one is refused."""
    survey = _survey(folder, "clean: {rules: {brief: {column: length.words, max: 5}}}")
    document = document_of(survey, _options(folder))
    alert = next(one for one in document["alerts"] if one["name"] == "removed")
    section = yaml.safe_load(alert["yaml"])["clean"]
    assert "brief" not in section.get("rules", {})
    kept = _survey(folder, alert["yaml"]).decisions.keep
    assert int(kept.sum()) - int(survey.decisions.keep.sum()) == -alert["removes"]

    wish = RuleWish(column="length.words", max=5)
    clean = Clean(rules={"length.words": wish})
    survey = survey_files([str(folder / "train.jsonl")], folder, clean, folder / ".hone", lambda line: None)
    command = ("hone", "clean", "train.jsonl", "--out", "clean", "--rule", "length.words=..5")
    document = document_of(survey, LookOptions(section=clean, cleaning=command))
    alert = next(one for one in document["alerts"] if one["name"] == "removed")
    assert alert["apply"] == "hone clean train.jsonl --out clean"
