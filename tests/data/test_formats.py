"""Schemas of the field: recognised, converted beside what is there, and wrong rows named exactly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.data.formats import Format, converted, recognise
from hone.data.prepare import prepare
from hone.data.rows import Bad, Row
from hone.data.survey import survey_files
from hone.errors import InputError
from hone.task.load import parse_task
from hone.task.spec import Clean

CUTS = Path(__file__).parent / "formats"
ASKED = {"role": "user", "content": "2 + 2?"}
TALK = [{"role": "system", "content": "Be brief."}, ASKED, {"role": "assistant", "content": "4"}]
PAIR = {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"}
CONTEXT = "The bridge of Brno 🌉 was built in 1924 by two brothers."
SPAN = {"text": ["1924"], "answer_start": [34]}
SQUAD = {"id": "q1", "title": "Bridges", "context": CONTEXT, "question": "When?", "answers": SPAN}
ARTICLE = {
    "title": "Bridges",
    "paragraphs": [
        {
            "context": CONTEXT,
            "qas": [
                {"id": "a", "question": "When?", "answers": [{"text": "1924", "answer_start": 34}]},
                {"id": "b", "question": "Who?", "answers": [{"text": "two brothers", "answer_start": 42}]},
            ],
        }
    ],
}
SAMPLES: dict[str, dict[str, Any]] = {
    "alpaca": {
        "instruction": "Add.", "input": "2, 3", "output": "5", "system": "Be brief.", "history": [["Hi", "Yes?"]],
    },
    "ShareGPT": {"conversations": [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}]},
    "OpenAI messages": {"messages": TALK},
    "prompt/completion": {"prompt": "2 + 2?", "completion": "4"},
    "preference pairs (DPO)": PAIR,
    "preference transcripts": {key: f"\n\nHuman: 2 + 2?\n\nAssistant: {PAIR[key]}" for key in ("chosen", "rejected")},
    "verdicts (KTO) on prompt/completion": {"prompt": "2 + 2?", "completion": "5", "label": False},
    "SQuAD": SQUAD,
    "token tags (CoNLL)": {"tokens": ["In", "Rome"], "ner_tags": ["O", "B-LOC"]},
    "sentences in pieces (Snips)": {"data": [{"text": "Is it "}, {"text": "sunny", "entity": "condition"}]},
}  # fmt: skip


def format_of(*samples: dict[str, Any]) -> Format:
    found = recognise(samples)
    assert found is not None
    return found


def one(fields: dict[str, Any]) -> dict[str, Any]:
    (row,) = format_of(fields).convert(Row("f:1", fields))
    assert isinstance(row, Row), row
    return row.fields


def fault(good: dict[str, Any], wrong: dict[str, Any]) -> Bad:
    (bad,) = format_of(*[good] * 9).convert(Row("f:9", wrong))
    assert isinstance(bad, Bad), bad
    assert bad.id == "f:9"
    return bad


def cut(name: str) -> list[Row]:
    rows = json.loads((CUTS / f"{name}.json").read_text(encoding="utf-8"))
    return [Row(f"{name}.json:{number}", fields) for number, fields in enumerate(rows, 1)]


def stream(rows: list[Row], **more: Any) -> tuple[list[Row | Bad], list[str]]:
    said: list[str] = []
    return list(converted(iter(rows), said.append, **more)), said


# Laws over every schema.


@pytest.mark.parametrize("name", SAMPLES)
def test_each_schema_is_recognised_and_a_line_says_so(name: str) -> None:
    found = format_of(SAMPLES[name])
    assert found.name == name
    assert found.line.startswith(f"recognised as {name}: ")
    assert all(column in found.line for column in found.columns.values() if column not in SAMPLES[name])


@pytest.mark.parametrize("name", SAMPLES)
def test_own_columns_stay_and_converting_again_changes_nothing(name: str) -> None:
    fields = SAMPLES[name]
    made = one(fields)
    assert {key: made[key] for key in fields} == fields
    assert one(made) == made


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("alpaca_en_demo", "alpaca"),
        ("dpo_en_demo", "preference pairs (DPO)"),
        ("kto_en_demo", "verdicts (KTO) on OpenAI messages"),
        ("glaive_toolcall_en_demo", "ShareGPT with tools"),
    ],
)
def test_real_rows_are_whole_after_converting(name: str, schema: str) -> None:
    rows = cut(name)
    made, said = stream(rows)
    assert len(said) == 1
    assert said[0].startswith(f"recognised as {schema}: ")
    assert len(made) == len(rows)
    for row, after in zip(rows, made, strict=True):
        assert isinstance(after, Row)
        assert after.id == row.id
        assert {key: after.fields[key] for key in row.fields} == row.fields
        assert after.fields["prompt"]
    assert stream([row for row in made if isinstance(row, Row)])[0] == made


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "a", "label": "b"},
        {"question": "q", "answer": "a"},
        {"text": "good film", "label": True},
        {"messages": "three new messages"},
        {"chosen": 3, "rejected": 4},
        {"chosen": "model a", "rejected": "model b"},
        {"prompt": "2 + 2?", "chosen": ["4", "four"], "rejected": ["5"]},
        {"title": "t", "paragraphs": ["One.", "Two."]},
        {"data": []},
        {"messages": []},
        {},
    ],
)
def test_rows_of_no_schema_pass_untouched(fields: dict[str, Any]) -> None:
    rows = [Row(f"f:{number}", dict(fields)) for number in range(5)]
    made, said = stream(rows)
    assert said == []
    assert all(after is row for after, row in zip(made, rows, strict=True))


# Conversations.


def test_alpaca_puts_system_and_history_before_the_instruction_with_its_input() -> None:
    made = one(SAMPLES["alpaca"])
    assert made["completion"] == "5"
    assert made["prompt"] == "system: Be brief.\nuser: Hi\nassistant: Yes?\nuser: Add.\n2, 3"
    assert [turn["role"] for turn in made["messages"]] == ["system", "user", "assistant", "user", "assistant"]
    assert one({"instruction": "Add.", "input": "", "output": "5"})["prompt"] == "Add."


def test_key_styles_and_parts_of_content_give_one_conversation() -> None:
    sharegpt = [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "2 + 2?"}]
    parts = [*TALK[:2], {"role": "assistant", "content": [{"type": "text", "text": "4"}]}]
    made = [
        one({"conversations": [*sharegpt, {"from": "gpt", "value": "4"}]}),
        one({"messages": TALK}),
        one({"conversations": TALK[1:], "system": "Be brief."}),
        one({"prompt": TALK[:2], "completion": TALK[2:]}),
    ]
    assert all(fields["messages"] == TALK for fields in made)
    assert {fields["completion_text" if "completion_text" in fields else "completion"] for fields in made} == {"4"}
    assert one({"messages": parts})["messages_list"] == TALK
    assert {fields["system"] for fields in made} == {"Be brief."}


def test_tool_calls_have_one_form_whoever_writes_them() -> None:
    call = {"name": "add", "arguments": {"a": 2}}
    tools = [{"name": "add"}]
    glaive = one(
        {
            "conversations": [
                {"from": "human", "value": "2 + 2?"},
                {"from": "function_call", "value": json.dumps(call)},
                {"from": "observation", "value": "4"},
                {"from": "gpt", "value": "It is 4."},
            ],
            "tools": json.dumps(tools),
        }
    )
    openai = one(
        {
            "messages": [
                ASKED,
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}],
                },
                {"role": "tool", "content": "4"},
                {"role": "assistant", "content": "It is 4."},
            ],
            "tools": tools,
        }
    )
    assert glaive["messages"] == openai["messages_list"]
    assert glaive["messages"][1]["tool_calls"][0]["function"] == call
    assert glaive["prompt"] == openai["prompt"]
    assert 'assistant: {"arguments":{"a":2},"name":"add"}\ntool: 4' in glaive["prompt"]
    assert openai["tools"] == tools
    assert json.loads(openai["tools_text"]) == tools
    assert "tools_text" not in glaive


@pytest.mark.parametrize(
    ("messages", "expected", "found"),
    [
        (
            [ASKED, {"role": "robot", "content": "4"}],
            "messages with role one of system",
            "turn 2 with role str 'robot'",
        ),
        ([ASKED, {"content": "4"}], "messages with role one of", "turn 2 without role"),
        ([], "at least one message", "an empty conversation"),
        ("hello", "a list of messages", "str 'hello'"),
        (["hello"], "a list of messages", "str 'hello' as turn 1"),
        ([ASKED, TALK[2], ASKED], "whose last turn is the assistant's", 'turn 3 of 3 from "user"'),
        ([TALK[2]], "a turn before the assistant's answer", "one turn only"),
        (
            [ASKED, {**TALK[2], "contnt": "5"}],
            "known keys only",
            'turn 2 with the key "contnt"; did you mean "content"?',
        ),
        ([ASKED, {"role": "assistant", "content": 4}], "messages with text as content", "the number 4 in turn 2"),
        ([ASKED, {"role": "assistant", "content": None}], "messages with text as content", "null in turn 2"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, TALK[2]],
            "messages made of text",
            'a part of type "image_url" in turn 1',
        ),
        (
            [ASKED, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}],
            'JSON of a call: "name" and an object of "arguments"',
            "str '{' as the arguments of f in turn 2",
        ),
    ],
)
def test_a_wrong_conversation_is_named_by_turn(messages: Any, expected: str, found: str) -> None:
    bad = fault({"messages": TALK}, {"messages": messages})
    assert bad.field == "messages"
    assert expected in bad.expected
    assert bad.found.startswith(found)


def test_a_wrong_role_of_sharegpt_names_the_nearest() -> None:
    wrong = {"conversations": [{"from": "humann", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}]}
    assert fault(SAMPLES["ShareGPT"], wrong).found == "turn 1 with from str 'humann'; did you mean \"human\"?"


def test_a_key_that_most_messages_have_is_the_sources_own() -> None:
    talk = [{**turn, "stamp": 3} for turn in TALK]
    found = format_of(*[{"messages": talk}] * 5)
    assert "messages also carry stamp" in found.line
    assert isinstance(found.convert(Row("f:1", {"messages": talk}))[0], Row)


# Preferences.


@pytest.mark.parametrize(
    "fields",
    [
        PAIR,
        {"question": "2 + 2?", "chosen": "4", "rejected": "5"},
        {
            "conversations": [{"from": "human", "value": "2 + 2?"}],
            "chosen": {"from": "gpt", "value": "4"},
            "rejected": {"from": "gpt", "value": "5"},
        },
        {
            "prompt": [ASKED],
            "chosen": [{"role": "assistant", "content": "4"}],
            "rejected": [{"role": "assistant", "content": "5"}],
        },
        {
            "chosen": [ASKED, {"role": "assistant", "content": "4"}],
            "rejected": [ASKED, {"role": "assistant", "content": "5"}],
        },
        {
            "prompt": "2 + 2?",
            "chosen": [ASKED, {"role": "assistant", "content": "4"}],
            "rejected": [ASKED, {"role": "assistant", "content": "5"}],
        },
        {"instruction": "2 + 2?", "input": "", "chosen": "4", "rejected": "5"},
        SAMPLES["preference transcripts"],
    ],
)
def test_every_shape_of_a_pair_gives_prompt_chosen_and_rejected(fields: dict[str, Any]) -> None:
    found = format_of(fields)
    made = one(fields)
    values = [made[found.columns[key]] for key in ("prompt", "chosen", "rejected")]
    assert values == ["2 + 2?", "4", "5"]
    assert made[found.columns["messages"]] == [ASKED, {"role": "assistant", "content": "4"}]
    assert one(made) == made


def test_a_taken_name_is_said_and_the_templates_follow_it() -> None:
    found = format_of(SAMPLES["preference transcripts"])
    assert found.columns["chosen"] == "chosen_text"
    assert 'chosen_text (the rows have another "chosen")' in found.line
    assert (found.input, found.output, found.also) == ("{prompt}", "{chosen_text}", ("rejected_text",))


def test_transcripts_whose_conversations_part_earlier_are_bad_rows() -> None:
    wrong = {
        "chosen": "\n\nHuman: 2 + 2?\n\nAssistant: 4",
        "rejected": "\n\nHuman: 2 + 3?\n\nAssistant: 5",
    }
    bad = fault(SAMPLES["preference transcripts"], wrong)
    assert bad.field == "rejected"
    assert bad.found == "another turn 1: str '2 + 3?'"
    no_turns = {"chosen": "hello", "rejected": "\n\nHuman: a\n\nAssistant: b"}
    assert fault(SAMPLES["preference transcripts"], no_turns).found == "str 'hello'"


@pytest.mark.parametrize("column", ["label", "kto_tag"])
def test_a_verdict_becomes_the_label(column: str) -> None:
    fields = {"messages": TALK, column: True}
    assert one(fields)["kto_label"] is True
    assert format_of(fields).kind == "classify"
    bad = fault(fields, {"messages": TALK, column: "yes"})
    assert (bad.field, bad.expected, bad.found) == (column, "true or false", "str 'yes'")


@pytest.mark.parametrize("pair", [PAIR, SAMPLES["preference transcripts"]])
def test_an_answer_that_is_preferred_to_itself_or_to_nothing_is_a_bad_row(pair: dict[str, Any]) -> None:
    same = fault(pair, {**pair, "rejected": pair["chosen"]})
    assert (same.field, same.expected, same.found) == ("rejected", "another answer than chosen", "the same one")
    nothing = fault(pair, {**pair, "rejected": pair["rejected"].replace("5", " ")})
    assert (nothing.field, nothing.found) == ("rejected", "an empty one")


# Questions on a text.


@pytest.mark.parametrize("wrap", [lambda article: article, lambda article: {"version": "1.1", "data": [article]}])
def test_articles_become_one_row_per_question(wrap: Any) -> None:
    fields = wrap(ARTICLE)
    first, second = format_of(fields).convert(Row("s.json:1", fields))
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.id, second.id) == ("s.json:1#a", "s.json:1#b")
    assert (first.fields["answer"], first.fields["answer_start"], first.fields["title"]) == ("1924", 34, "Bridges")
    assert first.fields["context"] == CONTEXT
    assert (second.fields["question"], second.fields["answer"]) == ("Who?", "two brothers")
    assert one(first.fields) == first.fields


def test_rows_of_one_article_have_ids_of_their_own() -> None:
    article = json.loads(json.dumps(ARTICLE))
    for question in article["paragraphs"][0]["qas"]:
        question["id"] = "a:b"
    rows = format_of(article).convert(Row("s.json:1", article))
    assert [row.id for row in rows] == ["s.json:1#a.b", "s.json:1#a.b~2"]


def test_one_question_per_row_has_the_same_columns() -> None:
    made = one(SQUAD)
    assert (made["answer"], made["answer_start"], made["question"]) == ("1924", 34, "When?")
    assert made["answers"] == SPAN


@given(context=st.text(min_size=1), data=st.data())
def test_a_span_is_accepted_exactly_where_it_stands(context: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(start + 1, len(context)))
    claimed = data.draw(st.integers(-2, len(context) + 2))
    fields = {**SQUAD, "context": context, "answers": {"text": [context[start:end]], "answer_start": [claimed]}}
    (made,) = format_of(SQUAD).convert(Row("f:1", fields))
    stands = claimed >= 0 and context[claimed : claimed + end - start] == context[start:end]
    assert isinstance(made, Row) is stands


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (33, "'1924' at 33, where the context reads ' 192'; it stands at 34"),
        # The bridge is one character of four bytes: who counted bytes is three off.
        (37, "'1924' at 37, where the context reads '4 by'; it stands at 34"),
        (400, "'1924' at 400, and the context has 55 characters; it stands at 34"),
    ],
)
def test_an_answer_that_is_not_at_its_start_is_a_bad_row(start: int, found: str) -> None:
    bad = fault(SQUAD, {**SQUAD, "answers": {"text": ["1924"], "answer_start": [start]}})
    assert bad == Bad("f:9", "answers", "an answer that stands in the context at its answer_start", found)


def test_one_wrong_question_leaves_the_others_of_its_article() -> None:
    article = json.loads(json.dumps(ARTICLE))
    article["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] = 0
    first, second = format_of(ARTICLE).convert(Row("s.json:1", article))
    assert isinstance(first, Bad)
    assert (first.id, first.field) == ("s.json:1#a", "answers")
    assert isinstance(second, Row)


def test_questions_without_an_answer_stay_and_contradictions_do_not() -> None:
    empty = {**SQUAD, "answers": {"text": [], "answer_start": []}}
    (made,) = format_of(SQUAD).convert(Row("f:1", empty))
    assert isinstance(made, Row)
    assert (made.fields["answer"], made.fields["answer_start"]) == ("", None)
    assert fault(SQUAD, {**SQUAD, "is_impossible": True}).found == "1 answers"
    assert fault(SQUAD, {**empty, "is_impossible": False}).expected == "an answer where is_impossible is false"
    ragged = {**SQUAD, "answers": {"text": ["1924"], "answer_start": []}}
    assert fault(SQUAD, ragged).expected == "lists text and answer_start of one length"


@pytest.mark.parametrize("as_list", [False, True])
def test_a_start_that_is_text_is_told_with_its_field_and_value(as_list: bool) -> None:
    answers = [{"text": "1924", "answer_start": "34"}] if as_list else {"text": ["1924"], "answer_start": ["34"]}
    bad = fault(SQUAD, {**SQUAD, "answers": answers})
    assert (bad.field, bad.found) == ("answers.answer_start", "str '34'")
    bad = fault(SQUAD, {**SQUAD, "answers": {"text": [1924], "answer_start": [34]}})
    assert (bad.field, bad.found) == ("answers.text", "the number 1924")


# Tagged sentences.


def test_the_first_sentence_of_conll_2003() -> None:
    fields = {
        "tokens": ["EU", "rejects", "German", "call", "to", "boycott", "British", "lamb", "."],
        "ner_tags": ["B-ORG", "O", "B-MISC", "O", "O", "O", "B-MISC", "O", "O"],
    }
    made = one(fields)
    assert made["text"] == "EU rejects German call to boycott British lamb ."
    assert made["entities"] == [
        {"type": "ORG", "text": "EU"},
        {"type": "MISC", "text": "German"},
        {"type": "MISC", "text": "British"},
    ]


def test_tags_of_several_words_and_of_another_number() -> None:
    made = one({"tokens": ["New", "York", "Rome"], "ner_tags": ["B-LOC", "I-LOC", "B-LOC"]})
    assert [entity["text"] for entity in made["entities"]] == ["New York", "Rome"]
    bad = fault(SAMPLES["token tags (CoNLL)"], {"tokens": ["a", "b"], "ner_tags": ["O"]})
    assert bad.found == "1 tags for 2 tokens"


# Sentences in pieces.

PIECES = [{"text": "Weather in "}, {"text": "Brno", "entity": "place", "slot_name": "city"}, {"text": " ?"}]


def test_pieces_are_joined_as_they_stand_and_the_slot_names_the_entity() -> None:
    made = one({"data": PIECES, "intent": "GetWeather"})
    assert made["text"] == "Weather in Brno ?"
    assert made["entities"] == [{"type": "city", "text": "Brno"}]
    assert (made["data"], made["intent"]) == (PIECES, "GetWeather")


def test_a_piece_without_text_is_a_bad_row_and_a_list_of_entities_no_sentence() -> None:
    good = {"data": PIECES}
    assert fault(good, {"data": [*PIECES, {"entity": "place"}]}).found == "an object with 1 keys as piece 4"
    assert fault(good, {"data": "Weather in Brno?"}).found == "str 'Weather in Brno?'"
    assert recognise([{"text": "I live in Brno.", "found": [{"text": "Brno", "entity": "place"}]}] * 9) is None
    assert recognise([{"data": [{"text": "Weather"}, {"text": " in Brno"}]}] * 9) is None


# Streams of rows.


def test_each_file_is_recognised_by_itself_and_said_once() -> None:
    def rows() -> Iterator[Row | Bad]:
        for number in range(60):
            yield Row(f"a.jsonl:{number}", SAMPLES["alpaca"])
        yield Bad("b.jsonl:1", "", "an object", "a list")
        yield Row("b.jsonl:2", {"text": "plain"})
        yield Row("c.jsonl:1", SAMPLES["alpaca"])

    said: list[str] = []
    made = list(converted(rows(), said.append))
    assert [line.split(":")[0] for line in said] == ["recognised as alpaca"]
    assert made[60] == Bad("b.jsonl:1", "", "an object", "a list")
    assert made[61] == Row("b.jsonl:2", {"text": "plain"})
    assert all("prompt" in row.fields for row in (*made[:60], made[62]) if isinstance(row, Row))


def test_a_column_of_a_canonical_name_after_the_sample_is_not_overwritten() -> None:
    rows = [Row(f"f:{number}", {"instruction": "Add.", "input": "", "output": "5"}) for number in range(3)]
    made, _ = stream([*rows, Row("f:3", {**rows[0].fields, "prompt": "mine"})], sample=2)
    bad = made[3]
    assert isinstance(bad, Bad)
    assert (bad.field, bad.found) == ("prompt", "str 'mine'")


def test_only_rows_that_lack_a_wanted_column_are_converted() -> None:
    rows = [Row("f:1", SAMPLES["alpaca"])]
    assert stream(rows, wanted=("instruction", "output")) == (rows, [])
    made, said = stream(rows, wanted=("prompt", "output"))
    assert isinstance(made[0], Row)
    assert "prompt" in made[0].fields
    assert len(said) == 1


# The whole way.


def make(folder: Path, input_template: str, output: str) -> tuple[Any, list[str]]:
    lines = [{"instruction": f"Add {n} and {n}.", "input": "", "output": str(n + n)} for n in range(40)]
    (folder / "train.json").write_text(json.dumps(lines), encoding="utf-8")
    text = (
        f"task: t\nkind: generate\ndata: {{train: train.json, dev: 4}}\ninput: '{input_template}'\noutput: '{output}'\n"
    )
    said: list[str] = []
    return prepare(parse_task(text + "target: 0.5\n"), folder, folder / "cache", said.append), said


def test_a_task_may_name_canonical_columns_also_of_its_sealed_test(tmp_path: Path) -> None:
    version, said = make(tmp_path, "{prompt}", "{completion}")
    assert any(line.startswith("train: recognised as alpaca") for line in said)
    assert all(row.fields["completion"] == row.fields["output"] for row in version.train)
    test = version.test.read(lambda reason: None, "a test")
    assert len(test) == version.test.n > 0
    assert all("prompt" in row.fields for row in test)


def test_a_task_of_its_rows_own_columns_has_the_rows_as_they_are(tmp_path: Path) -> None:
    version, said = make(tmp_path, "{instruction}", "{output}")
    assert not any("recognised" in line for line in said)
    assert all(set(row.fields) == {"instruction", "input", "output"} for row in version.train)


def test_bad_rows_of_a_schema_stop_a_task_with_where_and_what(tmp_path: Path) -> None:
    rows = [{"messages": TALK}] * 20
    rows[7] = {"messages": [ASKED]}
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    text = (
        "task: t\nkind: generate\ndata: {train: train.jsonl}\ninput: '{prompt}'\noutput: '{completion}'\ntarget: 0.5\n"
    )
    with pytest.raises(InputError) as caught:
        prepare(parse_task(text), tmp_path, tmp_path / "cache", lambda line: None)
    (problem,) = caught.value.problems
    assert "1 bad row of 20" in problem
    assert 'field "messages": expected a conversation whose last turn is the assistant\'s' in problem
    assert 'train.jsonl:8 has turn 1 of 1 from "user"' in problem


@pytest.mark.parametrize("of_task", [False, True])
def test_questions_that_have_no_answer_are_kept(tmp_path: Path, of_task: bool) -> None:
    nothing = {"text": [], "answer_start": []}
    rows = [
        {**SQUAD, "question": f"When, asks number {n}?", "answers": nothing if n % 3 == 0 else SPAN} for n in range(90)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    said: list[str] = []
    if of_task:
        text = "task: t\nkind: generate\ndata: {train: train.jsonl, dev: 9}\ninput: '{question}'\noutput: '{answer}'\n"
        made = prepare(parse_task(text + "target: 0.5\n"), tmp_path, tmp_path / "cache", said.append)
        assert len(made.train) + len(made.dev) + made.test.n == 90
        assert any(row.fields["answer"] == "" for row in made.train)
    else:
        survey = survey_files(["train.jsonl"], tmp_path, Clean(), tmp_path / "cache", said.append)
        assert survey.decisions.keep.tolist() == [True] * 90


# Whatever a row holds.

_KEYS = ["role", "content", "from", "value", "name", "arguments", "function", "tool_calls", "text", "type", "id"]
_TEXTS = st.sampled_from(["", "user", "gpt", "{"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | _TEXTS,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), part, max_size=3),
    max_leaves=8,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*path, key)
        yield from _places(part, (*path, key))


@pytest.mark.parametrize("name", [*SAMPLES, "articles", "calls"])
@settings(max_examples=30)
@given(data=st.data())
def test_any_value_anywhere_gives_a_row_or_a_bad_row(name: str, data: st.DataObject) -> None:
    calls = [ASKED, {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}]
    more = {"articles": ARTICLE, "calls": {"messages": calls, "tools": [{"name": "f"}]}}
    good = {**SAMPLES, **more}[name]
    found = format_of(good)
    fields = json.loads(json.dumps(good))
    *path, last = data.draw(st.sampled_from(list(_places(fields))))
    part = fields
    for key in path:
        part = part[key]
    part[last] = data.draw(_JSON)
    made = found.convert(Row("f:1", fields))
    assert all(isinstance(row, Row | Bad) for row in made)
    recognise([fields] * 3)
    for row in made:
        if isinstance(row, Row):
            assert set(row.fields) >= set(found.columns.values())
