"""Edits of rows are records: they apply, they notice a changed source, and a version can be made again without them."""

from __future__ import annotations

import gc
import itertools
import json
import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import pytest

from hone.data import placing, sources
from hone.data import versions as versions_on_disk
from hone.data.ledger import Entry, Ledger, Reason
from hone.data.lineage import lineage
from hone.data.making import record
from hone.data.patch_record import FILE
from hone.data.patches import Patches, add
from hone.data.placing import placed
from hone.data.prepare import DataVersion, prepare
from hone.data.rows import Row
from hone.data.versions import before_head, find_version, head, survey_versions, version_ledger, version_rows, versions
from hone.errors import InputError
from hone.task.spec import Clean, Task


def task(folder: Path, clean: dict[str, object] | None = None) -> Task:
    lines = [json.dumps({"text": f"row {n}", "label": "xy"[n % 2], "n": n}) for n in range(40)]
    if not (folder / "train.jsonl").exists():
        (folder / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    made = {"task": "t", "kind": "classify", "data": {"train": "train.jsonl", "dev": 5}, "clean": clean or {}}
    return Task.model_validate({**made, "input": "{text}", "output": "{label}", "target": 0.5})


def make(folder: Path, clean: dict[str, object] | None = None) -> DataVersion:
    return prepare(task(folder, clean), folder, folder / ".hone" / "cache", lambda line: None)


def rows_of(data: DataVersion) -> dict[str, dict[str, object]]:
    return {row.id: row.fields for row in (*data.train, *data.dev)}


def test_an_edit_changes_one_column_of_one_row_and_the_source_stays(tmp_path: Path) -> None:
    before = make(tmp_path)
    source = (tmp_path / "train.jsonl").read_bytes()
    row = Row("train.jsonl:3", {"text": "row 2", "label": "x", "n": 2})
    add(tmp_path, row, {"label": "y"}, why="seen by hand")
    after = make(tmp_path)
    assert (tmp_path / "train.jsonl").read_bytes() == source
    old, new = rows_of(before), rows_of(after)
    changed = {name for name in old if name in new and old[name] != new[name]}
    assert changed == {"train.jsonl:3"} & set(old)
    assert after.id != before.id
    assert after.making.patches["count"] == 1


def test_a_row_left_out_by_hand_is_in_the_ledger_with_the_reason(tmp_path: Path) -> None:
    make(tmp_path)
    add(tmp_path, Row("train.jsonl:4", {"text": "row 3", "label": "y", "n": 3}), {}, drop=True, why="nonsense")
    data = make(tmp_path)
    assert "train.jsonl:4" not in rows_of(data)
    (reason,) = data.ledger.reasons_of("train.jsonl:4")
    assert reason.name == "by-hand"
    assert "nonsense" in reason.evidence
    assert sum(data.ledger.kept.values()) + len(data.ledger.entries) == sum(data.ledger.read.values())


def test_leaving_out_a_row_that_cleaning_does_not_reach_is_refused(tmp_path: Path) -> None:
    """A sealed test cannot be cleaned by hand, and ood is only asked."""
    sealed = min(make(tmp_path).test.only or ())
    n = int(sealed.rpartition(":")[2]) - 1
    add(tmp_path, Row(sealed, {"text": f"row {n}", "label": "xy"[n % 2], "n": n}), {}, drop=True)
    with pytest.raises(InputError, match=f"1 row left out by hand .* no effect, first {sealed}; remove"):
        make(tmp_path)


def test_an_edit_of_a_row_that_changed_since_is_refused_with_both_values(tmp_path: Path) -> None:
    make(tmp_path)
    add(tmp_path, Row("train.jsonl:1", {"text": "row 0", "label": "x", "n": 0}), {"label": "y"})
    add(tmp_path, Row("gone.jsonl:1", {"text": "a", "label": "x"}), {"label": "y"})
    text = (
        (tmp_path / "train.jsonl").read_text(encoding="utf-8").replace('"row 0", "label": "x"', '"row 0", "label": "z"')
    )
    (tmp_path / "train.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        make(tmp_path)
    assert '"label" was "x"; it is now "z"' in str(caught.value)
    assert "1 edited row is in no source, first gone.jsonl:1" in str(caught.value)


def test_edits_that_change_nothing_or_name_no_column_are_refused(tmp_path: Path) -> None:
    row = Row("train.jsonl:1", {"text": "a", "label": "x"})
    with pytest.raises(InputError, match="has no column lable; its columns: text, label"):
        add(tmp_path, row, {"lable": "y"})
    with pytest.raises(InputError, match="holds these values already"):
        add(tmp_path, row, {"label": "x"})
    assert not (tmp_path / FILE).exists()
    (tmp_path / FILE).write_text('{"row": "a", "colour": 3}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 1: not an edit"):
        Patches.load(tmp_path)


def test_lines_that_were_changed_to_no_edits_are_all_named(tmp_path: Path) -> None:
    """No field may be taken for another kind than it is: a text has letters, and null has none."""
    good = {"row": "train.jsonl:3", "set": {"label": "y"}, "was": {"label": "x"}, "seen": "0" * 16, "over": ["label"]}
    wrong = {
        "over: expected a list of texts": [{**good, "over": value} for value in (None, "label", [1], {"label": 1})],
        "expected the same columns, and text is in one alone": [
            {**good, "was": {"label": "x", "text": "secret"}},
            {**good, "set": {"label": "y", "text": "secret"}},
        ],
        "set: expected an object": [{**good, "set": ["label"]}],
        "seen: expected a text": [{**good, "seen": 1}],
        "after: expected a text": [{**good, "after": None}],
        "drop: expected true or false": [{**good, "drop": "no"}],
        "row: expected a text": [{**good, "row": 3}],
        "it lacks row": [{"drop": True}],
        "expected an object": [["secret"]],
    }
    sentences = [sentence for sentence, records in wrong.items() for _ in records]
    lines = [json.dumps(record) for records in wrong.values() for record in records]
    (tmp_path / FILE).write_bytes("\n".join([json.dumps(good), *lines, ""]).encode() + b'{"why": "\xff"}\n')
    with pytest.raises(InputError) as caught:
        Patches.load(tmp_path)
    assert len(caught.value.problems) == len(lines) + 1
    for number, (sentence, problem) in enumerate(zip(sentences, caught.value.problems, strict=False), 2):
        assert f"{FILE}, line {number}: not an edit that hone wrote: " in problem
        assert sentence in problem
        assert "secret" not in problem


def test_undo_takes_the_cleaning_and_the_edits_of_the_parent(tmp_path: Path) -> None:
    first = record(tmp_path, make(tmp_path))
    add(tmp_path, Row("train.jsonl:1", {"text": "row 0", "label": "x", "n": 0}), {"text": "row zero"})
    second = record(tmp_path, make(tmp_path))
    assert (head(tmp_path), find_version(tmp_path, "head").parent) == (second.id, first.id)
    back = record(tmp_path, make(tmp_path, {"version": first.id[:6]}))
    assert back == first
    assert head(tmp_path) == first.id
    assert {version.id for version in versions(tmp_path)} == {first.id, second.id}
    with pytest.raises(InputError, match="preset would have no effect"):
        make(tmp_path, {"version": first.id, "preset": "none"})
    with pytest.raises(InputError, match='no data version "zzzz'):
        make(tmp_path, {"version": "zzzz00"})


def test_other_ways_to_the_same_rows_are_versions_of_their_own(tmp_path: Path) -> None:
    """Equal content trains to equal models, so runs share its id; how it came about is told apart."""
    first = record(tmp_path, make(tmp_path))
    other = record(tmp_path, make(tmp_path, {"rules": {"duplicate": False}}))
    assert first.data == other.data
    assert first.id != other.id
    assert (other.parent, other.clean) == (first.id, {"rules": {"duplicate": False}})
    assert [rule["name"] for rule in other.rules] != [rule["name"] for rule in first.rules]
    assert len(versions(tmp_path)) == 2
    again = record(tmp_path, make(tmp_path))
    assert again == first
    assert (head(tmp_path), before_head(tmp_path)) == (first.id, other.id)
    with pytest.raises(InputError, match=f"2 data versions begin with .*{first.id}"):
        find_version(tmp_path, first.data)


def test_a_version_taken_again_has_exactly_its_own_edits(tmp_path: Path) -> None:
    task(tmp_path)
    one, two = (Row(f"train.jsonl:{n + 1}", {"text": f"row {n}", "label": "xy"[n % 2], "n": n}) for n in (0, 1))
    add(tmp_path, one, {"label": "y"})
    first = record(tmp_path, make(tmp_path))
    add(tmp_path, two, {"label": "x"})
    record(tmp_path, make(tmp_path))
    lines = (tmp_path / FILE).read_text(encoding="utf-8").splitlines()
    # The lines of other versions may stand before, after, or not at all.
    for kept in ([lines[1], lines[0]], lines, [lines[0]]):
        (tmp_path / FILE).write_text("\n".join(kept), encoding="utf-8")
        assert record(tmp_path, make(tmp_path, {"version": first.id})) == first
    (tmp_path / FILE).write_text(lines[1], encoding="utf-8")
    with pytest.raises(InputError, match=r"made with 1 edits, and 1 of them .* first of train\.jsonl:1"):
        make(tmp_path, {"version": first.id})


def test_editing_again_settles_an_edit_whose_row_has_changed(tmp_path: Path) -> None:
    task(tmp_path)
    path = tmp_path / "train.jsonl"
    add(tmp_path, Row("train.jsonl:1", {"text": "row 0", "label": "x", "n": 0}), {"label": "y"})
    path.write_text(path.read_text().replace('"row 0", "label": "x"', '"row 0", "label": "z"'))
    with pytest.raises(InputError, match="Edit it again"):
        make(tmp_path)
    now = Row("train.jsonl:1", {"text": "row 0", "label": "z", "n": 0})
    assert add(tmp_path, now, {"label": "y"}).was == {"label": "z"}
    assert rows_of(make(tmp_path))["train.jsonl:1"]["label"] == "y"
    # Also to what the source has by now, or as far as the source itself was put right.
    (tmp_path / FILE).unlink()
    add(tmp_path, Row("train.jsonl:1", {"text": "row 0", "label": "x", "n": 0}), {"label": "y"})
    add(tmp_path, now, {"label": "z"})
    assert rows_of(make(tmp_path))["train.jsonl:1"]["label"] == "z"
    (tmp_path / FILE).unlink()
    add(tmp_path, Row("train.jsonl:1", {"text": "row 0", "label": "x", "n": 0}), {"label": "z"})
    assert rows_of(make(tmp_path))["train.jsonl:1"]["label"] == "z"


def inserted(folder: Path, text: str, at: int = 0) -> None:
    """Put lines into the source, above the line of that number (from 0)."""
    path = folder / "train.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines[:at], text, *lines[at:]]), encoding="utf-8")


def said_of(folder: Path, clean: dict[str, object] | None = None) -> tuple[DataVersion, str]:
    lines: list[str] = []
    data = prepare(task(folder, clean), folder, folder / ".hone" / "cache", lines.append)
    return data, "\n".join(lines)


def test_an_edit_follows_its_row_when_lines_are_inserted_above_it(tmp_path: Path) -> None:
    """The row that has the old number by now has the same label, so only its content tells it apart."""
    task(tmp_path)
    three, four = (Row(f"train.jsonl:{n + 1}", {"text": f"row {n}", "label": "xy"[n % 2], "n": n}) for n in (2, 3))
    add(tmp_path, three, {"label": "y"})
    add(tmp_path, four, {}, drop=True)
    before = record(tmp_path, make(tmp_path))
    inserted(tmp_path, '{"text": "new", "label": "x", "n": 98}\n{"text": "newer", "label": "y", "n": 99}\n')
    data, said = said_of(tmp_path)
    assert "2 edited rows have moved and are found by content: train.jsonl:3 is now train.jsonl:5" in said
    assert said.count("rows read from train.jsonl") == 1
    labels = {fields["text"]: fields["label"] for fields in rows_of(data).values()}
    assert (labels["row 2"], labels["row 0"]) == ("y", "x")
    assert "row 3" not in labels
    assert labels.get("row 1", "y") == "y"
    assert data.ledger.reasons_of("train.jsonl:6")[0].name == "by-hand"
    # The version names the row as it is now, is the same when it is made again, and can be taken again.
    version = record(tmp_path, data)
    assert [row for row, _ in version.patches["edits"]] == ["train.jsonl:5", "train.jsonl:6"]
    assert version.id != before.id
    assert record(tmp_path, make(tmp_path, {"version": version.id})).id == version.id


def test_an_edit_of_a_moved_row_goes_on_from_the_edits_that_it_has(tmp_path: Path) -> None:
    made, folder = task(tmp_path), tmp_path
    add(folder, Row("train.jsonl:3", {"text": "row 2", "label": "x", "n": 2}), {"label": "z"})
    inserted(folder, '{"text": "new", "label": "x", "n": 99}\n')
    known, refused = placed(Patches.load(folder), made, folder)
    assert (known.moved, refused) == ([("train.jsonl:3", "train.jsonl:4")], [])
    row = Row("train.jsonl:4", {"text": "row 2", "label": "x", "n": 2})
    assert add(folder, row, {"label": "y"}, known=known).was == {"label": "z"}
    other = Row("train.jsonl:3", {"text": "row 1", "label": "y", "n": 1})
    assert add(folder, other, {"label": "x"}, known=known).was == {"label": "y"}
    for _ in range(3):  # both edits of the row go on together, wherever it is
        labels = {fields["text"]: fields["label"] for fields in rows_of(make(folder)).values()}
        assert (labels["row 2"], labels.get("row 1", "x")) == ("y", "x")
        inserted(folder, '{"text": "newer", "label": "x", "n": 99}\n')
    (folder / "train.jsonl").write_text("".join((folder / "train.jsonl").read_text().splitlines(keepends=True)[3:]))
    assert any(event.step == "edit" and "recorded when" in event.sentence for event in lineage(folder, row.id, made))


def test_edits_whose_row_is_gone_or_there_several_times_are_refused_at_once(tmp_path: Path) -> None:
    task(tmp_path)
    one, two = (Row(f"train.jsonl:{n + 1}", {"text": f"row {n}", "label": "xy"[n % 2], "n": n}) for n in (0, 1))
    first, second = add(tmp_path, one, {"label": "y"}), add(tmp_path, two, {}, drop=True)
    text = (tmp_path / "train.jsonl").read_text(encoding="utf-8").replace('"row 0"', '"row zero"')
    again = text.splitlines(keepends=True)[1]
    (tmp_path / "train.jsonl").write_text(text.replace(again, "", 1) + again + again, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        make(tmp_path)
    gone, several = caught.value.problems
    assert f"the edit of row train.jsonl:1 of {first.at} (sets label) was made on content {first.seen}" in gone
    assert "no other row of train, dev or ood has it" in gone
    assert f"(leaves it out) was made on content {second.seen}" in several
    assert "2 rows have it (train.jsonl:40, train.jsonl:41)" in several
    assert all("remove the line" in problem for problem in caught.value.problems)


def test_rows_of_equal_content_are_told_by_their_id_and_new_columns_do_not_matter(tmp_path: Path) -> None:
    task(tmp_path)
    twin = '{"text": "row 2", "label": "x", "n": 2}\n'
    inserted(tmp_path, twin, 40)
    add(tmp_path, Row("train.jsonl:41", json.loads(twin)), {"label": "y"})
    path = tmp_path / "train.jsonl"
    path.write_text(path.read_text().replace("}", ', "from": "a file"}'))
    data, said = said_of(tmp_path)
    assert "moved" not in said
    kept = rows_of(data)
    assert [kept[row]["label"] for row in ("train.jsonl:3", "train.jsonl:41") if row in kept] == ["x", "y"]


def test_edits_of_two_rows_of_equal_content_never_meet_on_one(tmp_path: Path) -> None:
    task(tmp_path)
    twin = '{"text": "row 2", "label": "x", "n": 2}\n'
    inserted(tmp_path, twin, 40)
    add(tmp_path, Row("train.jsonl:3", json.loads(twin)), {"label": "y"})
    lost = add(tmp_path, Row("train.jsonl:41", json.loads(twin)), {"label": "z"})
    path = tmp_path / "train.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:40]))
    with pytest.raises(InputError, match=r"the one row that has it \(train\.jsonl:3\) may be another") as caught:
        make(tmp_path)
    assert [lost.at in problem and "row train.jsonl:41" in problem for problem in caught.value.problems] == [True]


def test_edits_recorded_without_a_hash_are_applied_and_said_to_be_unchecked(tmp_path: Path) -> None:
    task(tmp_path)
    old = {"row": "train.jsonl:3", "set": {"label": "y"}, "was": {"label": "x"}, "drop": False, "why": "", "at": ""}
    (tmp_path / FILE).write_text(json.dumps(old) + "\n", encoding="utf-8")
    data, said = said_of(tmp_path)
    assert "1 edit was recorded without a hash of the row" in said
    assert rows_of(data)["train.jsonl:3"]["label"] == "y"


def test_the_source_is_read_once_while_every_edit_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[str] = []
    whole = sources.load
    monkeypatch.setattr(sources, "load", lambda *given: (passes.append("load"), whole(*given))[1])
    searched = placing.rows_as_read
    monkeypatch.setattr(placing, "rows_as_read", lambda *given: (passes.append("search"), searched(*given))[1])
    task(tmp_path)
    add(tmp_path, Row("train.jsonl:3", {"text": "row 2", "label": "x", "n": 2}), {"label": "y"})
    make(tmp_path)
    assert passes == ["load"]
    inserted(tmp_path, '{"text": "new", "label": "x", "n": 99}\n')
    make(tmp_path)
    assert passes == ["load", "load", "search", "load"]


def test_rows_are_held_once_while_they_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task(tmp_path)
    add(tmp_path, Row("train.jsonl:3", {"text": "row 2", "label": "x", "n": 2}), {"label": "y"})
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "on top", "label": "x", "n": 99}\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    load, held = sources.load, []

    def loads(*given: Any) -> Any:
        held.append(sum(type(one) is sources.Loaded for one in gc.get_objects()) - before)
        return load(*given)

    monkeypatch.setattr(sources, "load", loads)
    gc.collect()
    before = sum(type(one) is sources.Loaded for one in gc.get_objects())
    assert rows_of(make(tmp_path))["train.jsonl:4"]["label"] == "y"
    assert held == [0, 0]


def test_edits_follow_each_other_and_keep_the_kind_of_a_value(tmp_path: Path) -> None:
    row = Row("a:1", {"n": 1, "label": "x"})
    assert add(tmp_path, row, {"label": "y"}).was == {"label": "x"}
    assert add(tmp_path, row, {"label": "z", "n": True}).was == {"label": "y", "n": 1}
    assert Patches.load(tmp_path).applied(row).fields == {"n": True, "label": "z"}
    assert Patches.load(tmp_path).applied(row).fields["n"] is True
    assert add(tmp_path, row, {"label": "x"}).was == {"label": "z"}
    with pytest.raises(InputError, match="holds these values already"):
        add(tmp_path, row, {"label": "x"})
    add(tmp_path, row, {}, drop=True)
    with pytest.raises(InputError, match="left out by hand already"):
        add(tmp_path, row, {"label": "y"})


def test_edits_and_ledgers_hold_every_kind_of_line_end(tmp_path: Path) -> None:
    """U+0085, U+2028 and U+2029 end a line for Python and not for JSON Lines."""
    ends = "one\u0085two\u2028three\u2029four\x0bfive\x1csix"
    add(tmp_path, Row("a:1", {"text": "x"}), {"text": ends})
    add(tmp_path, Row("a:2", {"text": "x"}), {"text": "y"})
    assert [patch.set["text"] for patch in Patches.load(tmp_path).all] == [ends, "y"]
    entry = Entry(row="a:1", source="train", reasons=(Reason("by-hand", ends),), text=ends)
    ledger = Ledger(read={"train": 1}, kept={}, entries=(entry,))
    assert Ledger.load(ledger.save(tmp_path / "ledger.jsonl")) == ledger


def test_half_a_character_is_a_sentence_and_nothing_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="that UTF-8 cannot hold"):
        add(tmp_path, Row("a:1", {"text": "x"}), {"text": "caf\udce9"})
    assert not (tmp_path / FILE).exists()


def test_edits_at_the_same_time_are_all_recorded(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=add_some, args=(tmp_path, part)) for part in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert sorted(patch.row for patch in Patches.load(tmp_path).all) == sorted(
        f"a:{part}-{n}" for part in range(4) for n in range(5)
    )


def add_some(folder: Path, part: int) -> None:
    for n in range(5):
        add(folder, Row(f"a:{part}-{n}", {"text": "x"}), {"text": "y"})


def test_what_a_writer_that_died_has_left_is_no_version_and_goes(tmp_path: Path) -> None:
    first = record(tmp_path, make(tmp_path))
    left = tmp_path / "versions" / f".part-{first.id}-abc"
    shutil.copytree(tmp_path / "versions" / first.id, left)
    assert versions(tmp_path) == [first]
    assert find_version(tmp_path, "head") == first
    record(tmp_path, make(tmp_path))
    assert not left.exists()


class Killed(BaseException):
    """Stands for a kill that nothing can catch."""


def killed_at(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, call: int) -> None:
    """Let a call of a function be the last thing that happens: what would clean up afterwards does nothing."""
    calls = itertools.count(1)
    whole = getattr(owner, name)

    def dies(*given: object) -> object:
        if next(calls) == call:
            raise Killed
        return whole(*given)

    monkeypatch.setattr(owner, name, dies)
    monkeypatch.setattr(shutil, "rmtree", lambda *given, **options: None)


@pytest.mark.parametrize(
    ("owner", "name", "call", "is_there"),
    [
        (versions_on_disk, "row_digest", 7, False),  # in the middle of the rows
        (Path, "replace", 1, False),  # the ledger is written and has not its name
        (Path, "replace", 2, False),  # nor has the record
        (Path, "replace", 3, False),  # nor has the folder
        (Path, "replace", 4, True),  # the version is whole; the head is still the one before
    ],
)
def test_a_version_whose_writing_was_killed_is_none_and_the_next_run_makes_it(
    tmp_path: Path, owner: object, name: str, call: int, is_there: bool
) -> None:
    first = record(tmp_path, make(tmp_path))
    add(tmp_path, Row("train.jsonl:3", {"text": "row 2", "label": "x", "n": 2}), {"label": "y"})
    data = make(tmp_path)
    with pytest.MonkeyPatch.context() as patching:
        killed_at(patching, owner, name, call)
        with pytest.raises(Killed):
            record(tmp_path, data)
    found, problems = survey_versions(tmp_path)
    assert (first in found, len(found), problems) == (True, 1 + is_there, [])
    assert head(tmp_path) == first.id
    second = record(tmp_path, data)
    assert (second.parent, head(tmp_path), before_head(tmp_path)) == (first.id, second.id, first.id)
    assert {row.id: row.fields for _, row in version_rows(tmp_path, second.id)} == rows_of(data)
    assert version_ledger(tmp_path, second.id) == data.ledger
    assert not list((tmp_path / "versions").glob(".part-*"))


def test_an_edit_whose_recording_was_killed_leaves_the_edits_before_it(
    tmp_path: Path,
) -> None:
    add(tmp_path, Row("a:1", {"text": "x"}), {"text": "y"})
    with pytest.MonkeyPatch.context() as patching:
        killed_at(patching, Path, "replace", 1)
        with pytest.raises(Killed):
            add(tmp_path, Row("a:2", {"text": "x"}), {"text": "y"})
    assert [patch.row for patch in Patches.load(tmp_path).all] == ["a:1"]
    add(tmp_path, Row("a:2", {"text": "x"}), {"text": "y"})
    assert [patch.row for patch in Patches.load(tmp_path).all] == ["a:1", "a:2"]


def test_a_version_on_disk_holds_what_was_kept_and_why_the_rest_was_not(tmp_path: Path) -> None:
    task(tmp_path)
    with (tmp_path / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "ROW 7", "label": "y", "n": 7}\n')
    data = make(tmp_path)
    version = record(tmp_path, data)
    assert version.data == data.id
    kept = list(version_rows(tmp_path, version.id))
    assert {row.id: row.fields for _, row in kept} == rows_of(data)
    assert [split for split, _ in kept] == ["train"] * len(data.train) + ["dev"] * len(data.dev)
    assert version_ledger(tmp_path, version.id) == data.ledger
    assert version.sources[0].name == "train.jsonl"
    assert len(version.sources[0].sha256) == 64
    assert Clean.model_validate(version.clean) == Clean()
    assert {rule["name"]: rule["fails"] for rule in version.rules}["duplicate"] == 1
