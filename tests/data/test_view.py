"""How rows become rows of the text table, with a task and without, and what a change of text may touch."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hone.data.formats import converted
from hone.data.read import read
from hone.data.rows import Row, canonical
from hone.data.table import TextRow
from hone.data.view import View, transformed, view_of_rows, view_of_task
from hone.errors import InputError
from hone.task.load import load_task, parse_task
from hone.task.render import task_prompt, task_reference

FIXTURES = Path(__file__).parent


def task(kind: str, output: str, prompt: str | None = "{text}") -> Any:
    given_input = "" if prompt is None else f"input: {json.dumps(prompt)}\n"
    return parse_task(f"task: t\nkind: {kind}\ndata: {{train: t.jsonl}}\n{given_input}output: {output}\ntarget: 0.5\n")


def shown(view: View, **fields: Any) -> TextRow:
    return view.row(Row("t.jsonl:1", fields), "t.jsonl", "train")


def rows(*many: dict[str, Any]) -> list[Row]:
    return [Row(f"f:{number}", fields) for number, fields in enumerate(many, 1)]


# With a task.


def test_each_kind_of_task_says_what_is_text_input_answer_and_label() -> None:
    row = shown(view_of_task(task("classify", "'{label}'")), text="hi", label=3)
    assert (row.text, row.input, row.answer, row.label) == ("hi", "hi", None, "3")
    row = shown(view_of_task(task("extract", "{place: '{place}', n: '{n}'}")), text="to Rome", place="Rome", n=[1])
    assert (row.text, row.input, row.answer, row.label) == ("to Rome", "to Rome", '{"n":[1],"place":"Rome"}', None)
    row = shown(view_of_task(task("generate", "'{a}'", "Q: {text}")), text="2+2?", a="4")
    assert (row.text, row.input, row.answer, row.label) == ("Q: 2+2?\n\n4", "Q: 2+2?", "4", None)
    row = shown(view_of_task(task("language-model", "'{text}'", None)), text="Once.")
    assert (row.text, row.input, row.answer, row.label) == ("Once.", "Once.", None, None)
    assert (row.row, row.source, row.split, row.fields) == ("t.jsonl:1", "t.jsonl", "train", '{"text":"Once."}')


@pytest.mark.parametrize("name", ["voice", "banking", "shakespeare"])
def test_a_view_agrees_with_the_renderer_on_real_rows(name: str) -> None:
    real = load_task(FIXTURES / name)
    view = view_of_task(real)
    for row in read(real.data.train, FIXTURES / name):
        assert isinstance(row, Row)
        made = view.row(row, "s", "train")
        assert made.input == task_prompt(real, row.fields)
        reference = task_reference(real, row.fields)
        assert made.label == (reference if real.kind == "classify" else None)
        assert made.answer == (canonical(reference) if real.kind == "extract" else None)
        assert made.fields == canonical(row.fields)


def test_columns_that_carry_text_leave_the_label_out() -> None:
    assert view_of_task(task("classify", "'{label}'", "{title}: {text}")).text_columns == ("title", "text")
    assert view_of_task(task("generate", "'{a}'")).text_columns == ("text", "a")
    assert view_of_task(task("language-model", "'{text}'", None)).text_columns == ("text",)


def test_a_missing_column_is_an_error_with_the_nearest() -> None:
    with pytest.raises(InputError, match='no column "text"; did you mean "txt"'):
        shown(view_of_task(task("generate", "'{a}'")), txt="x", a="y")


def test_views_travel_to_workers_and_are_described_by_plain_values() -> None:
    views = [view_of_task(task("generate", output)) for output in ("'{a}'", "'{b}'")]
    views += [view_of_rows(rows({"text": "a b"}, {"text": "c"})), view_of_rows(rows({"body": "a b"}, {"body": "c"}))]
    for view in views:
        assert pickle.loads(pickle.dumps(view)) == view
    assert len({json.dumps(view.describe()) for view in views}) == len(views)


# Without a task.


def test_the_longest_text_is_the_text_and_a_named_column_the_label() -> None:
    sample = rows(*({"id": n, "kind": "a" * 3, "note": "word " * n, "label": n % 2} for n in range(1, 30)))
    view = view_of_rows(sample)
    assert (view.kind, view.text_columns) == ("classify", ("note",))
    row = shown(view, id=1, kind="aaa", note="hello", label=1)
    assert (row.text, row.label, row.answer) == ("hello", "1", None)
    assert 'text = "note"' in view.sentence
    assert "(2 distinct values in the first 29 rows)" in view.sentence
    assert "--text" in view.sentence


def test_prompt_and_answer_are_known_by_their_names() -> None:
    view = view_of_rows(rows(*({"question": f"what is {n}", "answer": f"it is {n} " * 20} for n in range(9))))
    assert (view.kind, view.text_columns) == ("generate", ("question", "answer"))
    assert shown(view, question="a", answer="b").text == "a\n\nb"


def test_real_files_without_a_task() -> None:
    sample = [row for row in read("train.csv", FIXTURES / "banking") if isinstance(row, Row)]
    banking = view_of_rows(sample)
    assert (banking.kind, banking.text_columns) == ("classify", ("text",))
    assert f"8 distinct values in the first {len(sample)} rows" in banking.sentence
    plays = view_of_rows([row for row in read("train.txt", FIXTURES / "shakespeare") if isinstance(row, Row)])
    assert (plays.kind, plays.text_columns) == ("language-model", ("text",))


def test_a_column_of_few_values_is_a_label_only_where_it_is_given() -> None:
    sample = rows(*({"text": f"some text {n}", "repo": f"r{n % 3}", "licence": f"l{n % 2}"} for n in range(30)))
    view = view_of_rows(sample)
    assert view.label is None
    assert 'of few values: "repo"' in view.sentence
    assert shown(view_of_rows(sample, label="licence"), text="t", repo="r", licence="l").label == "l"


def test_columns_may_be_given_and_a_wrong_one_names_the_nearest() -> None:
    sample = rows(*({"a {odd} name": f"text {n}", "body": "x", "tag": "t"} for n in range(5)))
    view = view_of_rows(sample, text="body", answer="a {odd} name", label="tag")
    row = shown(view, **{"a {odd} name": "text 1", "body": "x", "tag": "t"})
    assert (row.input, row.answer, row.label, row.text) == ("x", "text 1", "t", "x\n\ntext 1")
    with pytest.raises(InputError) as caught:
        view_of_rows(sample, text="boddy", label="tga")
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        'text names the column "boddy", which the data has not',
        'label names the column "tga", which the data has not',
    ]


def test_rows_without_text_are_a_table() -> None:
    view = view_of_rows(rows(*({"x": n, "y": [n]} for n in range(9))))
    assert view.kind == "table"
    row = shown(view, x=1, y=[1, {"z": None}])
    assert (row.text, row.input) == ("1\n1", '{"x":1,"y":[1,{"z":null}]}')


def test_null_and_missing_columns_of_bare_rows_are_empty() -> None:
    view = view_of_rows(rows(*({"question": f"q {n}", "answer": f"a long answer {n}"} for n in range(9))))
    row = shown(view, question=None)
    assert (row.text, row.input, row.answer) == ("", "", None)


def test_rows_of_a_schema_are_seen_through_it() -> None:
    pairs = {"prompt": "2 + 2?", "chosen": {"role": "assistant", "content": "4"}}
    pairs["rejected"] = {"role": "assistant", "content": "5"}
    sample = [row for row in converted(iter(rows(pairs, pairs)), lambda line: None) if isinstance(row, Row)]
    view = view_of_rows(sample)
    row = view.row(sample[0], "f", "train")
    assert (row.input, row.answer, row.text) == ("2 + 2?", "4", "2 + 2?\n\n4\n\n5")
    assert view.kind == "generate"
    assert "preference pairs (DPO)" in view.sentence
    verdicts = {"prompt": "2 + 2?", "completion": "5", "label": False}
    sample = [row for row in converted(iter(rows(verdicts)), lambda line: None) if isinstance(row, Row)]
    row = view_of_rows(sample).row(sample[0], "f", "train")
    assert (row.text, row.label) == ("2 + 2?\n\n5", "False")


def test_a_question_without_an_answer_has_none_for_its_task_too() -> None:
    fields = {"context": "It rains.", "question": "Who?", "answers": {"text": [], "answer_start": []}, "answer": ""}
    of_task = view_of_task(task("generate", "'{answer}'", "{context} {question}"))
    sample = [row for row in converted(iter(rows(fields)), lambda line: None) if isinstance(row, Row)]
    for view in (of_task, view_of_rows(sample)):
        made = view.row(sample[0], "f", "train")
        assert made.answer is None
        assert made.text == made.input
    for denied in ({"is_impossible": False}, {"answers": {"text": ["It"], "answer_start": [0]}}, {"question": None}):
        left = {key: value for key, value in {**fields, **denied}.items() if value is not None}
        assert shown(view_of_task(task("generate", "'{answer}'", "{context}")), **left).answer == ""


def test_ten_thousand_rows_take_a_fraction_of_a_second() -> None:
    view = view_of_rows(rows(*({"text": f"text {n}", "label": n % 2} for n in range(50))))
    many = [Row(f"f:{n}", {"text": f"some words of row {n} " * 20, "label": n % 2}) for n in range(10_000)]
    start = time.process_time()
    made = [view.row(row, "f", "train") for row in many]
    assert time.process_time() - start < 0.6  # about 0.05 on a quiet core
    assert len(made) == 10_000


# Changing text.


def test_text_is_changed_wherever_it_stands_and_nothing_else() -> None:
    fields = {
        "text": "a",
        "label": "a",
        "id": "a",
        "deep": {"x": ["a", {"y": "a"}], "n": 3, "function": "a"},
        "messages": [
            {"role": "a", "content": "a", "name": "a"},
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "a"}],
                "tool_calls": [{"id": "a", "type": "a", "function": {"name": "a", "arguments": {"a": "a"}}}],
            },
        ],
        "conversations": [
            {"from": "human", "value": "a"},
            {"from": "function_call", "value": '{"name": "a", "arguments": {"x": "a"}}'},
            {"from": "observation", "value": "a"},
        ],
    }
    before = json.dumps(fields)
    made = transformed(fields, str.upper, ("text", "deep", "messages", "conversations", "absent"))
    assert json.dumps(fields) == before
    assert made["text"] == "A"
    assert (made["label"], made["id"]) == ("a", "a")
    assert made["deep"] == {"x": ["A", {"y": "A"}], "n": 3, "function": "A"}
    assert made["messages"][0] == {"role": "a", "content": "A", "name": "a"}
    assert made["messages"][1]["content"] == [{"type": "text", "text": "A"}]
    assert made["messages"][1]["tool_calls"] == [
        {"id": "a", "type": "a", "function": {"name": "a", "arguments": {"a": "A"}}}
    ]
    said = [turn["value"] for turn in made["conversations"]]
    assert said == ["A", '{"name": "a", "arguments": {"x": "A"}}', "A"]
    assert [turn["from"] for turn in made["conversations"]] == ["human", "function_call", "observation"]


def test_where_nothing_changes_the_very_fields_come_back() -> None:
    fields = {"text": "a", "deep": [{"x": "b"}]}
    assert transformed(fields, str.lower, ("text", "deep")) is fields
    changed = transformed({"text": "A", "deep": fields["deep"]}, str.lower, ("text", "deep"))
    assert changed["deep"] is fields["deep"]


@pytest.mark.parametrize("name", ["alpaca_en_demo", "dpo_en_demo", "kto_en_demo", "glaive_toolcall_en_demo"])
def test_changed_rows_of_a_schema_are_whole_and_hold_the_old_text_nowhere(name: str) -> None:
    address = "ann@example.org"
    raw = [row for row in read(f"{name}.json", FIXTURES / "formats") if isinstance(row, Row)]
    said = [name for name in raw[0].fields if name != "tools"]
    raw = [Row(row.id, transformed(row.fields, lambda text: f"{text} {address}", said)) for row in raw]
    sample = [row for row in converted(iter(raw), lambda line: None) if isinstance(row, Row)]
    assert all(canonical(row.fields).count(address) >= 4 for row in sample)
    columns = view_of_rows(sample).text_columns
    changed = [
        Row(row.id, transformed(row.fields, lambda text: text.replace(address, "..."), columns)) for row in sample
    ]
    assert all(address not in canonical(row.fields) for row in changed)
    assert list(converted(iter(changed), lambda line: None)) == changed


# Canonical JSON, which row ids and views stand on, has one writer for speed and one for everything.

_KEYS = st.text(st.characters(exclude_categories=[]))
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | _KEYS | st.datetimes()
_VALUES = st.recursive(_LEAVES, lambda part: st.lists(part) | st.dictionaries(_KEYS, part) | st.tuples(part))


@given(_VALUES)
def test_canonical_json_is_what_the_standard_library_writes(value: Any) -> None:
    plain = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    assert canonical(value) == plain


def test_canonical_json_of_every_character() -> None:
    every = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    assert canonical({every: [every]}) == json.dumps({every: [every]}, ensure_ascii=False, separators=(",", ":"))
