"""``hone data`` and going back: nothing is silent, nothing is lost, nothing is written that was not asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hone.cli import main
from hone.cli.data import told_apart
from hone.cli.going_back import with_clean
from hone.data.hidden import hidden
from hone.data.versions import find_version, version_rows, versions
from hone.errors import InputError
from hone.task.load import load_task

HONE = """task: t
kind: classify
data: {train: train.jsonl, dev: 5}
input: "{text}"
output: "{label}"
target: 0.5
"""
VERSION = 'clean: {version: "123"}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "t"
    place.mkdir()
    rows(place / "train.jsonl", 40)
    (place / "hone.yaml").write_text(HONE, encoding="utf-8")
    return place


def rows(path: Path, count: int) -> None:
    lines = [json.dumps({"text": f"row {n}", "label": "xy"[n % 2]}) for n in range(count)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def section(folder: Path, text: str) -> None:
    (folder / "hone.yaml").write_text(HONE + text, encoding="utf-8")


def hone(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, dict[str, Any]]:
    """Exit status, what people read, and the document of the last line."""
    capsys.readouterr()
    status = main([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    return status, captured.err, json.loads(captured.out.split("\n")[-2])


def test_a_dry_run_and_a_failing_one_leave_hone_yaml_as_it_was(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = hone(capsys, "clean", folder)[2]
    section(folder, "clean: {rules: {duplicate: false}}\n")
    second = hone(capsys, "clean", folder)[2]
    assert second["data"] == first["data"]
    assert second["parent"] == first["version"]
    before = (folder / "hone.yaml").read_bytes()
    status, said, document = hone(capsys, "clean", folder, "--undo", "--dry-run")
    assert (status, document["version"], document["written"]) == (0, first["version"], False)
    assert "not written" in said
    assert (folder / "hone.yaml").read_bytes() == before
    (folder / "train.jsonl").write_text("{broken\n", encoding="utf-8")
    assert hone(capsys, "clean", folder, "--undo")[0] == 2
    assert (folder / "hone.yaml").read_bytes() == before
    assert hone(capsys, "data", "list", folder)[2]["head"] == second["version"]


def test_undo_goes_along_the_parents_though_the_source_changes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = ["clean: {preset: none}\n", "", "clean: {rules: {empty: false}}\n"]
    made = []
    for text in sections:
        section(folder, text)
        made.append(hone(capsys, "clean", folder)[2]["version"])
    rows(folder / "train.jsonl", 44)
    for expected in (made[1], made[0]):
        assert hone(capsys, "clean", folder, "--undo")[0] == 0
        assert yaml.safe_load((folder / "hone.yaml").read_text())["clean"] == {"version": expected}
        now = find_version(folder, "head")
        assert now.parent == expected
        assert now.clean == find_version(folder, expected).clean
    status, said, _ = hone(capsys, "clean", folder, "--undo")
    assert status == 2
    assert "it is the first of" in said


def test_undo_passes_versions_that_only_the_source_tells_apart(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = hone(capsys, "clean", folder)[2]["version"]
    rows(folder / "train.jsonl", 44)
    hone(capsys, "clean", folder)
    status, said, _ = hone(capsys, "clean", folder, "--undo")
    assert status == 2
    assert "the sources have changed, and going back does not change them" in said
    section(folder, "clean: {preset: none}\n")
    hone(capsys, "clean", folder)
    section(folder, "")
    again = hone(capsys, "clean", folder)[2]["version"]
    # The same making a second time: what was before is the version in between, not the parent it had at first.
    assert find_version(folder, again).parent == first
    hone(capsys, "clean", folder, "--undo")
    assert find_version(folder, "head").clean == {"preset": "none"}


def test_a_section_that_no_version_has_stays_as_a_comment(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hone(capsys, "clean", folder)
    section(folder, "clean: {preset: none}\n")
    hone(capsys, "clean", folder)
    section(folder, "clean:\n  preset: none # not so\n  rules: {near-duplicate: true}\n")
    _, said, _ = hone(capsys, "clean", folder, "--undo")
    assert "kept above as a comment" in said
    text = (folder / "hone.yaml").read_text()
    assert "# clean:\n#   preset: none # not so\n#   rules: {near-duplicate: true}\nclean: {version: " in text


def test_an_edit_beside_a_version_taken_again_is_refused_with_the_way_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    section(folder, "clean: {rules: {empty: false}}\n")
    hone(capsys, "clean", folder)
    hone(capsys, "data", "edit", "train.jsonl:2", "label=x", folder)
    hone(capsys, "clean", folder)
    hone(capsys, "clean", folder, "--undo")
    before = (folder / "patches.jsonl").read_bytes()
    for words in (("edit", "train.jsonl:3", "label=y"), ("drop", "train.jsonl:3")):
        status, said, _ = hone(capsys, "data", *words, folder)
        assert status == 2
        assert 'clean: {"rules": {"empty": false}}' in said
        assert "the edits of patches.jsonl that this version was made without (1: train.jsonl:2)" in said
    assert (folder / "patches.jsonl").read_bytes() == before
    story = hone(capsys, "data", "lineage", "train.jsonl:2", folder)[2]["events"]
    assert [event["values"].get("taken") for event in story] == [None, False, None, None]
    # The way on: the undone line goes, and the version that was made with it is still told from the others.
    section(folder, 'clean: {"rules": {"empty": false}}\n')
    (folder / "patches.jsonl").write_text("")
    assert hone(capsys, "data", "edit", "train.jsonl:3", "label=y", folder)[0] == 0
    assert hone(capsys, "clean", folder)[0] == 0
    assert [version.patches["count"] for version in versions(folder)].count(1) == 2


def test_what_would_have_no_effect_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "ood.jsonl").write_text('{"text": "o", "label": "x"}\n')
    section(folder, "")
    text = (folder / "hone.yaml").read_text().replace("dev: 5}", "dev: 5, ood: ood.jsonl}")
    (folder / "hone.yaml").write_text(text)
    for words, sentence in {
        ("drop", "ood.jsonl:1", str(folder)): "a drop would have no effect",
        ("edit", "train.jsonl:1", "text=caf\udce9", str(folder)): "that UTF-8 cannot hold",
        ("list", "nosuch"): "there is no folder nosuch",
        ("list", str(folder.parent)): "holds no data version and no hone.yaml",
    }.items():
        status, said, _ = hone(capsys, "data", *words)
        assert status == 2, words
        assert sentence in said
    assert not (folder / "patches.jsonl").exists()


def test_a_row_changed_by_hand_is_told_from_one_changed_in_the_source(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hone(capsys, "data", "edit", "train.jsonl:1", "label=y", folder)
    first = hone(capsys, "clean", folder)[2]["version"]
    hone(capsys, "data", "edit", "train.jsonl:2", "label=x", folder)
    text = (folder / "train.jsonl").read_text().replace('"row 0"', '"row 0", "note": "new"')
    (folder / "train.jsonl").write_text(text)
    hone(capsys, "clean", folder)
    changed = hone(capsys, "data", "diff", first, "head", folder)[2]["groups"]["changed"]
    assert {group["reason"]: [sample["row"] for sample in group["samples"]] for group in changed} == {
        "edited by hand": ["train.jsonl:2"],
        "changed in the source": ["train.jsonl:1"],
    }


@pytest.mark.parametrize(("size", "in_its_place"), [("5", 1), ("0.2", 0)])
def test_a_version_with_other_dev_rows_than_its_parent_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str], size: str, in_its_place: int
) -> None:
    """A number of rows is filled up from train; with a share every other row keeps its place."""
    text = (folder / "hone.yaml").read_text().replace("dev: 5}", f"dev: {size}}}")
    (folder / "hone.yaml").write_text(text)
    made = [hone(capsys, "clean", folder)[2]["version"]]
    rows = {split: [row.id for of, row in version_rows(folder, made[0]) if of == split] for split in ("train", "dev")}
    sentences = []
    for split in ("train", "dev"):
        hone(capsys, "data", "drop", rows[split][0], folder)
        _, said, document = hone(capsys, "clean", folder)
        made.append(document["version"])
        sentences.append("dev differs" in said)
    assert len(set(made)) == 3
    wanted = f"dev differs from version {made[1]}: 1 row out, {in_its_place} in; scores of the two are measured on"
    assert wanted in said
    assert sentences == [False, True]
    _, said, document = hone(capsys, "data", "diff", made[1], made[2], folder)
    assert wanted in said.split("\n")[1]
    assert document["dev"].startswith(wanted)
    assert hone(capsys, "data", "diff", made[0], made[1], folder)[2]["dev"] == ""
    # The same data again is no news.
    assert "dev differs" not in hone(capsys, "clean", folder)[1]


def test_a_diff_knows_rows_whose_line_number_has_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "test.jsonl").write_text('{"text": "of the test", "label": "x"}\n')
    text = (folder / "hone.yaml").read_text().replace("dev: 5}", "dev: 0.2, test: test.jsonl}")
    (folder / "hone.yaml").write_text(text)
    lines = (folder / "train.jsonl").read_text().splitlines()
    (folder / "train.jsonl").write_text("\n".join([*lines, lines[30], lines[30]]))
    hone(capsys, "data", "drop", "train.jsonl:39", folder)
    first = hone(capsys, "clean", folder)[2]["version"]
    # Inserted above; one corrected in the source, one by hand; one taken out; one back that had been left out by hand.
    (folder / "patches.jsonl").write_text("")
    hone(capsys, "data", "edit", "train.jsonl:6", "label=x", folder)
    corrected = [line.replace('"row 20"', '"row twenty"') for line in [*lines[:10], *lines[11:], lines[30], lines[30]]]
    inserted = [json.dumps({"text": f"inserted {n}", "label": "x"}) for n in range(3)]
    (folder / "train.jsonl").write_text("\n".join([*inserted[:2], *corrected[:30], inserted[2], *corrected[30:]]))
    hone(capsys, "clean", folder)
    _, said, found = hone(capsys, "data", "diff", first, "head", folder)
    told = {
        (kind, group["reason"]): (group["count"], {sample["row"] for sample in group["samples"]})
        for kind, groups in found["groups"].items()
        for group in groups
        if kind != "moved"
    }
    assert told == {
        ("in", "new in the source"): (3, {"train.jsonl:1", "train.jsonl:2", "train.jsonl:33"}),
        ("in", "by-hand"): (1, {"train.jsonl:41"}),
        ("out", "no longer in the source"): (1, {"train.jsonl:11"}),
        ("changed", "edited by hand"): (1, {"train.jsonl:8"}),
        ("changed", "changed in the source"): (1, {"train.jsonl:22"}),
    }
    assert 'text: "row 20" -> "row twenty"' in said
    assert found["renumbered"] == 38


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        (0.013571, 0.013572, ("0.013571", "0.013572")),
        (121958.0, 121912.0, ("121,958", "121,912")),
        (1234.5, 1234.25, ("1,234.5", "1,234.2")),
        (0.5, 0.25, ("0.5000", "0.2500")),
        (3, None, ("3", "none")),
        (1e-7, 2e-7, ("0.0000001000", "0.0000002000")),
        (0.0, 0.00001234, ("0.00000000", "0.00001234")),
    ],
)
def test_two_figures_that_differ_look_different(one: float, other: float | None, shown: tuple[str, str]) -> None:
    assert told_apart(one, other) == shown


def test_a_diff_shows_what_moved_most_and_says_how_much_more_there_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = hone(capsys, "clean", folder)[2]["version"]
    lines = (folder / "train.jsonl").read_text().splitlines()
    (folder / "train.jsonl").write_text("\n".join(lines[:-2]) + "\n")
    second = hone(capsys, "clean", folder)[2]["version"]
    _, said, document = hone(capsys, "data", "diff", first, second, folder)
    told = [line.strip() for line in said.partition("figures that moved, the most first:\n")[2].splitlines()]
    assert len(told) == min(len(document["figures"]), 10) + (len(document["figures"]) > 10)
    for line in told[:10]:
        one, other = line.rpartition(": ")[2].split(" -> ")
        assert one != other
    if len(document["figures"]) > 10:
        assert told[-1] == f"and {len(document['figures']) - 10} more; --json gives all"


def test_cleaning_names_the_ledger_of_the_version_and_a_dry_run_one_of_its_own(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / "train.jsonl").open("a") as handle:
        handle.write(json.dumps({"text": "", "label": "x"}) + "\n")
    _, said, _ = hone(capsys, "clean", folder, "--dry-run")
    (dry,) = (folder / ".hone" / "cache").glob("ledger-*.jsonl")
    assert f"1 row left out, see {dry}" in said
    dry.unlink()
    _, said, document = hone(capsys, "clean", folder)
    ledger = folder / "versions" / document["version"] / "ledger.jsonl"
    assert f"1 row left out, see {ledger}" in said
    assert ledger.is_file()
    assert not list((folder / ".hone" / "cache").glob("ledger-*"))


def test_lineage_follows_a_row_whose_line_number_has_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "test.jsonl").write_text('{"text": "of the test", "label": "x"}\n')
    text = (folder / "hone.yaml").read_text().replace("dev: 5}", "dev: 5, test: test.jsonl}")
    (folder / "hone.yaml").write_text(text)
    hone(capsys, "clean", folder)
    hone(capsys, "data", "edit", "train.jsonl:3", "label=y", folder)
    hone(capsys, "data", "drop", "train.jsonl:9", folder)
    hone(capsys, "clean", folder)
    rows = (folder / "train.jsonl").read_text()
    (folder / "train.jsonl").write_text('{"text": "new", "label": "x"}\n' + rows)
    # No version is of the present source yet, so nothing tells which row it was.
    _, said, story = hone(capsys, "data", "lineage", "train.jsonl:4", folder)
    assert said.count("of an earlier train.jsonl, where the id can be another row's") == 2
    hone(capsys, "clean", folder)
    story = hone(capsys, "data", "lineage", "train.jsonl:4", folder)[2]["events"]
    assert [event["step"] for event in story] == ["source", "edit", "version", "version", "version"]
    assert [event["values"]["row"] for event in story[2:]] == ["train.jsonl:3", "train.jsonl:3", "train.jsonl:4"]
    assert story[2]["values"]["digest"] == story[0]["values"]["digest"]
    assert story[3]["values"]["digest"] == story[4]["values"]["digest"]
    dropped = hone(capsys, "data", "lineage", "train.jsonl:10", folder)[2]["events"]
    assert [event["values"]["kept"] for event in dropped if event["step"] == "version"] == [True, False, False]


def test_one_row_is_no_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    yaml_text = (folder / "hone.yaml").read_text().replace("dev: 5}", "dev: 0.2, test: test.jsonl}")
    (folder / "test.jsonl").write_text('{"text": "of the test", "label": "x"}\n')
    (folder / "hone.yaml").write_text(yaml_text + "clean: {transforms: [redact]}\n")
    made = hone(capsys, "clean", folder)[2]["version"]
    with (folder / "train.jsonl").open("a") as handle:
        handle.write('{"text": "I am ann@example.org", "label": "x"}\n' * 2)
    hone(capsys, "data", "edit", "train.jsonl:1", "label=y", folder)
    hone(capsys, "clean", folder)
    said = hone(capsys, "data", "diff", made, "head", folder)[1]
    assert ": 1 row in, 0 out, 1 changed, 0 moved between splits, 39 the same" in said
    said = hone(capsys, "data", "list", folder)[1]
    assert ", 1 edit  clean" in said
    said = hone(capsys, "data", "show", "head", folder)[1]
    assert "  rule duplicate: 1 row, 1 alone; keeps" in said
    assert "(test): sha256" in said
    assert ": 2 rows changed" in said


def test_a_reason_is_told_of_the_row_that_was_left_out_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Line 6 was a duplicate and is a new text now; line 8 was one too, and is kept since, one line further down."""
    (folder / "test.jsonl").write_text('{"text": "of the test", "label": "x"}\n')
    yaml_text = (folder / "hone.yaml").read_text().replace("dev: 5}", "dev: 0.2, test: test.jsonl}")
    (folder / "hone.yaml").write_text(yaml_text)
    lines = (folder / "train.jsonl").read_text().splitlines()
    lines[5], lines[7] = lines[1], lines[2]
    (folder / "train.jsonl").write_text("\n".join(lines))
    first = hone(capsys, "clean", folder)[2]["version"]
    lines[5] = '{"text": "totally fresh words here", "label": "y"}'
    lines.insert(6, '{"text": "and one more", "label": "y"}')
    (folder / "train.jsonl").write_text("\n".join(lines))
    (folder / "hone.yaml").write_text(yaml_text + "clean: {rules: {duplicate: false}}\n")
    second = hone(capsys, "clean", folder)[2]["version"]

    def groups(one: str, other: str, kind: str) -> dict[str, set[str]]:
        found = hone(capsys, "data", "diff", one, other, folder)[2]["groups"][kind]
        return {group["reason"]: {sample["row"] for sample in group["samples"]} for group in found}

    fresh = {"new in the source": {"train.jsonl:7"}, "duplicate": {"train.jsonl:9"}}
    other = "new in the source, or changed since it was left out"
    assert groups(first, second, "in") == {**fresh, other: {"train.jsonl:6"}}
    assert groups(second, first, "out") == {
        "no longer in the source": {"train.jsonl:7"},
        "duplicate": {"train.jsonl:9"},
        "no longer in the source, or changed and left out": {"train.jsonl:6"},
    }
    told = {}
    for line in (6, 9):
        story = hone(capsys, "data", "lineage", f"train.jsonl:{line}", folder)[2]["events"]
        told[line] = next(event for event in story if event["values"].get("version") == first)
    assert "duplicate" not in told[6]["sentence"]
    assert told[6]["values"]["kept"] is None
    assert told[9]["values"]["reasons"][0]["name"] == "duplicate"
    assert told[9]["values"]["row"] == "train.jsonl:8"


def test_lineage_tells_transforms_of_every_column_that_cleaning_changes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (folder / "train.jsonl").read_text().splitlines()
    lines[0] = json.dumps({"text": "row zero", "label": "x", "note": "ask ann@example.org"})
    (folder / "train.jsonl").write_text("\n".join(lines))
    text = (folder / "hone.yaml").read_text().replace("dev: 5}", "dev: 5, test: test.jsonl}")
    (folder / "test.jsonl").write_text('{"text": "of the test", "label": "x"}\n')
    (folder / "hone.yaml").write_text(text + "clean: {transforms: [redact]}\n")
    made = hone(capsys, "clean", folder)[2]["version"]
    kept = {row.id: row.fields for _, row in version_rows(folder, made)}["train.jsonl:1"]
    assert "ann@" not in kept["note"]
    story = hone(capsys, "data", "lineage", "train.jsonl:1", folder)[2]["events"]
    told = {event["values"]["transform"]: event["values"]["set"] for event in story if event["step"] == "transform"}
    assert told == {"redact": {"note": kept["note"]}}


def test_lineage_says_which_source_could_not_be_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = hone(capsys, "clean", folder)[2]
    (folder / "train.jsonl").unlink()
    events = hone(capsys, "data", "lineage", "train.jsonl:1", folder)[2]["events"]
    assert [event["step"] for event in events] == ["source", "version"]
    assert "could not be read: data.train: " in events[0]["sentence"]
    assert events[1]["values"]["data"] == made["data"]
    status, said, _ = hone(capsys, "data", "lineage", "train.jsonl:999", folder)
    assert status == 2
    assert "has a row train.jsonl:999" in said
    assert "there is no such file" in said


def test_lineage_of_an_unknown_row_names_the_nearest_and_a_few(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows(folder / "train.jsonl", 3000)
    made = hone(capsys, "clean", folder)[2]
    for word, hint in (("nope:1", ""), ("trian.jsonl:1", 'did you mean "train.jsonl:1"? ')):
        status, said, _ = hone(capsys, "data", "lineage", word, folder)
        assert status == 2
        assert f"has a row {word}; {hint}Data version {made['version']} has " in said
        assert " rows, such as train.jsonl:" in said
        assert said.count("train.jsonl:") <= 4


def test_show_tells_how_a_version_was_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every step that ``version.json`` records is told with its version and parameters."""
    first = hone(capsys, "clean", folder)[2]["version"]
    assert "no transforms" in hone(capsys, "data", "show", "head", folder)[1]
    made = "transforms: [{redact: {kinds: [email]}}], rules: {near-duplicate: true}, signals: {near: {threshold: 0.75}}"
    section(folder, f"clean: {{{made}}}\n")
    hone(capsys, "data", "edit", "train.jsonl:2", "label=x", folder)
    hone(capsys, "clean", folder)
    _, said, record = hone(capsys, "data", "show", "head", folder)
    assert f"parent {first}" in said.split("\n")[0]
    assert "edits by hand: 1" in said
    for kind, steps in (("transform", record["transforms"]), ("rule", record["rules"])):
        assert all(f"  {kind} {step['name']}" in said for step in steps)
    for name, signal in record["signals"].items():
        (line,) = [line for line in said.split("\n") if line.startswith(f"  signal {name} {signal['version']}")]
        assert all(f'"{param}": ' in line for param in signal if param != "version")
    assert '"kinds": ["email"]' in said
    assert '"threshold": 0.75' in said


def test_an_edit_to_a_label_that_no_other_row_has_is_recorded_with_a_warning(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, document = hone(capsys, "data", "edit", "train.jsonl:2", "label=xx", folder)
    assert (status, document["set"]) == (0, {"label": "xx"})
    assert (
        'no other row of train, dev or ood has the label "xx"; the nearest of the 2 there are is "x" (20 rows)' in said
    )
    # A second row with it is no slip any more, and an edit of the text alone is none of a label.
    for words in (("train.jsonl:3", "label=xx"), ("train.jsonl:2", "text=other")):
        assert "warning" not in hone(capsys, "data", "edit", *words, folder)[1]


@pytest.mark.parametrize(("change", "part"), [("label=", "label"), ("text= ", "text")])
def test_an_edit_that_leaves_a_part_empty_says_that_cleaning_drops_the_row(
    folder: Path, capsys: pytest.CaptureFixture[str], change: str, part: str
) -> None:
    status, said, document = hone(capsys, "data", "edit", "train.jsonl:2", change, folder)
    assert (status, document["set"]) == (0, {part: change.partition("=")[2]})
    assert f"the {part} is now empty, so cleaning will drop this row" in said
    assert "nearest" not in said
    assert hone(capsys, "clean", folder)[2]["left_out"] == {"empty": 1}


def test_rows_hashed_out_for_the_test_are_neither_shown_nor_edited(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "test.jsonl").write_text('{"text": "of the test", "label": "x"}\n')
    text = (folder / "hone.yaml").read_text()
    (folder / "hone.yaml").write_text(text.replace("dev: 5}", "dev: 5, test: test.jsonl}"))
    named = hone(capsys, "clean", folder)[2]["version"]
    (folder / "hone.yaml").write_text(text)
    sealed = sorted(hidden(load_task(folder), folder).test.only)
    hashed = hone(capsys, "clean", folder)[2]["version"]
    assert len(sealed) == find_version(folder, hashed).counts["test"] > 3
    texts = [f'row {int(row.rpartition(":")[2]) - 1}"' for row in sealed]
    for row in sealed:
        for words in (("edit", row, "label=z"), ("edit", row, "text=other"), ("drop", row)):
            status, said, document = hone(capsys, "data", *words, folder)
            assert (status, document["error"]["type"]) == (2, "InputError")
            assert f"{row} is a row of the sealed test" in said
        status, said, story = hone(capsys, "data", "lineage", row, folder)
        assert (status, [event["step"] for event in story["events"]]) == (0, ["source", "version"])
        assert not any(text in said + json.dumps(story) for text in texts)
    assert not (folder / "patches.jsonl").exists()
    # They were rows of train while the test was a file.
    _, said, found = hone(capsys, "data", "diff", named, hashed, folder)
    (group,) = [group for group in found["groups"]["out"] if group["reason"] == "hashed out for the test"]
    assert group["count"] == len(sealed)
    assert not any(text.replace('"', '\\"') in said + json.dumps(found) for text in texts)
    assert not any(text in said for text in texts)
    # Every other row can be edited, also a bad one, though nothing can be made before that.
    other = next(f"train.jsonl:{n}" for n in range(1, 41) if f"train.jsonl:{n}" not in sealed)
    rows = (folder / "train.jsonl").read_text().splitlines()
    rows[int(other.rpartition(":")[2]) - 1] = '{"text": "bad", "label": null}'
    (folder / "train.jsonl").write_text("\n".join(rows))
    assert hone(capsys, "clean", folder)[0] == 2
    assert hone(capsys, "data", "edit", other, "label=x", folder)[0] == 0
    assert hone(capsys, "clean", folder)[0] == 0


def spoiled(place: Path, how: str) -> str:
    """Spoil the record of a version's folder; what the sentence on it has to say."""
    path = place / "version.json"
    record = json.loads(path.read_text())
    if how == "unknown":
        path.write_text(json.dumps({**record, "colour": 1}))
        return f"{path}: not a data version that this hone can read: it has colour"
    if how == "older":
        path.write_text(json.dumps({name: value for name, value in record.items() if name != "rules"}))
        return f"{path}: not a data version that this hone can read: it lacks rules"
    if how == "kind":
        path.write_text(json.dumps({**record, "rules": [1]}))
        return f"{path}: not a data version that this hone can read: rules: expected objects, found the number 1"
    if how == "missing":
        path.unlink()
        return f"{place}: holds no version.json"
    path.write_text("" if how == "empty" else path.read_text()[:100])
    return f"{path}:"


@pytest.mark.parametrize("how", ["cut", "empty", "unknown", "older", "kind", "missing"])
def test_a_version_that_cannot_be_read_is_named_and_the_others_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    made = []
    for text in ("", "clean: {rules: {empty: false}}\n", "clean: {preset: none}\n"):
        section(folder, text)
        made.append(hone(capsys, "clean", folder)[2]["version"])
    whole = find_version(folder, made[2])
    sentence = spoiled(folder / "versions" / made[2], how)
    status, said, listed = hone(capsys, "data", "list", folder)
    assert (status, {version["id"] for version in listed["versions"]}) == (0, set(made[:2]))
    assert "1 that cannot be read:" in said
    assert sentence in said
    for words in (("show", made[2]), ("diff", made[0], made[2])):
        status, said, document = hone(capsys, "data", *words, folder)
        assert (status, document["error"]["type"]) == (3, "FailedError")
        assert sentence in said
    status, said, story = hone(capsys, "data", "lineage", "train.jsonl:1", folder)
    assert status == 0
    assert sentence in said
    assert {event["values"].get("version") for event in story["events"][1:]} == {*made[:2], None}
    # Undo passes from the head that cannot be read to what was before it, and making it again heals it.
    assert hone(capsys, "clean", folder, "--undo")[0] == 0
    assert f'clean: {{version: "{made[1]}"}}' in (folder / "hone.yaml").read_text()
    section(folder, "clean: {preset: none}\n")
    assert hone(capsys, "clean", folder)[2]["version"] == made[2]
    assert find_version(folder, made[2]).rules == whole.rules


def test_a_head_or_rows_that_cannot_be_read_are_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = hone(capsys, "clean", folder)[2]["version"]
    head = folder / "versions" / "head.json"
    head.write_text("{")
    status, said, listed = hone(capsys, "data", "list", folder)
    assert (status, listed["head"]) == (0, first)
    assert f"{head}:1:2: not valid JSON" in said
    (folder / "versions" / first / "rows.parquet").write_bytes(b"PAR1")
    status, said, _ = hone(capsys, "data", "lineage", "train.jsonl:1", folder)
    assert status == 0
    assert "rows.parquet: the kept rows cannot be read" in said


@pytest.mark.parametrize("name", ["rows.parquet", "ledger.jsonl"])
@pytest.mark.parametrize("of_task", [True, False])
def test_rows_and_ledgers_that_were_cut_off_are_written_again(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, *, of_task: bool
) -> None:
    with (folder / "train.jsonl").open("a") as handle:
        handle.write('{"text": "row 3", "label": "y"}\n' * 2)
    where, out = ([folder], folder) if of_task else ([folder / "train.jsonl", "--out", folder / "out"], folder / "out")
    hone(capsys, "clean", *where)
    with (folder / "train.jsonl").open("a") as handle:
        handle.write('{"text": "one more", "label": "y"}\n')
    made = hone(capsys, "clean", *where)[2]["version"]
    whole = find_version(out, made)
    assert whole.parent
    path = out / "versions" / made / name
    content = path.read_bytes()
    for end in (200, len(content) - 1, 0):
        path.write_bytes(content[:end])
        assert hone(capsys, "clean", *where)[2]["version"] == made
        assert path.read_bytes() == content
        assert find_version(out, made) == whole
    inode = path.stat().st_ino
    hone(capsys, "clean", *where)
    assert path.stat().st_ino == inode, "one that is whole stays"


def test_lineage_names_the_runs_that_were_trained_on_the_row(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from hone.lab.lab import Lab

    made = hone(capsys, "clean", folder)[2]
    (folder / "runs").mkdir()
    runs = [
        SimpleNamespace(folder=Path(f"runs/{name}"), header=SimpleNamespace(data_id=data))
        for name, data in (("0001-of-it", made["data"]), ("0002-other", "0" * 12))
    ]
    monkeypatch.setattr(Lab, "runs", lambda self: runs)
    story = hone(capsys, "data", "lineage", "train.jsonl:1", folder)[2]
    assert story["runs"] == ["0001-of-it"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("task: a\nclean:\n  preset: web\n\n# device\nb: 1\n", f"task: a\n{VERSION}\n# device\nb: 1\n"),
        ("task: a\n", f"task: a\n{VERSION}"),
        ("task: a", f"task: a\n{VERSION}"),
        ("clean: {rules: {x: false,\n  y: true}\n}  # why\nb: 1\n", f"{VERSION}b: 1\n"),
        ("a: 1\r\nclean:\r\n  preset: web\r\n# next\r\nb: 1\r\n", f"a: 1\r\n{VERSION[:-1]}\r\n# next\r\nb: 1\r\n"),
        ('x: |\n  clean: {}\n"clean" : {preset: none}\n', f"x: |\n  clean: {{}}\n{VERSION}"),
        ("\ufefftask: ü🎵\nclean:\nb: 1\n", f"\ufefftask: ü🎵\n{VERSION}b: 1\n"),
    ],
)
def test_the_section_of_a_task_file_is_replaced_and_nothing_else(before: str, after: str) -> None:
    assert with_clean(before, "123") == after


@pytest.mark.parametrize("text", ["{task: a, clean: {preset: web}, b: 1}\n", "---\ntask: a\n...\n"])
def test_a_file_that_cannot_be_changed_so_is_refused_with_the_line(text: str) -> None:
    with pytest.raises(InputError, match="write this into it: clean: "):
        with_clean(text, "123")


def test_a_source_is_recorded_alike_in_a_task_and_as_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    for number, name in ((0, "licence"), (1, "license"), (2, "license")):
        lines[number][name] = "CC0-1.0"
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "test.jsonl").write_text('{"text": "of the test", "label": "x"}\n')
    text = (folder / "hone.yaml").read_text().replace("dev: 5}", "dev: 5, test: test.jsonl}")
    (folder / "hone.yaml").write_text(text)
    of_task = find_version(folder, hone(capsys, "clean", folder)[2]["version"]).sources
    out = folder / "out"
    made = hone(capsys, "clean", folder / "train.jsonl", "--out", out, "--text", "text")[2]["version"]
    of_file = find_version(out, made).sources
    assert [source for source in of_task if source.split == "train"] == list(of_file)
    assert (of_file[0].rows, dict(of_file[0].licences)) == (40, {"CC0-1.0": 3})


def test_files_cleaned_in_another_way_to_the_same_rows_get_their_own_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows(tmp_path / "rows.jsonl", 30)
    out = tmp_path / "out"
    made = [
        hone(capsys, "clean", tmp_path / "rows.jsonl", "--out", out, "--preset", preset, "--workers", workers)[2]
        for preset, workers in (("task", 1), ("none", 1), ("task", 2))
    ]
    assert made[0]["version"] == made[2]["version"]
    one, other = find_version(out, made[0]["version"]), find_version(out, made[1]["version"])
    assert one.data == other.data
    assert (dict(one.clean), dict(other.clean)) == ({}, {"preset": "none"})
    assert other.parent == one.id
    listed = hone(capsys, "data", "list", out)[2]
    assert {version["id"] for version in listed["versions"]} == {one.id, other.id}
    assert listed["head"] == one.id
