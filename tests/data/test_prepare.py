"""Preparing data: no split leaks into another, every row is accounted for, every problem is said at once."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from hone.data.held_out import TEST_SHARE
from hone.data.ledger import DUPLICATE, EMPTY, IN_DEV, IN_TEST, Ledger
from hone.data.patches import add
from hone.data.prepare import DataVersion, check_answers, prepare
from hone.data.read import read
from hone.data.rows import Row, fingerprint
from hone.data.split import position
from hone.errors import InputError
from hone.task.load import load_task
from hone.task.render import task_prompt
from hone.task.spec import Task

FIXTURES = Path(__file__).parent.parent / "data"


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def classify(**data: Any) -> Task:
    return Task.model_validate(
        {"task": "t", "kind": "classify", "data": data, "input": "{text}", "output": "{label}", "target": 0.5}
    )


def labelled(count: int, label: str = "x", word: str = "row") -> list[dict[str, Any]]:
    return [{"text": f"{word} {n}", "label": label} for n in range(count)]


def make(task: Task, folder: Path, **more: Any) -> tuple[DataVersion, list[str]]:
    said: list[str] = []
    return prepare(task, folder, folder / "cache", said.append, **more), said


def keys_of(task: Task, rows: tuple[Row, ...]) -> set[str]:
    return {fingerprint(task_prompt(task, row.fields)) for row in rows}


@pytest.mark.parametrize("name", ["voice", "banking", "shakespeare"])
def test_real_tasks_do_not_leak_and_their_books_add_up(name: str, tmp_path: Path) -> None:
    task = load_task(FIXTURES / name)
    version, said = make(task, shutil.copytree(FIXTURES / name, tmp_path / name))
    train, dev = keys_of(task, version.train), keys_of(task, version.dev)
    assert not train & dev
    assert not train & version.test.fingerprints
    assert not dev & version.test.fingerprints
    ledger = version.ledger
    assert sum(ledger.kept.values()) + len(ledger.entries) == sum(ledger.read.values())
    assert Ledger.load(tmp_path / name / "cache" / f"ledger-{version.id}.jsonl") == ledger
    assert any(version.id in line for line in said)
    again, _ = make(task, tmp_path / name)
    assert (again.id, again.train, again.dev, again.test) == (version.id, version.train, version.dev, version.test)


def test_known_defects_of_the_voice_cut_come_out(tmp_path: Path) -> None:
    task = load_task(FIXTURES / "voice")
    version, said = make(task, shutil.copytree(FIXTURES / "voice", tmp_path / "voice"))
    assert version.counts["test_rows_in_train"] == 2
    assert version.counts["conflicting_texts"] == 1
    assert version.counts["train_read"] == 290
    # One conflict, and the first row again in capital letters with its answer.
    assert version.counts["folded_duplicates"] == 2
    assert version.ledger.counts() == {IN_TEST: 2, DUPLICATE: 1}
    assert any("(2 test rows)" in line for line in said)
    assert any("conflicting answers: 1" in line for line in said)


def test_published_defects_of_the_whole_voice_set_come_out(tmp_path: Path) -> None:
    folder = Path(str(resources.files("hone"))) / "examples" / "voice"
    version = prepare(load_task(folder), folder, tmp_path, lambda line: None)
    facts = ("train_read", "test", "test_rows_in_train", "folded_duplicates", "conflicting_texts", "dev")
    assert [version.counts[fact] for fact in facts] == [13_784, 700, 18, 251, 5, 700]
    rows = [row for row in read("train.jsonl.gz", folder) if isinstance(row, Row)]
    assert sum(any(isinstance(value, list) for value in row.fields["slots"].values()) for row in rows) == 61


def test_the_split_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    task = load_task(FIXTURES / "voice")
    first, _ = make(task, shutil.copytree(FIXTURES / "voice", tmp_path / "a"))
    shutil.copytree(FIXTURES / "voice", tmp_path / "b")
    rows = (tmp_path / "b" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    random.Random(1).shuffle(rows)
    (tmp_path / "b" / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
    second, _ = make(task, tmp_path / "b")
    assert keys_of(task, first.dev) == keys_of(task, second.dev)
    assert keys_of(task, first.train) == keys_of(task, second.train)


def test_rows_of_test_and_of_a_dev_file_leave_the_earlier_split_with_all_reasons(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", [*labelled(10), {"text": "ROW 3!", "label": "x"}, {"text": " ", "label": "x"}])
    lines(
        tmp_path / "dev.jsonl",
        [{"text": "Row 3", "label": "x"}, {"text": "row 4", "label": "x"}, *labelled(2, word="d")],
    )
    lines(tmp_path / "test.jsonl", [{"text": "row, 4", "label": "x"}, {"text": "row 5", "label": "x"}])
    version, _ = make(classify(train="train.jsonl", dev="dev.jsonl", test="test.jsonl"), tmp_path)
    reasons = {entry.row: [reason.name for reason in entry.reasons] for entry in version.ledger.entries}
    assert reasons == {
        "train.jsonl:4": [IN_DEV, DUPLICATE],
        "train.jsonl:5": [IN_TEST, IN_DEV, DUPLICATE],
        "train.jsonl:6": [IN_TEST],
        "train.jsonl:11": [IN_DEV, DUPLICATE],
        "train.jsonl:12": [EMPTY],
        "dev.jsonl:2": [IN_TEST],
    }
    assert version.ledger.reasons_of("train.jsonl:11")[1].evidence == "exact.survivor dev.jsonl:1; exact.size 3"
    assert (len(version.train), len(version.dev), version.test.n) == (7, 3, 2)


def test_duplicates_leave_only_with_the_same_answer_and_only_when_asked(tmp_path: Path) -> None:
    rows = [*labelled(20), {"text": "Row 1?", "label": "x"}, {"text": "row 2", "label": "y"}, *labelled(3, "y", "why")]
    lines(tmp_path / "train.jsonl", rows)
    task = classify(train="train.jsonl", dev=2)
    version, said = make(task, tmp_path)
    assert version.ledger.counts() == {DUPLICATE: 1}
    assert (version.counts["folded_duplicates"], version.counts["conflicting_texts"]) == (2, 1)
    assert any("train.jsonl:3 / train.jsonl:22" in line for line in said)
    kept, _ = make(task.model_copy(update={"clean": task.clean.model_copy(update={"preset": "none"})}), tmp_path)
    assert kept.ledger.counts() == {}


def test_without_a_test_file_one_is_hashed_out_and_said(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", labelled(300))
    version, said = make(classify(train="train.jsonl"), tmp_path)
    assert 15 < version.test.n < 50
    assert version.test.n + len(version.dev) + len(version.train) == 300
    assert any(f"names no test file, so {version.test.n} rows ({version.test.n / 300:.1%})" in line for line in said)


def test_a_test_that_is_hashed_out_is_sealed_before_anything_is_measured(tmp_path: Path) -> None:
    rows = labelled(300, word="passage")
    # The second of two rows that fold alike cannot stay in train when the first is in the test.
    lines(tmp_path / "train.jsonl", [*rows, *({**row, "text": row["text"].upper()} for row in rows)])
    version, _ = make(classify(train="train.jsonl"), tmp_path)
    test = version.test.read(lambda reason: None, "a test")
    stored = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    held = [str(row.fields["text"]) for row in test]
    assert len(held) > 15
    assert not [text for text in held if f'"{text}"'.encode() in stored]
    gone = {entry.row: [reason.name for reason in entry.reasons] for entry in version.ledger.entries}
    twins = {f"train.jsonl:{int(row.id.split(':')[1]) + 300}" for row in test}
    assert {row for row, reasons in gone.items() if IN_TEST in reasons} == twins


def test_labels_that_a_split_alone_has_are_named(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", [*labelled(20, "cash"), *labelled(20, "card", "card")])
    lines(tmp_path / "test.jsonl", [{"text": "t", "label": "top_up"}, {"text": "u", "label": "Card"}])
    version, said = make(classify(train="train.jsonl", dev=4, test="test.jsonl"), tmp_path)
    assert version.labels == ("card", "cash")
    assert version.test_only_labels == ("Card", "top_up")
    assert any('only test has, so no model can learn them: 2 ("Card", "top_up")' in line for line in said)
    assert any("differ by case or spaces alone" in line and "'Card', 'card'" in line for line in said)


def test_all_problems_of_all_sources_are_raised_at_once(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        *labelled(6),
        {"text": None, "label": "x"},
        {"text": [1], "label": "x"},
        {"text": "no label"},
    ]
    rows += [{"text": {}, "label": {}}, {"text": None, "label": "x"}]
    lines(tmp_path / "train.jsonl", rows)
    (tmp_path / "train.jsonl").open("a").write("{broken\n")
    (tmp_path / "test.jsonl").write_text("")
    lines(tmp_path / "ood.jsonl", [{"txt": "a", "label": "x"}])
    task = classify(train="train.jsonl", dev="dve.jsonl", test="test.jsonl", ood="ood.jsonl")
    with pytest.raises(InputError) as caught:
        make(task, tmp_path)
    text = "\n".join(caught.value.problems)
    assert 'output names the column "label" and 1 of 12 rows lack it, first train.jsonl:9' in text
    assert (
        'field "text": expected text; train.jsonl:7 has null; train.jsonl:8 has a list of 1; train.jsonl:10 has' in text
    )
    assert "; and 1 more" in text
    assert "1 bad row of 12: expected one whole JSON object per line; train.jsonl:12 has" in text
    assert "data.test (test.jsonl): holds no rows" in text
    assert (
        'input names the column "text" and no row has it, first ood.jsonl:1; did you mean "txt"? (columns: txt, label)'
        in text
    )
    assert "dve.jsonl: there is no such file" in text


def test_one_file_for_two_splits_is_refused(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", labelled(10))
    lines(tmp_path / "test.jsonl", labelled(10, word="t"))
    with pytest.raises(InputError, match=r"data\.test: .*test\.jsonl is also read as data\.train"):
        make(classify(train="*.jsonl", test="test.jsonl"), tmp_path)


def test_nothing_left_is_an_error_with_counts(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", labelled(10))
    lines(tmp_path / "test.jsonl", labelled(10))
    with pytest.raises(InputError, match="0 of 10 train rows"):
        make(classify(train="train.jsonl", dev=2, test="test.jsonl"), tmp_path)


def test_files_of_one_name_in_two_splits_have_ids_of_their_own(tmp_path: Path) -> None:
    for split, word in (("train", "a"), ("dev", "b")):
        (tmp_path / split).mkdir()
        lines(tmp_path / split / "rows.jsonl", labelled(20, word=word))
    version, _ = make(classify(train="train/rows.jsonl", dev="dev/rows.jsonl"), tmp_path)
    assert version.train[0].id.startswith("rows.jsonl:")
    assert version.dev[0].id == "dev/rows.jsonl:1"


def test_python_rows_take_the_place_of_a_file_and_are_checked(tmp_path: Path) -> None:
    task = classify(train="nowhere.jsonl", dev=3)
    version, _ = make(task, tmp_path, rows={"train": labelled(40), "test": iter(labelled(5, word="t"))})
    assert (version.test.n, len(version.dev), len(version.train)) == (5, 3, 37)
    assert len(version.test.read(lambda reason: None, "a test")) == 5
    with pytest.raises(InputError) as caught:
        make(
            task, tmp_path, rows={"train": [{"text": "\ud800", "label": "x"}, 3, {"text": float("nan"), "label": "x"}]}
        )
    assert len(caught.value.problems) == 3
    with pytest.raises(InputError, match='"tset" have no place; did you mean "test"'):
        make(task, tmp_path, rows={"tset": []})


def test_the_id_follows_the_content(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", labelled(40))
    task = classify(train="train.jsonl", dev=4)
    first, _ = make(task, tmp_path)
    bigger_dev, _ = make(classify(train="train.jsonl", dev=5), tmp_path)
    lines(tmp_path / "train.jsonl", [*labelled(39), {"text": "row 39", "label": "X"}, {"text": "z", "label": "X"}])
    other, _ = make(task, tmp_path)
    assert len({first.id, bigger_dev.id, other.id}) == 3


def test_an_edit_by_hand_moves_no_row_into_the_test_that_is_hashed_out_of_train(tmp_path: Path) -> None:
    """The text typed by hand is one that, read from the source, would have been hashed out for the test."""
    lines(tmp_path / "train.jsonl", [{"text": f"row {n}", "label": "xy"[n % 2]} for n in range(60)])
    typed = next(text for n in range(1000) if position(fingerprint(text := f"typed {n}"), "test") < TEST_SHARE)
    before, _ = make(classify(train="train.jsonl"), tmp_path)
    row = before.train[0]
    add(tmp_path, row, {"text": typed})
    # And a line written by hand moves none out of it.
    lost = next(n for n in range(60) if f"train.jsonl:{n + 1}" not in {row.id for row in (*before.train, *before.dev)})
    add(
        tmp_path, Row(f"train.jsonl:{lost + 1}", {"text": f"row {lost}", "label": "xy"[lost % 2]}), {"text": "now free"}
    )
    after, _ = make(classify(train="train.jsonl"), tmp_path)
    assert after.test.digest == before.test.digest
    assert {"text": typed, "label": row.fields["label"]} in [other.fields for other in (*after.train, *after.dev)]


@pytest.mark.parametrize(
    ("kind", "same", "other"),
    [("classify", "x", "y"), ("multi-label", ["x", "y"], ["y"]), ("tag", [], [{"type": "x", "start": 0, "end": 3}])],
)
def test_answers_that_are_all_the_same_teach_nothing_and_one_other_is_enough(
    tmp_path: Path, kind: str, same: Any, other: Any
) -> None:
    lines(tmp_path / "rows.jsonl", [{"text": f"row {n}", "label": same} for n in range(20)])
    values = {"task": "t", "kind": kind, "data": {"train": "rows.jsonl", "dev": 4}, "input": "{text}"}
    task = Task.model_validate({**values, "output": "{label}", "target": 0.5})
    version, _ = make(task, tmp_path)
    with pytest.raises(InputError, match=rf"nothing can be learned.*all {len(version.train)} training rows"):
        check_answers(task, version)
    more = Row(id="rows.jsonl:21", fields={"text": "row 20", "label": other})
    check_answers(task, replace(version, train=(*version.train, more)))


def test_a_dev_split_that_proves_less_than_a_coin_is_named_with_its_rows(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", labelled(20))
    for count in (1, 3, 4):
        lines(tmp_path / "dev.jsonl", labelled(count, word="other"))
        _, said = make(classify(train="train.jsonl", dev="dev.jsonl"), tmp_path)
        found = [line for line in said if line.startswith("dev has only")]
        # Wilson's interval of n right out of n begins at n / (n + 1.96 ** 2): 0.51 of four rows.
        low = count / (count + 1.96**2)
        assert [f" {low:.2f} or more" in line for line in found] == [True] * (low < 0.5)
