"""What the columns of bare files are taken for, and that no guess costs a row."""

from __future__ import annotations

import itertools
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.data.columns import BESIDE_NAMES
from hone.data.formats import converted
from hone.data.parts import Joined
from hone.data.read import read
from hone.data.rows import Bad, Row, canonical
from hone.data.survey import Survey, Wishes, survey_files
from hone.data.table import TextRow
from hone.data.view import View, view_of_rows
from hone.task.spec import Clean

Fields = dict[str, Any]
FORMATS = Path(__file__).parent / "formats"


def rows(*many: Fields) -> list[Row]:
    return [Row(f"f:{number}", fields) for number, fields in enumerate(many, 1)]


def seen(*many: Fields, **given: str) -> tuple[View, list[TextRow]]:
    sample = rows(*many)
    view = view_of_rows(sample, **given)
    return view, [view.row(row, "f", "train") for row in sample]


def kept(folder: Path, *many: Fields, **wishes: Any) -> int:
    (folder / "rows.jsonl").write_text("".join(json.dumps(fields) + "\n" for fields in many))
    found = surveyed(folder, "rows.jsonl", **wishes)
    return int(found.decisions.keep.sum())


def surveyed(folder: Path, source: str, **wishes: Any) -> Survey:
    cache = folder / ".cache"
    return survey_files(
        [source], folder, Clean(preset="task"), cache, lambda line: None, wishes=Wishes(**wishes), looking=False
    )


# Labels.


@pytest.mark.parametrize("name", sorted(BESIDE_NAMES))
def test_what_is_said_about_rows_is_no_label_and_no_text(name: str, tmp_path: Path) -> None:
    many = [{"text": f"row {n} has words of its own", name: ("en", "fr", None)[n % 3]} for n in range(12)]
    view, _ = seen(*many)
    assert view.label is None
    assert view.text_columns == ("text",)
    assert kept(tmp_path, *many) == 12


def test_a_column_of_few_values_is_offered_and_not_taken() -> None:
    view, _ = seen(*({"text": f"row {n}", "kind": f"k{n % 2}", "lang": f"l{n % 2}"} for n in range(12)))
    assert view.label is None
    assert 'no label (none is named so; of few values: "kind")' in view.sentence


def test_rows_without_a_label_stay_unless_the_label_is_given(tmp_path: Path) -> None:
    many = [{"text": f"row {n} says", "label": ("a", "b", None, " ")[n % 4]} for n in range(12)]
    view, made = seen(*many)
    assert [row.label for row in made[:4]] == ["a", "b", None, None]
    assert "3 of them have none" in view.sentence
    assert kept(tmp_path, *many) == 12
    assert kept(tmp_path, *many, label="label") == 6


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (["a"], "1 distinct value in the first 1 row"),
        (["a"] * 9, "1 distinct value in the first 9 rows"),
        (["a", "b"], "2 distinct values in the first 2 rows"),
        ([f"l{n}" for n in range(30)], "30 distinct values in the first 30 rows"),
        ([1, 2, 3] * 3, "3 distinct values in the first 9 rows"),
        ([1.0, 2.0, None] * 3, "2 distinct values in the first 9 rows; 3 of them have none"),
        (["True ", "true", 1, True] * 3, "3 distinct values, flag and number and text mixed in the first 12 rows"),
        ([None, 1, "1", True, 2.0] * 2, "3 distinct values, flag and number and text mixed in the first 10 rows"),
    ],
)
def test_a_column_named_label_is_one_and_counted_as_its_rows_are(labels: list[Any], named: str) -> None:
    view, made = seen(*({"text": f"row {n}", "label": label} for n, label in enumerate(labels)))
    assert named in view.sentence
    counted = len({row.label for row in made if row.label is not None})
    assert named.startswith(f"{counted} distinct value")


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ([n / 7 for n in range(9)], "holds numbers with decimals"),
        ([[n] for n in range(9)], "holds lists or objects"),
        (["word " * 50] * 9, "holds texts of 250 characters"),
        ([None] * 9, "is empty in the first 9 rows"),
    ],
)
def test_a_column_named_label_that_is_none_is_told(labels: list[Any], fault: str) -> None:
    view, _ = seen(*({"text": f"row {n}", "label": label} for n, label in enumerate(labels)))
    assert view.label is None
    assert f'no label ("label" {fault}' in view.sentence


# Texts.


@pytest.mark.parametrize(
    "names",
    [
        ("premise", "hypothesis"),
        ("sentence1", "sentence2"),
        ("title", "body"),
        ("context", "question"),
        ("Subject", "Message"),
    ],
)
def test_what_belongs_together_is_compared_together(names: tuple[str, str], tmp_path: Path) -> None:
    same, other = names
    many = [{same: "One and the same text.", other: f"another {n}", "label": "x"} for n in range(4)]
    many += [{same: f"another {n}", other: "One and the same text.", "label": "x"} for n in range(4)]
    _, made = seen(*many)
    assert made[0].input == "One and the same text.\nanother 0"
    assert kept(tmp_path, *many, many[0]) == 8


def test_a_question_on_a_text_is_asked_with_it() -> None:
    _, made = seen(*({"context": f"text {n}", "question": "who?", "answer": f"name {n}"} for n in range(4)))
    assert (made[1].input, made[1].answer) == ("text 1\nwho?", "name 1")


def test_a_question_beside_texts_of_any_name_is_not_all_of_a_row(tmp_path: Path) -> None:
    many: list[Fields] = [{"question": "One and the same?", "candidate": f"it is {n}"} for n in range(6)]
    assert seen(*many)[0].text_columns == ("candidate",)
    assert kept(tmp_path, *many) == 6
    many[0]["question"] = "Another one?"
    assert seen(*many)[0].text_columns == ("question", "candidate")
    alone = [{"question": f"What is {n}?", "candidate": "always the same", "url": f"k{n}"} for n in range(6)]
    assert seen(*alone)[0].text_columns == ("question",)


@pytest.mark.parametrize(
    "many",
    [
        [{"question": f"is it {n}", "a": a, "b": b} for n in range(5) for a in ("red", "blue") for b in ("one", "two")],
        [{"query": f"is it {n % 2}", "option": n} for n in range(12)],
        [{"query": f"is it {n % 2}", "options": [n, "a"]} for n in range(12)],
        [{"sentence": f"it is {n % 2}", "tone": "glad"} if n < 2 else {"sentence": f"it is {n % 2}"} for n in range(4)],
        [
            *({"prompt": "which", "chosen": f"c{n % 3}", "rejected": f"r{n}"} for n in range(6)),
            *({"prompt": f"say {n}", "note": "some words of ours"} for n in range(6)),
        ],
    ],
)
def test_one_word_or_number_beside_a_question_tells_rows_apart(many: list[Fields], tmp_path: Path) -> None:
    assert kept(tmp_path, *many) == len(many)
    assert kept(tmp_path, *many, *many) == len(many)


_NAMES = ("beitrag", "thema", "ort", "satz")
_WORDS = st.text("ab ", max_size=6) | st.none()
_FIELDS = st.lists(
    st.fixed_dictionaries({"beitrag": _WORDS, "thema": _WORDS}, optional={"ort": _WORDS, "satz": _WORDS}),
    min_size=1,
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(_FIELDS)
def test_a_text_that_nobody_named_is_all_that_differs_between_rows(many: list[Fields]) -> None:
    view, made = seen(*many)
    if view.kind == "table":
        return
    filled = [name for name in _NAMES if any(fields.get(name) not in (None, "") for fields in many)]
    differing = {name for name in filled if len({fields.get(name) or "" for fields in many}) > 1}
    assert set(view.text_columns) == (differing or set(filled))
    said = [" ".join(fields.get(name) or "" for name in view.text_columns).split() for fields in many]
    for row, words in zip(made, said, strict=True):
        assert row.input.split() == words


def test_a_licence_that_few_rows_have_is_no_text(tmp_path: Path) -> None:
    many: list[Fields] = [{"beitrag": f"text {n}"} for n in range(40)]
    many[3] = {"beitrag": "text 3", "licence": "a very long text which one row alone has"}
    assert seen(*many)[0].text_columns == ("beitrag",)
    assert kept(tmp_path, *many) == 40


def test_numbers_and_objects_beside_a_text_that_nobody_named_tell_rows_apart(tmp_path: Path) -> None:
    for part in (lambda n: n, lambda n: n / 3, lambda n: {"wo": n}, lambda n: [n], lambda n: f"{n}"):
        many = [{"sorte": ("rot wie Wein", "blau")[n % 2], "preis": part(n)} for n in range(20)]
        view, _ = seen(*many)
        assert '"sorte" and "preis" joined' in view.sentence
        assert kept(tmp_path, *many, *many) == 20
    assert seen(*({"sorte": "rot", "preis": n} for n in range(20)))[0].kind == "table"


_COLUMNS = ("text", "title", "body", "question", "beitrag", "label", "target", "lang", "preis")
_FULL = st.sampled_from(["a", "A b", "a b c"])
_KINDS = {"preis": st.integers(0, 2), "label": _FULL | st.sampled_from(["", None]), "lang": st.none() | _FULL}
_ROWS = st.sets(st.sampled_from(_COLUMNS), min_size=1).flatmap(
    lambda names: st.lists(
        st.fixed_dictionaries({name: _KINDS.get(name, _FULL) for name in sorted(names)}),
        min_size=1,
        max_size=12,
    )
)


@settings(max_examples=150, deadline=None)
@given(_ROWS)
def test_rows_that_were_cleaned_are_guessed_so_that_none_repeats_another(many: list[Fields]) -> None:
    once = different(many)
    assert different(once) == once


def different(many: list[Fields]) -> list[Fields]:
    """Rows without those that repeat an earlier one, as bare files are cleaned."""
    view = view_of_rows(rows(*many))
    found: dict[Any, Fields] = {}
    for row, fields in zip(rows(*many), many, strict=True):
        made = view.row(row, "f", "train")
        words = made.input.lower().split()
        if words:
            found.setdefault((*words, "|", made.answer if made.label is None else made.label), fields)
    return list(found.values())


def test_a_mean_says_which_rows_it_is_of() -> None:
    view, _ = seen(*({"beitrag": "words"} for _ in range(8)))
    assert "5 characters on average in the first 8 rows" in view.sentence
    assert "1 character on average in the first 1 row)" in seen({"beitrag": "a"})[0].sentence


@pytest.mark.parametrize("name", ["text", "TEXT", "Text ", " text"])
@pytest.mark.parametrize("texts", [["row one"], ["row one", "row two"], ["row one"] * 2, ["", ""]])
def test_a_column_named_text_is_the_text_however_few_rows(name: str, texts: list[str]) -> None:
    view, made = seen(*({name: text, "other": 3} for text in texts))
    assert view.text_columns == (name,)
    assert [row.text for row in made] == texts


def test_a_column_named_text_of_a_database_is_the_text(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "few.db") as base:
        base.execute("CREATE TABLE t (text, label)")
        base.executemany("INSERT INTO t VALUES (?, ?)", [("row one", 1), ("row two", 2)])
    found = surveyed(tmp_path, "few.db")
    assert found.view.text_columns == ("text",)
    assert found.columns.column("label").to_pylist() == ["1", "2"]


def test_a_row_needs_one_of_the_columns_that_are_joined() -> None:
    view, _ = seen(*({"title": f"t {n}", "body": f"b {n}"} for n in range(4)))
    assert view.lacking(Row("f:9", {"title": "alone"})) is None
    assert view.row(Row("f:9", {"title": "alone", "body": None}), "f", "train").input == "alone"
    bad = view.lacking(Row("f:9", {"other": "x"}))
    assert bad is not None
    assert "title, body" in bad.expected
    assert Joined(columns=("a", "b"))({"a": "x", "b": " "}) == "x"


# Rows of several schemas.

SCHEMAS = ("glaive_toolcall_en_demo", "alpaca_en_demo", "dpo_en_demo")


@pytest.mark.parametrize("names", list(itertools.permutations(SCHEMAS)))
def test_what_one_schema_has_and_another_has_not_makes_no_row_bad(names: tuple[str, ...], tmp_path: Path) -> None:
    for number, name in enumerate(names):
        (tmp_path / f"{number}.json").write_text((FORMATS / f"{name}.json").read_text())
    found = surveyed(tmp_path, "*.json")
    made = found.measured.store.take(range(found.measured.store.num_rows)).to_pylist()
    assert {row["source"] for row in made} == {"0.json", "1.json", "2.json"}
    for row in made:
        fields = json.loads(row["fields"])
        answers = [fields.get(name) for name in ("completion", "chosen_text", "rejected_text")]
        assert row["answer"] == "\n\n".join(answer for answer in answers if answer)
        assert row["input"].endswith(fields["prompt"])


def test_a_row_without_tools_is_asked_without_them() -> None:
    turns = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    raw = [{"conversations": turns, "tools": '[{"name": "f"}]'}, {"conversations": turns, "tools": ""}]
    sample = [row for row in converted(iter(rows(*raw)), lambda line: None) if isinstance(row, Row)]
    view = view_of_rows(sample)
    tools, none = (view.row(row, "f", "train").input for row in sample)
    assert tools.endswith(f"\n\n{none}")
    assert view.lacking(Row("f:3", {"prompt": "hi", "completion": "hello"})) is None
    assert view.lacking(Row("f:3", {"tools": "[]", "completion": "hello"})) is not None


def test_rows_of_several_schemas_that_were_cleaned_into_one_file_are_read_again(tmp_path: Path) -> None:
    kept_rows: list[Fields] = []
    for name in SCHEMAS:
        stream = converted(read(f"{name}.json", FORMATS), lambda line: None)
        kept_rows += [dict(row.fields) for row in stream if isinstance(row, Row)]
    (tmp_path / "kept.jsonl").write_text("\n".join(map(canonical, kept_rows)))
    made = list(converted(read("kept.jsonl", tmp_path), lambda line: None))
    assert len(made) == len(kept_rows)
    for row, fields in zip(made, kept_rows, strict=True):
        assert isinstance(row, Row)
        assert {name: row.fields[name] for name in fields} == fields
    broken = {"instruction": None, "output": "x", "prompt": "p", "completion": "c"}
    sample = [*rows(*[{"instruction": "say", "output": "yes"}] * 9), Row("f:10", broken)]
    assert sum(isinstance(row, Bad) for row in converted(iter(sample), lambda line: None)) == 1


@pytest.mark.parametrize("names", [("question", "choice"), ("frage", "wahl"), ("title", "note")])
def test_a_test_of_more_texts_is_found_by_that_which_training_rows_have(names: tuple[str, str], tmp_path: Path) -> None:
    asked = [f"What is the name of the river number {n}?" for n in range(8)]
    (tmp_path / "test.jsonl").write_text(
        "\n".join(json.dumps({names[0]: text, names[1]: f"one of {n}"}) for n, text in enumerate(asked[:2]))
    )
    assert kept(tmp_path, *({"text": text} for text in asked), test="test.jsonl") == 6
