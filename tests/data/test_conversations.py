"""Conversations of the field's formats as rows of a task: one list of messages whatever the file calls it."""

from __future__ import annotations

import json

import pytest

from hone.data.formats.turns import turn_text
from hone.data.prepare import prepare
from hone.data.rendered import as_terminal, rendered_rows
from hone.data.tokenizer import train_tokenizer
from hone.data.tokens import examples
from hone.data.view import view_of_task
from hone.errors import InputError
from hone.task.conversation import read_turns
from hone.task.load import parse_task
from hone.task.render import SPECIALS, Renderer, task_marks, task_texts

TASK = """
task: help
kind: generate
data: {train: train.jsonl, dev: 0.2, test: test.jsonl, bad_rows: error}
conversation: "{messages}"
target: 0.5
device: {context: 96, prompt_tokens: 32}
"""


def openai(number):
    return {"messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": f"what is {number}"},
        {"role": "assistant", "content": "a number"},
        {"role": "user", "content": f"and {number} more"},
        {"role": "assistant", "content": f"it is {number}"},
    ]}  # fmt: skip


def sharegpt(number):
    names = {"user": "human", "assistant": "gpt"}
    turns = openai(number)["messages"][1:]
    talk = [{"from": names[turn["role"]], "value": turn["content"]} for turn in turns]
    return {"conversations": talk, "system": "be brief"}


def alpaca(number):
    system, one, two, three, four = (turn["content"] for turn in openai(number)["messages"])
    return {"instruction": three, "input": "", "output": four, "history": [[one, two]], "system": system}


def prepared(folder, make, text=TASK, count=40, more=()):
    lines = [json.dumps(make(number)) for number in range(count)]
    (folder / "train.jsonl").write_text("\n".join([*lines, *map(json.dumps, more)]))
    (folder / "test.jsonl").write_text("\n".join(json.dumps(make(1000 + number)) for number in range(5)))
    said: list[str] = []
    task = parse_task(text)
    return task, prepare(task, folder, folder / "cache", said.append), said


@pytest.mark.parametrize("make", [openai, sharegpt, alpaca])
def test_each_format_gives_the_same_turns(make, tmp_path):
    _, version, _ = prepared(tmp_path, make)
    expected = {json.dumps(openai(number)["messages"]) for number in range(40)}
    found = {json.dumps(row.fields["messages"]) for row in (*version.train, *version.dev)}
    assert found == expected
    assert len(version.train) + len(version.dev) == 40


def test_rows_that_are_no_conversations_are_named_with_the_first_fault(tmp_path):
    wrong = [
        {"messages": openai(1)["messages"][:-1]},
        {"messages": "hello"},
        {"messages": [{"role": "usr", "content": ""}]},
    ]
    with pytest.raises(InputError) as caught:
        prepared(tmp_path, openai, more=wrong)
    (problem,) = caught.value.problems
    assert (
        'field "messages": expected messages with role and content, the last one an answer of the assistant\'s'
        in problem
    )
    assert 'train.jsonl:41 has a last turn of the role "user"' in problem
    assert "train.jsonl:42 has str 'hello'" in problem
    assert "train.jsonl:43 has turn 1: the role is 'usr'; did you mean \"user\"?" in problem


@pytest.mark.parametrize("make", [openai, sharegpt])
def test_turns_of_the_weight_zero_stay_so_whatever_the_format(make, tmp_path):
    def lighter(number):
        row = make(number)
        turns = row.get("messages") or row["conversations"]
        turns[-3]["weight"] = 0  # the first answer
        return row

    task, version, _ = prepared(tmp_path, lighter)
    renderer = renderer_for(task, version)
    row = version.train[0]
    example = renderer.example(row.id, row.fields)
    learned = renderer.tokenizer.decode(example.ids[example.supervised].tolist())
    assert learned == " " + row.fields["messages"][-1]["content"]


def test_tools_that_are_none_are_named(tmp_path):
    with pytest.raises(InputError, match=r"a list of tools, or JSON of one; train.jsonl:41 has the number 7"):
        prepared(tmp_path, openai, TASK + 'tools: "{tools}"', more=[{**openai(50), "tools": 7}])


def renderer_for(task, version):
    texts = [text for row in version.train for text in task_texts(task, "json", row.fields)]
    return Renderer.of_task(task, train_tokenizer(texts, 400, specials=(*SPECIALS, *task_marks(task))))


def test_overlong_conversations_are_refused_left_out_or_lose_their_oldest_turns(tmp_path):
    long = {"messages": [*openai(7)["messages"][:3] * 1, *openai(8)["messages"][1:3] * 12, *openai(9)["messages"][1:]]}
    task, version, _ = prepared(tmp_path, openai, more=[long])
    rows, renderer = version.train, renderer_for(task, version)
    rows = [*rows, *(row for row in version.dev if row.fields["messages"] == long["messages"])]
    said: list[str] = []
    with pytest.raises(InputError, match=r"1 of .* longer than the context of 96 tokens"):
        examples(rows, renderer, tmp_path, context=96, overlong="error", say=said.append)
    left = examples(rows, renderer, tmp_path, context=96, overlong="drop", say=said.append)
    assert (len(left), len(left.left_out)) == (len(rows) - 1, 1)
    shorter = parse_task(TASK + "overlong: drop-turns\n")
    short = Renderer.of_task(shorter, renderer.tokenizer)
    for _ in range(2):  # counted when made and when found in the cache
        said.clear()
        made = examples(rows, short, tmp_path, context=96, overlong="drop-turns", say=said.append)
        assert (len(made), made.left_out) == (len(rows), ())
        lost = len(long["messages"]) - max(short.conversation.num_turns(item.ids.tolist()) for item in made)
        assert any(f"{lost} turns left from the front of 1 conversation longer than 96 ids" in line for line in said)
    assert max(len(item.ids) for item in made) <= 96


def test_what_is_measured_is_prompt_and_answer_and_look_shows_turns_in_order(tmp_path):
    task, version, _ = prepared(tmp_path, openai)
    row = version.train[0]
    seen = view_of_task(task).row(row, "train.jsonl", "train")
    number = row.fields["messages"][1]["content"].removeprefix("what is ")
    assert seen.answer == f"it is {number}"
    assert seen.input == f"system: be brief\nuser: what is {number}\nassistant: a number\nuser: and {number} more"
    (first, *_) = rendered_rows(task, tmp_path, version, 4, lambda line: None)
    shown = as_terminal([first], 200, colour=False)
    order = [shown.index(part) for part in ("<|system|>", "<|user|>", "[[ a number", "<|end|>]]", "and", "[[ it is")]
    assert order == sorted(order)
    assert first.num_prompt + first.num_supervised == first.num_tokens


def test_a_canonical_message_reads_the_same_in_both_rooms():
    call = {"type": "function", "function": {"name": "find", "arguments": {"b": 1, "a": "\u00e9"}}}
    message = {"role": "assistant", "content": "so", "tool_calls": [call, call]}
    assert turn_text(message) == read_turns([message])[0].text
    assert turn_text(message).startswith('so\n[{"arguments":{"a":"\u00e9","b":1},"name":"find"},')
